//! Whole trees in memory.

use std::time::Duration;

use crate::command::{CommandSpec, Example, Verb, Watch, Word};
use crate::network::{Network, stranger};
use crate::wire::{self, Hello, Kind, Message};
use crate::{
    Answer, Call, Change, Claim, Command, Context, FRAME_BYTES_MAX, KEY_BYTES, LINE_BYTES_MAX,
    NodeId, Order, Outcome, Registry, Reply, RequestId, Secret, Seed, Stop, Token, VALUE_BYTES_MAX,
};

const MS: Duration = Duration::from_millis(1);

/// A module with all that a test needs: words that answer at once, with much, later or never, and a
/// watch that tells what it sees.
#[derive(Default)]
struct Probe {
    later: Option<(RequestId, crate::Time)>,
}

static PROBE: CommandSpec = CommandSpec {
    name: "probe",
    package: "tests",
    summary: "for tests",
    words: &[
        Word { claim: Claim::Word("echo"), usage: "echo ARG", help: "repeat" },
        Word { claim: Claim::Word("bytes"), usage: "bytes N", help: "N times x" },
        Word { claim: Claim::Word("never"), usage: "never", help: "no answer" },
        Word { claim: Claim::Word("later"), usage: "later MS", help: "answer after MS" },
        Word { claim: Claim::Word("work"), usage: "work N", help: "N times x, not at once" },
        Word { claim: Claim::Word("where"), usage: "where", help: "parent, depth and so on" },
    ],
    verbs: &[
        Verb { spellings: &["watch"], usage: "watch MS", help: "watch everyone" },
        Verb { spellings: &["census"], usage: "census", help: "ask everyone" },
    ],
    examples: &[Example { line: "exec 1 echo", reply: "Ok:1" }],
    create: || Box::new(Probe::default()),
};

impl Command for Probe {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        match call.word {
            "echo" => Ok(call.args.iter().collect::<Vec<_>>().join(" ").into()),
            "bytes" => Ok("x".repeat(call.args.only("N", "a number")?).into()),
            "never" => Ok(Reply::Later),
            "later" => {
                let ms = call.args.only("MS", "a number")?;
                self.later = Some((call.id, cx.now() + Duration::from_millis(ms)));
                Ok(Reply::Later)
            }
            "work" => {
                let count: usize = call.args.only("N", "a number")?;
                let work = move |stop: &Stop| {
                    assert!(!stop.is_wanted());
                    if count > 9 { Err("too much work".into()) } else { Ok("x".repeat(count)) }
                };
                Ok(cx.offload(call.id, work))
            }
            "where" => {
                let crate::Facts { parent, depth, children, below, .. } = cx.facts();
                Ok(format!("{parent} {depth} {children} {below}").into())
            }
            "census" => cx.ask_all(call.id, b"who".to_vec()),
            _ => {
                let ms: u64 = call.args.only("MS", "a number")?;
                cx.publish(ms.to_le_bytes().to_vec())?;
                self.published(cx, &ms.to_le_bytes());
                Ok(Reply::EMPTY)
            }
        }
    }

    fn asked(&mut self, cx: &mut Context<'_>, _: RequestId, question: &[u8]) -> Outcome {
        assert_eq!(question, b"who");
        Ok(cx.facts().pid.to_string().into())
    }

    fn gathered(
        &mut self,
        _: &mut Context<'_>,
        _: RequestId,
        answers: Vec<(NodeId, Answer)>,
    ) -> Outcome {
        Ok(answers
            .iter()
            .map(|(node, answer)| format!("{node}={answer:?} "))
            .collect::<String>()
            .into())
    }

    fn published(&mut self, cx: &mut Context<'_>, value: &[u8]) {
        let beat_every = MS * u32::try_from(u64::from_le_bytes(value.try_into().unwrap())).unwrap();
        cx.watch(Some(Watch { beat_every, silent_after: 4 * beat_every }));
    }

    fn node_changed(&mut self, cx: &mut Context<'_>, node: NodeId, change: Change) {
        if change != Change::Ended {
            cx.notice(format!("{node} {change:?}"));
        }
    }

    fn timeout(&mut self, cx: &mut Context<'_>) {
        if let Some((call, _)) = self.later.take() {
            cx.answer(call, Ok("late".to_owned()));
        }
    }

    fn deadline(&self) -> Option<crate::Time> {
        self.later.map(|(_, due)| due)
    }
}

fn network() -> Network {
    Network::new(Registry::new([&PROBE]).unwrap(), Order::Input)
}

