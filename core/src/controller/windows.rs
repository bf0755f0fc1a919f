//! Flow control from end to end: how much may be unanswered for one node, and on one link.

use std::time::Duration;

use crate::Time;

/// How many requests, and bytes of them, may be unanswered for one node.
pub(crate) const NODE_WINDOW: Limit = Limit { requests: 1_024, bytes: 512 * 1024 };

/// How many requests, and bytes of them, may be unanswered on one link of the control node. Every
/// relay below has room for as much.
pub(crate) const LINK_WINDOW: Limit = Limit { requests: 4_096, bytes: 2 * 1024 * 1024 };

/// For how long the console waits for a node with a full window to answer anything, before it
/// refuses what else is for that node and reads on. With less, a node that has just started on a
/// busy machine is refused what was typed ahead.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

/// What is added to that for each byte of a long request that is under way: 16 MiB a second.
pub(crate) fn patience(bytes: usize) -> Duration {
    PATIENCE + Duration::from_nanos(bytes as u64 * 60)
}

/// The bound of a window. A request of more than a quarter of its bytes is a long one. There may be
/// one of those besides the others, which need not wait for it: it travels in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    requests: usize,
    bytes: usize,
}

impl Limit {
    fn is_long(self, bytes: usize) -> bool {
        bytes > self.bytes / 4
    }
}

/// What is unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    limit: Limit,
    requests: usize,
    bytes: usize,
    /// The bytes of the long one.
    long: usize,
}

impl Window {
    /// A window in which nothing is unanswered.
    pub fn new(limit: Limit) -> Window {
        Window { limit, requests: 0, bytes: 0, long: 0 }
    }

    /// Whether a request of so many bytes must wait.
    pub fn is_full(&self, bytes: usize) -> bool {
        let is_full = if self.limit.is_long(bytes) {
            self.long > 0
        } else {
            self.bytes + bytes > self.limit.bytes
        };
        is_full || self.requests >= self.limit.requests
    }

    /// The bytes of the long request that is unanswered.
    pub fn long(&self) -> usize {
        self.long
    }

    /// Whether nothing is unanswered.
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }

    pub fn take(&mut self, bytes: usize) {
        self.requests += 1;
        *self.share_of(bytes) += bytes;
    }

    pub fn give_back(&mut self, bytes: usize) {
        self.requests = self.requests.saturating_sub(1);
        let share = self.share_of(bytes);
        *share = share.saturating_sub(bytes);
    }

    fn share_of(&mut self, bytes: usize) -> &mut usize {
        if self.limit.is_long(bytes) { &mut self.long } else { &mut self.bytes }
    }
}

/// How a node deals with what it is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Pace {
    /// It answers, or was not put to the test.
    #[default]
    Fine,
    /// Its window is full; by then it is to have answered something.
    Tested(Time),
    /// It has not. What else is for it is refused until it answers.
    Stuck,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_fills_by_count_and_by_bytes() {
        let mut window = Window::new(Limit { requests: 3, bytes: 100 });
        for bytes in [25, 25] {
            assert!(!window.is_full(bytes));
            window.take(bytes);
        }
        assert!(!window.is_full(25));
        window.take(1);
        assert!(window.is_full(0), "there are three");
        window.give_back(1);
        window.take(25);
        window.give_back(25);
        assert!(!window.is_full(25));
        window.give_back(25);
        window.give_back(25);
        assert!(window.is_empty() && window.bytes == 0);
    }

    #[test]
    fn a_long_one_goes_beside_the_others_but_not_beside_another() {
        let mut window = Window::new(Limit { requests: 9, bytes: 100 });
        window.take(1_000);
        assert!(window.is_full(26) && !window.is_full(25));
        assert_eq!(window.long(), 1_000);
        for _ in 0..4 {
            window.take(25);
        }
        assert!(window.is_full(1));
        window.give_back(1_000);
        assert!(!window.is_full(26) && window.is_full(1));
    }
}
