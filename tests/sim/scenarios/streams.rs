//! Output that comes before its answer, commands that are cancelled, and deadlines of single commands.

use hoptree_core::Order;

use super::emitter::LINE_BYTES;
use super::{MS, Tree};

/// What a node may send before any of it is read.
const WINDOW_BYTES: usize = 64 * 1024;

/// The numbers of the long lines of a node that are printed.
fn poured(printed: &[String], node: u32) -> Vec<usize> {
    let mark = format!("{node}: ");
    let lines = printed.iter().filter_map(|line| line.strip_prefix(&mark));
    lines.filter(|line| line.len() == LINE_BYTES - 1).map(|line| line.parse().unwrap()).collect()
}

#[test]
fn lines_are_printed_as_they_come_and_then_the_answer() {
    let mut tree = Tree::chain(2);
    tree.enter("exec 2 lines 3 10");
    for printed in ["2: line 0", "2! line 1", "2: line 2", "Ok:2: done"] {
        tree.pass(5 * MS);
        assert_eq!(tree.printed(), [printed]);
        tree.pass(5 * MS);
    }
    assert_eq!(tree.printed(), [""; 0]);
}

#[test]
fn what_is_emitted_comes_before_an_answer_that_is_there_at_once() {
    let mut tree = Tree::chain(2);
    assert_eq!(tree.replies("exec 2 say a  b"), ["2: a b", "Ok:2: said"]);
    assert_eq!(tree.replies("exec 2 blunder no"), ["2! no", "Error:2: blunder: wrong"]);
    let all = ["1: x", "2: x", "Ok:1: said", "Ok:2: said"];
    assert_eq!(tree.replies("exec 1.. say x"), all);
}

/// Output is not held back as answers are: nobody could watch a command behind a slow one.
#[test]
fn output_does_not_wait_for_the_answers_of_others() {
    let mut tree = Tree::chain(2);
    let replies = tree.replies("exec 1 later 100\nexec 2 say x");
    assert_eq!(replies, ["2: x", "Ok:1: late", "Ok:2: said"]);
    let mut tree = Tree::new(Order::Completion);
    tree.replies("create 1\ncreate 2 1");
    let replies = tree.replies("exec 1 later 100\nexec 2 say x");
    assert_eq!(replies, ["2: x", "Ok:2: said", "Ok:1: late"]);
}

#[test]
fn a_console_that_is_not_read_stops_the_stream_and_nothing_is_lost() {
    const LINES: usize = 1_000;
    let mut tree = Tree::chain(3);
    tree.enter(&format!("exec --timeout none 3 pour {LINES}"));
    tree.0.block_output(true);
    tree.pass(20_000 * MS);
    let before = tree.printed();
    assert!(poured(&before, 3).len() <= WINDOW_BYTES / LINE_BYTES);
    tree.0.block_output(false);
    let after = tree.replies("");
    assert_eq!(after.last().map(String::as_str), Some("Ok:3: poured"));
    let all = [poured(&before, 3), poured(&after, 3)].concat();
    assert_eq!(all, (0..LINES).collect::<Vec<_>>());
}

#[test]
fn too_much_output_from_the_thread_of_a_node_ends_the_call() {
    let mut tree = Tree::chain(1);
    let replies = tree.replies("exec 1 gush 3000000");
    let [output, answer] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(output.len(), "1: ".len() + WINDOW_BYTES);
    assert_eq!(answer, "Error:1: gush: it emits more than the console reads");
    assert_eq!(tree.replies("exec 1 say x"), ["1: x", "Ok:1: said"]);
}

