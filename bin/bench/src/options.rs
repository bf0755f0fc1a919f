//! What `hoptree bench` takes.

use std::path::PathBuf;

use clap::Subcommand;

use super::cores::Cores;
use super::measure::Measure;

/// What to measure, and where to put what comes of it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    /// What to do with figures instead.
    #[command(subcommand)]
    pub analysis: Option<Analysis>,

    /// What to measure, in turn [default: all there is]
    #[arg(long = "measure", value_name = "NAME,...", value_delimiter = ',')]
    pub measures: Vec<Measure>,

    /// Over which transports, in the same run [default: one of each library]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub transports: Vec<String>,

    /// Measure a transport though it has a flaw, or without its seal, as zmq@open.
    #[arg(long)]
    pub insecure: bool,

    /// Take less than a minute over three transports, in place of less than ten.
    #[arg(long)]
    pub quick: bool,

    /// How often to repeat all of it, with new processes; the spread of the runs is shown [default:
    /// 3, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub runs: Option<u32>,

    /// How many rounds of each measure count in a run [default: as many as there is time for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rounds: Option<u32>,

    /// Keep all processes to these cores, such as 0 or 0,2-3.
    #[arg(long, value_name = "CORES")]
    pub pin: Option<Cores>,

    /// Write all figures to FILE, with their histograms.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write a page with diagrams to FILE.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// What can be done with figures.
#[derive(Debug, Subcommand)]
pub enum Analysis {
    /// Say what has changed from one benchmark to another.
    Compare {
        /// What `--json` has written.
        #[arg(value_name = "A.json")]
        before: PathBuf,
        /// What it has written another time.
        #[arg(value_name = "B.json")]
        after: PathBuf,
    },
}
