//! Commands: what each answers, and in which order.

use std::time::Duration;

use hoptree_core::Order;

use super::{MS, Tree};

#[test]
fn a_session_from_the_first_line_to_the_last() {
    let mut tree = Tree::new(Order::Input);
    let replies = tree.replies(
        "create 1\nping 1\nexec 1 echo a  b\ncreate 2\nexec 2 echo\nping 2\nping 99\nexec 9 echo\n\
         create 1\ncreate 3 9\nexec 1 nonsense\nexec 1 ehco\nremove 9\n\n# a comment\nfrobnicate",
    );
    assert_eq!(
        replies,
        [
            "Ok: 1001",
            "Ok: 1",
            "Ok:1: a b",
            "Ok: 1002",
            "Ok:2",
            "Ok: 1",
            "Error: Not found",
            "Error:9: Not found",
            "Error: Already exists",
            "Error: Parent not found",
            "Error:1: unknown command 'nonsense': expected one of echo, bytes, never, later, work, where, say, \
             blunder, lines, pour, gush",
            "Error:1: unknown command 'ehco': did you mean 'echo'?",
            "Error: Not found",
            "Error: unknown command 'frobnicate': 'help' lists what there is",
        ]
    );
    tree.finish();
    assert!(tree.alive().is_empty());
}

#[test]
fn what_names_a_node_takes_effect_in_the_order_typed() {
    let replies = Tree::new(Order::Input).replies(
        "create 1\ncreate 2 1\nexec 2 echo a\nexec 1 echo b\ncreate 1\ncreate 5 99\nping 5\n\
         remove 1\ncreate 1\nping 2\nexec 1 echo c\ncreate 2 1\nremove 2\ncreate 2\nping 2",
    );
    assert_eq!(
        replies,
        [
            "Ok: 1001",
            "Ok: 1002",
            "Ok:2: a",
            "Ok:1: b",
            "Error: Already exists",
            "Error: Parent not found",
            "Error: Not found",
            "Ok",
            "Ok: 1003",
            "Error: Not found",
            "Ok:1: c",
            "Ok: 1004",
            "Ok",
            "Ok: 1005",
            "Ok: 1",
        ]
    );
}

#[test]
fn independent_work_runs_at_the_same_time() {
    let mut tree = Tree::new(Order::Completion);
    tree.replies("create 1\ncreate 2");
    let replies = tree.replies("exec 1 later 100\nexec 1 echo a\ncreate 3 2\nexec 2 echo b");
    assert_eq!(replies, ["Ok:1: a", "Ok:2: b", "Ok: 1003", "Ok:1: late"]);
}

#[test]
fn the_end_of_the_input_waits_for_answers_and_leaves_nobody() {
    let mut tree = Tree::chain(3);
    tree.enter("exec 3 later 700\nexec 3 never");
    tree.stop(Some(tree.life(2)));
    tree.pass(100 * MS);
    tree.go_on(Some(tree.life(2)));
    tree.finish();
    assert_eq!(tree.printed(), ["Ok:3: late", "Error:3: No answer within 5000 ms"]);
    assert!(tree.alive().is_empty());
}

#[test]
fn the_picture_of_a_long_chain_is_not_wide() {
    let mut tree = Tree::new(Order::Input);
    let creates: String = (2..=100).map(|id| format!("create {id} {}\n", id - 1)).collect();
    tree.replies(&format!("create 1\n{creates}"));
    tree.enter("tree");
    let picture = tree.printed();
    assert!(picture[31].starts_with(&format!("{:62}32: pid ", "")), "{picture:?}");
    assert!(picture[32].starts_with(&format!("{:62}(depth 33) 33: pid ", "")), "{picture:?}");
    assert!(picture[99].starts_with(&format!("{:62}(depth 100) 100: pid ", "")), "{picture:?}");
}

