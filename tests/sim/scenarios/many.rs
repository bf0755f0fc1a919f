//! Commands for many nodes, and questions of modules to all.

use hoptree_core::Order;

use super::{MS, Tree};

#[test]
fn one_command_for_many_nodes_gives_a_line_for_each_in_order() {
    let mut tree = Tree::chain(3);
    tree.replies("create 10 1\ncreate 20");
    assert_eq!(
        tree.replies("exec 20,3,1,3 echo a  b\nexec 2.. echo c\nexec 3..,20 echo d"),
        ["Ok:1: a b", "Ok:3: a b", "Ok:20: a b", "Ok:2: c", "Ok:3: c", "Ok:3: d", "Ok:20: d"]
    );
    let all = ["Ok:1: e", "Ok:2: e", "Ok:3: e", "Ok:10: e", "Ok:20: e"];
    assert_eq!(tree.replies("exec * echo e"), all);
    assert_eq!(
        tree.replies("exec 1,5,99 echo\nexec 99.. echo\nexec 1 bad\nexec 1,2"),
        [
            "Error: exec: there is no node 5",
            "Error: exec: there is no node 99",
            "Error:1: unknown command 'bad': expected one of echo, bytes, never, later, work, where, say, \
             blunder, lines, pour, gush",
            "Error: exec: WORD is missing: expected one of echo, bytes, never, later, work, where, say, \
             blunder, lines, pour, gush \
             (usage: exec [--timeout T] [--fold|-b] IDS WORD [ARG ...])",
        ]
    );
    assert_eq!(Tree::new(Order::Input).replies("exec * echo"), ["Error: exec: there is no node"]);
}

#[test]
fn a_command_for_many_is_one_message_on_each_link() {
    let mut tree = Tree::new(Order::Input);
    tree.replies("create 1");
    for node in 2..200 {
        tree.enter(&format!("create {node} {}", node / 8 + 1));
    }
    tree.replies("");
    let before = tree.frames();
    assert_eq!(tree.replies("exec * echo x").len(), 199);
    for (who, frames) in tree.frames() {
        let life = who.filter(|life| super::number(life.node) > 199 / 8 + 1);
        // A leaf gets one frame: what is asked.
        assert!(life.is_none() || frames - before[&who] == 1, "{who:?}");
    }
}

#[test]
fn each_of_many_nodes_has_its_turn_and_its_own_fate() {
    let mut tree = Tree::chain(2);
    tree.enter("create 3 2\nexec * echo a\nexec 3 echo b\nremove 2\nexec 1,2,3 echo c");
    assert_eq!(
        tree.replies("exec 1,1.. echo d"),
        [
            "Ok: 1003",
            "Ok:1: a",
            "Ok:2: a",
            "Ok:3: a",
            "Ok:3: b",
            "Ok",
            "Ok:1: c",
            "Error:2: Not found",
            "Error:3: Not found",
            "Ok:1: d",
        ]
    );
    tree.replies("create 2 1\ncreate 3 2\ncreate 4");
    tree.enter("exec * never");
    tree.pass(MS);
    tree.kill(tree.life(2));
    tree.stop(Some(tree.life(4)));
    assert_eq!(
        tree.replies("exec * echo after"),
        [
            "2 Lost",
            "3 Lost",
            "3 Returned",
            "Error:1: No answer within 5000 ms",
            "Error:2: Node is unavailable",
            "Error:3: Node is unavailable",
            "Error:4: Node is unavailable",
            "Ok:1: after",
            "Error:2: Node is unavailable",
            "Error:3: Node is unavailable",
            "Error:4: Node is unavailable",
        ]
    );
}

#[test]
fn long_lines_go_to_many_nodes_as_well() {
    let mut tree = Tree::chain(3);
    let long = "y".repeat(100_000);
    let replies = tree.replies(&format!("exec * echo {long}\nexec 3 echo b\nexec * echo c"));
    assert_eq!(replies.iter().filter(|reply| reply.ends_with(&long)).count(), 3);
    assert_eq!(replies[3..], ["Ok:3: b", "Ok:1: c", "Ok:2: c", "Ok:3: c"]);
}

#[test]
fn a_module_asks_all_nodes_and_answers_once() {
    let mut tree = Tree::chain(2);
    assert_eq!(
        tree.replies("create 3\ncensus\nexec 1 echo"),
        [
            "Ok: 1003",
            "Ok: 1=Given(Ok(\"1001\")) 2=Given(Ok(\"1002\")) 3=Given(Ok(\"1003\")) ",
            "Ok:1"
        ]
    );
    tree.stop(Some(tree.life(3)));
    tree.kill(tree.life(2));
    assert_eq!(
        tree.replies("census"),
        ["2 Lost", "Ok: 1=Given(Ok(\"1001\")) 2=Unavailable 3=Unavailable "]
    );
    assert_eq!(Tree::new(Order::Input).replies("census"), ["Ok"]);
}
