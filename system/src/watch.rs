//! What the thread of a node waits at.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoptree_core::Waker;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

/// How many descriptors one wait names; the others come first in the next one.
pub const READY_MAX: usize = 64;

/// What the bell is called. Nothing else may be.
const BELL: u64 = u64::MAX;

/// What a descriptor is watched for. Its end is told in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read.
    Read,
    /// There is room to write.
    Write,
    /// Either.
    Both,
}

/// Descriptors of which each may become ready, by numbers that are never used again, and a bell
/// that any thread can ring. It tells of each for as long as it is ready.
///
/// It has a descriptor itself, which is readable when a wait would return at once.
pub struct Watch {
    epoll: OwnedFd,
    bell: Arc<Bell>,
    events: Vec<Event>,
}

impl Watch {
    /// One that watches nothing yet but its bell.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor for it.
    pub fn new() -> io::Result<Watch> {
        let watch = Watch {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            bell: Arc::new(Bell::new()?),
            events: Vec::with_capacity(READY_MAX),
        };
        watch.add(&watch.bell.0, BELL, Interest::Read)?;
        Ok(watch)
    }

    /// Watches one more descriptor. No number may be `u64::MAX`.
    ///
    /// # Errors
    ///
    /// When the system watches too many already.
    pub fn add(&self, descriptor: impl AsFd, number: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(number), interest.flags())?)
    }

    /// Watches one that was added for something else from now on.
    ///
    /// # Errors
    ///
    /// When it was not added.
    pub fn change(&self, descriptor: impl AsFd, number: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(number), interest.flags())?)
    }

    /// Watches a descriptor no more. This has to be done before the descriptor is closed: a process
    /// that was just started from here may still hold it open.
    pub fn remove(&self, descriptor: impl AsFd) {
        // An error means that it was not there.
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Waits until a descriptor is ready or the bell rings, or until then, and puts the numbers of
    /// what is ready into `ready`.
    ///
    /// # Errors
    ///
    /// When the system can't wait at all.
    pub fn wait(&mut self, until: Option<Instant>, ready: &mut Vec<u64>) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        loop {
            let timeout = until.map(|until| wait_time(until, Instant::now()));
            match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
                Ok(_) => break,
                // A signal is no reason to return.
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for event in &self.events {
            match event.data.u64() {
                BELL => self.bell.quiet(),
                number => ready.push(number),
            }
        }
        Ok(())
    }

    /// Ends the next wait, as a waker does.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// A handle that ends a wait.
    #[must_use]
    pub fn waker(&self) -> Waker {
        let bell = Arc::clone(&self.bell);
        Waker::new(move || bell.ring())
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Interest::Read => EventFlags::IN,
            Interest::Write => EventFlags::OUT,
            Interest::Both => EventFlags::IN | EventFlags::OUT,
        }
    }
}

/// Rings until it is noticed. Each ring is a call of the system: to leave it to somebody else who is
/// just about to ring would be to wait for a thread that may have less priority.
struct Bell(OwnedFd);

impl Bell {
    fn new() -> io::Result<Bell> {
        Ok(Bell(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    fn ring(&self) {
        // A write fails only when the counter is full, and then it rings anyway.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    fn quiet(&self) {
        let read = rustix::io::read(&self.0, &mut [0; 8]);
        debug_assert!(read.is_ok(), "it was rung, and only this thread quiets it");
    }
}

/// How long to wait, in whole milliseconds, rounded up, because a wait that ends just before its
/// deadline would be repeated at once; and no longer than the 24 days that the system can count.
fn wait_time(until: Instant, now: Instant) -> Timespec {
    let whole = until.saturating_duration_since(now).as_nanos().div_ceil(1_000_000);
    let whole = u64::from(i32::try_from(whole).unwrap_or(i32::MAX).unsigned_abs());
    let whole = Duration::from_millis(whole);
    whole.try_into().expect("24 days can be counted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up_to_whole_milliseconds() {
        let now = Instant::now();
        let wait = |duration| Duration::try_from(wait_time(now + duration, now)).unwrap();
        assert_eq!(wait(Duration::ZERO), Duration::ZERO);
        assert_eq!(wait(Duration::from_nanos(1)), Duration::from_millis(1));
        assert_eq!(wait(Duration::from_millis(7)), Duration::from_millis(7));
        assert_eq!(wait(Duration::from_micros(7_001)), Duration::from_millis(8));
        let weeks = Duration::from_secs(60 * 60 * 24 * 7 * 8);
        assert_eq!(wait(weeks), Duration::from_millis(i32::MAX.unsigned_abs().into()));
        let passed = wait_time(now, now + Duration::from_secs(1));
        assert_eq!(Duration::try_from(passed), Ok(Duration::ZERO));
    }
}
