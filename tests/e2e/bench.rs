//! `hoptree bench`: its tables and files, and that it leaves nothing behind. What the figures are
//! is not tested.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;

use crate::console::{Console, Finished};
use crate::deadline::{OUTLIVING_MAX, PATIENCE, eventually};
use crate::load;
use crate::process::Process;
use crate::scratch::Scratch;

/// How many rows each measure has for a transport.
const ROWS: [(&str, usize); 9] = [
    ("rtt", 15),
    ("throughput", 8),
    ("stream", 4),
    ("fanout", 4),
    ("create", 4),
    ("failure", 3),
    ("heartbeat", 3),
    ("footprint", 4),
    ("flood", 6),
];

/// For one transport: the stage; chains of 1, 2, 4, 8 and 16 nodes and as many relays, the far end
/// of the floor, and two of plain sockets.
const RTT_PROCESSES: usize = 1 + 2 * (1 + 2 + 4 + 8 + 16) + 3;

/// The stage, a node and its two children.
const FLOOD_PROCESSES: usize = 1 + 3;

#[test]
fn there_are_rows_for_each_measure_and_transport() {
    let _timed = load::timed();
    let scratch = Scratch::new();
    let (finished, report) =
        measure(&scratch, &["--runs", "1", "--transports", "zmq,zmq:ipc", "--rounds", "1"]);
    assert_eq!((finished.status, &*finished.errors), (0, ""), "{}", finished.output);
    let rows = report["rows"].as_array().unwrap();
    let mut counts = BTreeMap::new();
    for row in rows {
        check(row);
        *counts.entry((text(row, "measure"), text(row, "transport"))).or_insert(0) += 1;
    }
    let expected = ROWS.into_iter().flat_map(|(measure, rows)| {
        ["zmq", "zmq:ipc"].map(|transport| ((measure, transport), rows))
    });
    assert_eq!(counts, expected.collect());
    let loads = report["loads"].as_array().unwrap();
    assert_eq!(loads.len(), ROWS.len());
    for load in loads {
        let shares = ["others", "stolen"].map(|key| load[key].as_f64().unwrap());
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{load}");
        let line = format!("\n{}: the machine was busy (", text(load, "measure"));
        assert_eq!(finished.output.contains(&line), load["spoilt"].is_string(), "{load}");
    }
    let page = fs::read_to_string(scratch.path().join("page.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
}

#[test]
fn the_table_fits_and_says_how_to_repeat_it() {
    let scratch = Scratch::new();
    let args =
        ["--runs", "2", "--measure", "rtt,create", "--transports", "zmq,zmq:ipc", "--rounds", "1"];
    let (Finished { output, .. }, report) = measure(&scratch, &args);
    check_width(&output);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let again = format!("hoptree bench {}", args.join(" "));
    for mention in [&*again, "zmq: libzmq 4.", kernel.trim(), "\nrtt: ", "\ncreate: ", " * "] {
        assert!(output.contains(mention), "'{mention}' is not in\n{output}");
    }
    assert_eq!(output.contains("debug build"), cfg!(debug_assertions), "{output}");
    assert!(text(&report["environment"], "command_line").starts_with(&again), "{report}");
    let row = &report["rows"][0];
    assert_eq!(row["run_p50"].as_array().unwrap().len(), 2, "{row}");
}

#[test]
fn a_benchmark_is_compared_with_itself() {
    let scratch = Scratch::new();
    let args =
        ["--runs", "2", "--measure", "throughput", "--transports", "zmq:ipc", "--rounds", "1"];
    measure(&scratch, &args);
    let file = scratch.path().join("report.json").to_str().unwrap().to_owned();
    let (status, output, errors) = hoptree(&["bench", "compare", &file, &file]);
    assert_eq!((status, &*errors), (0, ""));
    assert!(output.ends_with("\nB to A: 8 within the spread\n"), "{output}");
    check_width(&output);
}

#[test]
fn only_benchmarks_can_be_compared() {
    let scratch = Scratch::new();
    for (content, mention) in [
        ("", "EOF"),
        ("[1]", "no version"),
        ("{\"version\": 999}", "version 999"),
        ("{\"version\": 1}", "missing field"),
    ] {
        let file = scratch.file("report.json", content);
        let (status, output, errors) = hoptree(&["bench", "compare", &file, &file]);
        assert_eq!((status, &*output), (2, ""), "{content}");
        assert!(errors.contains(&file) && errors.contains(mention), "{content}: {errors}");
    }
    let (status, _, errors) = hoptree(&["bench", "compare", "no-such.json", "no-such.json"]);
    assert_eq!(status, 2);
    assert!(errors.contains("can't read 'no-such.json'"), "{errors}");
}

#[test]
fn what_there_is_not_can_not_be_measured() {
    for (args, mention) in [
        (&["--measure", "patience"][..], "rtt"),
        (&["--measure", "rtt,patience"], "failure"),
        (&["--measure", "trougput"], "similar value exists: 'throughput'"),
        (&["--transports", "pigeon"], "choose one of"),
        (&["--transports", "zmq,pigeon"], "choose one of"),
        (&["--transports", "zqm"], "did you mean 'zmq'"),
        (&["--rounds", "0"], "0"),
        (&["--runs", "0"], "0"),
        (&["--pin", "0-"], "0,2-3"),
        (&["--pin", "1023"], "1023"),
        (&["--json", "same", "--html", "same"], "the same file"),
    ] {
        let (status, output, errors) = hoptree(&[&["bench"], args].concat());
        assert_eq!((status, &*output), (2, ""), "{args:?}");
        assert!(errors.contains(mention), "{args:?}: {errors}");
    }
}

#[test]
fn a_file_that_can_not_be_written_is_told_before_anything_is_measured() {
    for option in ["--json", "--html"] {
        let (status, output, errors) = hoptree(&["bench", option, "/no-such-directory/file"]);
        assert_eq!((status, &*output), (2, ""));
        assert!(errors.contains("can't write to '/no-such-directory/file'"), "{errors}");
    }
}

#[test]
fn a_limit_that_is_too_low_is_named() {
    let shell = format!("ulimit -n 64; exec '{}' bench", env!("CARGO_BIN_EXE_hoptree"));
    let Output { status, stdout, stderr } =
        Command::new("sh").args(["-c", &shell]).output().unwrap();
    let errors = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), &*stdout), (Some(1), &b""[..]), "{errors}");
    assert!(errors.contains("RLIMIT_NOFILE allows 64") && errors.contains("ulimit -n"), "{errors}");
}

