//! What ends a program, with all that it has started, when its node ends.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};

/// Sets which signal is sent. The library knows it for other C libraries only.
const F_SETSIG: i32 = 10;

/// A pipe that nobody ever writes to, and whose ends only this process has. When one end is closed, the
/// system sends a signal on behalf of the other: SIGKILL, to the group of the program. This happens when the
/// guard is dropped, and when this process ends by whatever cause; which end goes first is all the same.
///
/// The program has neither end, so that it can't lose them: many close what they have not opened. The
/// group is told from a later one with the same number.
#[derive(Debug)]
pub struct Guard {
    ends: [OwnedFd; 2],
}

impl Guard {
    /// A guard over nobody.
    ///
    /// # Errors
    ///
    /// When the system has no more pipes.
    pub fn new() -> io::Result<Guard> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Guard { ends: [read, write] })
    }

    /// Guards the group that the calling process leads. To be called by the program's process, before it
    /// becomes the program: makes no more than system calls.
    ///
    /// # Errors
    ///
    /// When the system refuses, which it has no reason to.
    pub fn arm(&self, leader: Pid) -> io::Result<()> {
        for end in &self.ends {
            set(end, libc::F_SETOWN, -leader.as_raw_pid())?;
            set(end, F_SETSIG, Signal::KILL.as_raw())?;
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::from_bits_retain(libc::O_ASYNC as u32))?;
        }
        Ok(())
    }
}

/// Sets who is sent a signal on behalf of a file, or which one.
fn set(file: impl AsFd, what: i32, value: i32) -> io::Result<()> {
    // SAFETY: these commands take an integer, and touch no memory.
    match unsafe { libc::fcntl(file.as_fd().as_raw_fd(), what, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
