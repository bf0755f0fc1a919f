//! Waiting for all sockets at once.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::authenticator::Authenticator;
use crate::doorbell::Doorbell;
use crate::monitored::Monitored;
use crate::socket::Socket;

/// What the last wait found.
#[derive(Default)]
pub(crate) struct Poll {
    /// Socket by socket.
    ready: Vec<Ready>,
    is_asked: bool,
}

/// What one socket may have to read. libzmq also wakes us for what is nothing to read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ready {
    pub(crate) frames: bool,
    pub(crate) reports: bool,
}

impl Ready {
    pub(crate) fn any(self) -> bool {
        self.frames || self.reports
    }
}

impl Poll {
    /// Waits until a socket may have something, the authenticator, if there is one, is asked, the
    /// doorbell rings or `until` has come.
    pub(crate) fn wait<'a>(
        &mut self,
        doorbell: &'a Doorbell,
        authenticator: Option<&'a Authenticator>,
        sockets: impl Iterator<Item = &'a Monitored>,
        until: Option<Instant>,
    ) -> Result<(), zmq::Error> {
        let mut fds = Vec::with_capacity(8);
        fds.push(doorbell.poll_fd());
        self.ready.clear();
        for socket in sockets {
            self.ready.push(socket.ready()?);
            fds.extend(socket.poll_fds());
        }
        let questions = authenticator.map(Authenticator::questions);
        self.is_asked = questions.map_or(Ok(false), Socket::is_readable)?;
        fds.extend(questions.map(Socket::poll_fd));
        // What is there already is no reason to overlook the others, or they might wait for ever.
        let is_ready = self.is_asked || self.ready().any(Ready::any);
        let until = if is_ready { Some(Instant::now()) } else { until };
        while let Err(error) = poll(&mut fds, timeout(until).as_ref()) {
            if error != Errno::INTR {
                return Err(zmq::Error::from_raw(error.raw_os_error()));
            }
        }
        if is_readable(&fds[0]) {
            doorbell.quiet();
        }
        for (ready, fds) in self.ready.iter_mut().zip(fds[1..].chunks_exact(2)) {
            ready.frames |= is_readable(&fds[0]);
            ready.reports |= is_readable(&fds[1]);
        }
        self.is_asked |= authenticator.is_some() && fds.last().is_some_and(is_readable);
        Ok(())
    }

    /// In the order in which the sockets were given to the wait.
    pub(crate) fn ready(&self) -> impl Iterator<Item = Ready> {
        self.ready.iter().copied()
    }

    /// Whether the authenticator is asked something.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked
    }
}

fn is_readable(fd: &PollFd<'_>) -> bool {
    fd.revents().contains(PollFlags::IN)
}

/// Rounded up, because a wait that ends just before its deadline would be repeated at once. None is
/// for ever.
fn timeout(until: Option<Instant>) -> Option<Timespec> {
    let left = until?.saturating_duration_since(Instant::now());
    let left = Duration::from_millis(milliseconds(left).unsigned_abs());
    Some(left.try_into().expect("24 days can be counted"))
}

/// Rounded up, and no longer than the 24 days that libzmq can count.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    let whole = duration.as_nanos().div_ceil(1_000_000);
    i64::from(i32::try_from(whole).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_up_to_whole_milliseconds() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_millis(7)), 7);
        assert_eq!(milliseconds(Duration::from_micros(7_001)), 8);
        assert_eq!(milliseconds(Duration::MAX), i64::from(i32::MAX));
    }
}
