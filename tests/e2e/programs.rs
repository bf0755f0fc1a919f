//! Programs on nodes: what is seen of them, what they have, and that nothing is left of them.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::console::Console;
use crate::deadline::{PATIENCE, TOLERANCE, eventually};
use crate::load;
use crate::process::Process;

/// How long anything of a program may be left: two seconds in which it may end by itself, and one more.
const LEFT_MAX: Duration = Duration::from_secs(3);

/// The same when its node is killed.
const LEFT_BY_THE_DEAD_MAX: Duration = Duration::from_secs(1);

/// A program that does not want to end, and says which processes it consists of.
const STUBBORN: &str =
    "sh trap '' TERM; for i in 1 2 3 4 5; do sleep 600 & echo $!; done; echo $$; wait; wait";

/// Has a node run [`STUBBORN`], which becomes six processes.
fn run_stubborn(console: &mut Console, options: &str, node: u32) -> Vec<Process> {
    console.send(&format!("exec {options} {node} {STUBBORN}"));
    let lines = console.lines(6);
    let prefix = format!("{node}: ");
    let pid = |line: &String| line.strip_prefix(&prefix).and_then(|pid| pid.parse().ok());
    lines.iter().map(|line| Process::of(pid(line).unwrap()).unwrap()).collect()
}

#[track_caller]
fn check_gone(processes: &[Process], within: Duration, when: &str) {
    eventually(&format!("nothing is left after {when}"), within + TOLERANCE, || {
        !processes.iter().any(Process::runs)
    });
}

#[test]
fn lines_come_as_they_are_written_and_then_the_answer() {
    let mut console = Console::start(&[]);
    console.create_chain(3);
    console.send("exec 3 sh echo one; until test -e go; do sleep 0.01; done; echo two >&2; exit 3");
    console.expect("3: one");
    console.scratch().file("go", "");
    assert_eq!(console.lines(2), ["3! two", "Error:3: sh: exit 3"]);
}

#[test]
fn all_that_is_written_comes_in_order() {
    let mut console = Console::start(&[]);
    console.create_chain(2);
    console.send("exec 2 run seq 100000");
    for number in 1..=100_000 {
        console.expect(&format!("2: {number}"));
    }
    console.expect("Ok:2: exit 0");
}

#[test]
fn every_node_runs_it() {
    let mut console = Console::start(&[]);
    console.create_chain(3);
    console.send("exec * run true");
    assert_eq!(console.lines(3), ["Ok:1: exit 0", "Ok:2: exit 0", "Ok:3: exit 0"]);
    console.send("exec 2.. sh exit $HOPTREE_PARENT");
    assert_eq!(console.lines(2), ["Error:2: sh: exit 1", "Error:3: sh: exit 2"]);
}

