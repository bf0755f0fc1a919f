//! However hoptree ends, it leaves no process and no file behind.

use std::io::pipe;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::console::Console;
use crate::deadline::{AT_ONCE, OUTLIVING_MAX, PATIENCE, eventually};
use crate::load;
use crate::process::Process;

/// A way to bring an orderly end about, and the exit status that is to follow.
type End = (&'static str, fn(&mut Console), i32);

const ENDS: [End; 5] = [
    ("end of input", Console::end_input, 0),
    ("exit", |console| console.send("exit"), 0),
    ("SIGINT", |console| console.process().signal(Signal::INT), 130),
    ("SIGTERM", |console| console.process().signal(Signal::TERM), 143),
    ("SIGHUP", |console| console.process().signal(Signal::HUP), 129),
];

#[test]
fn after_an_orderly_end_nothing_is_left() {
    for end in ENDS {
        check_end(end, None);
    }
}

/// In the middle a stopped node hides what is below it, too.
#[test]
fn an_orderly_end_ends_stopped_nodes() {
    for end in ENDS {
        check_end(end, Some(1));
    }
    check_end(ENDS[0], Some(0));
    check_end(ENDS[0], Some(2));
}

fn check_end((name, end, status): End, stopped: Option<usize>) {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    console.create(4, -1);
    let tree = console.process().descendants();
    assert_eq!(tree.len(), 4, "the tree is its nodes");
    stopped.iter().for_each(|index| nodes[*index].stop());

    end(&mut console);
    assert_eq!(console.wait_exit().code(), Some(status), "after {name}, {stopped:?} stopped");
    let left: Vec<_> = tree.iter().filter(|process| process.runs()).collect();
    assert!(left.is_empty(), "after {name}, {stopped:?} stopped: {left:?} of {nodes:?} are left");
    assert_eq!(console.scratch().names(), [""; 0], "after {name}");
    assert_eq!(console.errors(), "", "after {name}");
}

#[test]
fn a_signal_does_not_wait_for_what_is_outstanding() {
    let _timed = load::timed();
    let mut console = Console::start(&["--timeout", "60000"]);
    let node = console.create(1, -1);
    node.stop();
    console.send("exec 1 echo never");
    console.expect_silence(Duration::from_millis(50));
    let signalled = Instant::now();
    console.process().signal(Signal::TERM);
    assert_eq!(console.wait_exit().code(), Some(143));
    assert!(signalled.elapsed() < AT_ONCE * 2);
    assert!(!node.runs());
}

#[test]
fn signals_while_nodes_start_leave_nothing() {
    let mut console = Console::start(&[]);
    let script: String = (1..=20)
        .map(|node| format!("create {node} {}\n", node / 2 - i32::from(node == 1)))
        .collect();
    console.send_bytes(script.as_bytes());
    console.expect_pid();
    let tree = console.process().descendants();
    console.process().signal(Signal::INT);
    assert_eq!(console.wait_exit().code(), Some(130));
    assert!(!tree.iter().any(Process::runs));
}

#[test]
fn a_closed_output_ends_it_quietly() {
    for stopped in [None, Some(1)] {
        let (reader, writer) = pipe().unwrap();
        let mut console = Console::start_writing_to(writer, &[]);
        console.send("create 1\ncreate 2 1\ncreate 3 2");
        let mut tree = Vec::new();
        eventually("three nodes run", PATIENCE, || {
            tree = console.process().descendants();
            tree.len() == 3
        });
        stopped.iter().for_each(|index: &usize| tree[*index].stop());

        drop(reader);
        // More than once: a process that another test is starting may have a copy for a moment.
        eventually("it notices", PATIENCE, || {
            console.send("ping 99");
            !console.process().runs()
        });
        assert!(console.wait_exit().code().is_some(), "it ends by itself, not by SIGPIPE");
        assert!(!tree.iter().any(Process::runs));
        assert_eq!(console.errors(), "");
        assert_eq!(console.scratch().names(), [""; 0]);
    }
}

#[test]
fn a_killed_console_is_not_outlived() {
    let _timed = load::timed();
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    console.process().kill();
    eventually("the tree ends", OUTLIVING_MAX, || !nodes.iter().any(Process::runs));
    assert_eq!(console.scratch().names(), [""; 0]);
}

/// A node that is stopped can't know; it follows once it goes on.
#[test]
fn a_killed_console_is_not_outlived_by_stopped_nodes() {
    let _timed = load::timed();
    for index in 0..3 {
        let mut console = Console::start(&[]);
        let nodes = console.create_chain(3);
        nodes[index].stop();
        console.process().kill();
        let others = || nodes.iter().filter(|node| **node != nodes[index]);
        eventually("the others end", OUTLIVING_MAX, || !others().any(Process::runs));
        nodes[index].go_on();
        eventually("the stopped one ends", OUTLIVING_MAX, || !nodes[index].runs());
    }
}

/// What a failing test leaves to the harness.
#[test]
fn a_dropped_console_takes_its_tree_along() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    nodes[1].stop();
    drop(console);
    eventually("the tree ends", PATIENCE, || !nodes.iter().any(Process::runs));
}