#[test]
fn an_interrupt_shows_what_is_complete_and_leaves_nothing() {
    for (measure, processes) in [
        ("rtt", RTT_PROCESSES),
        ("throughput", 1 + 2 * 8),
        ("stream", 1 + 2 * (1 + 4)),
        ("fanout", 1 + 8 + 64),
        ("create", 1 + 8),
        ("failure", 1 + 16),
        ("heartbeat", 1 + 1),
        ("footprint", 1 + 64),
        ("flood", FLOOD_PROCESSES),
    ] {
        let (mut console, crew) = start(measure, processes);
        console.process().signal(Signal::INT);
        assert_eq!(console.wait_exit().signal(), Some(Signal::INT.as_raw()), "{measure}");
        assert!(!crew.iter().any(Process::runs), "{measure}");
        assert_eq!(console.errors(), "", "{measure}");
        assert_eq!(console.scratch().names(), ["report.json"], "{measure}");
        let json = fs::read_to_string(console.scratch().path().join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["interrupted"], true, "{measure}");
        let output = console.finish().output;
        assert!(output.contains("\ninterrupted: "), "{output}");
    }
}

#[test]
fn a_killed_benchmark_is_not_outlived() {
    let _timed = load::timed();
    let (console, crew) = start("rtt", RTT_PROCESSES);
    console.process().kill();
    eventually("its processes end", OUTLIVING_MAX, || !crew.iter().any(Process::runs));
    assert_eq!(console.scratch().names(), ["report.json"]);
}