/// A network with a chain of nodes 1 to `depth`.
fn chain(depth: u32) -> Network {
    let mut network = network();
    network.enter("create 1");
    for node in 2..=depth {
        network.enter(&format!("create {node} {}", node - 1));
    }
    network.replies("");
    network
}

#[test]
fn a_session_from_the_first_line_to_the_last() {
    let mut network = network();
    let replies = network.replies(
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
            "Error:1: unknown command 'nonsense': expected one of echo, bytes, never, later, work, where",
            "Error:1: unknown command 'ehco': did you mean 'echo'?",
            "Error: Not found",
            "Error: unknown command 'frobnicate': 'help' lists what there is",
        ]
    );
    network.finish();
    assert!(network.alive().is_empty());
}

#[test]
fn what_names_a_node_takes_effect_in_the_order_typed() {
    let replies = network().replies(
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
            "Ok: 1001",
            "Error: Not found",
            "Ok:1: c",
            "Ok: 1002",
            "Ok",
            "Ok: 1002",
            "Ok: 1",
        ]
    );
}

#[test]
fn independent_work_runs_at_the_same_time() {
    let mut network = Network::new(Registry::new([&PROBE]).unwrap(), Order::Completion);
    network.replies("create 1\ncreate 2");
    let replies = network.replies("exec 1 later 100\nexec 1 echo a\ncreate 3 2\nexec 2 echo b");
    assert_eq!(replies, ["Ok:1: a", "Ok:2: b", "Ok: 1003", "Ok:1: late"]);
}

#[test]
fn requests_go_hop_by_hop() {
    let mut network = chain(64);
    let before = network.frames.clone();
    assert_eq!(network.replies("exec 64 echo deep"), ["Ok:64: deep"]);
    for node in 1..=63 {
        let who = Some(network.life(node));
        let frames = network.frames[&who] - before[&who];
        assert_eq!(frames, 2, "node {node} passes one frame on in each direction");
    }
}

#[test]
fn many_requests_share_few_frames() {
    let mut network = chain(1);
    let script = "exec 1 echo x\n".repeat(10_000);
    assert_eq!(network.replies(&script).len(), 10_000);
}

/// So that it begins while the control node goes on; but only then do many small frames come of it.
#[test]
fn a_turn_ends_when_half_a_frame_is_for_one_node() {
    let mut network = network();
    network.replies("create 1\ncreate 2\ncreate 3\ncreate 4");
    let line = format!("echo {}", "x".repeat(100));
    let for_one = format!("exec 1 {line}\n").repeat(1_000);
    let for_four: String = (0..1_000).map(|k| format!("exec {} {line}\n", k % 4 + 1)).collect();
    let one = network.enter_in_one_turn(&for_one);
    assert!((100..150).contains(&one), "{one}");
    network.pass(MS);
    let four = network.enter_in_one_turn(&for_four);
    assert!((4 * one - 3..=4 * one).contains(&four), "{four} with four nodes, {one} with one");

    // Nor does it go on to hold up others when the node takes nothing.
    network.stop(Some(network.life(1)));
    while network.enter_in_one_turn(&for_one) > 0 {}
    assert_eq!(network.enter_in_one_turn(&for_one), 0);
    network.pass(250 * MS);
    assert_eq!(network.enter_in_one_turn("exec 2 echo here"), 1);
}

#[test]
fn whoever_is_not_below_a_killed_node_goes_on() {
    let mut network = chain(10);
    network.kill(network.life(6));
    network.pass(10 * MS);
    network.printed();
    let replies = network.replies(
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
            "Ok: 1011",
            "Ok",
            "Ok: 1006",
            "Ok: 1",
            "Error: Not found",
            "Ok:6: new"
        ]
    );
    assert_eq!(network.alive(), (1..=6).collect());
}

#[test]
fn the_first_command_after_a_death_is_right_already() {
    let mut network = chain(3);
    network.kill(network.life(2));
    let replies = network.replies("exec 3 echo\ncreate 2 1\nping 3");
    assert_eq!(
        replies.iter().filter(|line| !line.contains("Lost")).collect::<Vec<_>>(),
        ["Error:3: Node is unavailable", "3 Returned", "Ok: 1002", "Ok: 0"]
    );
}

#[test]
fn what_is_under_way_to_a_killed_node_is_answered_at_once() {
    let mut network = chain(3);
    network.enter("exec 3 never\nexec 2 never\ncreate 4 3");
    network.stop(Some(network.life(3)));
    network.enter("exec 3 echo\nping 3");
    network.pass(100 * MS);
    network.kill(network.life(2));
    network.printed();
    network.pass(MS);
    let unavailable = |id| format!("Error:{id}: Node is unavailable");
    let printed = network.printed();
    assert_eq!(printed[..2], [unavailable(3), unavailable(2)]);
    assert_eq!(printed[2..4], ["Error: Parent is unavailable".to_owned(), unavailable(3)]);
    assert_eq!(printed[4], "Ok: 0");
}

