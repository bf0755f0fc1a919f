//! How much output a call may still send, between its node and the thread that emits it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::FRAME_BYTES_MAX;
use crate::wire::{FRAME_HEADER_BYTES, HEADER_BYTES};

/// How much output a call may send before the control node has read any of it, in bytes.
pub(crate) const OUTPUT_BYTES_INITIAL: usize = 64 * 1024;

/// The longest output in one message, in bytes: two such messages fill a frame.
const OUTPUT_PIECE_BYTES_MAX: usize = (FRAME_BYTES_MAX - FRAME_HEADER_BYTES) / 2 - HEADER_BYTES;

/// What a call may still send. It is closed when nobody waits for the call any more.
pub(crate) struct Credit {
    is_closed: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

type Notice = Box<dyn FnOnce() + Send>;

struct State {
    /// How many bytes may be sent now.
    left: usize,
    /// How many were granted in all.
    granted: u64,
    /// Whom to tell that it is closed.
    notices: Vec<Notice>,
}

impl Default for Credit {
    fn default() -> Credit {
        let left = OUTPUT_BYTES_INITIAL;
        let state = State { left, granted: left as u64, notices: Vec::new() };
        Credit {
            is_closed: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }
}

impl Credit {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits for the call any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Nobody waits for the call any more.
    pub fn close(&self) {
        let notices = {
            let mut state = self.lock();
            self.is_closed.store(true, Ordering::Relaxed);
            std::mem::take(&mut state.notices)
        };
        self.changed.notify_all();
        notices.into_iter().for_each(|notice| notice());
    }

    /// Waits until it is closed, for this long at most, and says whether it is.
    pub fn wait_closed(&self, at_most: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), at_most, |_| !self.is_closed());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.is_closed()
    }

    /// Has `notice` called when it is closed, or at once if it is.
    pub fn notify_closed(&self, notice: Notice) {
        let mut state = self.lock();
        if self.is_closed() {
            drop(state);
            notice();
        } else {
            state.notices.push(notice);
        }
    }

    /// In all, `granted` bytes may have been sent. What was granted before stays so.
    pub fn grant(&self, granted: u64) {
        let mut state = self.lock();
        let more = granted.saturating_sub(state.granted);
        state.granted += more;
        state.left = state.left.saturating_add(usize::try_from(more).unwrap_or(usize::MAX));
        drop(state);
        self.changed.notify_all();
    }

    /// This many bytes more may be sent than before.
    pub fn grant_more(&self, bytes: usize) {
        let granted = self.lock().granted;
        self.grant(granted + bytes as u64);
    }

    /// From now on this is what was left of another one.
    pub fn take_over(&self, other: &Credit) {
        let State { left, granted, .. } = *other.lock();
        let mut state = self.lock();
        (state.left, state.granted) = (left, granted);
    }

    /// How many of `wanted` bytes may be sent at once, as one message. They count as sent.
    pub fn try_take(&self, wanted: usize) -> usize {
        self.lock().take(wanted)
    }

    /// As [`Credit::try_take`], and waits until it is more than none; `None` when it is closed.
    pub fn take(&self, wanted: usize) -> Option<usize> {
        let is_out = |state: &mut State| state.left == 0 && !self.is_closed();
        let waited = self.changed.wait_while(self.lock(), is_out);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        (!self.is_closed()).then(|| state.take(wanted))
    }

    /// Whether nothing more may be sent for now.
    pub fn is_used_up(&self) -> bool {
        self.lock().left == 0
    }
}

impl State {
    fn take(&mut self, wanted: usize) -> usize {
        let taken = wanted.min(self.left).min(OUTPUT_PIECE_BYTES_MAX);
        self.left -= taken;
        taken
    }
}

impl fmt::Debug for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credit").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what other threads wait for is tested with some")]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::*;

    /// Longer than any machine needs.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn no_more_may_be_sent_than_was_granted() {
        let credit = Credit::default();
        let all = OUTPUT_BYTES_INITIAL as u64;
        let mut sent = 0;
        while let taken @ 1.. = credit.try_take(usize::MAX) {
            assert!(taken <= OUTPUT_PIECE_BYTES_MAX);
            sent += taken as u64;
        }
        assert!(sent == all && credit.is_used_up());
        credit.grant(all - 1);
        assert_eq!(credit.try_take(1), 0, "so much was granted before");
        credit.grant(all + 3);
        assert_eq!((credit.try_take(2), credit.try_take(2)), (2, 1));
    }

    /// Or a call would send more than it may that has work offloaded after it has emitted.
    #[test]
    fn one_that_takes_over_has_no_more_left() {
        let (before, after) = (Credit::default(), Credit::default());
        before.grant(OUTPUT_BYTES_INITIAL as u64 + 10);
        while before.try_take(usize::MAX) > 0 {}
        before.grant(OUTPUT_BYTES_INITIAL as u64 + 17);
        after.take_over(&before);
        after.grant(OUTPUT_BYTES_INITIAL as u64 + 20);
        assert_eq!(after.try_take(usize::MAX), 10);
    }

    #[test]
    fn whoever_waits_for_more_goes_on_with_it_or_when_it_is_closed() {
        let credit = Arc::new(Credit::default());
        while credit.try_take(usize::MAX) > 0 {}
        let (taken, takes) = mpsc::channel();
        let waiting = thread::spawn({
            let credit = Arc::clone(&credit);
            move || (0..2).for_each(|_| taken.send(credit.take(10)).unwrap())
        });
        credit.grant(OUTPUT_BYTES_INITIAL as u64 + 10);
        assert_eq!(takes.recv_timeout(LONG), Ok(Some(10)));
        credit.close();
        assert_eq!(takes.recv_timeout(LONG), Ok(None));
        waiting.join().unwrap();
    }

    #[test]
    fn the_end_is_told_once_to_everybody() {
        let credit = Arc::new(Credit::default());
        assert!(!credit.wait_closed(Duration::ZERO));
        let (told, tells) = mpsc::channel();
        let notice = |text| {
            let told = told.clone();
            Box::new(move || told.send(text).unwrap())
        };
        credit.notify_closed(notice("when it is closed"));
        let waiting = thread::spawn({
            let credit = Arc::clone(&credit);
            move || credit.wait_closed(LONG)
        });
        credit.close();
        credit.close();
        credit.notify_closed(notice("at once"));
        assert_eq!(tells.try_iter().collect::<Vec<_>>(), ["when it is closed", "at once"]);
        assert!(waiting.join().unwrap());
    }
}
