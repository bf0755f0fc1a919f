//! What a program writes.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use hoptree_core::{Stopped, Stream};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread, read};

/// How much is read at a time: as much as a pipe holds.
const READ_BYTES_MAX: usize = 64 * 1024;

/// The pipes that a program writes to, as long as anybody may write to them.
#[derive(Debug)]
pub struct Output {
    pipes: Vec<Pipe>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Pipe {
    stream: Stream,
    end: OwnedFd,
    /// How many bytes must still be read, see [`Output::owe`].
    owed: u64,
}

/// Where output goes. It may block.
pub type Sink<'a> = dyn FnMut(Stream, &[u8]) -> Result<(), Stopped> + 'a;

/// Why a program is not followed to its end.
#[derive(Debug)]
pub enum Halt {
    /// Nobody waits for it any more.
    Stopped,
    /// The system has refused to watch it, or to read what it writes.
    Refused(io::Error),
}

impl Output {
    /// Both streams of a program.
    pub fn of(out: OwnedFd, err: OwnedFd) -> Output {
        let pipe = |stream, end| Pipe { stream, end, owed: 0 };
        let pipes = vec![pipe(Stream::Out, out), pipe(Stream::Err, err)];
        Output { pipes, buffer: Vec::with_capacity(READ_BYTES_MAX) }
    }

    /// Whether anybody may still write.
    pub fn is_open(&self) -> bool {
        !self.pipes.is_empty()
    }

    /// Owes whoever reads it what has been written by now.
    ///
    /// # Errors
    ///
    /// When the system does not say how much that is.
    pub fn owe(&mut self) -> Result<(), Halt> {
        for pipe in &mut self.pipes {
            pipe.owed = ioctl_fionread(&pipe.end)?;
        }
        Ok(())
    }

    /// Whether anything is owed that has not been read.
    pub fn owes(&self) -> bool {
        self.pipes.iter().any(|pipe| pipe.owed > 0)
    }

    /// Waits until there is something to read, until one of `others` is ready, or until this time. What
    /// can be read then goes to `sink`. Says which of `others` is ready, the first if several are.
    ///
    /// # Errors
    ///
    /// When the sink takes no more, or the system refuses.
    pub fn relay(
        &mut self,
        others: &[BorrowedFd<'_>],
        until: Option<Instant>,
        sink: &mut Sink<'_>,
    ) -> Result<Option<usize>, Halt> {
        let ready = self.wait(others, until)?;
        let (of_others, of_pipes) = ready.split_at(others.len());
        let mut is_ready = of_pipes.iter();
        let mut refused = Ok(());
        self.pipes.retain_mut(|pipe| {
            if refused.is_err() || is_ready.next() != Some(&true) {
                return true;
            }
            let passed = pipe.pass(&mut self.buffer, sink);
            passed.unwrap_or_else(|halt| {
                refused = Err(halt);
                true
            })
        });
        refused.map(|()| of_others.iter().position(|is_ready| *is_ready))
    }

    /// Which of `others`, and behind them of the pipes, is ready.
    fn wait(&self, others: &[BorrowedFd<'_>], until: Option<Instant>) -> io::Result<Vec<bool>> {
        let ends = others.iter().map(|other| PollFd::new(other, PollFlags::IN));
        let pipes = self.pipes.iter().map(|pipe| PollFd::new(&pipe.end, PollFlags::IN));
        let mut fds: Vec<_> = ends.chain(pipes).collect();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(_) => Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect()),
            Err(Errno::INTR) => Ok(vec![false; fds.len()]),
            Err(error) => Err(error.into()),
        }
    }
}

impl Pipe {
    /// Passes on what can be read at once; says whether more may come.
    fn pass(&mut self, buffer: &mut Vec<u8>, sink: &mut Sink<'_>) -> Result<bool, Halt> {
        buffer.clear();
        match read(&self.end, spare_capacity(buffer)) {
            Ok(0) => Ok(false),
            Ok(bytes) => {
                self.owed = self.owed.saturating_sub(bytes as u64);
                sink(self.stream, buffer)?;
                Ok(true)
            }
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<Stopped> for Halt {
    fn from(_: Stopped) -> Halt {
        Halt::Stopped
    }
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Halt {
        Halt::Refused(error)
    }
}

impl From<Errno> for Halt {
    fn from(error: Errno) -> Halt {
        Halt::Refused(error.into())
    }
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{fcntl_setpipe_size, pipe};

    use super::*;

    /// Programs may make their pipe longer than what is read at a time.
    #[test]
    fn what_was_written_is_owed_to_the_last_byte() {
        const BYTES: usize = 2 * READ_BYTES_MAX + 1;
        let (end, writer) = pipe().unwrap();
        fcntl_setpipe_size(&writer, 4 * READ_BYTES_MAX).unwrap();
        let pipes = vec![Pipe { stream: Stream::Err, end, owed: 0 }];
        let mut output = Output { pipes, buffer: Vec::with_capacity(READ_BYTES_MAX) };
        assert!(!output.owes());
        assert_eq!(rustix::io::write(&writer, &[7; BYTES]), Ok(BYTES));
        output.owe().unwrap();
        let mut read = Vec::new();
        while output.owes() {
            let mut sink = |stream, bytes: &[u8]| {
                assert_eq!(stream, Stream::Err);
                read.extend_from_slice(bytes);
                Ok(())
            };
            assert_eq!(output.relay(&[], Some(Instant::now()), &mut sink).unwrap(), None);
        }
        assert_eq!(read, [7; BYTES]);
        assert!(output.is_open());
        drop(writer);
        output.relay(&[], None, &mut |_, _| Ok(())).unwrap();
        assert!(!output.is_open());
    }

    #[test]
    fn what_a_sink_refuses_ends_the_relay() {
        let (end, writer) = pipe().unwrap();
        let pipes = vec![Pipe { stream: Stream::Out, end, owed: 0 }];
        let mut output = Output { pipes, buffer: Vec::with_capacity(READ_BYTES_MAX) };
        rustix::io::write(&writer, b"text").unwrap();
        let refused = output.relay(&[], None, &mut |_, _| Err(Stopped));
        assert!(matches!(refused, Err(Halt::Stopped)));
    }
}
