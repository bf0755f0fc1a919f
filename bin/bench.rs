//! `hoptree bench`: what this build does on this machine.
//!
//! Each measure holds hoptree against the same work done with less of it, in the same run. The other
//! ends are processes like nodes ([`crew`]), so they too outlive nothing. How each measure is meant
//! is in `docs/benchmarks.md`.

mod alarm;
mod cell;
mod crew;
mod failure;
mod family;
mod flood;
pub mod floor;
mod footprint;
mod frame;
mod machine;
mod raw;
pub mod relay;
mod rounds;
mod rtt;
mod setting;
pub mod socket;
mod stream;
mod subject;
mod table;
mod throughput;
mod times;
mod tree;
mod usage;
mod victim;

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use hoptree_core::{Registry, TransportSpec};

use alarm::Alarm;
use setting::Setting;

use crate::cli::{BenchOptions, Measure, print};
use crate::failure::Failure;
use crate::plugins;

/// How long anything that is measured may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures what the options ask for, prints the figures, and gives the exit status.
///
/// # Errors
///
/// When something is asked for that this build has not, or what is measured fails.
pub fn run(options: &BenchOptions) -> Result<ExitCode, Failure> {
    let transports = transports(&options.transports)?;
    let commands = Registry::linked().map_err(Failure::runtime)?;
    if !commands.modules().any(|module| module.name == "echo") {
        return Err(Failure::Usage("bench needs a build with the module 'echo'".to_owned()));
    }
    let measures = match &*options.measures {
        [] => Measure::value_variants(),
        named => named,
    };
    print(&header(measures, &transports, options.rounds))?;
    let alarm = Alarm::new()?;
    for spec in transports {
        print(&format!("\n{}: {} over {}\n", spec.name, (spec.library)(), spec.runs_over))?;
        let setting = Setting { spec, commands: &commands, alarm: &alarm };
        for measure in measures {
            let rounds = options.rounds.unwrap_or_else(|| measure.rounds());
            match measure {
                Measure::Rtt => rtt::run(&setting, rounds)?,
                Measure::Throughput => throughput::run(&setting, rounds)?,
                Measure::Footprint => footprint::run(&setting, rounds)?,
                Measure::Failure => failure::run(&setting, rounds)?,
                Measure::Flood => flood::run(&setting, rounds)?,
            }
            if let Some(signal) = alarm.interrupt() {
                return Ok(ExitCode::from(128 + u8::try_from(signal).unwrap_or(0)));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The transports with these names, or all when none is named.
fn transports(names: &[String]) -> Result<Vec<&'static TransportSpec>, Failure> {
    if !names.is_empty() {
        return names.iter().map(|name| plugins::transport(name)).collect();
    }
    let linked = hoptree_core::linked_transports().map_err(Failure::runtime)?;
    if linked.is_empty() {
        return Err(Failure::Usage("no transport is linked into this build".to_owned()));
    }
    Ok(linked)
}

/// How to get these figures again, and what they depend on.
fn header(measures: &[Measure], transports: &[&TransportSpec], rounds: Option<u32>) -> String {
    let measures: Vec<_> = measures.iter().map(|measure| measure.name()).collect();
    let transports: Vec<_> = transports.iter().map(|spec| spec.name).collect();
    let rounds = rounds.map(|rounds| format!(" --rounds {rounds}")).unwrap_or_default();
    let mut text = format!(
        "hoptree bench --measure {} --transports {}{rounds}\nhoptree {}; {}\n",
        measures.join(","),
        transports.join(","),
        env!("CARGO_PKG_VERSION"),
        machine::describe(),
    );
    if cfg!(debug_assertions) {
        text.push_str("WARNING: this is a debug build, its figures mean nothing\n");
    }
    text
}
