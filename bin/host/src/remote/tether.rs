//! The process that holds the connection to another machine.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hoptree_core::{Address, Birth, Exit, Explanation, FailedLaunch, Host};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write};
use rustix::net::{Shutdown, shutdown};
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::pipe::register;

use super::digest::Program;
use super::guard::{KILL, frame};
use super::report::{Report, report};
use super::script;
use super::session::Session;
use super::stand_in::Fate;
use crate::failure::Failure;
use crate::launchers::Launcher;
use crate::logging;
use crate::process::{Boot, Heritage, Role, detach_with_socket};
use crate::writer::{Unbuffered, Writer};

/// How much of the deadline of a create may pass, in percent, until the node's process must run over there,
/// and until it must have joined. The rest is for the reply to come back.
const LAUNCH_PERCENT: u32 = 90;
const JOIN_PERCENT: u32 = 95;

/// How long to wait before another attempt where too many were under way: this, and up to as much more.
const PAUSE: Duration = Duration::from_millis(200);

/// How long what runs over there may take to end with the tree, before the connection is cut.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(1_500);

/// How much of what the other machine logs may wait to be written; more is dropped.
const BACKLOG_BYTES_MAX: usize = 256 * 1024;

/// How long the end waits for that.
const FLUSH_TIME_MAX: Duration = Duration::from_millis(100);

/// Holds a connection until what runs by it has ended, or the tree has.
///
/// # Errors
///
/// When it can't begin; otherwise the stand-in is told.
pub fn run(
    birth: Birth,
    host: &Host,
    parent: &Address,
    heritage: Heritage,
) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let (lifeline, stand_in) = detach_with_socket(heritage.lifeline)
        .map_err(Failure::refused("detach from the parent"))?;
    let tag = format!("connection of node {}", birth.life.node);
    logging::start_process(&heritage.logs, &format!("connection-{}", birth.life.node), &tag);
    let (child_ended, on_child) = UnixStream::pair().map_err(Failure::doing("make a socket"))?;
    child_ended.set_nonblocking(true).map_err(Failure::doing("make a socket"))?;
    register(SIGCHLD, on_child).map_err(Failure::refused("handle signals"))?;
    let relay = Writer::new("relay", BACKLOG_BYTES_MAX, Unbuffered(io::stderr()), || ());
    let mut tether = Tether {
        host: host.name.clone(),
        begun,
        birth,
        parent: parent.clone(),
        heritage,
        mark: mark()?,
        stage: Stage::Calling,
        lifeline,
        stand_in: Some(stand_in),
        child_ended,
        cut_at: None,
        relay,
    };
    if let Err(why) = tether.hold(host) {
        tether.tell(&Fate::Unknown(why));
    }
    tether.relay.drain(FLUSH_TIME_MAX);
    Ok(ExitCode::SUCCESS)
}

/// A word that nobody else writes.
fn mark() -> Result<String, Failure> {
    let number = getrandom::u64().map_err(Failure::doing("make a random name"))?;
    Ok(format!("hoptree-{number:016x}"))
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The other machine has said nothing.
    Calling,
    /// The program is sent there.
    Sending,
    /// The guard knows what to do.
    Starting,
    /// The node runs.
    Running,
    /// The node has ended, or the tree has. Others may still run there.
    Over,
}

struct Tether {
    host: String,
    begun: Instant,
    birth: Birth,
    parent: Address,
    heritage: Heritage,
    mark: String,
    stage: Stage,
    lifeline: OwnedFd,
    /// As long as there is one.
    stand_in: Option<OwnedFd>,
    child_ended: UnixStream,
    /// When the connection is cut, since the tree has ended.
    cut_at: Option<Instant>,
    /// The standard error, for what the other machine logs.
    relay: Writer,
}

/// What has happened.
#[derive(Debug, Default)]
struct Seen {
    tree_ended: bool,
    stand_in_ended: bool,
}

