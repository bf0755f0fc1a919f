//! Any frames on the links of a small tree, whose nodes and links fail as the input says.

use std::time::Duration;

use hoptree_core::{Input, Order};

use crate::script::Script;
use crate::tree::{Message, Tree};

/// What is typed, beside what the input says.
const LINES: [&str; 16] = [
    "create 1",
    "create 2 1",
    "create 3 2",
    "create 4 1 --transport other",
    "exec 1 echo one",
    "exec 3 echo three",
    "exec * echo all",
    "exec 1.. set x 7",
    "exec 2 wait-for 100",
    "exec 3 info",
    "heartbeat 100",
    "heartbeat 0",
    "pingall",
    "ping 3",
    "remove 2",
    "tree",
];

/// How many bytes the longest text has that is sent to a node, and comes back.
const LONG_BYTES: usize = 40_000;

/// How much time may pass at once: more than any deadline that a node has.
const PASS_MS_MAX: u16 = 4_000;

/// How much may happen in one run; more takes long and shows no more.
const STEPS_MAX: usize = 200;

/// Has a tree live through what the input says. Then the user wants it to end, and all links are cut:
/// whoever has lied before may not keep the control node from ending.
///
/// # Panics
///
/// When a node does, does not move its deadline on, or sends a frame that no transport takes, and when
/// the control node does not end.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let mut tree = Tree::new(Order::Input);
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        step(&mut tree, &mut script);
    }
    tree.tell_control(Input::Interrupt);
    tree.cut_all();
    tree.expect_end();
}

fn step(tree: &mut Tree, script: &mut Script<'_>) {
    match script.byte() % 16 {
        0 | 1 => tree.enter(script.one_of(&LINES).expect("there are some").as_bytes()),
        2 => tree.enter(script.bytes()),
        3 => tree.enter(format!("exec 1.. echo {}", "x".repeat(LONG_BYTES)).as_bytes()),
        4 | 5 => tree.settle(),
        6 => tree.pass(Duration::from_millis((script.short() % PASS_MS_MAX).into())),
        7 => tree.deliver(script.byte()),
        8 => tree.inject(script.byte(), script.bytes()),
        9 | 10 => {
            let (link, count) = (script.byte(), script.byte() % 4);
            let messages: Vec<_> = (0..=count).map(|_| message(script)).collect();
            tree.inject_messages(link, &messages);
        }
        11 => tree.corrupt(script.byte(), script.short().into(), script.byte()),
        12 => tree.repeat(script.byte()),
        13 => tree.cut(script.byte()),
        14 => tree.kill(script.byte()),
        _ => match script.byte() % 4 {
            0 => tree.tell_control(Input::OutputBlocked(true)),
            1 => tree.tell_control(Input::OutputBlocked(false)),
            2 => tree.let_starts_fail(true),
            _ => tree.let_starts_fail(false),
        },
    }
}

fn message<'a>(script: &mut Script<'a>) -> Message<'a> {
    let (kind, flags, life) = (script.byte() % 25, script.byte(), script.byte());
    // Most are such as the control node makes: how many there were, and a number for use again.
    let request = match script.byte() {
        byte @ 0..240 => u64::from(byte / 16) << 16 | u64::from(byte % 16),
        _ => script.long(),
    };
    Message { kind, flags, life, request, body: script.bytes() }
}
