//! The control node: what a user starts.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use hoptree_core::{Controller, ControllerConfig, Registry, Time, TransportSpec};
use hoptree_host::process::{
    ChildProcesses, DirectoryLock, Heritage, Lifeline, hold_signals, random_secret,
    remove_abandoned, remove_directory, temporary_directory, this_process,
};
use hoptree_host::{Driver, Ending, Failure, Signals, launchers, logging, transports};

use crate::cli::Options;
use crate::console::Console;
use crate::joblog::{JobFile, JobLog};
use crate::source::Source;
use crate::stdin::Stdin;
use crate::terminal;

/// Runs a console and the tree below it until both have ended.
///
/// # Errors
///
/// When it can't start, or the transport can't go on. The tree has ended even so.
pub fn run(options: &Options) -> Result<Ending, Failure> {
    let commands = Registry::linked().map_err(Failure::runtime)?;
    let transport = transports::choose(&options.transport, options.insecure)?;
    let launchers = launchers::named(&options.launcher)?;
    let source = Source::open(options.script.as_deref())?;
    let job_file = options.joblog.as_deref().map(JobFile::open).transpose()?;
    let logs = options.logs();
    logging::start_control_node(&logs)?;

    if transport.has_socket_files {
        remove_abandoned(&temporary_directory()?);
    }
    let (heritage, lifeline) =
        Heritage::found(transport.name, options.insecure, options.beyond(), options.timeout, logs)?;
    let directory = heritage.directory.clone();
    // One that came before it can be handled would leave the directory behind.
    let held = hold_signals();
    let (console, signals, _lock) =
        set_up(options, (commands, launchers), transport, heritage, (source, job_file))
            .inspect_err(|_| remove_directory(&directory))?;
    drop(held);
    let done = run_to_the_end(console, lifeline, options.strict);
    logging::finish();
    match signals.interrupt() {
        Some(signal) => Ok(Ending::Signal(signal)),
        None => done.map(Ending::Status),
    }
}

/// A console above a tree without nodes, and the lock on the tree's directory.
fn set_up(
    options: &Options,
    (commands, launchers): (Registry, BTreeMap<String, String>),
    spec: &TransportSpec,
    heritage: Heritage,
    (source, job_file): (Source, Option<JobFile>),
) -> Result<(Console, Signals, Option<DirectoryLock>), Failure> {
    let token = heritage.secret.token();
    let (mut transport, lock) = transports::open_for(spec, &heritage, &[])?;
    if heritage.beyond.is_some() {
        transport.listen_beyond().map_err(Failure::doing("listen for other machines"))?;
    }
    let waker = transport.waker();
    let signals = Signals::of_control_node(waker.clone(), terminal::leave)
        .map_err(Failure::refused("handle signals"))?;
    let controller = Controller::new(
        Time::ZERO,
        ControllerConfig {
            token,
            own_secret: random_secret()?,
            process: this_process(),
            transport: spec.name,
            timeout: options.timeout,
            order: options.order(source.terminal().is_some()),
            nodes_max: options.max_nodes(),
            records: job_file.is_some(),
            commands,
        },
    )
    .with_launchers(launchers);
    let driver = Driver::new(controller, transport, ChildProcesses::new(heritage), signals.clone());
    let prompting = source.terminal().is_some() && io::stdout().is_terminal();
    let stdin = Stdin::read(source, waker.clone())
        .map_err(Failure::refused("start a thread for the input"))?;
    let job_log = job_file
        .map(|file| JobLog::new(file, waker.clone()))
        .transpose()
        .map_err(Failure::refused("start a thread for the job log"))?;
    let console = Console::new(driver, stdin, prompting, signals.clone(), waker)
        .map_err(Failure::refused("start a thread for stdout"))?;
    Ok((console.with_job_log(job_log), signals, lock))
}

/// Runs the console, then ends whatever is left of the tree, then writes what is left to write: a
/// slow reader holds up no process.
fn run_to_the_end(
    mut console: Console,
    lifeline: Lifeline,
    strict: bool,
) -> Result<ExitCode, Failure> {
    let ran = console.run();
    terminal::leave();
    let unread = console.input_failure().map(str::to_owned);
    let (driver, last_words) = console.into_parts();
    let failed = strict && driver.node().any_failed();
    let children = driver.finish();
    drop(lifeline);
    children.sweep();
    let unwritten = last_words.speak();
    ran.map_err(Failure::doing("go on"))?;
    match unwritten {
        // A reader that has seen enough has closed it, which is fine.
        None => {}
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Some(error) => return Err(Failure::doing("write to stdout")(error)),
    }
    if let Some(text) = unread {
        return Err(Failure::Runtime(text));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
