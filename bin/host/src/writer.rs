//! Output that must not stop the loop: a terminal may be stopped, and a reader slow.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ReadWriteFlags};

use crate::threads::named;

/// The most that is written in one go, so that the count of what is left is up to date.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// What is no longer is written at once, if that is possible. While more is written by the thread,
/// the caller goes on.
const SHORT_BYTES_MAX: usize = 4 * 1024;

/// A buffer that has grown beyond this is given back once it is written.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

const STACK_BYTES: usize = 64 * 1024;

/// A file that a thread of its own writes to. The thread ends with the program, or when the file
/// takes no more.
///
/// The writer itself bounds nothing: whoever writes asks for [`Writer::backlog`] or
/// [`Writer::has_room`] first, and has a bound.
pub struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    state: Mutex<State>,
    changed: Condvar,
    room_bytes: usize,
    notify: Box<dyn Fn() + Send + Sync>,
}

struct State {
    /// Where it goes, until the thread has taken it.
    file: Option<Box<dyn Write + Send>>,
    started: bool,
    pending: Vec<u8>,
    /// How much of the block that the thread has taken is not written yet.
    in_hand: usize,
    room_wanted: bool,
    failure: Option<io::Error>,
}

impl Writer {
    /// A writer to `file`, which nobody else needs to flush. Its thread starts with
    /// [`Writer::start`], or else with the first block that it can be started at.
    ///
    /// `notify` is called from that thread when there is room again after [`Writer::has_room`] has
    /// denied it, which means no more than `room_bytes` in the backlog, and when the file has
    /// failed.
    pub fn new(
        name: &'static str,
        room_bytes: usize,
        file: impl Write + Send + 'static,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Writer {
        let state = State {
            file: Some(Box::new(file)),
            started: false,
            pending: Vec::new(),
            in_hand: 0,
            room_wanted: false,
            failure: None,
        };
        let shared = Shared {
            name,
            state: Mutex::new(state),
            changed: Condvar::new(),
            room_bytes,
            notify: Box::new(notify),
        };
        Writer { shared: Arc::new(shared) }
    }

    /// Starts the thread, so that none need be started when there is something to write.
    ///
    /// # Errors
    ///
    /// When the system lets none be started.
    pub fn start(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        if !state.started {
            let shared = Arc::clone(&self.shared);
            named(shared.name).stack_size(STACK_BYTES).spawn(move || shared.run())?;
            state.started = true;
        }
        Ok(())
    }

    /// Hands a block over, which is not copied when it is given away and nothing else waits. Does not
    /// block; does nothing once the file has failed.
    pub fn write<'b>(&self, block: impl Into<Cow<'b, [u8]>>) {
        let block = block.into();
        let mut state = self.shared.lock();
        if block.is_empty() || state.failure.is_some() {
            return;
        }
        match block {
            Cow::Owned(block) if state.pending.is_empty() => state.pending = block,
            block => state.pending.extend_from_slice(&block),
        }
        let started = state.started;
        // The thread would only wait for the lock.
        drop(state);
        self.shared.changed.notify_all();
        if !started {
            // The block waits until there can be a thread.
            let _ = self.start();
        }
    }

    /// Writes a short block at once, without the thread, as far as `file` takes it without a wait
    /// and nothing is before it, and hands over the rest. The file is the one that the thread writes to.
    pub fn write_at_once(&self, file: impl AsFd, block: &[u8]) {
        let is_next = (1..=SHORT_BYTES_MAX).contains(&block.len()) && self.backlog() == 0;
        let written = if is_next { write_without_wait(file, block) } else { 0 };
        self.write(&block[written..]);
    }

    /// How many bytes have been handed over and are not written yet.
    pub fn backlog(&self) -> usize {
        self.shared.lock().backlog()
    }

    /// Whether the backlog is small enough to go on. When it is not, a notification follows.
    pub fn has_room(&self) -> bool {
        let mut state = self.shared.lock();
        state.room_wanted = state.backlog() > self.shared.room_bytes;
        !state.room_wanted
    }

    /// Why the file takes no more, if it does not.
    pub fn failure(&self) -> Option<io::Error> {
        self.shared.lock().failure.as_ref().map(copy)
    }

    /// Waits until all is written, or can't be, for at most `within`; says whether that is so.
    pub fn drain(&self, within: Duration) -> bool {
        if self.backlog() > 0 {
            // Without a thread, nothing is written, and time passes.
            let _ = self.start();
        }
        let until = Instant::now() + within;
        let mut state = self.shared.lock();
        while state.backlog() > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (state, _) = self.shared.changed.wait_timeout(state, left).expect(UNPOISONED);
        }
        true
    }
}

const UNPOISONED: &str = "nothing panics while it holds the lock";

impl State {
    fn backlog(&self) -> usize {
        self.pending.len() + self.in_hand
    }

    fn fail(&mut self, error: io::Error) {
        self.failure = Some(error);
        self.pending = Vec::new();
        self.in_hand = 0;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }

    /// The writer's thread.
    fn run(&self) {
        let Some(mut file) = self.lock().file.take() else { return };
        let Err(error) = self.write_all(&mut *file);
        self.lock().fail(error);
        self.changed.notify_all();
        (self.notify)();
    }

    fn write_all(&self, file: &mut dyn Write) -> io::Result<std::convert::Infallible> {
        let mut block = Vec::new();
        loop {
            self.take(&mut block);
            let mut rest = &block[..];
            while !rest.is_empty() {
                match file.write(&rest[..rest.len().min(WRITE_BYTES_MAX)])? {
                    0 => return Err(ErrorKind::WriteZero.into()),
                    written => rest = &rest[written..],
                }
                self.note_progress(rest.len());
            }
        }
    }