/// Not even by the node that it has stopped, which can't see that it is gone.
#[test]
fn a_benchmark_that_is_killed_while_a_node_is_stopped_is_not_outlived() {
    let _timed = load::timed();
    for (measure, processes) in [("flood", FLOOD_PROCESSES), ("heartbeat", 2)] {
        let (console, mut crew) = start(measure, processes);
        eventually("a node is stopped", PATIENCE, || {
            crew = console.process().descendants();
            crew.iter().any(Process::is_stopped)
        });
        console.process().kill();
        eventually("its processes end", OUTLIVING_MAX, || !crew.iter().any(Process::runs));
    }
}

#[test]
fn a_lost_process_costs_its_measure_and_nothing_else() {
    for name in ["15", "bench-relay", "bench-stage"] {
        let args = ["bench", "--measure", "rtt,create", "--transports", "zmq", "--runs", "1"];
        let rounds = ["--rounds", "200"];
        let mut console = Console::start(&[&args[..], &rounds].concat());
        let crew = crew(&console, RTT_PROCESSES);
        let is = |process: &&Process| process.arguments().get(2).is_some_and(|word| word == name);
        crew.iter().rfind(is).unwrap().kill();
        eventually("256 nodes are created, which comes next", PATIENCE, || {
            console.process().descendants().len() > 2 * RTT_PROCESSES
        });
        console.process().signal(Signal::INT);
        assert_eq!(console.wait_exit().signal(), Some(Signal::INT.as_raw()), "{name}");
        let errors = console.errors();
        assert!(errors.contains("hoptree: rtt over zmq: "), "{name}: {errors}");
        assert!(!crew.iter().any(Process::runs), "{name}");
    }
}

/// Checks that a row is one.
fn check(row: &Value) {
    let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row}"));
    let quantiles = ["min", "p50", "p90", "p99", "p99_9", "max"].map(number);
    assert!(quantiles.is_sorted() && quantiles[0] >= 0.0, "{row}");
    assert!(!text(row, "what").is_empty() && !text(row, "unit").is_empty(), "{row}");
    let counts = row["histogram"].as_array().unwrap().iter();
    assert_eq!(counts.map(|pair| pair[1].as_u64().unwrap()).sum::<u64>(), number("samples") as u64);
    if row["floor"].is_string() {
        let error = number("p50") / number("floor_p50") / number("ratio") - 1.0;
        assert!(error.abs() < 1e-9, "{row}");
    }
}

/// Checks that everything fits into 100 columns, but for what the user has typed.
fn check_width(output: &str) {
    let mut lines = output.lines().filter(|line| !line.trim_start().starts_with("hoptree bench "));
    assert!(lines.all(|line| line.chars().count() <= 100), "{output}");
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_else(|| panic!("{key} of {object}"))
}

/// Measures, and gives what is printed and what is written.
fn measure(scratch: &Scratch, args: &[&str]) -> (Finished, Value) {
    let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (json, html) = (path("report.json"), path("page.html"));
    let files = ["--json", &json, "--html", &html];
    let finished = Console::run(&[&["bench"], args, &files].concat(), "");
    let report = fs::read_to_string(json).unwrap();
    (finished, serde_json::from_str(&report).unwrap())
}

fn hoptree(args: &[&str]) -> (i32, String, String) {
    let scratch = Scratch::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hoptree"));
    let Output { status, stdout, stderr } =
        command.args(args).current_dir(scratch.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A benchmark that does not end by itself, with at least this many processes, and all of them.
fn start(measure: &str, processes: usize) -> (Console, Vec<Process>) {
    let args = ["bench", "--measure", measure, "--transports", "zmq", "--rounds", "1000000"];
    let console = Console::start(&[&args[..], &["--json", "report.json"]].concat());
    let crew = crew(&console, processes);
    (console, crew)
}

/// The processes of a benchmark, when there are this many.
fn crew(console: &Console, processes: usize) -> Vec<Process> {
    let mut crew = Vec::new();
    eventually("all processes run", PATIENCE, || {
        crew = console.process().descendants();
        crew.len() >= processes
    });
    crew
}