#[test]
fn at_the_deadline_a_slow_command_and_a_hung_node_are_told_apart() {
    let mut network = chain(2);
    assert_eq!(network.replies("exec 2 never"), ["Error:2: No answer within 5000 ms"]);
    network.stop(Some(network.life(2)));
    let before = network.now;
    assert_eq!(
        network.replies("exec 2 echo\nping 2\nremove 2\ncreate 3 2"),
        [
            "Error:2: Node is unavailable",
            "Ok: 0",
            "Error: Node is unavailable",
            "Error: Parent is unavailable",
        ]
    );
    // The create waits for the removal, and has a deadline of its own.
    assert!(network.now.since(before) < 10_500 * MS);
    network.go_on(Some(network.life(2)));
    assert_eq!(network.replies("exec 2 echo back\nexec 1 echo"), ["Ok:2: back", "Ok:1"]);
    network.pass(6_000 * MS);
    assert_eq!(network.alive(), [1, 2].into(), "what was to be created late is not wanted");
}

#[test]
fn silence_is_told_every_time() {
    let mut network = chain(2);
    network.replies("watch 100");
    for _ in 0..3 {
        network.pass(2_000 * MS);
        assert_eq!(network.printed(), [""; 0]);
        let before = network.now;
        network.stop(Some(network.life(2)));
        network.run_until(|network| network.now.since(before) > 501 * MS);
        assert_eq!(network.printed(), ["2 Silent"]);
        assert_eq!(network.replies("ping 2"), ["Ok: 0"]);
        network.go_on(Some(network.life(2)));
        network.pass(100 * MS);
        assert_eq!(network.printed(), ["2 Returned"]);
    }
}

#[test]
fn a_node_that_did_not_run_takes_nobody_for_silent() {
    let mut network = chain(3);
    network.replies("watch 100");
    for who in [None, Some(network.life(1))] {
        network.pass(1_000 * MS);
        network.stop(who);
        network.pass(250 * MS);
        network.go_on(who);
        network.pass(1_000 * MS);
        assert_eq!(network.printed(), [""; 0]);
    }
    network.stop(None);
    network.pass(30_000 * MS);
    network.go_on(None);
    assert_eq!(network.replies("ping 3"), ["Ok: 1"]);
}

#[test]
fn a_new_life_fences_off_the_old_one() {
    let mut network = chain(2);
    network.replies("watch 100");
    let old = network.life(2);
    network.stop(Some(old));
    network.pass(1_000 * MS);
    network.printed();
    assert_eq!(network.replies("create 2\nexec 2 echo new"), ["Ok: 1002", "Ok:2: new"]);
    network.pass(1_000 * MS);
    assert_eq!(network.alive(), [1, 2].into());
    assert_ne!(network.life(2), old);
    assert_eq!(network.replies("remove 1\nping 2"), ["Ok", "Ok: 1"]);
}

#[test]
fn a_new_life_fences_off_one_below_a_node_that_hangs() {
    let mut network = chain(3);
    network.replies("watch 100");
    let hung = network.life(2);
    network.stop(Some(hung));
    network.pass(1_000 * MS);
    let replies = network.replies("create 3\nexec 3 echo new");
    assert_eq!(replies.last().unwrap(), "Ok:3: new");
    network.go_on(Some(hung));
    network.pass(1_000 * MS);
    let replies = network.replies("exec 3 echo new\nping 2\nremove 2\nping 3");
    assert_eq!(replies, ["Ok:3: new", "Ok: 1", "Ok", "Ok: 1"]);
    assert_eq!(network.alive(), [1, 3].into());
}

#[test]
fn a_flood_to_a_node_that_hangs_holds_up_nobody_else() {
    let mut network = chain(2);
    network.replies("create 3");
    network.stop(Some(network.life(2)));
    let frames = network.frames[&Some(network.life(1))];
    let before = network.now;
    network.enter(&"exec 2 echo flood\n".repeat(3_000));
    network.enter("exec 3 echo here\nexec 1 echo here");
    assert!(network.now.since(before) < 1_000 * MS);
    let sent = network.frames[&Some(network.life(1))] - frames;
    assert!(sent <= 1_100, "{sent} frames left for a node that does not answer");
    let replies = network.replies("");
    assert_eq!(replies.len(), 3_002);
    let count = |text: &str| replies.iter().filter(|reply| reply.ends_with(text)).count();
    assert_eq!(count("Node is unavailable"), 1_024);
    assert_eq!(count("Too many requests are waiting"), 3_000 - 1_024);
    assert_eq!(replies[3_000..], ["Ok:3: here", "Ok:1: here"]);

    // What was answered for it counts until it has answered itself.
    let replies = network.replies(&"exec 2 echo flood\n".repeat(10));
    assert!(replies.iter().all(|reply| reply.ends_with("Too many requests are waiting")));
    network.go_on(Some(network.life(2)));
    network.pass(10 * MS);
    assert_eq!(network.replies("exec 2 echo back"), ["Ok:2: back"]);
}