impl Tether {
    /// Holds the connection to its end. The text says why there was none.
    fn hold(&mut self, host: &Host) -> Result<(), String> {
        let launcher = Launcher::of(host)?;
        let program = Program::own().map_err(|error| format!("can't read the program: {error}"))?;
        let command = launcher.command(&script::command(&self.mark, &program))?;
        loop {
            let mut session = Session::start(&command).map_err(|error| {
                let program = &command[0];
                match error.kind() {
                    io::ErrorKind::NotFound => format!("there is no program '{program}' here"),
                    _ => format!("can't start '{program}': {error}"),
                }
            })?;
            let Some(exit) = self.serve(&mut session, &program)? else { return Ok(()) };
            let why = match self.stage {
                Stage::Over => return Ok(()),
                Stage::Calling => {
                    let errors = session.errors();
                    let failed = FailedLaunch { host: &self.host, exit, errors: &errors };
                    launcher.explain(&failed)
                }
                _ => Explanation::Lasting(self.broken(&session, exit)),
            };
            match why {
                Explanation::Passing(why) => self.pause().then_some(()).ok_or(why)?,
                Explanation::Lasting(why) => return Err(why),
            }
        }
    }

    /// Serves one connection until it ends, and says how it did; none when nobody needs it any more.
    fn serve(&mut self, session: &mut Session, program: &Program) -> Result<Option<Exit>, String> {
        loop {
            let ended = session.ended();
            for line in session.read_errors() {
                self.relay(&line);
            }
            for line in session.read_reports() {
                if let Some(report) = report(&line, &self.mark) {
                    self.heed(report, session, program)?;
                }
            }
            if ended.is_some() {
                return Ok(ended);
            }
            session.write();
            if self.cut_at.is_some_and(|at| at <= Instant::now()) {
                return Ok(None);
            }
            if self.stage < Stage::Running && self.launch_by() <= Instant::now() {
                return Err(self.late(session));
            }
            let seen = self.wait(session)?;
            if (seen.tree_ended || seen.stand_in_ended) && self.stage < Stage::Starting {
                return Ok(None);
            }
            if seen.tree_ended {
                self.stage = Stage::Over;
                self.cut_at = Some(Instant::now() + CLOSE_TIME_MAX);
                session.close_stdin();
            } else if seen.stand_in_ended && self.stage != Stage::Over {
                session.send(&[KILL]);
            }
        }
    }

    /// Does what the other machine has to say.
    fn heed(
        &mut self,
        report: Report,
        session: &mut Session,
        program: &Program,
    ) -> Result<(), String> {
        log::debug!("{} says {report:?}", self.host);
        match report {
            Report::Need if self.stage == Stage::Calling => {
                let file = program.file.try_clone();
                let file = file.map_err(|error| format!("can't read the program: {error}"))?;
                session.upload(file, program.size);
                self.stage = Stage::Sending;
            }
            Report::Ready if self.stage < Stage::Starting => {
                session.send(&frame(&self.boot())?);
                self.stage = Stage::Starting;
            }
            Report::Failed(what, why) if self.stage < Stage::Running => {
                return Err(script::explain(&self.host, &what, &why));
            }
            Report::Started if self.stage == Stage::Starting => self.stage = Stage::Running,
            Report::Ended(exit, words) if self.stage == Stage::Running => {
                self.stage = Stage::Over;
                self.tell(&Fate::Ended(exit, words));
            }
            // The tree has ended meanwhile.
            _ if self.stage == Stage::Over => {}
            _ => log::warn!("{} says {report:?} at the wrong time", self.host),
        }
        Ok(())
    }

    /// Waits until something happens.
    fn wait(&mut self, session: &Session) -> Result<Seen, String> {
        let until = self.cut_at.or((self.stage < Stage::Running).then(|| self.launch_by()));
        let [stdout, stderr, room] = session.streams();
        let watched = [
            (self.cut_at.is_none().then_some(self.lifeline.as_fd()), PollFlags::empty()),
            // It says nothing more.
            (self.stand_in.as_ref().map(AsFd::as_fd), PollFlags::empty()),
            (Some(self.child_ended.as_fd()), PollFlags::IN),
            (stdout, PollFlags::IN),
            (stderr, PollFlags::IN),
            (room, PollFlags::OUT),
        ];
        let seen = wait_for(&watched, until).map_err(|error| format!("can't wait: {error}"))?;
        let mut bytes = [0; 64];
        while (&self.child_ended).read(&mut bytes).is_ok_and(|count| count > 0) {}
        if seen[1] {
            self.stand_in = None;
        }
        Ok(Seen { tree_ended: seen[0], stand_in_ended: seen[1] })
    }