#[test]
fn however_a_program_is_ended_nothing_is_left_of_it() {
    type End = (&'static str, fn(&mut Console, &[Process]), Duration);
    let ends: [End; 6] = [
        ("cancel", |console, _| console.send("cancel 2"), LEFT_MAX),
        ("remove", |console, _| console.send("remove 2"), LEFT_MAX),
        ("the end of the tree", |console, _| console.process().signal(Signal::TERM), LEFT_MAX),
        ("kill -9 of the parent", |_, nodes| nodes[0].kill(), LEFT_MAX),
        ("kill -9 of the control node", |console, _| console.process().kill(), LEFT_MAX),
        ("kill -9 of the node", |_, nodes| nodes[1].kill(), LEFT_BY_THE_DEAD_MAX),
    ];
    let _timed = load::timed();
    for (name, end, within) in ends {
        let mut console = Console::start(&[]);
        let nodes = console.create_chain(2);
        let program = run_stubborn(&mut console, "--timeout none", 2);
        end(&mut console, &nodes);
        check_gone(&program, within, name);
    }
    let mut console = Console::start(&[]);
    console.create_chain(2);
    let program = run_stubborn(&mut console, "--timeout 300", 2);
    console.expect("Error:2: No answer within 300 ms");
    check_gone(&program, LEFT_MAX, "its deadline");
}

#[test]
fn a_program_may_put_things_in_order_while_its_node_ends() {
    type End = (&'static str, fn(&mut Console));
    let ends: [End; 4] = [
        ("cancel", |console| console.send("cancel")),
        ("remove", |console| console.send("remove 1")),
        ("the end of the tree", |console| console.process().signal(Signal::TERM)),
        ("kill -9 of the control node", |console| console.process().kill()),
    ];
    for (name, end) in ends {
        let mut console = Console::start(&[]);
        console.create_chain(2);
        let script = "trap ': >done; exit' TERM; echo ready; while :; do sleep 0.01; done";
        console.send(&format!("exec --timeout none 2 sh {script}"));
        console.expect("2: ready");
        end(&mut console);
        let done = console.scratch().path().join("done");
        eventually(&format!("it is in order after {name}"), PATIENCE, || done.exists());
    }
}

/// The control node takes in what is left of them, and waits for it.
#[test]
fn programs_whose_node_was_killed_are_over_before_the_tree_is() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(2);
    let program = run_stubborn(&mut console, "--timeout none", 2);
    nodes[1].kill();
    console.expect("Error:2: Node is unavailable");
    console.end_input();
    assert!(console.wait_exit().success());
    assert!(!program.iter().any(Process::runs));
    assert_eq!(console.errors(), "");
}

#[test]
fn a_program_has_nothing_of_its_node() {
    let mut console = Console::start(&[]);
    let node = console.create(1, -1);
    let program = run_stubborn(&mut console, "--timeout none", 1);
    let leader = program[5];
    assert_eq!(leader.parent(), node.pid());
    for process in &program {
        assert_eq!(process.group(), leader.pid());
        assert!(!process.blocks_signals());
        assert!(!process.ignores(Signal::XFSZ) && !process.ignores(Signal::PIPE));
    }
    // Those that are just starting read their libraries.
    eventually("each has its three files and no other", PATIENCE, || {
        program.iter().all(|process| process.descriptors().len() == 3)
    });
    let environment = leader.environment();
    for variable in ["HOPTREE_NODE=1", "HOPTREE_PARENT=-1", "HOPTREE_DEPTH=1"] {
        assert!(environment.contains(variable), "{environment:?}");
    }
}

/// Nodes raise theirs, and would hand it on from one to the next.
#[test]
fn a_program_has_the_user_s_limit_of_open_files() {
    let mut console = Console::start_after("ulimit -Sn 99", &[]);
    console.create_chain(2);
    console.ask("exec 2 sh ulimit -Sn", "2: 99");
    console.expect("Ok:2: exit 0");
}

/// A node waits for the processes of nodes, and a module for those of programs.
#[test]
fn the_ends_of_nodes_and_programs_are_told_apart() {
    let mut console = Console::start(&["--order", "completion", "--timeout", "60000"]);
    let nodes = console.create_chain(2);
    let wait = |file: &str, status: u32| {
        format!("exec 1 sh until test -e {file}; do sleep 0.01; done; exit {status}")
    };
    console.send(&wait("first", 7));
    let created = console.create(3, 1);
    console.send(&wait("second", 8));
    nodes[1].kill();
    eventually("a dead node is reaped", PATIENCE, || nodes[1].is_reaped());
    console.scratch().file("first", "");
    console.expect("Error:1: sh: exit 7");
    created.kill();
    eventually("a dead node is reaped", PATIENCE, || created.is_reaped());
    console.scratch().file("second", "");
    console.expect("Error:1: sh: exit 8");
}

#[test]
fn a_program_more_than_there_may_be_is_refused() {
    let mut console = Console::start(&["--order", "completion", "--timeout", "60000"]);
    console.create(1, -1);
    let script = "exec 1 run sleep 600\n".repeat(65);
    console.send_bytes(script.as_bytes());
    console.expect("Error:1: run: this node runs 64 of these already, which is the most");
    console.send("cancel");
    let mut lines = console.lines(65);
    lines.retain(|line| line != "Error:1: cancelled");
    assert_eq!(lines, ["Ok"]);
    eventually("others may run", PATIENCE, || {
        console.send("exec 1 run true");
        console.line().text == "Ok:1: exit 0"
    });
}

#[test]
fn a_program_for_which_there_are_no_descriptors_is_an_error_and_harms_nothing() {
    let mut console = Console::start(&[]);
    let node = console.create(1, -1);
    let limit = Rlimit { current: Some(32), maximum: Some(32) };
    prlimit(Pid::from_raw(node.pid()), Resource::Nofile, limit).unwrap();
    let error = "too many open files: the limit of open files is 32 (ulimit -Hn raises it)";
    console.ask("exec 1 run true", &format!("Error:1: run: can't start a process: {error}"));
    console.ask("exec 1 echo here", "Ok:1: here");
}

#[test]
fn what_is_no_program_is_an_error_each() {
    let mut console = Console::start(&[]);
    console.create(1, -1);
    console.scratch().file("plain", "");
    for (line, error) in [
        (
            "run --cd / true",
            "unknown option '--cd': expected --cwd DIR, --env NAME=VALUE, --stdin TEXT|@FILE, or -- before a program",
        ),
        ("run --cwd /", "PROGRAM is missing: expected a program to run"),
        (
            "run --stdin @nosuch cat",
            "FILE 'nosuch' can't be read: No such file or directory (os error 2)",
        ),
        ("run --env A true", "--env must be NAME=VALUE, not 'A'"),
        ("run nosuch", "'nosuch' not found"),
        ("run ./plain", "'./plain' is not executable"),
        ("run --cwd x true", "no such directory 'x'"),
    ] {
        console.ask(&format!("exec 1 {line}"), &format!("Error:1: run: {error}"));
    }
    console.ask("exec 1 sh kill -SEGV $$", "Error:1: sh: killed by SIGSEGV");
}