#[test]
fn the_picture_of_the_tree_says_why_a_node_is_unavailable() {
    let mut tree = Tree::new(Order::Completion);
    tree.replies("create 1\ncreate 2 1\ncreate 3 2\ncreate 4 3");
    tree.kill(tree.life(3));
    tree.pass(2_000 * MS);
    tree.stop(Some(tree.life(4)));
    tree.replies("watch 100");
    tree.pass(1_000 * MS);
    tree.replies("create 6 2");
    tree.enter("create 5 2\ntree");
    let picture = tree.printed();
    assert!(picture[0].starts_with("1: pid 1001, available for 3."), "{picture:?}");
    assert!(picture[1].starts_with("  2: pid 1002, available for 3."));
    assert!(picture[2].starts_with("    3: pid 1003, unavailable for 3."));
    assert!(picture[2].ends_with(" s: killed by signal 9"));
    assert!(picture[3].starts_with("    4: pid 1004, unavailable for 6"));
    assert!(picture[3].ends_with(" ms: silent, created below 3, moved once"));
    assert_eq!(picture[4], "    5: starting");
    assert!(picture[5].starts_with("    6: pid 1005, available for "));
    assert_eq!(Tree::new(Order::Input).replies("tree"), ["there are no nodes"]);
}

/// The answer to an earlier ping would not be true any more.
#[test]
fn a_ping_is_answered_by_who_lives_when_it_is_typed() {
    let mut tree = Tree::chain(1);
    tree.enter("ping 1");
    tree.pass(Duration::from_micros(150));
    tree.kill(tree.life(1));
    assert_eq!(tree.replies("ping 1"), ["Ok: 1", "Ok: 0", "1 Lost"]);
}

#[test]
fn a_create_that_fails_leaves_no_trace() {
    let mut tree = Tree::chain(1);
    tree.enter("create 2 1\nexec 2 echo\ncreate 3 2\nping 3\nexec 3 echo");
    tree.pass(MS);
    tree.kill(tree.life(2));
    let replies = tree.replies("");
    assert_eq!(
        replies,
        [
            "Error: node 2 ended before it joined: killed by signal 9",
            "Error:2: Not found",
            "Error: Parent not found",
            "Error: Not found",
            "Error:3: Not found"
        ]
    );
    assert_eq!(
        tree.replies("ping 2\ncreate 2 1\nping 2"),
        ["Error: Not found", "Ok: 1003", "Ok: 1"]
    );
}

#[test]
fn a_create_does_not_wait_for_a_parent_that_comes_about_by_a_later_command() {
    let mut tree = Tree::chain(1);
    tree.stop(Some(tree.life(1)));
    tree.enter("remove 1\ncreate 1 2\ncreate 2");
    tree.kill(tree.life(1));
    assert_eq!(
        tree.replies(""),
        ["Error: Node is unavailable", "Error: Parent not found", "1 Lost", "Ok: 1002"]
    );
}

#[test]
fn offloaded_work_answers_when_it_is_done() {
    let mut tree = Tree::new(Order::Completion);
    tree.replies("create 1\ncreate 2 1");
    assert_eq!(
        tree.replies("exec 2 work 5\nexec 2 work 10\nexec 2 echo meanwhile"),
        ["Ok:2: meanwhile", "Ok:2: xxxxx", "Error:2: work: too much work"]
    );
    assert_eq!(tree.replies("exec 1 where\nexec 2 where"), ["Ok:1: -1 1 1 1", "Ok:2: 1 2 0 0"]);
}

#[test]
fn a_node_knows_its_place_before_it_runs_anything() {
    let replies = Tree::new(Order::Input).replies("create 1\ncreate 2 1\nexec 2 where");
    assert_eq!(replies[2], "Ok:2: 1 2 0 0");
    let replies = Tree::new(Order::Input).replies("create 1\nexec 1 where");
    assert_eq!(replies[1], "Ok:1: -1 1 0 0");
}
