//! How much travels, waits and grows, and what holds up nobody else.

use hoptree_core::{LINE_BYTES_MAX, Order, VALUE_BYTES_MAX};

use super::{MS, Tree};

#[test]
fn requests_go_hop_by_hop() {
    let mut tree = Tree::chain(64);
    let before = tree.frames();
    assert_eq!(tree.replies("exec 64 echo deep"), ["Ok:64: deep"]);
    for node in 1..=63 {
        let who = Some(tree.life(node));
        let frames = tree.frames()[&who] - before[&who];
        assert_eq!(frames, 2, "node {node} passes one frame on in each direction");
    }
}

#[test]
fn many_requests_share_few_frames() {
    let mut tree = Tree::chain(1);
    let script = "exec 1 echo x\n".repeat(10_000);
    assert_eq!(tree.replies(&script).len(), 10_000);
}

/// So that it begins while the control node goes on; but only then do many small frames come of it.
#[test]
fn a_turn_ends_when_half_a_frame_is_for_one_node() {
    let mut tree = Tree::new(Order::Input);
    tree.replies("create 1\ncreate 2\ncreate 3\ncreate 4");
    let line = format!("echo {}", "x".repeat(100));
    let for_one = format!("exec 1 {line}\n").repeat(1_000);
    let for_four: String = (0..1_000).map(|k| format!("exec {} {line}\n", k % 4 + 1)).collect();
    let one = tree.enter_in_one_turn(&for_one);
    assert!((100..150).contains(&one), "{one}");
    tree.pass(MS);
    let four = tree.enter_in_one_turn(&for_four);
    assert!((4 * one - 3..=4 * one).contains(&four), "{four} with four nodes, {one} with one");

    // Nor does it go on to hold up others when the node takes nothing.
    tree.stop(Some(tree.life(1)));
    while tree.enter_in_one_turn(&for_one) > 0 {}
    assert_eq!(tree.enter_in_one_turn(&for_one), 0);
    tree.pass(250 * MS);
    assert_eq!(tree.enter_in_one_turn("exec 2 echo here"), 1);
}

#[test]
fn a_flood_to_a_node_that_hangs_holds_up_nobody_else() {
    let mut tree = Tree::chain(2);
    tree.replies("create 3");
    tree.stop(Some(tree.life(2)));
    let frames = tree.frames()[&Some(tree.life(1))];
    let before = tree.now();
    tree.enter(&"exec 2 echo flood\n".repeat(3_000));
    tree.enter("exec 3 echo here\nexec 1 echo here");
    assert!(tree.now().since(before) < 1_000 * MS);
    let sent = tree.frames()[&Some(tree.life(1))] - frames;
    assert!(sent <= 1_100, "{sent} frames left for a node that does not answer");
    let replies = tree.replies("");
    assert_eq!(replies.len(), 3_002);
    let count = |text: &str| replies.iter().filter(|reply| reply.ends_with(text)).count();
    assert_eq!(count("Node is unavailable"), 1_024);
    assert_eq!(count("Too many requests are waiting"), 3_000 - 1_024);
    assert_eq!(replies[3_000..], ["Ok:3: here", "Ok:1: here"]);

    // What was answered for it counts until it has answered itself.
    let replies = tree.replies(&"exec 2 echo flood\n".repeat(10));
    assert!(replies.iter().all(|reply| reply.ends_with("Too many requests are waiting")));
    tree.go_on(Some(tree.life(2)));
    tree.pass(10 * MS);
    assert_eq!(tree.replies("exec 2 echo back"), ["Ok:2: back"]);
}

