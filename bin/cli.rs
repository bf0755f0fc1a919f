//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use hoptree_core::{Milliseconds, Order, nearest};
use hoptree_host::logging::LogConfig;
use hoptree_host::process::Beyond;
use hoptree_host::{Ending, Failure, print};

use crate::version::version;
use crate::{control, listing};

/// A tree of worker processes, driven from one console over a message queue.
///
/// Commands are read from SCRIPT or standard input, one a line; type `help` for what there is.
///
/// Exit status: 0; 1 when the tree can't run, the input can't be read to its end or an answer can't
/// be written, or with --strict when any command failed; 2 for bad usage. SIGINT, SIGTERM and SIGHUP
/// end the tree, and then hoptree dies by the signal, which a shell shows as 128+n. When commands are
/// typed at a terminal, Ctrl-C cancels what is under way; twice within a second it ends the tree.
#[derive(Debug, Parser)]
#[command(name = "hoptree", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    subcommand: Option<Subcommand>,

    #[command(flatten)]
    options: Options,
}

/// What the program can do beside running a console.
#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// List the transports that are linked.
    Transports,
    /// List the launchers that are linked, which start nodes on other machines.
    Launchers,
    /// List the command modules that are linked, with their help and examples.
    Commands,
    /// Measure this build on this machine.
    #[cfg(feature = "bench")]
    Bench(hoptree_bench::Options),
}

/// How to run a console.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// What the processes talk over; `hoptree transports` lists them.
    #[arg(long, value_name = "NAME", default_value = "zmq")]
    pub transport: String,

    /// Use a transport though it has a flaw; `hoptree transports` says which have.
    #[arg(long)]
    pub insecure: bool,

    /// Let the tree leave this machine, and listen there for nodes on others: an address, a network
    /// interface, or `auto`; PORT, or PORT-PORT, for firewalls.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    listen: Option<String>,

    /// What nodes on other machines are told in place of that, where a router or a forwarded port stands
    /// between.
    #[arg(long, value_name = "ADDRESS[:PORT]", requires = "listen")]
    advertise: Option<String>,

    /// Call a command that runs another one elsewhere NAME, for `create ID --on HOST --with NAME`: in it
    /// {host} stands for HOST, and {argv} for what is run, as in 'srun -w {host} {argv}'.
    #[arg(long, value_name = "NAME=COMMAND")]
    pub launcher: Vec<String>,

    /// The deadline of a command.
    #[arg(long, value_name = "MS", default_value = "5000", value_parser = timeout)]
    pub timeout: Duration,

    /// The order of the replies: that of the commands, or as they complete [default: completion at
    /// a terminal, else input]
    #[arg(long)]
    order: Option<OrderName>,

    /// Log more of the control node to stderr: -v info, -vv debug, -vvv trace.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Write logs at level debug into DIR: control.log and a file for each node.
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,

    /// How long a log file may get before it is renamed to FILE.1 and another one begun, as 500K, 10M
    /// or 2G; three such are kept beside each.
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = log_size)]
    log_size: u64,

    /// Write a line to FILE for each command and node that was answered, in the columns of GNU parallel.
    #[arg(long, value_name = "FILE")]
    pub joblog: Option<PathBuf>,

    /// How many nodes there may be at a time; a create of one more is refused.
    #[arg(long, value_name = "N", default_value = "4096",
          value_parser = clap::value_parser!(u32).range(1..))]
    max_nodes: u32,

    /// Exit with status 1 when any command failed.
    #[arg(long)]
    pub strict: bool,

    /// A file of commands to run instead of standard input, which is also -; one named like a
    /// subcommand is written ./NAME.
    pub script: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderName {
    Input,
    Completion,
}

impl Options {
    /// How many nodes there may be at a time.
    pub fn max_nodes(&self) -> usize {
        usize::try_from(self.max_nodes).unwrap_or(usize::MAX)
    }

    /// Where to listen for other machines, if the tree may leave this one.
    pub fn beyond(&self) -> Option<Beyond> {
        let advertised = self.advertise.clone();
        self.listen.clone().map(|listen| Beyond { listen, advertised })
    }

    /// What to log, and where.
    pub fn logs(&self) -> LogConfig {
        LogConfig {
            verbosity: self.verbose,
            dir: self.log_dir.clone(),
            file_bytes_max: self.log_size,
        }
    }

    /// The order of the replies, for a console that is a terminal, or is not.
    pub fn order(&self, terminal: bool) -> Order {
        match self.order {
            Some(OrderName::Input) => Order::Input,
            Some(OrderName::Completion) => Order::Completion,
            None if terminal => Order::Completion,
            None => Order::Input,
        }
    }
}

