//! What a benchmark has found, as data: `--json` writes it, `compare` and the page read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the format, which changes when an older reader would go wrong.
pub const VERSION: u32 = 1;

/// Everything that one call of `hoptree bench` has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// That of the format: [`VERSION`].
    pub version: u32,
    /// What the figures depend on.
    pub environment: Environment,
    /// Whether it was ended early: then there are the figures of the rounds that were complete.
    pub interrupted: bool,
    /// What could not be measured, and why, in words for the user; empty when all went well.
    pub failures: Vec<String>,
    /// What others had of the processors, for each measure in the run in which that was most.
    #[serde(default)]
    pub loads: Vec<Load>,
    /// The figures. Those to be compared, which differ in their transport alone, follow each other.
    pub rows: Vec<Row>,
}

/// What the figures depend on, beside what they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// How to get these figures again.
    pub command_line: String,
    /// When it began, in UTC, as RFC 3339 has it.
    pub date: String,
    /// The version of hoptree.
    pub hoptree: String,
    /// The compiler that has built it, with its version.
    pub rustc: String,
    /// How it was built, in words: `release, static` for instance.
    pub build: String,
    /// The library under each transport, with its version.
    pub libraries: BTreeMap<String, String>,
    /// The model of the processor.
    pub machine: String,
    /// How many cores the processes could use.
    pub cores: u32,
    /// The kernel, with its version.
    pub kernel: String,
    /// What sets the frequency of the cores, on machines that tell.
    pub governor: Option<String>,
    /// The cores that the processes were kept to by `--pin`.
    pub pinned: Option<String>,
    /// Whether it was a run with `--quick`.
    pub quick: bool,
    /// How many runs were asked for, each with processes of its own.
    pub runs: u32,
}

/// What others had of the processors while a measure was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// What `--measure` calls the measure.
    pub measure: String,
    /// The share that programs had which are no part of the benchmark.
    pub others: f64,
    /// The share that the host of a virtual machine did not give to it.
    pub stolen: f64,
    /// Which figures are worth little because of that, in words.
    pub spoilt: Option<String>,
}

impl Load {
    /// What the user must know, if anything is spoilt.
    pub fn warning(&self) -> Option<String> {
        let (measure, spoilt) = (&self.measure, self.spoilt.as_ref()?);
        let percent = |share: f64| format!("{:.0}%", share * 100.0);
        let (others, stolen) = (percent(self.others), percent(self.stolen));
        Some(format!(
            "{measure}: the machine was busy (others {others}, host {stolen}); spoilt: {spoilt}"
        ))
    }
}

/// One line of figures, those of hoptree itself, with what they are held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What `--measure` calls the measure.
    pub measure: String,
    /// What the processes talk over.
    pub transport: String,
    /// Which figure of the measure it is, in words.
    pub what: String,
    /// How many links there are between the control node and the node that is asked.
    pub hops: Option<u32>,
    /// How long the text is that travels.
    pub payload_bytes: Option<u32>,
    /// How many nodes take part.
    pub nodes: Option<u32>,
    /// How many commands may be unanswered at a time.
    pub window: Option<u32>,
    /// The shape of the tree: `flat`, `binary` or `chain`.
    pub shape: Option<String>,
    /// How often nodes beat.
    pub interval_ms: Option<u32>,
    /// What the figures are in: `us`, `ms`, `1/s`, `KiB`, `intervals`, ...
    pub unit: String,
    /// Whether less is better.
    pub lower_is_better: bool,
    /// How many values there are.
    pub samples: u64,
    /// The least of them.
    pub min: f64,
    /// The median of them all.
    pub p50: f64,
    /// What nine in ten do not exceed.
    pub p90: f64,
    /// What 99 in 100 do not exceed.
    pub p99: f64,
    /// What 999 in 1,000 do not exceed.
    pub p99_9: f64,
    /// The greatest.
    pub max: f64,
    /// The median of each run: how far they lie apart is the spread.
    pub run_p50: Vec<f64>,
    /// What it is held against first, the same with less in the way: `raw`, `bare spawn`, ...
    pub floor: Option<String>,
    /// The median of that.
    pub floor_p50: Option<f64>,
    /// `p50` divided by `floor_p50`.
    pub ratio: Option<f64>,
    /// What else it is held against.
    pub beside: Vec<Beside>,
    /// Each value that there is, in the unit, and how often it is there. Values have three digits.
    pub histogram: Vec<(f64, u64)>,
}

/// A further figure that a row is held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// What does the same with less in the way: `library`, `unix socket`, `tcp`, ...
    pub name: String,
    /// The median of it, in the unit of the row.
    pub p50: f64,
    /// The median of the row divided by this one.
    pub ratio: f64,
}