#[test]
fn long_lines_and_answers_pass_in_pieces_and_let_others_by() {
    let mut network = Network::new(Registry::new([&PROBE]).unwrap(), Order::Completion);
    network.replies("create 1\ncreate 2 1\ncreate 3 2\ncreate 4 1");
    let long = "y".repeat(VALUE_BYTES_MAX);
    let replies = network.replies(&format!("exec 3 echo {long}\nexec 4 echo short\nexec 3 echo b"));
    assert_eq!(replies[0], "Ok:4: short");
    assert_eq!(replies[1], "Ok:3: b", "its answer is short");
    assert_eq!(replies[2].len(), "Ok:3: ".len() + long.len());

    let replies = network.replies("exec 3 bytes 5000000\nexec 3 echo short");
    assert_eq!(replies[0], "Ok:3: short");
    assert_eq!(replies[1].len(), "Ok:3: ".len() + 5_000_000);

    let replies = network.replies(&format!("exec 3 echo {long}z\nexec 3 echo b"));
    let too_long = "Error:3: the answer is longer than 16777216 bytes";
    assert_eq!(replies, [too_long, "Ok:3: b"]);
    let line = "y".repeat(LINE_BYTES_MAX + 1);
    let error = format!("Error: the line is longer than {LINE_BYTES_MAX} bytes");
    assert_eq!(network.replies(&line), [error]);
}

#[test]
fn calls_that_a_module_never_answers_do_not_fill_the_windows() {
    let mut network = chain(2);
    for _ in 0..3 {
        let replies = network.replies(&"exec 2 never\n".repeat(1_000));
        let slow = "Error:2: No answer within 5000 ms";
        assert!(replies.iter().all(|reply| reply == slow), "{:?}", replies[0]);
        network.pass(100 * MS);
    }
    assert_eq!(network.replies("exec 2 echo back"), ["Ok:2: back"]);
}

#[test]
fn many_long_answers_at_once_come_through_a_narrow_tree() {
    let mut network = chain(4);
    let replies = network.replies(&"exec 4 bytes 40000\nexec 3 bytes 20000\n".repeat(400));
    assert_eq!(replies.len(), 800);
    assert!(replies.iter().all(|reply| reply.len() > 20_000 && reply.starts_with("Ok:")));
}

#[test]
fn the_end_of_the_input_waits_for_answers_and_leaves_nobody() {
    let mut network = chain(3);
    network.enter("exec 3 later 700\nexec 3 never");
    network.stop(Some(network.life(2)));
    network.pass(100 * MS);
    network.go_on(Some(network.life(2)));
    network.finish();
    assert_eq!(network.printed(), ["Ok:3: late", "Error:3: No answer within 5000 ms"]);
    assert!(network.alive().is_empty());
}

#[test]
fn whoever_hangs_at_the_end_is_killed_by_its_parent() {
    for hung in 1..=4 {
        let mut network = chain(4);
        network.stop(Some(network.life(hung)));
        let before = network.now;
        network.finish();
        assert!(network.now.since(before) < 1_000 * MS);
        network.pass(1_000 * MS);
        assert!(network.alive().is_empty(), "{:?}", network.alive());
    }
}

#[test]
fn nobody_else_is_killed_at_the_end_because_one_hangs() {
    let mut network = chain(12);
    network.stop(Some(network.life(12)));
    network.finish();
    assert_eq!(network.killed, [12]);
}