/// The size of a log file in bytes.
fn log_size(text: &str) -> Result<u64, String> {
    const MIN: u64 = 64 * 1024;
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = match text[digits.len()..].trim_start().to_ascii_uppercase().as_str() {
        "" | "B" => Some(1),
        "K" | "KB" | "KIB" => Some(1 << 10),
        "M" | "MB" | "MIB" => Some(1 << 20),
        "G" | "GB" | "GIB" => Some(1 << 30),
        _ => None,
    };
    let number = digits.parse::<u64>().ok().filter(|_| !digits.starts_with('+'));
    number
        .and_then(|number| number.checked_mul(unit?))
        .filter(|bytes| *bytes >= MIN)
        .ok_or_else(|| "expected a size of at least 64K, such as 500K, 10M or 2G".to_owned())
}

/// A deadline for commands.
fn timeout(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(ms @ Milliseconds(1..=86_400_000)) => Ok(ms.into()),
        _ => Err("expected 1 to 86400000 milliseconds, such as 500, 500ms or 5s".to_owned()),
    }
}

/// Does what the command line says, and gives the program's exit status.
pub fn main() -> ExitCode {
    let program = Cli::command().long_version(version());
    let parsed = program.try_get_matches().and_then(|words| Cli::from_arg_matches(&words));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // A closed stdout or stderr is no reason to fail differently.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match cli.subcommand {
        None => control::run(&cli.options),
        Some(Subcommand::Transports) => shown(listing::transports()),
        Some(Subcommand::Launchers) => shown(listing::launchers()),
        Some(Subcommand::Commands) => shown(listing::commands()),
        #[cfg(feature = "bench")]
        Some(Subcommand::Bench(options)) => hoptree_bench::run(&options, crate::version::RUSTC),
    };
    match done {
        Ok(ending) => ending.take(),
        Err(failure) => failure.report(),
    }
}

fn shown(text: Result<String, Failure>) -> Result<Ending, Failure> {
    print(&text?).map(Ending::Status)
}

/// The subcommand that somebody may have meant who has given this name for a script.
pub fn subcommand_near(script: &Path) -> Option<String> {
    let mut program = Cli::command();
    program.build();
    let names = program.get_subcommands().map(clap::Command::get_name);
    // One that is written as a path, ./NAME, was meant for a file.
    let name = script.to_str().filter(|name| !name.contains('/'))?;
    nearest(name, names).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_100_columns() {
        let mut program = Cli::command();
        let bench = program.find_subcommand_mut("bench").unwrap().render_long_help();
        for help in [program.render_long_help(), bench].map(|help| help.to_string()) {
            assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        }
    }

    #[test]
    fn defaults() {
        let options = parse("hoptree").unwrap().options;
        assert_eq!(options.transport, "zmq");
        assert_eq!(options.timeout, Duration::from_secs(5));
        assert_eq!(options.order(true), Order::Completion);
        assert_eq!(options.order(false), Order::Input);
        assert_eq!(options.max_nodes(), 4_096);
        assert!(options.script.is_none() && options.log_dir.is_none() && !options.strict);
        assert!(!options.insecure);
    }

    #[test]
    fn options_and_script() {
        let options =
            parse("hoptree -vv --order input --timeout 50 --strict -- run.txt").unwrap().options;
        assert_eq!((options.verbose, options.strict), (2, true));
        assert_eq!(options.timeout, Duration::from_millis(50));
        assert_eq!(options.order(true), Order::Input);
        assert_eq!(options.script.unwrap().to_str(), Some("run.txt"));
    }

    #[test]
    fn sizes_are_written_as_people_do() {
        for (text, bytes) in [
            ("65536", 65_536),
            ("100k", 102_400),
            ("500 KiB", 512_000),
            ("10M", 10_485_760),
            ("10mb", 10_485_760),
            ("2G", 2_147_483_648),
        ] {
            assert_eq!(log_size(text), Ok(bytes), "{text}");
        }
        let huge = format!("{}G", u64::MAX);
        for text in ["", "M", "0", "1K", "-10M", "+10M", "1.5M", "10X", "M10", "ten", &huge] {
            assert!(log_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_script_named_like_a_subcommand_needs_a_path() {
        assert!(parse("hoptree commands").unwrap().subcommand.is_some());
        let cli = parse("hoptree ./commands").unwrap();
        assert!(cli.subcommand.is_none() && cli.options.script.is_some());
    }

    #[test]
    fn a_mistyped_subcommand_is_recognized() {
        for (script, meant) in [
            ("trasnports", Some("transports")),
            ("comands", Some("commands")),
            ("hlep", Some("help")),
            ("./benhc", None),
            ("session.txt", None),
        ] {
            assert_eq!(subcommand_near(Path::new(script)).as_deref(), meant, "{script}");
        }
    }

    #[test]
    fn bad_usage_has_status_2() {
        for line in [
            "hoptree --timeout 0",
            "hoptree --timeout 86400001",
            "hoptree --timeout soon",
            "hoptree --order random",
            "hoptree --max-nodes 0",
            "hoptree --log-size 10",
            "hoptree --log-size much",
            "hoptree --no-such-option",
            "hoptree one.txt two.txt",
            "hoptree bench --measure patience",
            "hoptree bench --rounds 0",
            "hoptree bench --runs 0",
            "hoptree bench --pin all",
            "hoptree bench compare a.json",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("hoptree --version").unwrap_err().exit_code(), 0);
    }
}
