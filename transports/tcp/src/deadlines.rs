//! What must have happened by when.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Moments by number, and a descriptor that is readable from the earliest of them on.
pub(crate) struct Deadlines {
    moments: BTreeSet<(Instant, u64)>,
    timer: OwnedFd,
    /// What the timer is set to.
    set_to: Option<Instant>,
}

impl Deadlines {
    pub(crate) fn new() -> io::Result<Deadlines> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Deadlines { moments: BTreeSet::new(), timer, set_to: None })
    }

    pub(crate) fn insert(&mut self, at: Instant, number: u64) {
        self.moments.insert((at, number));
        self.set_timer();
    }

    pub(crate) fn remove(&mut self, at: Instant, number: u64) {
        self.moments.remove(&(at, number));
    }

    /// The number of one whose moment has come, once.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<u64> {
        let due = self.moments.first().filter(|(at, _)| *at <= now).copied()?;
        self.moments.remove(&due);
        Some(due.1)
    }

    /// Sets the timer to the earliest moment, if it is not.
    pub(crate) fn set_timer(&mut self) {
        let earliest = self.moments.first().map(|(at, _)| *at);
        if earliest == self.set_to {
            return;
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would switch it off.
        let time = earliest.map(|at| at.saturating_duration_since(Instant::now()));
        let time = time.map(|time| time.max(Duration::from_nanos(1)));
        let it_value = time.and_then(|time| time.try_into().ok()).unwrap_or(zero);
        let value = Itimerspec { it_interval: zero, it_value };
        let set = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value);
        debug_assert!(set.is_ok(), "it is a timer, and the time is one");
        self.set_to = earliest;
    }
}

impl AsFd for Deadlines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    fn is_readable(deadlines: &Deadlines, within: Duration) -> bool {
        let mut watched = [PollFd::new(deadlines, PollFlags::IN)];
        poll(&mut watched, Some(&within.try_into().unwrap())).unwrap() == 1
    }

    #[test]
    fn it_is_readable_from_the_earliest_moment_on() {
        let mut deadlines = Deadlines::new().unwrap();
        let begin = Instant::now();
        let [soon, later] = [20, 3_600_000].map(|ms| begin + Duration::from_millis(ms));
        deadlines.insert(later, 1);
        assert!(!is_readable(&deadlines, Duration::ZERO));
        deadlines.insert(soon, 2);
        assert!(is_readable(&deadlines, Duration::from_secs(60)));
        let now = Instant::now();
        assert!(now >= soon);
        assert_eq!([(); 2].map(|()| deadlines.take_due(now)), [Some(2), None]);
        deadlines.set_timer();
        assert!(!is_readable(&deadlines, Duration::ZERO));

        deadlines.insert(begin, 3);
        assert!(is_readable(&deadlines, Duration::from_secs(60)));
        deadlines.remove(begin, 3);
        deadlines.remove(later, 1);
        deadlines.set_timer();
        assert!(!is_readable(&deadlines, Duration::ZERO));
        assert_eq!(deadlines.take_due(later), None);
    }
}