    /// Lets some time pass before another attempt; false when there is not enough, or no need any more.
    fn pause(&mut self) -> bool {
        // So that those that were refused together do not come again together.
        let more = PAUSE.mul_f64(f64::from(std::process::id() % 100) / 100.0);
        let until = Instant::now() + PAUSE + more;
        let stand_in = self.stand_in.as_ref().map(AsFd::as_fd);
        let watched =
            [(Some(self.lifeline.as_fd()), PollFlags::empty()), (stand_in, PollFlags::empty())];
        until < self.launch_by()
            && wait_for(&watched, Some(until)).is_ok_and(|seen| seen == [false; 2])
    }

    /// What the guard is told.
    fn boot(&self) -> Boot {
        let join_by = self.begun + self.heritage.timeout * JOIN_PERCENT / 100;
        let join_within = join_by.saturating_duration_since(Instant::now());
        let role = Role::Remote { birth: self.birth.clone(), join_within };
        Boot::new(role, self.parent.clone(), self.heritage.clone())
    }

    fn launch_by(&self) -> Instant {
        self.begun + self.heritage.timeout * LAUNCH_PERCENT / 100
    }

    /// What to say when there is no time left.
    fn late(&self, session: &Session) -> String {
        let (host, passed) = (&self.host, self.begun.elapsed().as_secs_f64());
        let what = match (self.stage, session.uploaded()) {
            (Stage::Calling, _) => format!("{host} has not answered"),
            (_, Some(sent)) => {
                format!("no more than {sent} bytes of the program have left for {host}")
            }
            _ => format!("the guard on {host} has not started the node"),
        };
        format!("{what} within {passed:.1} s (--timeout sets the deadline){}", said(session))
    }

    /// What to say when the connection has ended too soon.
    fn broken(&self, session: &Session, exit: Exit) -> String {
        format!("the connection to {} has ended ({exit}){}", self.host, said(session))
    }

    /// Tells the stand-in what became of the node. It listens for one word only.
    fn tell(&self, fate: &Fate) {
        let Some(stand_in) = &self.stand_in else { return };
        if let Ok(bytes) = postcard::to_stdvec(fate) {
            // When it is gone, nobody wants to know.
            let _ = write(stand_in, &bytes);
            let _ = shutdown(stand_in, Shutdown::Write);
        }
    }

    /// Passes on what the processes over there log. What comes before they run is the launcher's.
    fn relay(&self, line: &str) {
        if self.stage < Stage::Running || self.relay.backlog() > BACKLOG_BYTES_MAX {
            return log::debug!("{} says on its standard error: {line}", self.host);
        }
        let line = match line.starts_with("hoptree: ") {
            true => format!("{line}\n"),
            false => format!("hoptree: {}: {line}\n", self.host),
        };
        self.relay.write(line.into_bytes());
    }
}

/// The last line of the standard error, to stand behind a text.
fn said(session: &Session) -> String {
    let errors = session.errors();
    errors
        .lines()
        .rfind(|line| !line.is_empty())
        .map_or_else(String::new, |line| format!(": {line}"))
}

/// Waits for any of these, and says for which something has happened.
fn wait_for<const COUNT: usize>(
    watched: &[(Option<BorrowedFd<'_>>, PollFlags); COUNT],
    until: Option<Instant>,
) -> io::Result<[bool; COUNT]> {
    let mut fds: Vec<_> = watched
        .iter()
        .filter_map(|(fd, flags)| fd.map(|fd| PollFd::from_borrowed_fd(fd, *flags)))
        .collect();
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now());
        Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
    });
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut events = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(watched.map(|(fd, _)| fd.is_some() && events.next().unwrap_or_default()))
}
