//! `hoptree bench`: what this build does on this machine.
//!
//! Each measure holds hoptree against the same work done with less of it, and the transports
//! against each other, in the same run. `runs` has them take turns; for each transport there is a
//! `stage`, a process that is the control node of what is measured. The other ends are processes
//! like nodes (`crew`), so they too outlive nothing. How each measure is meant is in
//! `docs/benchmarks.md`.

mod alarm;
mod busy;
mod compare;
mod cores;
mod create;
mod crew;
mod environment;
mod failure;
mod family;
mod fanout;
mod figure;
mod flood;
mod floor;
mod footprint;
mod frame;
mod healing;
mod heartbeat;
mod ledger;
mod library;
mod limits;
mod load;
mod measure;
mod options;
mod outputs;
mod page;
mod plan;
mod program;
mod progress;
mod raw;
mod relay;
mod report;
mod rounds;
mod rtt;
mod runs;
mod setting;
mod shape;
mod socket;
mod stage;
mod stream;
mod streaming;
mod table;
mod tally;
mod throughput;
mod tree;
mod usage;
mod victim;

pub use options::Options;

use std::process::ExitCode;
use std::time::Duration;

use hoptree_host::{Ending, Failure, Helper, print};

use alarm::Alarm;
use outputs::Outputs;
use plan::Plan;
use report::{Environment, Report};
use runs::Runs;

/// How long anything that is measured may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it starts.
pub const HELPERS: [Helper; 6] = [
    floor::HELPER,
    load::HELPER,
    relay::HELPER,
    relay::SOURCE_HELPER,
    socket::HELPER,
    stage::HELPER,
];

/// Does what the options ask for. `rustc` is the compiler of this build.
///
/// # Errors
///
/// When something is asked for that this build or this system has not.
pub fn run(options: &Options, rustc: &str) -> Result<Ending, Failure> {
    match &options.analysis {
        Some(options::Analysis::Compare { before, after }) => {
            print(&compare::files(before, after)?).map(Ending::Status)
        }
        None => measure(options, rustc),
    }
}

/// Measures, prints the figures, and writes the files that were asked for. What is wrong with the
/// options is told before anything is measured.
fn measure(options: &Options, rustc: &str) -> Result<Ending, Failure> {
    let plan = Plan::of(options)?;
    if let Some(cores) = &options.pin {
        cores.pin()?;
    }
    limits::check(&plan.measures, plan.transports.len())?;
    let outputs = Outputs::open(options)?;
    let environment = Environment {
        pinned: options.pin.as_ref().map(ToString::to_string),
        quick: plan.quick,
        runs: plan.runs,
        ..environment::find(rustc, &plan.transports)
    };
    print(&heading(&environment))?;

    let alarm = Alarm::new()?;
    let mut runs = Runs::new(&plan, &alarm);
    let interrupted = runs.take().is_err();
    let report = report(&plan, environment, &runs, interrupted);
    let written = outputs.write(&report);
    print(&figures(&plan, &report))?;
    written?;
    for failure in &report.failures {
        Failure::Runtime(failure.clone()).report();
    }
    Ok(match alarm.interrupt() {
        Some(signal) => Ending::Signal(signal),
        None if report.failures.is_empty() => Ending::Status(ExitCode::SUCCESS),
        None => Ending::Status(ExitCode::FAILURE),
    })
}

fn report(plan: &Plan, environment: Environment, runs: &Runs<'_>, interrupted: bool) -> Report {
    let names = plan.names();
    let rows = plan.measures.iter().flat_map(|measure| runs.ledger().rows(*measure, &names));
    Report {
        version: report::VERSION,
        environment,
        interrupted,
        failures: runs.failures(),
        loads: runs.loads().to_vec(),
        rows: rows.collect(),
    }
}

/// What figures depend on.
fn heading(environment: &Environment) -> String {
    let mut text = environment::describe(environment);
    if cfg!(debug_assertions) {
        text.push_str("WARNING: this is a debug build, its figures mean nothing\n");
    }
    text
}

/// The table of each measure that has any figures.
fn figures(plan: &Plan, report: &Report) -> String {
    let mut text = String::new();
    if report.interrupted {
        text.push_str("\ninterrupted: what follows was complete\n");
    }
    if !report.rows.is_empty() {
        text.push_str(table::LEGEND);
    }
    for rows in report.rows.chunk_by(|a, b| a.measure == b.measure) {
        let measure = plan.measures.iter().find(|measure| measure.name() == rows[0].measure);
        text.extend(measure.map(|measure| table::table(*measure, rows)));
    }
    text.extend(table::warnings(&report.loads));
    text
}
