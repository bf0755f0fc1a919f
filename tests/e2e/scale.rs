//! Many nodes, many commands, deep trees, and trees that do nothing.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually, pass};
use crate::load;
use crate::process::Process;

/// As many as a debug build does in seconds.
const COMMANDS: u32 = if cfg!(debug_assertions) { 20_000 } else { 100_000 };

const NODES: u32 = 200;

/// A chain, with a star around each of its links.
fn parent(node: u32) -> i32 {
    const CHAIN: u32 = 20;
    if node < CHAIN { node as i32 - 1 } else { (node % CHAIN) as i32 }
}

#[test]
fn a_long_script_is_answered_right_and_in_order() {
    let _heavy = load::heavy();
    let mut script = String::new();
    for node in 0..NODES {
        writeln!(script, "create {node} {}", parent(node)).unwrap();
    }
    for number in 0..COMMANDS {
        writeln!(script, "{}", command(number)).unwrap();
    }
    let finished = Console::run(&["--timeout", "60000"], script);

    let lines = finished.lines();
    assert_eq!(lines.len(), (NODES + COMMANDS) as usize);
    let (creates, replies) = lines.split_at(NODES as usize);
    for line in creates {
        assert!(line.strip_prefix("Ok: ").is_some_and(|pid| pid.parse::<u32>().is_ok()), "{line}");
    }
    for (number, line) in (0..).zip(replies) {
        assert_eq!(*line, reply(number), "to '{}'", command(number));
    }
    assert_eq!(finished.status, 0);
    assert_eq!(finished.errors, "");
}

/// Two modules, and nodes in an order that jumps about.
fn command(number: u32) -> String {
    let node = number * 37 % NODES;
    if number.is_multiple_of(2) {
        format!("exec {node} echo {number}")
    } else {
        format!("exec {node} 2 {number} {node}")
    }
}

fn reply(number: u32) -> String {
    let node = number * 37 % NODES;
    let result = if number.is_multiple_of(2) { number } else { number + node };
    format!("Ok:{node}: {result}")
}

#[test]
fn a_chain_of_64_survives_a_death_in_the_middle() {
    let _heavy = load::heavy();
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(64);
    console.ask("exec 64 echo the end", "Ok:64: the end");

    nodes[31].kill();
    console.ask("exec 32 echo", "Error:32: Node is unavailable");
    eventually("the lower half is taken in", PATIENCE, || {
        console.send("ping 64");
        console.line().text == "Ok: 1"
    });
    for node in (1..=31).chain(33..=64) {
        console.ask(&format!("exec {node} echo here"), &format!("Ok:{node}: here"));
    }
    assert_eq!(console.finish().status, 0);
    assert!(!nodes.iter().any(Process::runs));
}

/// How much a wake-up costs is for a benchmark to say: on a busy machine it is more.
#[test]
fn an_idle_tree_of_50_hardly_wakes_up() {
    let _heavy = load::heavy();
    let mut console = Console::start(&[]);
    for node in 0..50 {
        console.create(node, node as i32 / 3 - i32::from(node == 0));
    }
    console.ask("heartbeat 1000", "Ok");
    let tree = [vec![console.process()], console.process().descendants()].concat();
    assert_eq!(tree.len(), 51);

    // The start has its after-effects for a moment.
    pass(Duration::from_secs(1));
    let look = || tree.iter().map(|one| (one.waits(), one.processor_time())).collect::<Vec<_>>();
    let (before, start) = (look(), Instant::now());
    pass(Duration::from_secs(5));
    let (after, seconds) = (look(), start.elapsed().as_secs_f64());
    // A beat each second, and what comes of it in libraries: five wake-ups at most were seen.
    let waits = after.iter().zip(&before).map(|(after, before)| after.0 - before.0).sum::<u64>();
    let each = waits as f64 / seconds / tree.len() as f64;
    assert!(each < 10.0, "{each:.1} wake-ups of each a second");
    // Who spins does not wait.
    for (after, before) in after.iter().zip(&before) {
        let share = (after.1 - before.1).as_secs_f64() / seconds;
        assert!(share < 0.1, "{:.2} % of a core", share * 100.0);
    }
    console.expect_silence(Duration::ZERO);
}
