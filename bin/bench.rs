//! `hoptree bench`: what this build does on this machine.
//!
//! Each measure holds hoptree against the same work done with less of it, in the same run. The other
//! ends are processes like nodes ([`crew`]), so they too outlive nothing. How each measure is meant
//! is in `docs/benchmarks.md`.

mod crew;
pub mod floor;
mod frame;
mod machine;
mod raw;
pub mod relay;
mod rtt;
mod table;
mod tree;

use std::process::ExitCode;
use std::time::Duration;

use hoptree_core::{Registry, TransportSpec};

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
    let registry = Registry::linked().map_err(Failure::runtime)?;
    if !registry.modules().any(|module| module.name == "echo") {
        return Err(Failure::Usage("bench needs a build with the module 'echo'".to_owned()));
    }
    print(&header(options, &transports))?;
    for spec in transports {
        let interrupt = match options.measure {
            Measure::Rtt => rtt::run(spec, &registry, options.rounds)?,
        };
        if let Some(signal) = interrupt {
            return Ok(ExitCode::from(128 + u8::try_from(signal).unwrap_or(0)));
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
fn header(options: &BenchOptions, transports: &[&TransportSpec]) -> String {
    let names: Vec<_> = transports.iter().map(|spec| spec.name).collect();
    let Measure::Rtt = options.measure;
    let mut text = format!(
        "hoptree bench --measure rtt --transports {} --rounds {}\nhoptree {}; {}\n",
        names.join(","),
        options.rounds,
        env!("CARGO_PKG_VERSION"),
        machine::describe(),
    );
    if cfg!(debug_assertions) {
        text.push_str("WARNING: this is a debug build, its figures mean nothing\n");
    }
    text
}