#[test]
fn long_lines_and_answers_pass_in_pieces_and_let_others_by() {
    let mut tree = Tree::new(Order::Completion);
    tree.replies("create 1\ncreate 2 1\ncreate 3 2\ncreate 4 1");
    let long = "y".repeat(VALUE_BYTES_MAX);
    let replies = tree.replies(&format!("exec 3 echo {long}\nexec 4 echo short\nexec 3 echo b"));
    assert_eq!(replies[0], "Ok:4: short");
    assert_eq!(replies[1], "Ok:3: b", "its answer is short");
    assert_eq!(replies[2].len(), "Ok:3: ".len() + long.len());

    let replies = tree.replies("exec 3 bytes 5000000\nexec 3 echo short");
    assert_eq!(replies[0], "Ok:3: short");
    assert_eq!(replies[1].len(), "Ok:3: ".len() + 5_000_000);

    let replies = tree.replies(&format!("exec 3 echo {long}z\nexec 3 echo b"));
    let too_long = "Error:3: the answer is longer than 16777216 bytes";
    assert_eq!(replies, [too_long, "Ok:3: b"]);
    let line = "y".repeat(LINE_BYTES_MAX + 1);
    let error = format!("Error: the line is longer than {LINE_BYTES_MAX} bytes");
    assert_eq!(tree.replies(&line), [error]);
}

#[test]
fn calls_that_a_module_never_answers_do_not_fill_the_windows() {
    let mut tree = Tree::chain(2);
    for _ in 0..3 {
        let replies = tree.replies(&"exec 2 never\n".repeat(1_000));
        let slow = "Error:2: No answer within 5000 ms";
        assert!(replies.iter().all(|reply| reply == slow), "{:?}", replies[0]);
        tree.pass(100 * MS);
    }
    assert_eq!(tree.replies("exec 2 echo back"), ["Ok:2: back"]);
}

#[test]
fn many_long_answers_at_once_come_through_a_narrow_tree() {
    let mut tree = Tree::chain(4);
    let replies = tree.replies(&"exec 4 bytes 40000\nexec 3 bytes 20000\n".repeat(400));
    assert_eq!(replies.len(), 800);
    assert!(replies.iter().all(|reply| reply.len() > 20_000 && reply.starts_with("Ok:")));
}

#[test]
fn there_are_no_more_nodes_than_there_may_be() {
    let mut tree = Tree::limited(Order::Input, 3);
    let refused = "Error: too many nodes: the limit is 3 (--max-nodes raises it)";
    let replies = tree.replies("create 1\ncreate 2\ncreate 3\ncreate 4\ncreate 1\ncreate 5 9");
    assert_eq!(replies[3], refused, "also while the others are being started");
    assert_eq!(replies[4..], ["Error: Already exists", "Error: Parent not found"]);
    assert_eq!(tree.replies("ping 4"), ["Error: Not found"]);

    tree.kill(tree.life(3));
    assert_eq!(tree.replies("ping 3"), ["Ok: 0", "3 Lost"]);
    let replies = tree.replies("create 4\ncreate 3 1\ncreate 4");
    assert_eq!([&*replies[0], &*replies[2]], [refused; 2], "one that is lost may come back");
    assert!(replies[1].starts_with("Ok: "), "{replies:?}");
    let replies = tree.replies("remove 3\nwait\ncreate 4 1\ncreate 3");
    assert!(replies[1].starts_with("Ok: "), "{replies:?}");
    assert_eq!(replies[2], refused);
}

/// Neither depth nor the number of children has a bound of its own.
#[test]
fn a_tree_may_be_deep_and_a_node_may_have_many_children() {
    const DEPTH: u32 = 200;
    let mut tree = Tree::chain(DEPTH);
    assert_eq!(tree.replies(&format!("exec {DEPTH} where")), ["Ok:200: 199 200 0 0"]);

    const CHILDREN: u32 = 1_000;
    // Here all start at one moment, as no driver has it.
    const AT_ONCE: usize = 100;
    let mut tree = Tree::chain(1);
    let creates: Vec<_> = (2..CHILDREN + 2).map(|node| format!("create {node} 1\n")).collect();
    for some in creates.chunks(AT_ONCE) {
        let replies = tree.replies(&some.concat());
        assert!(replies.iter().all(|reply| reply.starts_with("Ok: ")), "{replies:?}");
    }
    assert_eq!(tree.replies("exec 1 where"), ["Ok:1: -1 1 1000 1000"]);
}
