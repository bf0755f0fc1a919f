//! Deaths, silence and broken links: who is reported, who moves, and where to.

use hoptree_core::Order;

use super::{MS, Tree};

#[test]
fn whoever_is_not_below_a_killed_node_goes_on() {
    let mut tree = Tree::chain(10);
    tree.kill(tree.life(6));
    tree.pass(10 * MS);
    tree.printed();
    let replies = tree.replies(
        "exec 5 echo up\nexec 6 echo\nexec 10 echo\nping 6\nping 8\ncreate 11 7\nremove 7\n\
         create 6 5\nping 6\nping 7\nexec 6 echo new",
    );
    assert_eq!(
        replies,
        [
            "Ok:5: up",
            "Error:6: Node is unavailable",
            "Ok:10",
            "Ok: 0",
            "Ok: 1",
            "Ok: 1012",
            "Ok",
            "Ok: 1011",
            "Ok: 1",
            "Error: Not found",
            "Ok:6: new"
        ]
    );
    assert_eq!(tree.alive(), (1..=6).collect());
}

#[test]
fn the_first_command_after_a_death_is_right_already() {
    let mut tree = Tree::chain(3);
    tree.kill(tree.life(2));
    let replies = tree.replies("exec 3 echo\ncreate 2 1\nping 3");
    assert_eq!(
        replies.iter().filter(|line| !line.contains("Lost")).collect::<Vec<_>>(),
        ["Error:3: Node is unavailable", "3 Returned", "Ok: 1004", "Ok: 0"]
    );
}

#[test]
fn what_is_under_way_to_a_killed_node_is_answered_at_once() {
    let mut tree = Tree::chain(3);
    tree.enter("exec 3 never\nexec 2 never\ncreate 4 3");
    tree.stop(Some(tree.life(3)));
    tree.enter("exec 3 echo\nping 3");
    tree.pass(100 * MS);
    tree.kill(tree.life(2));
    tree.printed();
    tree.pass(MS);
    let unavailable = |id| format!("Error:{id}: Node is unavailable");
    let printed = tree.printed();
    assert_eq!(printed[..2], [unavailable(3), unavailable(2)]);
    assert_eq!(printed[2..4], ["Error: Parent is unavailable".to_owned(), unavailable(3)]);
    assert_eq!(printed[4], "Ok: 0");
}

#[test]
fn at_the_deadline_a_slow_command_and_a_hung_node_are_told_apart() {
    let mut tree = Tree::chain(2);
    assert_eq!(tree.replies("exec 2 never"), ["Error:2: No answer within 5000 ms"]);
    tree.stop(Some(tree.life(2)));
    let before = tree.now();
    assert_eq!(
        tree.replies("exec 2 echo\nping 2\nremove 2\ncreate 3 2"),
        [
            "Error:2: Node is unavailable",
            "Ok: 0",
            "Error: Node is unavailable",
            "Error: Parent is unavailable",
        ]
    );
    // The create waits for the removal, and has a deadline of its own.
    assert!(tree.now().since(before) < 10_500 * MS);
    tree.go_on(Some(tree.life(2)));
    assert_eq!(tree.replies("exec 2 echo back\nexec 1 echo"), ["Ok:2: back", "Ok:1"]);
    tree.pass(6_000 * MS);
    assert_eq!(tree.alive(), [1, 2].into(), "what was to be created late is not wanted");
}

#[test]
fn silence_is_told_every_time() {
    let mut tree = Tree::chain(2);
    tree.replies("watch 100");
    for _ in 0..3 {
        tree.pass(2_000 * MS);
        assert_eq!(tree.printed(), [""; 0]);
        let before = tree.now();
        tree.stop(Some(tree.life(2)));
        tree.run_until(|tree| tree.now().since(before) > 501 * MS);
        assert_eq!(tree.printed(), ["2 Silent"]);
        assert_eq!(tree.replies("ping 2"), ["Ok: 0"]);
        tree.go_on(Some(tree.life(2)));
        tree.pass(100 * MS);
        assert_eq!(tree.printed(), ["2 Returned"]);
    }
}

#[test]
fn a_node_that_did_not_run_takes_nobody_for_silent() {
    let mut tree = Tree::chain(3);
    tree.replies("watch 100");
    for stopped in [None, Some(tree.life(1))] {
        tree.pass(1_000 * MS);
        tree.stop(stopped);
        tree.pass(250 * MS);
        tree.go_on(stopped);
        tree.pass(1_000 * MS);
        assert_eq!(tree.printed(), [""; 0]);
    }
    tree.stop(None);
    tree.pass(30_000 * MS);
    tree.go_on(None);
    assert_eq!(tree.replies("ping 3"), ["Ok: 1"]);
}