#[test]
fn what_is_below_a_killed_node_is_taken_in_by_the_next_above() {
    let mut network = chain(5);
    network.kill(network.life(3));
    network.pass(10 * MS);
    assert_eq!(
        network.replies("exec 4 where\nexec 5 where\nexec 2 where\nexec 3 echo"),
        ["Ok:4: 2 3 1 1", "Ok:5: 4 4 0 0", "Ok:2: 1 2 1 2", "Error:3: Node is unavailable"]
    );
    network.kill(network.life(2));
    network.pass(10 * MS);
    assert_eq!(network.replies("exec 4 where\nping 5"), ["Ok:4: 1 2 1 1", "Ok: 1"]);
    let replies = network.replies("create 3 5\nexec 3 where\nremove 4\nping 5\nping 1");
    assert_eq!(
        replies,
        ["Ok: 1003", "Ok:3: 5 4 0 0", "Ok", "Error: Not found", "Ok: 1"],
        "who was taken in can be removed like any other"
    );
    assert_eq!(network.alive(), [1].into());
}

#[test]
fn all_inner_nodes_may_die_at_once() {
    let mut network = network();
    for node in 1..=121 {
        let parent = if node == 1 { -1 } else { (node - 2) / 3 + 1 };
        network.enter(&format!("create {node} {parent}"));
    }
    network.replies("");
    for inner in 1..=40 {
        network.kill(network.life(inner));
    }
    network.pass(20 * MS);
    let replies = network.replies("exec * where");
    let up: Vec<_> = replies.iter().filter(|reply| reply.starts_with("Ok")).collect();
    assert_eq!(up.len(), 81);
    assert!(up.iter().all(|reply| reply.ends_with("-1 1 0 0")), "{up:?}");
}

#[test]
fn the_children_of_a_node_that_hangs_move_and_stay_when_it_wakes() {
    let mut network = chain(4);
    network.replies("watch 100");
    network.pass(100 * MS);
    let hung = network.life(2);
    network.stop(Some(hung));
    network.enter("ping 4");
    network.pass(600 * MS);
    let told = network.printed();
    assert!(told.contains(&"2 Silent".to_owned()), "{told:?}");
    assert_eq!(
        network.replies("exec 3 where\nexec 4 echo b\nping 2"),
        ["Ok:3: 1 2 1 1", "Ok:4: b", "Ok: 0"]
    );
    network.go_on(Some(hung));
    network.pass(600 * MS);
    assert_eq!(network.printed(), ["2 Returned"]);
    assert_eq!(
        network.replies("exec 3 where\nexec 4 echo b\nexec 2 where"),
        ["Ok:3: 1 2 1 1", "Ok:4: b", "Ok:2: 1 2 0 0"]
    );
    assert_eq!(network.alive(), [1, 2, 3, 4].into());
}

/// Nobody above can be told of the silence at the time when it is noticed, or broken.
#[test]
fn what_an_orphan_has_noticed_is_told_when_it_has_a_parent() {
    let mut network = chain(4);
    network.replies("watch 100");
    network.pass(100 * MS);
    network.stop(None);
    network.kill(network.life(1));
    let hung = network.life(4);
    network.stop(Some(hung));
    network.pass(1_000 * MS);
    network.go_on(None);
    network.pass(100 * MS);
    assert_eq!(network.replies("ping 3\nping 4"), ["Ok: 1", "Ok: 0"]);

    network.stop(None);
    network.cut(None, Some(network.life(2)));
    network.go_on(Some(hung));
    network.pass(1_000 * MS);
    network.go_on(None);
    network.pass(100 * MS);
    assert_eq!(network.replies("ping 3\nexec 4 echo"), ["Ok: 1", "Ok:4"]);
}

#[test]
fn who_leaves_a_subtree_that_is_to_be_removed_is_not_held_up() {
    for lines in ["remove 2\nexec 3 echo", "exec 2 never\ncreate 5 2\nremove 2\nexec 3 echo"] {
        let mut network = Network::new(Registry::new([&PROBE]).unwrap(), Order::Completion);
        network.replies("create 1\ncreate 2 1\ncreate 3 2\ncreate 4 3\nwatch 100");
        network.pass(100 * MS);
        network.stop(Some(network.life(2)));
        network.enter(lines);
        network.pass(8_000 * MS);
        let told = network.printed();
        assert!(told.iter().any(|line| line.starts_with("Ok:3") || line.starts_with("Error:3")));
        assert_eq!(network.replies("exec 3 echo a\nexec 4 echo b"), ["Ok:3: a", "Ok:4: b"]);
    }
}

#[test]
fn a_link_that_breaks_is_made_anew() {
    let mut network = chain(4);
    network.cut(Some(network.life(2)), Some(network.life(3)));
    network.pass(10 * MS);
    assert_eq!(network.printed(), ["3 Lost", "4 Lost", "3 Returned", "4 Returned"]);
    assert_eq!(network.replies("exec 3 where\nexec 4 where"), ["Ok:3: 2 3 1 1", "Ok:4: 3 4 0 0"]);
    network.cut(None, Some(network.life(1)));
    network.pass(10 * MS);
    assert_eq!(network.replies("exec 4 echo").last().unwrap(), "Ok:4");
    assert_eq!(network.replies("remove 1"), ["Ok"]);
    assert!(network.alive().is_empty());
}

