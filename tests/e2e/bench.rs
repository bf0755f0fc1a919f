//! `hoptree bench`: its table, and that it leaves nothing behind. What the figures are is not tested.

use std::fs;
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::console::Console;
use crate::deadline::{OUTLIVING_MAX, PATIENCE, eventually};
use crate::load;
use crate::process::Process;

/// Chains of 1, 2, 4 and 8 nodes and as many relays, and the far end of the floor.
const PROCESSES: usize = 2 * (1 + 2 + 4 + 8) + 1;

#[test]
fn the_table_has_every_distance_and_says_what_it_was_measured_on() {
    let finished = Console::run(&["bench", "--transports", "zmq", "--rounds", "2"], "");
    let output = &finished.output;
    assert_eq!((finished.status, &*finished.errors), (0, ""), "{output}");
    assert!(output.lines().all(|line| line.chars().count() <= 100), "{output}");

    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    for mention in ["hoptree bench --measure rtt --transports zmq --rounds 2", "libzmq 4."] {
        assert!(output.contains(mention), "'{mention}' is not in\n{output}");
    }
    assert!(output.contains(kernel.trim()), "{output}");
    assert_eq!(output.contains("debug build"), cfg!(debug_assertions), "{output}");

    let rows = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows: Vec<_> =
        rows.filter(|row| row.first().is_some_and(|hops| hops.parse::<u32>().is_ok())).collect();
    let hops_and_what: Vec<_> = rows.iter().map(|row| [row[0], row[1]]).collect();
    let expected = "1 hoptree 1 raw 1 floor 2 hoptree 2 raw 4 hoptree 4 raw 8 hoptree 8 raw";
    assert_eq!(hops_and_what.concat().join(" "), expected);
    for row in rows {
        let times: Vec<f64> = row[2..7].iter().map(|time| time.parse().unwrap()).collect();
        assert!(times[0] > 0.0 && times.is_sorted(), "{output}");
        let compared = row[1] == "hoptree" || row[1..2] == ["raw"] && row[0] == "1";
        assert_eq!(row.len(), if compared { 10 } else { 7 }, "{output}");
    }
}

#[test]
fn what_there_is_not_can_not_be_measured() {
    for (args, mention) in [
        (["bench", "--measure", "patience"], "rtt"),
        (["bench", "--transports", "pigeon"], "choose one of zmq"),
        (["bench", "--transports", "zmq,pigeon"], "choose one of zmq"),
        (["bench", "--rounds", "0"], "0"),
    ] {
        let Output { status, stdout, stderr } =
            Command::new(env!("CARGO_BIN_EXE_hoptree")).args(args).output().unwrap();
        let errors = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), &*stdout), (Some(2), &b""[..]), "{args:?}");
        assert!(errors.contains(mention), "{args:?}: {errors}");
    }
}

#[test]
fn an_interrupt_shows_what_is_complete_and_leaves_nothing() {
    let (mut console, crew) = start();
    console.process().signal(Signal::INT);
    assert_eq!(console.wait_exit().code(), Some(130));
    assert!(!crew.iter().any(Process::runs));
    assert_eq!(console.errors(), "");
    let output = console.finish().output;
    assert!(output.contains("interrupted after "), "{output}");
}

#[test]
fn a_killed_benchmark_is_not_outlived() {
    let _timed = load::timed();
    let (console, crew) = start();
    console.process().kill();
    eventually("its processes end", OUTLIVING_MAX, || !crew.iter().any(Process::runs));
}

#[test]
fn a_lost_process_ends_it_with_an_error() {
    for name in ["15", "bench-relay"] {
        let (mut console, crew) = start();
        let lost = crew.iter().rfind(|process| process.arguments()[2] == name).unwrap();
        lost.kill();
        assert_eq!(console.wait_exit().code(), Some(1), "{name}");
        assert!(console.errors().starts_with("hoptree: "), "{name}: {}", console.errors());
        assert!(!crew.iter().any(Process::runs), "{name}");
    }
}

/// A benchmark that does not end by itself, and all its processes.
fn start() -> (Console, Vec<Process>) {
    let console = Console::start(&["bench", "--rounds", "1000000"]);
    let mut crew = Vec::new();
    eventually("all processes run", PATIENCE, || {
        crew = console.process().descendants();
        crew.len() == PROCESSES
    });
    (console, crew)
}