#[test]
fn what_is_below_a_killed_node_is_taken_in_by_the_next_above() {
    let mut tree = Tree::chain(5);
    tree.kill(tree.life(3));
    tree.pass(10 * MS);
    assert_eq!(
        tree.replies("exec 4 where\nexec 5 where\nexec 2 where\nexec 3 echo"),
        ["Ok:4: 2 3 1 1", "Ok:5: 4 4 0 0", "Ok:2: 1 2 1 2", "Error:3: Node is unavailable"]
    );
    tree.kill(tree.life(2));
    tree.pass(10 * MS);
    assert_eq!(tree.replies("exec 4 where\nping 5"), ["Ok:4: 1 2 1 1", "Ok: 1"]);
    let replies = tree.replies("create 3 5\nexec 3 where\nremove 4\nping 5\nping 1");
    assert_eq!(
        replies,
        ["Ok: 1006", "Ok:3: 5 4 0 0", "Ok", "Error: Not found", "Ok: 1"],
        "who was taken in can be removed like any other"
    );
    assert_eq!(tree.alive(), [1].into());
}

#[test]
fn all_inner_nodes_may_die_at_once() {
    let mut tree = Tree::new(Order::Input);
    for node in 1..=121 {
        let parent = if node == 1 { -1 } else { (node - 2) / 3 + 1 };
        tree.enter(&format!("create {node} {parent}"));
    }
    tree.replies("");
    for inner in 1..=40 {
        tree.kill(tree.life(inner));
    }
    tree.pass(20 * MS);
    let replies = tree.replies("exec * where");
    let up: Vec<_> = replies.iter().filter(|reply| reply.starts_with("Ok")).collect();
    assert_eq!(up.len(), 81);
    assert!(up.iter().all(|reply| reply.ends_with("-1 1 0 0")), "{up:?}");
}

#[test]
fn the_children_of_a_node_that_hangs_move_and_stay_when_it_wakes() {
    let mut tree = Tree::chain(4);
    tree.replies("watch 100");
    tree.pass(100 * MS);
    let hung = tree.life(2);
    tree.stop(Some(hung));
    tree.enter("ping 4");
    tree.pass(600 * MS);
    let told = tree.printed();
    assert!(told.contains(&"2 Silent".to_owned()), "{told:?}");
    assert_eq!(
        tree.replies("exec 3 where\nexec 4 echo b\nping 2"),
        ["Ok:3: 1 2 1 1", "Ok:4: b", "Ok: 0"]
    );
    tree.go_on(Some(hung));
    tree.pass(600 * MS);
    assert_eq!(tree.printed(), ["2 Returned"]);
    assert_eq!(
        tree.replies("exec 3 where\nexec 4 echo b\nexec 2 where"),
        ["Ok:3: 1 2 1 1", "Ok:4: b", "Ok:2: 1 2 0 0"]
    );
    assert_eq!(tree.alive(), [1, 2, 3, 4].into());
}

/// The orphan notices a silence, and its end, while it has no parent whom it could tell.
#[test]
fn what_an_orphan_has_noticed_is_told_when_it_has_a_parent() {
    let mut tree = Tree::chain(4);
    tree.replies("watch 100");
    tree.pass(100 * MS);
    tree.stop(None);
    tree.kill(tree.life(1));
    let hung = tree.life(4);
    tree.stop(Some(hung));
    tree.pass(1_000 * MS);
    tree.go_on(None);
    tree.pass(100 * MS);
    assert_eq!(tree.replies("ping 3\nping 4"), ["Ok: 1", "Ok: 0"]);

    tree.stop(None);
    tree.cut(None, Some(tree.life(2)));
    tree.go_on(Some(hung));
    tree.pass(1_000 * MS);
    tree.go_on(None);
    tree.pass(100 * MS);
    assert_eq!(tree.replies("ping 3\nexec 4 echo"), ["Ok: 1", "Ok:4"]);
}

#[test]
fn a_link_that_breaks_is_made_anew() {
    let mut tree = Tree::chain(4);
    tree.cut(Some(tree.life(2)), Some(tree.life(3)));
    tree.pass(10 * MS);
    assert_eq!(tree.printed(), ["3 Lost", "4 Lost", "3 Returned", "4 Returned"]);
    assert_eq!(tree.replies("exec 3 where\nexec 4 where"), ["Ok:3: 2 3 1 1", "Ok:4: 3 4 0 0"]);
    tree.cut(None, Some(tree.life(1)));
    tree.pass(10 * MS);
    assert_eq!(tree.replies("exec 4 echo").last().unwrap(), "Ok:4");
    assert_eq!(tree.replies("remove 1"), ["Ok"]);
    assert!(tree.alive().is_empty());
}

#[test]
fn while_the_user_has_stopped_the_control_node_everybody_waits() {
    let mut tree = Tree::chain(3);
    tree.replies("watch 100");
    tree.stop(None);
    tree.kill(tree.life(1));
    tree.pass(10_000 * MS);
    assert_eq!(tree.alive(), [2, 3].into());
    tree.go_on(None);
    tree.pass(100 * MS);
    tree.printed();
    assert_eq!(tree.replies("exec 2 where\nexec 3 where"), ["Ok:2: -1 1 1 1", "Ok:3: 2 2 0 0"]);
}
