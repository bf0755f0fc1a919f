//! The processes of one benchmark.

use std::io;
use std::path::Path;

use hoptree_core::{Opening, Token, Waker};
use hoptree_host::logging::LogConfig;
use hoptree_host::process::{self, ChildProcesses, Heritage, Lifeline};
use hoptree_host::{Failure, Signals};
use rustix::process::Pid;

use super::PATIENCE;

/// Which signal tells the owner of a file that it has something to read.
const F_SETSIG: i32 = 10;

/// What all processes of a benchmark have in common, and the way to end them. They end also when
/// this process is killed.
pub struct Crew {
    heritage: Heritage,
    lifeline: Lifeline,
}

impl Crew {
    /// A crew without members, who will talk over `transport`, if at all.
    ///
    /// # Errors
    ///
    /// When the system refuses what a control node needs.
    pub fn new(transport: &str) -> Result<Crew, Failure> {
        let logs = LogConfig::default();
        let (heritage, lifeline) = Heritage::found(transport, false, None, PATIENCE, logs)?;
        Ok(Crew { heritage, lifeline })
    }

    /// A crew with this directory.
    ///
    /// # Errors
    ///
    /// As [`Crew::new`].
    pub fn with_directory(directory: &Path, transport: &str) -> Result<Crew, Failure> {
        let mut crew = Crew::new(transport)?;
        directory.clone_into(&mut crew.heritage.directory);
        Ok(crew)
    }

    /// What proves that a peer belongs to it.
    pub fn token(&self) -> Token {
        self.heritage.secret.token()
    }

    /// Its place for sockets in the file system.
    pub fn directory(&self) -> &Path {
        &self.heritage.directory
    }

    /// What its transport is opened with.
    pub fn opening(&self) -> Opening<'_> {
        self.heritage.opening()
    }

    /// Starts its members.
    pub fn children(&self) -> ChildProcesses {
        ChildProcesses::new(self.heritage.clone())
    }

    /// Has the system continue a process, which may be stopped, when this process ends, however it
    /// does: one that is stopped does not see that the lifeline has broken. Holds for one process at
    /// a time.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn continue_at_the_end(&self, process: Pid) -> Result<(), Failure> {
        // A signal for whoever owns the lifeline's read end is what its end-of-file can do by itself.
        let lifeline = self.heritage.lifeline;
        for (command, argument) in [
            (libc::F_SETOWN, process.as_raw_pid()),
            (F_SETSIG, libc::SIGCONT),
            (libc::F_SETFL, libc::O_ASYNC),
        ] {
            // SAFETY: these commands take an integer, and whatever it is they touch no memory.
            if unsafe { libc::fcntl(lifeline, command, argument) } == -1 {
                return Err(Failure::doing("watch over a process")(io::Error::last_os_error()));
            }
        }
        Ok(())
    }

    /// Ends all its processes, and returns when they have ended.
    pub fn dismiss(self) {
        let children = self.children();
        drop(self.lifeline);
        children.sweep();
    }
}

/// This process becomes a member of a crew: from now on it ends with it, whatever call it is in.
///
/// # Errors
///
/// When the system refuses what every member needs.
pub fn join(heritage: &Heritage) -> Result<(), Failure> {
    let lifeline = process::detach(heritage.lifeline).map_err(Failure::doing("detach"))?;
    Signals::of_compute_node(lifeline, heritage.directory.clone(), Waker::new(|| {}))
        .map(drop)
        .map_err(Failure::doing("handle signals"))
}