#[test]
fn while_the_user_has_stopped_the_control_node_everybody_waits() {
    let mut network = chain(3);
    network.replies("watch 100");
    network.stop(None);
    network.kill(network.life(1));
    network.pass(10_000 * MS);
    assert_eq!(network.alive(), [2, 3].into());
    network.go_on(None);
    network.pass(100 * MS);
    network.printed();
    assert_eq!(network.replies("exec 2 where\nexec 3 where"), ["Ok:2: -1 1 1 1", "Ok:3: 2 2 0 0"]);
}

#[test]
fn an_old_life_that_hangs_is_ended_and_those_below_it_are_not() {
    let mut network = chain(4);
    network.replies("watch 100");
    network.pass(100 * MS);
    let old = network.life(2);
    network.stop(Some(old));
    network.pass(1_000 * MS);
    network.printed();
    assert_eq!(network.replies("create 2 4\nexec 2 where"), ["Ok: 1002", "Ok:2: 4 4 0 0"]);
    network.pass(1_000 * MS);
    assert_eq!(network.alive(), [1, 2, 3, 4].into());
    assert_ne!(network.life(2), old);
    assert_eq!(network.replies("exec 2 where\nexec 3 where"), ["Ok:2: 4 4 0 0", "Ok:3: 1 2 1 2"]);
    network.finish();
    assert!(network.alive().is_empty());
}

#[test]
fn the_picture_of_a_long_chain_is_not_wide() {
    let mut network = network();
    let creates: String = (2..=100).map(|id| format!("create {id} {}\n", id - 1)).collect();
    network.replies(&format!("create 1\n{creates}"));
    network.enter("tree");
    let picture = network.printed();
    assert!(picture[31].starts_with(&format!("{:62}32: pid ", "")), "{picture:?}");
    assert!(picture[32].starts_with(&format!("{:62}(depth 33) 33: pid ", "")), "{picture:?}");
    assert!(picture[99].starts_with(&format!("{:62}(depth 100) 100: pid ", "")), "{picture:?}");
}

#[test]
fn the_picture_of_the_tree_says_why_a_node_is_unavailable() {
    let mut network = Network::new(Registry::new([&PROBE]).unwrap(), Order::Completion);
    network.replies("create 1\ncreate 2 1\ncreate 3 2\ncreate 4 3");
    network.kill(network.life(3));
    network.pass(2_000 * MS);
    network.stop(Some(network.life(4)));
    network.replies("watch 100");
    network.pass(1_000 * MS);
    network.replies("create 6 2");
    network.enter("create 5 2\ntree");
    let picture = network.printed();
    assert!(picture[0].starts_with("1: pid 1001, up for 3."), "{picture:?}");
    assert!(picture[1].starts_with("  2: pid 1002, up for 3."));
    assert!(picture[2].starts_with("    3: pid 1003, unavailable for 3."));
    assert!(picture[2].ends_with(" s: killed by signal 9"));
    assert!(picture[3].starts_with("    4: pid 1004, unavailable for 6"));
    assert!(picture[3].ends_with(" ms: silent, created below 3, moved 1 times"));
    assert_eq!(picture[4], "    5: starting");
    assert!(picture[5].starts_with("    6: pid 1006, up for "));
    assert_eq!(self::network().replies("tree"), ["there are no nodes"]);
}

/// The answer to an earlier ping would not be true any more.
#[test]
fn a_ping_is_answered_by_who_lives_when_it_is_typed() {
    let mut network = chain(1);
    network.enter("ping 1");
    network.pass(Duration::from_micros(150));
    network.kill(network.life(1));
    assert_eq!(network.replies("ping 1"), ["Ok: 1", "Ok: 0", "1 Lost"]);
}

#[test]
fn a_removal_that_comes_late_does_not_touch_a_new_life() {
    let mut network = chain(2);
    network.replies("watch 100");
    network.enter("remove 2");
    network.pass(Duration::from_micros(450));
    let parent = Some(network.life(1));
    network.stop(parent);
    network.kill(network.life(2));
    network.pass(1_000 * MS);
    assert!(network.printed().contains(&"Error: Node is unavailable".to_owned()));
    network.replies("create 2");
    network.go_on(parent);
    network.pass(1_000 * MS);
    assert_eq!(network.replies("ping 1\nping 2"), ["Ok: 1", "Ok: 1"]);
}

