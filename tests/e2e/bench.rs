//! `hoptree bench`: its table, and that it leaves nothing behind. What the figures are is not tested.

use std::fs;
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::console::Console;
use crate::deadline::{OUTLIVING_MAX, PATIENCE, eventually};
use crate::load;
use crate::process::Process;

/// Chains of 1, 2, 4 and 8 nodes and as many relays, and the far end of the floor.
const RTT_PROCESSES: usize = 2 * (1 + 2 + 4 + 8) + 1;

/// A node and its two children.
const FLOOD_PROCESSES: usize = 3;

#[test]
fn the_round_trips_are_of_every_distance() {
    let output = &measure("rtt", "2");
    let rows = rows(output);
    let hops_and_what: Vec<_> = rows.iter().map(|row| [row[0], row[1]]).collect();
    let expected = "1 hoptree 1 raw 1 floor 2 hoptree 2 raw 4 hoptree 4 raw 8 hoptree 8 raw";
    assert_eq!(hops_and_what.concat().join(" "), expected);
    for row in rows {
        assert!(
            row[2].parse::<f64>().unwrap() > 0.0 && numbers(&row[2..7]).is_sorted(),
            "{output}"
        );
        let compared = row[1] == "hoptree" || row[1..2] == ["raw"] && row[0] == "1";
        assert_eq!(row.len(), if compared { 10 } else { 7 }, "{output}");
    }
}

#[test]
fn the_throughput_is_of_every_window() {
    let output = &measure("throughput", "1");
    let rows = rows(output);
    let subjects: Vec<_> = rows.iter().map(|row| row[..3].join(" ")).collect();
    let windows = ["1", "16", "256", "1000"]
        .map(|window| ["hoptree", "raw"].map(|what| format!("{window} {what}")));
    let expected: Vec<_> = ["1", "8"]
        .iter()
        .flat_map(|nodes| windows.as_flattened().iter().map(move |rest| format!("{nodes} {rest}")))
        .collect();
    assert_eq!(subjects, expected);
    for row in rows {
        let [median, slowest, fastest] = numbers(&row[3..6])[..] else { panic!("{output}") };
        assert!(0.0 < slowest && slowest <= median && median <= fastest, "{output}");
        assert_eq!(row.len(), if row[2] == "hoptree" { 9 } else { 6 }, "{output}");
    }
}

#[test]
fn the_footprint_is_that_of_processes_that_are_there() {
    let output = &measure("footprint", "1");
    let rows = rows(output);
    let subjects: Vec<_> = rows.iter().map(|row| row[..2].join(" ")).collect();
    assert_eq!(subjects, ["64 hoptree", "1 raw", "1 floor"]);
    for row in rows {
        let figures = numbers(&row[2..7]);
        assert!(figures[..4].iter().all(|figure| *figure > 0.0), "{output}");
        assert!(figures[0] <= figures[1] && figures[4] < 1e6, "{output}");
    }
}

#[test]
fn failures_are_answered() {
    let output = &measure("failure", "3");
    assert!(output.contains(" 3 kills each"), "{output}");
    let rows = rows(output);
    let subjects: Vec<_> = rows.iter().map(|row| row[..2].join(" ")).collect();
    assert_eq!(subjects, ["1 hoptree", "1 raw", "1 floor"]);
    assert!(rows.iter().all(|row| numbers(&row[2..7]).is_sorted()), "{output}");
}

#[test]
fn a_flood_to_a_stopped_node_is_refused() {
    let _timed = load::timed();
    let output = &measure("flood", "1");
    let rows = rows(output);
    let subjects: Vec<_> = rows.iter().map(|row| row[1]).collect();
    assert_eq!(subjects, ["none", "running", "stopped", "running", "stopped"]);
    for (row, words) in rows.iter().zip([7, 10, 10]) {
        assert!(numbers(&row[2..7]).is_sorted(), "{output}");
        assert_eq!(row.len(), words, "{output}");
    }
    let [running, stopped] = [3, 4].map(|row| numbers(&rows[row][2..3])[0]);
    assert!(running < stopped, "{output}");
    assert!(output.contains("parent: PSS of "), "{output}");
}

