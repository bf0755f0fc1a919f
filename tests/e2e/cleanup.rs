//! However hoptree ends, it leaves no process and no file behind.

use std::io::{BufRead, BufReader, pipe};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::console::{Console, heed_signals};
use crate::deadline::{AT_ONCE, OUTLIVING_MAX, PATIENCE, eventually, pass};
use crate::lines::Lines;
use crate::load;
use crate::process::Process;
use crate::scratch::Scratch;

/// A way to bring an orderly end about, and the signal by which hoptree must die then.
type End = (&'static str, fn(&mut Console), Option<Signal>);

const ENDS: [End; 5] = [
    ("end of input", Console::end_input, None),
    ("exit", |console| console.send("exit"), None),
    ("SIGINT", |console| console.process().signal(Signal::INT), Some(Signal::INT)),
    ("SIGTERM", |console| console.process().signal(Signal::TERM), Some(Signal::TERM)),
    ("SIGHUP", |console| console.process().signal(Signal::HUP), Some(Signal::HUP)),
];

/// Checks that a process died by this signal, or ended with status 0 without one.
#[track_caller]
fn check_status(status: ExitStatus, signal: Option<Signal>, when: &str) {
    let status_0 = signal.is_none().then_some(0);
    assert_eq!(status.code(), status_0, "{when}");
    assert_eq!(status.signal(), signal.map(Signal::as_raw), "{when}");
    assert!(!status.core_dumped(), "{when}");
}

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

fn check_end((name, end, signal): End, stopped: Option<usize>) {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    console.create(4, -1);
    let tree = console.process().descendants();
    assert_eq!(tree.len(), 4, "the tree is its nodes");
    stopped.iter().for_each(|index| nodes[*index].stop());

    end(&mut console);
    check_status(console.wait_exit(), signal, &format!("after {name}, {stopped:?} stopped"));
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
    check_status(console.wait_exit(), Some(Signal::TERM), "after SIGTERM");
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
    check_status(console.wait_exit(), Some(Signal::INT), "after SIGINT");
    assert!(!tree.iter().any(Process::runs));
}

/// A debugger keeps what it traces from ending, or its end from being known.
#[test]
fn what_a_debugger_holds_is_named_and_not_waited_for() {
    for (name, end, signal) in [ENDS[0], ENDS[3]] {
        let mut console = Console::start(&[]);
        let nodes = console.create_chain(2);
        // Now node 2 is nobody's child who knows it, and only the sweep at the end looks for it.
        nodes[0].kill();
        eventually("node 2 is taken in", PATIENCE, || {
            console.send("ping 2");
            console.line().text == "Ok: 1"
        });
        if !nodes[1].trace() {
            // A hardened system allows that to nobody, so there is nothing to test.
            return;
        }
        end(&mut console);
        check_status(console.wait_exit(), signal, name);
        let errors = console.errors();
        let held = format!("process {} is left: it has ended, but", nodes[1].pid());
        let tracer = format!("process {} (", std::process::id());
        assert!(errors.contains(&held) && errors.contains(&tracer), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(!nodes[1].runs());
        assert_eq!(console.scratch().names(), [""; 0], "after {name}");
        nodes[1].let_go();
    }
}

/// The tree has yet to be waited for: the first node does not end, and those below it are given time.
#[test]
fn a_second_signal_ends_it_at_once() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(20);
    nodes[0].stop();
    console.process().signal(Signal::INT);
    // What comes sooner counts as an echo of the first.
    pass(Duration::from_millis(150));
    console.process().signal(Signal::TERM);
    eventually("it ends", PATIENCE, || !console.process().runs());
    nodes[0].go_on();
    check_status(console.wait_exit(), Some(Signal::TERM), "after SIGTERM");
    eventually("the tree ends", PATIENCE, || !nodes.iter().any(Process::runs));
}

/// As a shell does with Ctrl-C, it stops because of what it runs, not because of the signal.
#[test]
fn an_interrupt_stops_a_loop_in_a_shell() {
    let scratch = Scratch::new();
    let script = scratch.file("script", "create 1\nsleep 60000\n");
    let hoptree = env!("CARGO_BIN_EXE_hoptree");
    let command = format!("for run in 1 2; do '{hoptree}' '{script}'; done");
    let mut bash = Command::new("bash");
    heed_signals(&mut bash);
    let mut shell = bash
        .args(["-c", &command])
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let output = Lines::of(shell.stdout.take().unwrap());
    output.wait_for(0, Instant::now() + PATIENCE).expect("the pid of a node");
    let group = Pid::from_child(&shell);
    kill_process_group(group, Signal::INT).unwrap();
    let mut status = None;
    eventually("the shell ends", PATIENCE, || {
        status = shell.try_wait().unwrap();
        status.is_some()
    });
    check_status(status.unwrap(), Some(Signal::INT), "after SIGINT");
    assert_eq!(output.from(0).len(), 1, "there was one run");
}

#[test]
fn a_closed_output_ends_it_quietly() {
    for stopped in [None, Some(1)] {
        let (reader, writer) = pipe().unwrap();
        let mut console = Console::start_writing_to(writer, &[]);
        console.send("create 1\ncreate 2 1\ncreate 3 2");
        // One that runs and has not joined says so when the tree ends.
        let mut replies = BufReader::new(reader).lines().map(Result::unwrap);
        (0..3).for_each(|_| assert!(replies.next().unwrap().starts_with("Ok: ")));
        let tree = console.process().descendants();
        assert_eq!(tree.len(), 3);
        stopped.iter().for_each(|index: &usize| tree[*index].stop());

        drop(replies);
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
