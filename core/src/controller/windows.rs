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

/// The bound of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    requests: usize,
    bytes: usize,
}

/// What is unanswered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    requests: usize,
    bytes: usize,
}

impl Window {
    /// Whether a request of so many bytes must wait. One that is greater than the window has it
    /// alone.
    pub fn is_full(&self, limit: Limit, bytes: usize) -> bool {
        self.requests >= limit.requests || (self.requests > 0 && self.bytes + bytes > limit.bytes)
    }

    /// Whether nothing is unanswered.
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }

    pub fn take(&mut self, bytes: usize) {
        self.requests += 1;
        self.bytes += bytes;
    }

    pub fn give_back(&mut self, bytes: usize) {
        self.requests = self.requests.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
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
        let limit = Limit { requests: 2, bytes: 100 };
        let mut window = Window::default();
        assert!(!window.is_full(limit, 1_000), "a great one may go alone");
        window.take(60);
        assert!(window.is_full(limit, 41) && !window.is_full(limit, 40));
        window.take(1);
        assert!(window.is_full(limit, 0));
        window.give_back(60);
        window.give_back(1);
        assert_eq!(window, Window::default());
    }
}
