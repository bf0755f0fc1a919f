//! Commands whose answers are folded: who is in which group, and what travels.

use std::time::Duration;

use hoptree_core::Order;

use super::emitter::LINE_BYTES;
use super::{MS, Tree};

/// Nodes 1 to `count`, three below each.
fn bush(count: u32) -> Tree {
    let mut tree = Tree::new(Order::Input);
    for node in 1..=count {
        tree.enter(&match (node + 1) / 3 {
            0 => format!("create {node}"),
            parent => format!("create {node} {parent}"),
        });
    }
    tree.replies("");
    tree
}

#[test]
fn equal_answers_of_all_are_one_group_whenever_they_come() {
    let mut tree = bush(13);
    assert_eq!(tree.replies("exec -b * echo a  b"), ["Ok:1-13: a b (13 nodes)"]);
    assert_eq!(tree.replies("exec -b * later 20"), ["Ok:1-13: late (13 nodes)"]);
    assert_eq!(tree.replies("exec --fold 2.. work 3"), ["Ok:2,5-7: xxx (4 nodes)"]);
    assert_eq!(tree.replies("exec -b 3,5 say x y"), ["Ok:3,5: said (2 nodes)", "  x y"]);
    let lines = ["Ok:1-13: done (13 nodes)", "  line 0", "  line 2", "  line 1"];
    assert_eq!(tree.replies("exec -b * lines 3 10"), lines);
    let twice = tree.replies("exec -b * later 20\nexec -b * echo");
    assert_eq!(twice, ["Ok:1-13: late (13 nodes)", "Ok:1-13 (13 nodes)"]);
}

#[test]
fn one_node_is_a_group_of_its_own() {
    let mut tree = Tree::chain(3);
    assert_eq!(tree.replies("exec -b 3 echo x\nexec -b 1 say y"), ["Ok:3: x", "Ok:1: said", "  y"]);
}

#[test]
fn different_answers_and_failures_are_groups_the_largest_first() {
    let mut tree = bush(7);
    assert_eq!(
        tree.replies("exec -b * where"),
        [
            "Ok:5-7: 2 3 0 0 (3 nodes)",
            "Ok:3-4: 1 2 0 0 (2 nodes)",
            "Ok:1: -1 1 3 6",
            "Ok:2: 1 2 3 3",
        ]
    );
    let wrong = "Error:1-7: blunder: wrong (7 nodes)";
    assert_eq!(tree.replies("exec -b * blunder no"), [wrong, "  no"]);
    let wrong = "Error:1-7: work: too much work (7 nodes)";
    assert_eq!(tree.replies("exec -b * work 10"), [wrong]);
    tree.enter("exec -b * lines 2 10");
    tree.pass(5 * MS);
    tree.kill(tree.life(6));
    assert_eq!(
        tree.replies(""),
        [
            "6 Lost",
            "Ok:1-5,7: done (6 nodes)",
            "  line 0",
            "  line 1",
            "Error:6: Node is unavailable",
        ]
    );
}

/// Output beyond what a node holds comes before the answer, as lines of its own.
#[test]
fn too_much_output_is_not_folded() {
    const LINES: usize = 1_100;
    let mut tree = Tree::chain(2);
    let replies = tree.replies(&format!("exec --timeout none -b * pour {LINES}"));
    assert_eq!(replies.last().unwrap(), "Ok:1-2: poured (2 nodes)");
    assert_eq!(replies.len(), 2 * LINES + 1);
    assert!(!replies.iter().any(|line| line.starts_with(' ')));
    let replies = tree.replies("exec --timeout none -b * pour 1000");
    assert_eq!(replies.len(), 1_001);
}

#[test]
fn a_folded_command_is_cancelled_or_late_as_any_other() {
    let mut tree = bush(4);
    tree.enter("exec -b --timeout none * pour 100000\nexec -b * never");
    tree.pass(20 * MS);
    let replies = tree.replies("cancel 2\ncancel");
    let groups: Vec<_> = replies.iter().filter(|line| !line.contains(": 0")).collect();
    let cancelled = "Error:1-4: cancelled (4 nodes)";
    assert_eq!(groups, [cancelled, cancelled, "Ok", "Ok"]);
    assert_eq!(
        tree.replies("exec -b --timeout 300 * never\nexec -b --timeout 300 1-2 echo"),
        ["Error:1-4: No answer within 300 ms (4 nodes)", "Ok:1-2 (2 nodes)"]
    );
    tree.pass(1_000 * MS);
    assert_eq!(tree.printed(), [""; 0]);
    assert_eq!(tree.0.jobs.open().count(), 0);
}

