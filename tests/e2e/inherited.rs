//! What whoever starts hoptree leaves it with: signals that are ignored or blocked, open files, a
//! limit.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::FdFlags;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually};
use crate::process::Process;
use crate::scratch::Scratch;

/// Has a program begin with what this call does in its process.
fn begin_with(
    command: &mut Command,
    call: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> &mut Command {
    // SAFETY: all callers make no more than system calls, which may be made between fork and exec.
    unsafe { command.pre_exec(call) }
}

fn ignore(command: &mut Command, signal: Signal) {
    begin_with(command, move || {
        // SAFETY: it changes nothing but what this signal does.
        unsafe { libc::signal(signal.as_raw(), libc::SIG_IGN) };
        Ok(())
    });
}

/// Has a program begin with all signals blocked.
fn block_all(command: &mut Command) {
    begin_with(command, || {
        // SAFETY: the set is valid, as it is filled in, and the mask is this process's own.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        }
        Ok(())
    });
}

#[test]
fn an_ignored_signal_does_not_end_it() {
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        let mut console = Console::start_prepared(&[], |command| ignore(command, signal));
        let node = console.create(1, -1);
        assert!(console.process().ignores(signal) && node.ignores(signal), "{signal:?}");
        console.process().signal(signal);
        console.ask("exec 1 echo here", "Ok:1: here");
        // The others end it as ever.
        let other = if signal == Signal::TERM { Signal::INT } else { Signal::TERM };
        assert!(!console.process().ignores(other), "{signal:?}");
        console.process().signal(other);
        assert!(!console.wait_exit().success(), "{signal:?}");
        assert!(!node.runs(), "{signal:?}");
    }
}

#[test]
fn no_signal_is_blocked_in_any_process() {
    let mut console = Console::start_prepared(&[], block_all);
    let nodes = console.create_chain(2);
    for process in [console.process(), nodes[0], nodes[1]] {
        assert!(!process.blocks_signals(), "{process:?}");
    }
    nodes[0].kill();
    eventually("a dead node is reaped", PATIENCE, || nodes[0].is_reaped());
    console.process().signal(Signal::TERM);
    assert!(!console.wait_exit().success());
    assert!(!nodes[1].runs());
}

#[test]
fn the_end_of_a_node_is_known_although_the_end_of_children_was_ignored() {
    let mut console = Console::start_prepared(&[], |command| ignore(command, Signal::CHILD));
    let nodes = console.create_chain(2);
    for process in [console.process(), nodes[0], nodes[1]] {
        assert!(!process.ignores(Signal::CHILD), "{process:?}");
    }
    nodes[0].kill();
    eventually("it is said how it ended", PATIENCE, || {
        console.send("tree");
        let lines = console.lines(2);
        lines[0].ends_with(": killed by signal 9")
    });
}

#[test]
fn a_file_that_may_not_grow_is_told_as_such() {
    let scratch = Scratch::new();
    let output = File::create(scratch.path().join("output")).unwrap();
    let mut console = Console::start_writing_to(output, &[]);
    let mut tree = Vec::new();
    console.send("create 1");
    eventually("the node runs", PATIENCE, || {
        tree = console.process().descendants();
        !tree.is_empty()
    });
    let pid = Pid::from_raw(console.process().pid());
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(1), maximum: None }).unwrap();
    // What was written before is more than the limit, so nothing more goes.
    console.send("help");
    assert_eq!(console.wait_exit().code(), Some(1), "{}", console.errors());
    let errors = console.errors();
    assert_eq!(errors, "hoptree: can't write to stdout: File too large (os error 27)\n");
    assert!(!tree.iter().any(Process::runs));
}

#[test]
fn a_file_that_was_left_open_is_not_handed_on() {
    let scratch = Scratch::new();
    let path = scratch.file("inherited", "");
    let file = File::open(&path).unwrap();
    let mut console = Console::start_prepared(&[], |command| {
        begin_with(command, move || Ok(rustix::io::fcntl_setfd(&file, FdFlags::empty())?));
    });
    let nodes = console.create_chain(2);
    assert!(console.process().descriptors().contains(&path), "it was left open");
    for node in nodes {
        assert!(!node.descriptors().contains(&path), "{:?}", node.descriptors());
    }
}