#[test]
fn a_removal_ends_the_whole_subtree_although_some_of_it_hangs() {
    let mut network = chain(4);
    network.stop(Some(network.life(4)));
    assert_eq!(network.replies("remove 2\nping 3\nping 1"), ["Ok", "Error: Not found", "Ok: 1"]);
    assert_eq!(network.alive(), [1].into());
}

#[test]
fn whoever_has_no_valid_hello_is_cut_off() {
    let mut network = chain(1);
    // That of node 1, which has joined.
    let newborn = Seed::of(Secret::new(&[7; KEY_BYTES]), network.life(1)).proof(0);
    let hello = |version, token, life| {
        let body = wire::body(&Hello { version, token: Token(token), life, pid: 1, newborn });
        let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
        Message::neighbour(Kind::Hello, &body).encode(&mut frame);
        frame
    };
    let starting = stranger(9);
    for frame in [
        hello(wire::VERSION, [8; 16], starting),
        hello(wire::VERSION + 1, [7; 16], starting),
        hello(wire::VERSION, [7; 16], starting),
        hello(wire::VERSION, [7; 16], network.life(1)),
        vec![0; 3],
        vec![0; 4],
        vec![0xff; FRAME_BYTES_MAX],
    ] {
        let link = network.intrude(&frame);
        network.pass(MS);
        assert!(!network.is_open(link), "{frame:?}");
    }
    assert_eq!(network.replies("ping 1\nping 9"), ["Ok: 1", "Error: Not found"]);
}

#[test]
fn a_create_that_fails_leaves_no_trace() {
    let mut network = chain(1);
    network.enter("create 2 1\nexec 2 echo\ncreate 3 2\nping 3\nexec 3 echo");
    network.pass(MS);
    network.kill(network.life(2));
    let replies = network.replies("");
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
        network.replies("ping 2\ncreate 2 1\nping 2"),
        ["Error: Not found", "Ok: 1002", "Ok: 1"]
    );
}

#[test]
fn a_create_does_not_wait_for_a_parent_that_comes_about_by_a_later_command() {
    let mut network = chain(1);
    network.stop(Some(network.life(1)));
    network.enter("remove 1\ncreate 1 2\ncreate 2");
    network.kill(network.life(1));
    assert_eq!(
        network.replies(""),
        ["Error: Node is unavailable", "Error: Parent not found", "1 Lost", "Ok: 1002"]
    );
}

#[test]
fn one_command_for_many_nodes_gives_a_line_for_each_in_order() {
    let mut network = chain(3);
    network.replies("create 10 1\ncreate 20");
    assert_eq!(
        network.replies("exec 20,3,1,3 echo a  b\nexec 2.. echo c\nexec 3..,20 echo d"),
        ["Ok:1: a b", "Ok:3: a b", "Ok:20: a b", "Ok:2: c", "Ok:3: c", "Ok:3: d", "Ok:20: d"]
    );
    let all = ["Ok:1: e", "Ok:2: e", "Ok:3: e", "Ok:10: e", "Ok:20: e"];
    assert_eq!(network.replies("exec * echo e"), all);
    assert_eq!(
        network.replies("exec 1,5,99 echo\nexec 99.. echo\nexec 1 bad\nexec 1,2"),
        [
            "Error: exec: there is no node 5",
            "Error: exec: there is no node 99",
            "Error:1: unknown command 'bad': expected one of echo, bytes, never, later, work, where",
            "Error: exec: WORD is missing: expected one of echo, bytes, never, later, work, where \
             (usage: exec ID WORD [ARG ...])",
        ]
    );
    assert_eq!(self::network().replies("exec * echo"), ["Error: exec: there is no node yet"]);
}

#[test]
fn a_command_for_many_is_one_message_on_each_link() {
    let mut network = network();
    network.replies("create 1");
    for node in 2..200 {
        network.enter(&format!("create {node} {}", node / 8 + 1));
    }
    network.replies("");
    let before = network.frames.clone();
    assert_eq!(network.replies("exec * echo x").len(), 199);
    for (who, frames) in &network.frames {
        let life = who.filter(|life| life.node.to_wire() > 199 / 8 + 1);
        // A leaf gets one frame: what is asked.
        assert!(life.is_none() || frames - before[who] == 1, "{who:?}");
    }
}

