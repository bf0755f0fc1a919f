//! The simulator: whole trees of the real nodes on a virtual network, under a virtual clock, with
//! faults that a seed brings about and checkers that know nothing of how nodes work.
//!
//! A seed that fails is printed, and brings the same events again:
//! `HOPTREE_SIM_SEED=7 HOPTREE_SIM_SEEDS=1 cargo test --test sim`; see docs/testing.md.
//!
//! Start reading at `story.rs`: what a run is. `network.rs` is the machine that it runs on,
//! `checks.rs` what must always hold, `verdict.rs` what must hold in the end.
//! `scenarios/` has trees to which only what is written there happens.

#![allow(clippy::unwrap_used, reason = "in a test, whatever goes wrong is to end it")]
#![allow(clippy::cast_possible_truncation, reason = "what is counted here is small")]
#![allow(clippy::print_stderr, reason = "whoever runs many seeds wants to see how it goes")]

mod alike;
mod checks;
mod complaints;
mod digest;
mod flow;
mod folds;
mod forger;
mod frame;
mod jobs;
mod liar;
mod link;
mod network;
mod outputs;
mod probe;
mod process;
mod random;
mod scenarios;
mod story;
mod trace;
mod treason;
mod verdict;
mod watchdog;

use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use hoptree_core::Registry;
// What is linked registers itself.
use hoptree_heartbeat as _;

use story::{Outcome, Size};

/// How many of the last events a failure shows.
const TRACE_LINES: u64 = 400;

/// What `cargo test` runs.
const FIRST_SEED: u64 = 1;
const SEEDS: u64 = 40;
const SIZE: Size = Size { nodes: 30, faults: 80, traitors: 0 };

/// How many nodes are compromised, in the runs in which any are.
const TRAITORS: u64 = 2;

#[test]
fn every_seed_holds() {
    every_seed(0);
}

#[test]
fn every_seed_holds_though_nodes_are_compromised() {
    every_seed(setting("HOPTREE_SIM_TRAITORS", TRAITORS) as u32);
}

fn every_seed(traitors: u32) {
    let size = Size {
        nodes: setting("HOPTREE_SIM_NODES", u64::from(SIZE.nodes)) as u32,
        faults: setting("HOPTREE_SIM_FAULTS", u64::from(SIZE.faults)) as u32,
        traitors,
    };
    let first = setting("HOPTREE_SIM_SEED", FIRST_SEED);
    let seeds = setting("HOPTREE_SIM_SEEDS", SEEDS);
    let begun = Instant::now();
    let mut total = Outcome::default();
    let mut failed = None;
    let mut digests = std::env::var("HOPTREE_SIM_DIGEST").ok().map(|prefix| {
        let which = if traitors == 0 { "honest" } else { "compromised" };
        File::create(format!("{prefix}.{which}")).unwrap()
    });
    for seed in first..first + seeds {
        if digests.is_some() {
            digest::begin();
        }
        let outcome = run(seed, size);
        if let (Some(digests), Some(digest)) = (&mut digests, digest::take()) {
            writeln!(digests, "{seed} {digest:016x}").unwrap();
        }
        match outcome {
            Ok(outcome) => total.add(outcome),
            Err(violation) => {
                eprintln!("seed {seed}: {violation}");
                failed.get_or_insert((seed, violation));
            }
        }
    }
    if let Some((seed, violation)) = failed {
        panic!("{}", report(seed, size, &violation));
    }
    eprintln!("{seeds} seeds of {size:?} hold: {total:?} in {:?}", begun.elapsed());
}

#[test]
fn a_seed_brings_the_same_events_again() {
    for traitors in [0, 1] {
        let size = Size { nodes: 12, faults: 40, traitors };
        let traced = || {
            trace::begin(usize::MAX);
            run(5, size).unwrap();
            trace::take()
        };
        assert!(traced() == traced());
    }
}

/// Runs a seed; a panic of a node is a violation like any other.
fn run(seed: u64, size: Size) -> Result<Outcome, String> {
    let _watched = watchdog::watch(replay(seed, size));
    complaints::listen();
    let modules = Registry::linked().unwrap();
    let registry = Registry::new(modules.modules().chain([&probe::PROBE])).unwrap();
    match catch_unwind(AssertUnwindSafe(|| story::run(seed, size, &registry))) {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref().copied()).unwrap_or("(no text)");
            Err(format!("a panic: {text}"))
        }
    }
}

/// Runs a seed that has failed once more, this time with a trace.
fn report(seed: u64, size: Size, violation: &str) -> String {
    trace::begin(setting("HOPTREE_SIM_TRACE", TRACE_LINES) as usize);
    let again = run(seed, size);
    let trace = trace::take();
    let again = match again {
        Err(again) if again == violation => String::new(),
        again => format!("the second time it was different: {again:?}\n"),
    };
    format!("{trace}\n{violation}\n{again}replay: {}", replay(seed, size))
}

/// What runs a seed again.
fn replay(seed: u64, Size { nodes, faults, traitors }: Size) -> String {
    let which = match traitors {
        0 => "cargo test --test sim every_seed_holds -- --exact".to_owned(),
        _ => format!("HOPTREE_SIM_TRAITORS={traitors} cargo test --test sim compromised"),
    };
    format!(
        "HOPTREE_SIM_SEED={seed} HOPTREE_SIM_SEEDS=1 HOPTREE_SIM_NODES={nodes} \
         HOPTREE_SIM_FAULTS={faults} {which}"
    )
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} must be a number")),
        Err(_) => default,
    }
}