    /// Waits for something to write and swaps it for the `block` that has been written.
    fn take(&self, block: &mut Vec<u8>) {
        block.clear();
        if block.capacity() > KEPT_BYTES_MAX {
            *block = Vec::new();
        }
        let mut state = self.lock();
        while state.pending.is_empty() {
            state = self.changed.wait(state).expect(UNPOISONED);
        }
        mem::swap(&mut state.pending, block);
        state.in_hand = block.len();
    }

    fn note_progress(&self, left: usize) {
        let mut state = self.lock();
        state.in_hand = left;
        if state.backlog() == 0 {
            self.changed.notify_all();
        }
        if state.room_wanted && state.backlog() <= self.room_bytes {
            state.room_wanted = false;
            drop(state);
            (self.notify)();
        }
    }
}

/// How much was written; nothing if the file would have to be waited for, or can't say so as only
/// pipes and sockets do, or has failed, which whoever writes next will see.
fn write_without_wait(file: impl AsFd, bytes: &[u8]) -> usize {
    const WHERE_IT_IS: u64 = u64::MAX;
    let bytes = [IoSlice::new(bytes)];
    rustix::io::pwritev2(file, &bytes, WHERE_IT_IS, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

/// An error that says the same.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    }
}

/// An open file that is written to without a buffer. A write is waited for also when somebody has
/// made the file non-blocking.
pub struct Unbuffered<F>(pub F);

impl<F: AsFd> Write for Unbuffered<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.0, bytes) {
                Ok(written) => return Ok(written),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Interrupted or not, the write is tried again.
                    let _ = poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn pipe() -> (File, File) {
        let (read, write) = rustix::pipe::pipe().unwrap();
        (read.into(), write.into())
    }

    #[test]
    fn what_is_written_arrives() {
        let (mut read, write) = pipe();
        let writer = Writer::new("test", 100, Unbuffered(write), || ());
        assert!(writer.drain(Duration::ZERO));
        writer.write(b"one\n");
        writer.write(b"two\n");
        let mut bytes = [0; 8];
        read.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"one\ntwo\n");
        assert!(writer.drain(LONG));
        assert!(writer.backlog() == 0 && writer.failure().is_none());
    }

    #[test]
    fn what_fits_is_written_at_once_and_in_order() {
        let (mut read, write) = pipe();
        let same = write.try_clone().unwrap();
        let writer = Writer::new("test", 100, Unbuffered(write), || ());
        // More than a pipe takes, in blocks of which the last does not fit in whole.
        let block = vec![b'x'; SHORT_BYTES_MAX - 1];
        let blocks = 100;
        for _ in 0..blocks {
            writer.write_at_once(&same, &block);
        }
        writer.write_at_once(&same, b"end");
        assert!(writer.backlog() > 0);
        let mut bytes = vec![0; blocks * block.len() + 3];
        read.read_exact(&mut bytes).unwrap();
        assert!(bytes.starts_with(&block) && bytes.ends_with(b"xend"));
        assert!(writer.drain(LONG));
    }

    #[test]
    fn a_slow_reader_is_counted_and_its_progress_told() {
        let (mut read, write) = pipe();
        let (notify, told) = mpsc::channel();
        let writer = Writer::new("test", 100, Unbuffered(write), move || notify.send(()).unwrap());
        let block = vec![b'x'; 4 * WRITE_BYTES_MAX];
        writer.write(&block);
        assert!(!writer.has_room() && writer.backlog() > 100);
        assert!(!writer.drain(Duration::from_millis(10)));

        let mut bytes = vec![0; block.len()];
        read.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, block);
        told.recv_timeout(LONG).unwrap();
        assert!(writer.has_room() && writer.drain(LONG));
    }

    #[test]
    fn a_reader_that_has_gone_is_told() {
        let (read, write) = pipe();
        drop(read);
        let (notify, told) = mpsc::channel();
        let writer = Writer::new("test", 100, Unbuffered(write), move || notify.send(()).unwrap());
        writer.write(b"x");
        told.recv_timeout(LONG).unwrap();
        assert_eq!(writer.failure().unwrap().kind(), ErrorKind::BrokenPipe);
        writer.write(b"x");
        assert!(writer.drain(Duration::ZERO));
    }

    /// As in a program at its limit of threads.
    #[test]
    fn without_a_thread_what_is_written_waits_for_one() {
        let (mut read, write) = pipe();
        let writer = Writer::new("test", 100, Unbuffered(write), || ());
        writer.shared.lock().pending.extend_from_slice(b"before\n");
        assert!(writer.backlog() == 7 && writer.failure().is_none());
        writer.write(b"after\n");
        assert!(writer.drain(LONG));
        let mut bytes = [0; 13];
        read.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"before\nafter\n");
    }

    #[test]
    fn what_can_t_be_written_says_why() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let writer = Writer::new("test", 100, Unbuffered(full), || ());
        writer.start().unwrap();
        writer.start().unwrap();
        writer.write(b"x");
        assert!(writer.drain(LONG));
        assert_eq!(writer.failure().unwrap().raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
    }

    #[test]
    fn a_file_that_is_not_blocking_is_waited_for() {
        let (mut read, write) = pipe();
        rustix::io::ioctl_fionbio(&write, true).unwrap();
        let writer = Writer::new("test", 100, Unbuffered(write), || ());
        let block = vec![b'x'; 4 * WRITE_BYTES_MAX];
        writer.write(&block);
        let mut bytes = vec![0; block.len()];
        read.read_exact(&mut bytes).unwrap();
        assert!(writer.drain(LONG));
    }
}