#[test]
fn each_of_many_nodes_has_its_turn_and_its_own_fate() {
    let mut network = chain(2);
    network.enter("create 3 2\nexec * echo a\nexec 3 echo b\nremove 2\nexec 1,2,3 echo c");
    assert_eq!(
        network.replies("exec 1,1.. echo d"),
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
    network.replies("create 2 1\ncreate 3 2\ncreate 4");
    network.enter("exec * never");
    network.pass(MS);
    network.kill(network.life(2));
    network.stop(Some(network.life(4)));
    assert_eq!(
        network.replies("exec * echo after"),
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
    let mut network = chain(3);
    let long = "y".repeat(100_000);
    let replies = network.replies(&format!("exec * echo {long}\nexec 3 echo b\nexec * echo c"));
    assert_eq!(replies.iter().filter(|reply| reply.ends_with(&long)).count(), 3);
    assert_eq!(replies[3..], ["Ok:3: b", "Ok:1: c", "Ok:2: c", "Ok:3: c"]);
}

#[test]
fn a_module_asks_all_nodes_and_answers_once() {
    let mut network = chain(2);
    assert_eq!(
        network.replies("create 3\ncensus\nexec 1 echo"),
        [
            "Ok: 1003",
            "Ok: 1=Given(Ok(\"1001\")) 2=Given(Ok(\"1002\")) 3=Given(Ok(\"1003\")) ",
            "Ok:1"
        ]
    );
    network.stop(Some(network.life(3)));
    network.kill(network.life(2));
    assert_eq!(
        network.replies("census"),
        ["2 Lost", "Ok: 1=Given(Ok(\"1001\")) 2=Unavailable 3=Unavailable "]
    );
    assert_eq!(self::network().replies("census"), ["Ok"]);
}

#[test]
fn offloaded_work_answers_when_it_is_done() {
    let mut network = Network::new(Registry::new([&PROBE]).unwrap(), Order::Completion);
    network.replies("create 1\ncreate 2 1");
    assert_eq!(
        network.replies("exec 2 work 5\nexec 2 work 10\nexec 2 echo meanwhile"),
        ["Ok:2: meanwhile", "Ok:2: xxxxx", "Error:2: work: too much work"]
    );
    assert_eq!(network.replies("exec 1 where\nexec 2 where"), ["Ok:1: -1 1 1 1", "Ok:2: 1 2 0 0"]);
}

#[test]
fn a_node_knows_its_place_before_it_runs_anything() {
    let replies = network().replies("create 1\ncreate 2 1\nexec 2 where");
    assert_eq!(replies[2], "Ok:2: 1 2 0 0");
    let replies = network().replies("create 1\nexec 1 where");
    assert_eq!(replies[1], "Ok:1: -1 1 0 0");
}

#[test]
fn there_are_no_more_nodes_than_there_may_be() {
    let mut network = Network::limited(Registry::new([&PROBE]).unwrap(), Order::Input, 3);
    let refused = "Error: too many nodes: the limit is 3 (--max-nodes raises it)";
    let replies = network.replies("create 1\ncreate 2\ncreate 3\ncreate 4\ncreate 1\ncreate 5 9");
    assert_eq!(replies[3], refused, "also while the others are being started");
    assert_eq!(replies[4..], ["Error: Already exists", "Error: Parent not found"]);
    assert_eq!(network.replies("ping 4"), ["Error: Not found"]);

    network.kill(network.life(3));
    assert_eq!(network.replies("ping 3"), ["Ok: 0", "3 Lost"]);
    let replies = network.replies("create 4\ncreate 3 1\ncreate 4");
    assert_eq!([&*replies[0], &*replies[2]], [refused; 2], "one that is lost may come back");
    assert!(replies[1].starts_with("Ok: "), "{replies:?}");
    let replies = network.replies("remove 3\nwait\ncreate 4 1\ncreate 3");
    assert!(replies[1].starts_with("Ok: "), "{replies:?}");
    assert_eq!(replies[2], refused);
}

/// Neither depth nor the number of children has a bound of its own.
#[test]
fn a_tree_may_be_deep_and_a_node_may_have_many_children() {
    const DEPTH: u32 = 200;
    let mut network = chain(DEPTH);
    assert_eq!(network.replies(&format!("exec {DEPTH} where")), ["Ok:200: 199 200 0 0"]);

    const CHILDREN: u32 = 1_000;
    // Here all start at one moment, as no driver has it.
    const AT_ONCE: usize = 100;
    let mut network = chain(1);
    let creates: Vec<_> = (2..CHILDREN + 2).map(|node| format!("create {node} 1\n")).collect();
    for some in creates.chunks(AT_ONCE) {
        let replies = network.replies(&some.concat());
        assert!(replies.iter().all(|reply| reply.starts_with("Ok: ")), "{replies:?}");
    }
    assert_eq!(network.replies("exec 1 where"), ["Ok:1: -1 1 1000 1000"]);
}