/// Wherever the way breaks: the node hears of it by its new way.
#[test]
fn nothing_comes_after_the_answer_of_a_node_whose_way_has_broken() {
    for broken in 1..=3 {
        let mut tree = Tree::chain(4);
        tree.enter("exec --timeout none 4 pour 100000\nexec --timeout none 4 lines 100000 10");
        tree.pass(100 * MS);
        let before = poured(&tree.printed(), 4);
        tree.kill(tree.life(broken));
        tree.pass(2_000 * MS);
        let printed = tree.printed();
        let answer = printed.iter().position(|line| line.ends_with("Node is unavailable")).unwrap();
        let after = poured(&printed[..answer], 4);
        let all = [before, after].concat();
        assert_eq!(all, (0..all.len()).collect::<Vec<_>>());
        let rest: Vec<_> = printed[answer..].iter().filter(|line| line.starts_with('4')).collect();
        assert_eq!(rest, ["4 Lost", "4 Returned"][..rest.len()], "{broken} was killed");
        assert_eq!(tree.0.jobs.open().count(), 0, "{broken} was killed");
        assert_eq!(tree.replies("exec 4 say x"), ["4: x", "Ok:4: said"]);
    }
}

#[test]
fn cancel_ends_what_runs_and_what_was_not_sent() {
    let mut tree = Tree::chain(2);
    tree.enter("exec 1 lines 1000 10\nexec --timeout none 2 pour 100000\nexec 2 never");
    tree.pass(20 * MS);
    // The last one waits for the node that it is for.
    let replies = tree.replies("create 3 2\nexec 3 say x\ncancel");
    let replies: Vec<_> = replies.iter().filter(|line| !line.contains(": 0")).collect();
    let cancelled = |id| format!("Error:{id}: cancelled");
    let expected = [cancelled(1), cancelled(2), cancelled(2), "Ok: 1003".into(), cancelled(3)];
    assert_eq!(replies[replies.len() - 6..replies.len() - 1], expected.each_ref());
    assert_eq!(*replies[replies.len() - 1], "Ok");
    tree.pass(1_000 * MS);
    assert_eq!(tree.printed(), [""; 0]);
    assert_eq!(tree.0.jobs.open().count(), 0);
}

#[test]
fn cancel_of_some_nodes_leaves_the_others() {
    let mut tree = Tree::chain(2);
    tree.enter("exec 1.. never\nexec 2 lines 3 10");
    assert_eq!(
        tree.replies("cancel 1\ncancel 9\ncancel"),
        [
            "Error:1: cancelled",
            "Error:2: cancelled",
            "Error:2: cancelled",
            "Ok",
            "Error: cancel: there is no node 9",
            "Ok",
        ]
    );
}

/// What waits at a node that hangs is cancelled at once, and the node hears of it when it goes on.
#[test]
fn cancel_does_not_wait_for_the_node() {
    let mut tree = Tree::chain(2);
    tree.stop(Some(tree.life(2)));
    tree.enter("exec --timeout none 2 lines 1000 10\nexec 2 say x");
    assert_eq!(tree.replies("cancel 2"), ["Error:2: cancelled", "Error:2: cancelled", "Ok"]);
    tree.go_on(Some(tree.life(2)));
    tree.pass(1_000 * MS);
    assert_eq!(tree.printed(), [""; 0]);
    assert_eq!(tree.replies("exec 2 say x"), ["2: x", "Ok:2: said"]);
}

#[test]
fn a_command_may_have_a_deadline_of_its_own_or_none() {
    let mut tree = Tree::chain(2);
    let before = tree.now();
    let replies = tree.replies("exec --timeout 300 2 never");
    assert_eq!(replies, ["Error:2: No answer within 300 ms"]);
    assert!(tree.now().since(before) < 400 * MS);
    let replies = tree.replies("exec --timeout none 1.. later 30000\nexec --timeout 20s 2 echo");
    assert_eq!(replies, ["Ok:1: late", "Ok:2: late", "Ok:2"]);
    assert_eq!(tree.replies("exec --timeout 20s 2 later 9000"), ["Ok:2: late"]);
}

/// A slow console is not the fault of the command, but a long one is late all the same.
#[test]
fn a_deadline_ends_a_stream() {
    let mut tree = Tree::chain(2);
    let replies = tree.replies("exec --timeout 300 2 pour 100000");
    assert_eq!(replies.last().unwrap(), "Error:2: No answer within 300 ms");
    tree.pass(100 * MS);
    assert_eq!(tree.printed(), [""; 0]);
    assert_eq!(tree.0.jobs.open().count(), 0);
}