/// Whoever was behind it finds another parent, and answers what it has made of the command.
#[test]
fn a_relay_that_dies_in_the_middle_costs_nobody_else_an_answer() {
    for moment in 1..30 {
        let mut tree = bush(13);
        tree.enter("exec -b * lines 2 10");
        tree.pass(Duration::from_millis(moment));
        tree.kill(tree.life(2));
        tree.pass(2_000 * MS);
        let printed = tree.printed();
        let printed: Vec<_> = printed.iter().map(String::as_str).collect();
        let output = |line: &&str| line.starts_with("  ");
        let groups: Vec<_> =
            printed.iter().filter(|line| line.contains(':') && !output(line)).collect();
        let done = groups.iter().find(|line| line.starts_with("Ok:")).unwrap();
        let all = ["Ok:1-13: done (13 nodes)", "Ok:1,3-13: done (12 nodes)"];
        assert!(all.contains(done), "after {moment} ms: {printed:?}");
        let lost = "Error:2: Node is unavailable";
        assert!(groups.len() == 1 || *groups[1] == lost, "after {moment} ms: {printed:?}");
        assert_eq!(tree.replies("exec -b !2 echo x"), ["Ok:1,3-13: x (12 nodes)"]);
    }
}

/// Whatever has become of its answer: on its way, offered since it is long, or not begun.
#[test]
fn an_answer_of_any_length_is_given_again_when_its_route_has_broken() {
    for (line, first) in [
        ("exec -b * pour 20", "Ok:1,3-13: poured (12 nodes)"),
        ("exec -b * pour 100", "Ok:1,3-13: poured (12 nodes)"),
        ("exec -b * later 8", "Ok:1,3-13: late (12 nodes)"),
    ] {
        for moment in [0, 1, 2, 3, 5, 8, 13] {
            let mut tree = bush(13);
            tree.enter(line);
            tree.pass(Duration::from_millis(moment));
            tree.kill(tree.life(2));
            tree.pass(2_000 * MS);
            let printed = tree.printed();
            let all = first.replace("1,3-13", "1-13").replace("12", "13");
            assert!(printed.contains(&first.to_owned()) || printed.contains(&all), "{printed:?}");
            tree.pass(10_000 * MS);
            assert_eq!(tree.printed(), [""; 0]);
            assert_eq!(tree.0.jobs.open().count(), 0);
        }
    }
}

/// What has come already as lines of its own can't be told again.
#[test]
fn a_node_whose_output_has_come_is_unavailable_when_its_route_breaks() {
    let mut tree = Tree::chain(3);
    tree.enter("exec -b --timeout none 3 pour 100000");
    tree.run_until(|tree| !tree.0.record.printed.is_empty());
    tree.kill(tree.life(2));
    tree.pass(2_000 * MS);
    assert!(tree.printed().contains(&"Error:3: Node is unavailable".to_owned()));
    tree.pass(10_000 * MS);
    assert_eq!((tree.printed().len(), tree.0.jobs.open().count()), (0, 0));
}

#[test]
fn the_deadline_of_a_part_that_is_asked_for_again_counts_from_the_beginning() {
    let mut tree = bush(4);
    tree.enter("exec -b --timeout 300 * never");
    tree.pass(250 * MS);
    tree.cut(Some(tree.life(1)), None);
    tree.pass(100 * MS);
    assert_eq!(tree.printed().last().unwrap(), "Error:1-4: No answer within 300 ms (4 nodes)");
}

/// Numbers of values mean nothing to another parent.
#[test]
fn a_relay_that_moves_sends_its_values_anew() {
    let mut tree = bush(13);
    for _ in 0..3 {
        assert_eq!(tree.replies("exec -b * bytes 2000").len(), 1);
        tree.enter("exec -b * lines 3 10");
        tree.pass(15 * MS);
        tree.cut(Some(tree.life(2)), Some(tree.life(1)));
        tree.pass(2_000 * MS);
        let printed = tree.printed();
        let done = printed.iter().filter(|line| line.starts_with("Ok:")).collect::<Vec<_>>();
        assert_eq!(done, ["Ok:1-13: done (13 nodes)"]);
        assert_eq!(tree.replies("exec -b * echo x"), ["Ok:1-13: x (13 nodes)"]);
        tree.cut(Some(tree.life(2)), None);
        tree.pass(2_000 * MS);
        tree.printed();
    }
}

/// The point of all this.
#[test]
fn many_equal_answers_cost_a_link_little_more_than_one() {
    const NODES: usize = 40;
    let bytes = 64 * 1024;
    let commands = [
        (format!("exec -b * bytes {bytes}"), bytes),
        (format!("exec -b * pour {}", bytes / LINE_BYTES), bytes / LINE_BYTES * LINE_BYTES),
    ];
    for (command, bytes) in commands {
        let mut tree = bush(NODES as u32);
        let replies = tree.replies(&command);
        assert!(replies[0].ends_with(" (40 nodes)"), "{}", replies[0].len());
        let busiest = tree.0.record.reduced.values().max().copied().unwrap();
        assert!(busiest < bytes * 13 / 10, "{busiest} bytes on one link");
    }
}
