//! The control node: what a user starts.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::process::ExitCode;

use hoptree_core::{Controller, ControllerConfig, Registry, Time, TransportSpec};

use crate::cli::{Options, subcommand_near};
use crate::console::Console;
use crate::driver::Driver;
use crate::failure::Failure;
use crate::logging::{self, LogConfig};
use crate::plugins;
use crate::process::{Children, Heritage, Lifeline, remove_directory};
use crate::signals::Signals;
use crate::stdin::Stdin;

/// Runs a console and the tree below it until both have ended, and gives the exit status.
///
/// # Errors
///
/// When it can't start, or the transport can't go on. The tree has ended even so.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let commands = Registry::linked().map_err(Failure::runtime)?;
    let transport = plugins::transport(&options.transport)?;
    let source = Source::open(options)?;
    let logs = LogConfig { verbosity: options.verbose, dir: options.log_dir.clone() };
    logging::start_control_node(&logs)?;

    let (heritage, lifeline) = Heritage::found(transport.name, options.timeout(), logs)?;
    let directory = heritage.directory.clone();
    let (console, signals) = set_up(options, commands, transport, heritage, source)
        .inspect_err(|_| remove_directory(&directory))?;
    let done = run_to_the_end(console, lifeline, options.strict);
    logging::finish();
    match signals.interrupt() {
        Some(signal) => Ok(ExitCode::from(128 + u8::try_from(signal).unwrap_or(0))),
        None => done,
    }
}

/// A console above a tree without nodes.
fn set_up(
    options: &Options,
    commands: Registry,
    spec: &TransportSpec,
    heritage: Heritage,
    source: Source,
) -> Result<(Console, Signals), Failure> {
    let token = heritage.token;
    let transport = plugins::open(spec, &heritage.directory)?;
    let waker = transport.waker();
    let signals =
        Signals::of_control_node(waker.clone()).map_err(Failure::doing("handle signals"))?;
    let controller = Controller::new(
        Time::ZERO,
        ControllerConfig {
            token,
            pid: std::process::id(),
            transport: spec.name,
            timeout: options.timeout(),
            order: options.order(source.terminal),
            commands,
        },
    );
    let driver = Driver::new(controller, transport, Children::new(heritage), signals.clone());
    let prompting = source.terminal && io::stdout().is_terminal();
    let stdin = Stdin::read(source.file, source.name, waker.clone())
        .map_err(Failure::doing("start a thread"))?;
    let console = Console::new(driver, stdin, prompting, signals.clone(), waker);
    Ok((console, signals))
}

/// Runs the console, then ends whatever is left of the tree, then writes what is left to write: a
/// slow reader holds up no process.
fn run_to_the_end(
    mut console: Console,
    lifeline: Lifeline,
    strict: bool,
) -> Result<ExitCode, Failure> {
    let ran = console.run();
    let (driver, last_words) = console.into_parts();
    let failed = strict && driver.node().any_failed();
    let children = driver.finish();
    drop(lifeline);
    children.sweep();
    let unwritten = last_words.speak();
    ran.map_err(Failure::doing("go on"))?;
    match unwritten {
        // A reader that has seen enough has closed it, which is fine.
        None | Some(io::ErrorKind::BrokenPipe) => {}
        Some(kind) => return Err(Failure::doing("write to stdout")(kind)),
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Where the commands come from.
struct Source {
    file: File,
    name: String,
    terminal: bool,
}

impl Source {
    fn open(options: &Options) -> Result<Source, Failure> {
        let Some(path) = &options.script else {
            let file = io::stdin()
                .as_fd()
                .try_clone_to_owned()
                .map_err(Failure::doing("open standard input"))?;
            let terminal = file.is_terminal();
            return Ok(Source { file: file.into(), name: "standard input".to_owned(), terminal });
        };
        let name = path.display().to_string();
        match File::open(path).and_then(|file| Ok((file.metadata()?.is_dir(), file))) {
            Ok((false, file)) => Ok(Source { file, name, terminal: false }),
            Ok((true, _)) => {
                Err(Failure::Usage(format!("can't read the script '{name}': it is a directory")))
            }
            Err(error) => {
                let wrong = format!("can't read the script '{name}': {error}");
                let not_found = error.kind() == io::ErrorKind::NotFound;
                Err(Failure::Usage(match subcommand_near(path).filter(|_| not_found) {
                    Some(meant) => format!("{wrong}; did you mean 'hoptree {meant}'?"),
                    None => wrong,
                }))
            }
        }
    }
}
