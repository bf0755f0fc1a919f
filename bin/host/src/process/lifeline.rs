//! The pipe that tells every node when the control node is gone.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::FdFlags;
use rustix::pipe::PipeFlags;

/// The lifeline, as the control node holds it. Nothing is ever written to it: when its write end is
/// closed, which nothing that ends this process can prevent, every node reads end-of-file and ends.
#[derive(Debug)]
pub struct Lifeline {
    read: OwnedFd,
    _write: OwnedFd,
}

impl Lifeline {
    /// Makes the pipe. Only its read end will be inherited.
    pub fn new() -> io::Result<Lifeline> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::fcntl_setfd(&read, FdFlags::empty())?;
        Ok(Lifeline { read, _write: write })
    }

    /// The number of the read end, in this process and every other of the tree.
    pub fn number(&self) -> RawFd {
        self.read.as_raw_fd()
    }
}
