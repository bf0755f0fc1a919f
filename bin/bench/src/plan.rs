//! What to measure, and how often.

use std::time::Duration;

use clap::ValueEnum;
use hoptree_core::{Registry, TransportSpec};
use hoptree_host::{Failure, transports};

use super::measure::Measure;
use super::options::Options;
use super::rounds::{End, Rounds};

/// How many runs there are when nobody says how many, quick ones or others.
const QUICK_RUNS: u32 = 2;
const RUNS: u32 = 3;

/// What to measure. A run is all of it, with processes of its own.
pub struct Plan {
    /// Each once, in turn.
    pub measures: Vec<Measure>,
    /// Each once, at the same time.
    pub transports: Vec<&'static TransportSpec>,
    /// How many runs there are.
    pub runs: u32,
    /// Whether they are short.
    pub quick: bool,
    /// How many rounds count, in place of as many as there is time for.
    rounds: Option<u32>,
}

impl Plan {
    /// What the options ask for.
    ///
    /// # Errors
    ///
    /// When this build has not what they ask for.
    pub fn of(options: &Options) -> Result<Plan, Failure> {
        let measures = match &*options.measures {
            [] => Measure::value_variants(),
            named => named,
        };
        let plan = Plan {
            measures: once(measures.iter().copied(), |a, b| a == b),
            transports: transports(&options.transports, options.insecure)?,
            runs: options.runs.unwrap_or(if options.quick { QUICK_RUNS } else { RUNS }),
            quick: options.quick,
            rounds: options.rounds,
        };
        plan.check_modules()?;
        Ok(plan)
    }

    /// The names of the transports.
    pub fn names(&self) -> Vec<&'static str> {
        self.transports.iter().map(|spec| spec.name).collect()
    }

    /// The rounds of a measure in one run, over all transports.
    pub fn rounds(&self, measure: Measure) -> Rounds {
        let end = self.rounds.map_or(End::Within(self.time(measure)), End::After);
        Rounds { warm_up: measure.warm_up_rounds(), end }
    }

    /// How long a measure is to take in one run, over all transports.
    pub fn time(&self, measure: Measure) -> Duration {
        let transports = u32::try_from(self.transports.len()).unwrap_or(u32::MAX);
        measure.time(self.quick) * transports
    }

    /// How long all of it is to take.
    pub fn total_time(&self) -> Duration {
        self.measures.iter().map(|measure| self.time(*measure)).sum::<Duration>() * self.runs
    }

    fn check_modules(&self) -> Result<(), Failure> {
        let commands = Registry::linked().map_err(Failure::runtime)?;
        for measure in &self.measures {
            for needed in measure.modules() {
                if !commands.modules().any(|module| module.name == *needed) {
                    let name = measure.name();
                    let text = format!("'{name}' needs a build with the module '{needed}'");
                    return Err(Failure::Usage(text));
                }
            }
        }
        Ok(())
    }
}

/// The transports with these names; when none is named, one of each package that is linked.
fn transports(names: &[String], insecure: bool) -> Result<Vec<&'static TransportSpec>, Failure> {
    if !names.is_empty() {
        let named = names.iter().map(|name| transports::choose(name, insecure));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        return Ok(once(named, |a, b| a.name == b.name));
    }
    let linked = hoptree_core::linked_transports().map_err(Failure::runtime)?;
    if linked.is_empty() {
        return Err(Failure::Usage("no transport is linked into this build".to_owned()));
    }
    let safe = linked.into_iter().filter(|spec| insecure || spec.flaw.is_none());
    Ok(once(safe, |a, b| a.package == b.package))
}

/// The first of those that are the same.
fn once<T>(items: impl IntoIterator<Item = T>, same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if !kept.iter().any(|other| same(other, &item)) {
            kept.push(item);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_measured_twice() {
        assert_eq!(once(["a", "b", "a", "c", "b"], |a, b| a == b), ["a", "b", "c"]);
    }

    #[test]
    #[cfg(all(feature = "zmq", feature = "zeromq", feature = "ipc"))]
    fn each_library_is_measured_once_unless_others_are_named() {
        let names = |named: &[&str]| {
            let named: Vec<_> = named.iter().map(|name| (*name).to_owned()).collect();
            transports(&named, false).unwrap().iter().map(|spec| spec.name).collect::<Vec<_>>()
        };
        let mut all = names(&[]);
        all.sort_unstable();
        assert_eq!(all, ["ipc", "zeromq", "zmq"]);
        assert_eq!(names(&["zmq:ipc", "zmq", "zmq:ipc"]), ["zmq:ipc", "zmq"]);
    }
}