#[test]
fn measures_are_taken_in_turn() {
    let output = &measure("failure,rtt,failure", "1");
    let headings = output.lines().filter_map(|line| line.split_once(": ")).map(|(word, _)| word);
    let measures: Vec<_> = headings
        .filter(|word| ["failure", "rtt", "throughput", "footprint"].contains(word))
        .collect();
    assert_eq!(measures, ["failure", "rtt", "failure"]);
}

/// Measures this over zmq, in so many rounds, and gives the output.
fn measure(measures: &str, rounds: &str) -> String {
    let args = ["bench", "--measure", measures, "--transports", "zmq", "--rounds", rounds];
    let finished = Console::run(&args, "");
    let output = finished.output;
    assert_eq!((finished.status, &*finished.errors), (0, ""), "{output}");
    assert!(output.lines().all(|line| line.chars().count() <= 100), "{output}");

    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let again = format!("hoptree {}\n", args.join(" "));
    for mention in [&*again, "zmq: libzmq 4.", kernel.trim()] {
        assert!(output.contains(mention), "'{mention}' is not in\n{output}");
    }
    assert_eq!(output.contains("debug build"), cfg!(debug_assertions), "{output}");
    output
}

/// The words of the lines that begin with a number.
fn rows(output: &str) -> Vec<Vec<&str>> {
    let rows = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.first().is_some_and(|word| word.parse::<u32>().is_ok())).collect()
}

fn numbers(words: &[&str]) -> Vec<f64> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

#[test]
fn what_there_is_not_can_not_be_measured() {
    for (args, mention) in [
        (["bench", "--measure", "patience"], "rtt"),
        (["bench", "--measure", "rtt,patience"], "failure"),
        (["bench", "--transports", "pigeon"], "choose one of"),
        (["bench", "--transports", "zmq,pigeon"], "choose one of"),
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
    for (measure, processes) in [
        ("rtt", RTT_PROCESSES),
        ("throughput", 2 * 8),
        ("footprint", 64 + 2),
        ("failure", 1),
        ("flood", FLOOD_PROCESSES),
    ] {
        let (mut console, crew) = start(measure, processes);
        console.process().signal(Signal::INT);
        assert_eq!(console.wait_exit().code(), Some(130), "{measure}");
        assert!(!crew.iter().any(Process::runs), "{measure}");
        assert_eq!(console.errors(), "", "{measure}");
        let output = console.finish().output;
        assert!(output.contains("interrupted after "), "{output}");
    }
}

#[test]
fn a_killed_benchmark_is_not_outlived() {
    let _timed = load::timed();
    let (console, crew) = start("rtt", RTT_PROCESSES);
    console.process().kill();
    eventually("its processes end", OUTLIVING_MAX, || !crew.iter().any(Process::runs));
}

/// Not even by the node that it has stopped, which can't see that it is gone.
#[test]
fn a_benchmark_that_is_killed_during_a_flood_is_not_outlived() {
    let _timed = load::timed();
    let (console, crew) = start("flood", FLOOD_PROCESSES);
    eventually("a node is stopped", PATIENCE, || crew.iter().any(Process::is_stopped));
    console.process().kill();
    eventually("its processes end", OUTLIVING_MAX, || !crew.iter().any(Process::runs));
}

#[test]
fn a_lost_process_ends_it_with_an_error() {
    for name in ["15", "bench-relay"] {
        let (mut console, crew) = start("rtt", RTT_PROCESSES);
        let lost = crew.iter().rfind(|process| process.arguments()[2] == name).unwrap();
        lost.kill();
        assert_eq!(console.wait_exit().code(), Some(1), "{name}");
        assert!(console.errors().starts_with("hoptree: "), "{name}: {}", console.errors());
        assert!(!crew.iter().any(Process::runs), "{name}");
    }
}

/// A benchmark that does not end by itself, with at least so many processes, and all of them.
fn start(measure: &str, processes: usize) -> (Console, Vec<Process>) {
    let args = ["bench", "--measure", measure, "--transports", "zmq", "--rounds", "1000000"];
    let console = Console::start(&args);
    let mut crew = Vec::new();
    eventually("all processes run", PATIENCE, || {
        crew = console.process().descendants();
        crew.len() >= processes
    });
    (console, crew)
}
