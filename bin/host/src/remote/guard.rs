//! The first process of the tree on another machine.

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use hoptree_core::Life;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};
use rustix::stdio::{stdin, stdout};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe::register;
use zeroize::Zeroizing;

use super::digest::Program;
use super::report::Report;
use crate::failure::{Failure, tell};
use crate::logging;
use crate::process::{
    BOOT_BYTES_MAX, Boot, ChildProcesses, Lifeline, Reaped, Role, has_strays, remove_abandoned,
    temporary_directory,
};
use crate::stdout::print;

/// Asks for the digest of this program alone.
const DIGEST_OPTION: &str = "--digest";

/// What a guard reads after the boot message: its node must be killed.
pub(super) const KILL: u8 = b'k';

/// Runs a guard until nothing is left of the tree below it, or tells the digest of this program.
#[must_use]
pub fn main(words: &[String]) -> ExitCode {
    match words {
        [option] if option == DIGEST_OPTION => tell_digest(),
        [mark] => Guard::run(mark),
        _ => {
            Failure::Usage("'hoptree guard' is how hoptree itself starts on other machines".into())
                .report()
        }
    }
}

/// For whoever wants to know whether this program has arrived whole.
fn tell_digest() -> ExitCode {
    let own = Program::own().map_err(Failure::doing("read the program"));
    match own.and_then(|own| print(&format!("{}\n", own.digest))) {
        Ok(status) => status,
        Err(failure) => failure.report(),
    }
}

struct Guard<'a> {
    mark: &'a str,
    life: Life,
    children: ChildProcesses,
    lifeline: Lifeline,
    child_ended: UnixStream,
    signalled: UnixStream,
}

impl Guard<'_> {
    fn run(mark: &str) -> ExitCode {
        let guard = match Guard::begin(mark) {
            Ok(guard) => guard,
            Err(failure) => {
                say(mark, &Report::Failed("boot".to_owned(), failure.into_text()));
                return ExitCode::FAILURE;
            }
        };
        let Guard { children, lifeline, .. } = guard.watch();
        drop(lifeline);
        children.sweep();
        logging::finish();
        ExitCode::SUCCESS
    }

    /// Learns what the tree is, and starts the node.
    fn begin(mark: &str) -> Result<Guard<'_>, Failure> {
        let (child_ended, on_child) =
            UnixStream::pair().map_err(Failure::doing("make a socket"))?;
        let (signalled, on_signal) = UnixStream::pair().map_err(Failure::doing("make a socket"))?;
        let watch = |signal, to: &UnixStream| register(signal, to.try_clone()?).map(drop);
        watch(SIGCHLD, &on_child)
            .and_then(|()| {
                [SIGHUP, SIGINT, SIGTERM].iter().try_for_each(|it| watch(*it, &on_signal))
            })
            .and_then(|()| child_ended.set_nonblocking(true))
            .map_err(Failure::refused("handle signals"))?;
        say(mark, &Report::Ready);
        let Boot { role, parent, heritage, .. } = receive()?;
        let Role::Remote { birth, join_within } = role else {
            return Err(Failure::Usage("the boot message is not for a guard".to_owned()));
        };
        if let Ok(place) = temporary_directory() {
            remove_abandoned(&place);
        }
        let (heritage, lifeline) = heritage.settle()?;
        logging::start_process(&heritage.logs, "guard", &format!("guard of {}", birth.life.node));
        if let Some(dir) = &heritage.logs.dir
            && let Err(error) = fs::create_dir_all(dir)
        {
            tell(&format!("can't write logs to {}: {error}", dir.display()));
        }
        let life = birth.life;
        let mut children = ChildProcesses::new(heritage);
        children.spawn_remote(birth, &parent, join_within).map_err(Failure::Runtime)?;
        say(mark, &Report::Started);
        Ok(Guard { mark, life, children, lifeline, child_ended, signalled })
    }

    /// Returns when nothing is left to guard, or the end is wanted.
    fn watch(mut self) -> Self {
        loop {
            let (stdin, interrupted) = (stdin(), self.signalled.as_fd());
            let mut fds = [stdin, self.child_ended.as_fd(), interrupted]
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return self,
            }
            let [ordered, ended, interrupted] = fds.map(|fd| !fd.revents().is_empty());
            if interrupted || ordered && !self.obey() || ended && !self.reap() {
                return self;
            }
        }
    }

    /// Does what standard input says; false at its end.
    fn obey(&mut self) -> bool {
        let mut bytes = [0; 64];
        match read(stdin(), &mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                if bytes[..count].contains(&KILL) {
                    self.children.kill(self.life);
                }
                true
            }
            Err(error) => error == Errno::INTR || error == Errno::AGAIN,
        }
    }

    /// Sees which children have ended; false when none is left that belongs to the tree.
    fn reap(&mut self) -> bool {
        let mut bytes = [0; 64];
        while (&self.child_ended).read(&mut bytes).is_ok_and(|count| count > 0) {}
        let (mark, own) = (self.mark, self.life);
        let is_any_left = self.children.reap(|reaped| match reaped {
            Reaped::Child(life, exit, words) if life == own => {
                say(mark, &Report::Ended(exit, words.map(str::to_owned)));
            }
            Reaped::Child(..) => {}
            Reaped::Orphan(pid, exit) => log::debug!("process {pid} has ended: {exit}"),
        });
        // Programs that nodes have started and that have left them do not count.
        is_any_left && has_strays()
    }
}

/// Reads the boot message, which has its length before it: the end of standard input is the end of all.
fn receive() -> Result<Boot, Failure> {
    let cannot = Failure::doing("read the boot message");
    let mut input = Unbuffered;
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(&cannot)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > BOOT_BYTES_MAX {
        return Err(cannot(io::Error::other(format!("it has {length} bytes"))));
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    input.read_exact(&mut bytes).map_err(&cannot)?;
    Boot::decode(&bytes).map_err(|why| Failure::Usage(format!("the boot message is wrong: {why}")))
}

/// What a guard reads, frame by frame: the length of a boot message and the message.
pub(super) fn frame(boot: &Boot) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = boot.encode()?;
    let length = u32::try_from(bytes.len()).expect("it is short");
    Ok(Zeroizing::new([&length.to_le_bytes(), &bytes[..]].concat()))
}

/// Standard input, of which nothing is read that is not asked for.
struct Unbuffered;

impl Read for Unbuffered {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(read(stdin(), bytes)?)
    }
}

/// Reports. When nobody reads it, standard input has ended as well.
fn say(mark: &str, report: &Report) {
    let line = report.line(mark);
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match write(stdout(), rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
