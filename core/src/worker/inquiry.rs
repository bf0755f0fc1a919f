//! When a node asks whether the answers to its open calls are still waited for.

use std::time::Duration;

use crate::Time;

/// How long after it has asked a node asks again, at first and at most. The question, or the answer, may be
/// lost with a link; and a request may come after its route has broken.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long after a change of its place a node asks about all calls. By then, the control node has asked
/// again for what it wants of folded commands, and the calls answer that.
const ASKED_AGAIN_WITHIN: Duration = Duration::from_secs(3);

/// The questions of one node.
#[derive(Debug)]
pub(super) struct Inquiry {
    at: Option<Time>,
    pause: Duration,
}

impl Default for Inquiry {
    fn default() -> Inquiry {
        Inquiry { at: None, pause: PAUSE_MIN }
    }
}

impl Inquiry {
    /// A call is open.
    pub fn begin(&mut self, now: Time) {
        if self.at.is_none() {
            (self.at, self.pause) = (Some(now + PAUSE_MIN), PAUSE_MIN);
        }
    }

    /// The route upwards may be another one.
    pub fn again(&mut self, now: Time) {
        (self.at, self.pause) = (Some(now + ASKED_AGAIN_WITHIN), PAUSE_MIN);
    }

    /// Whether it is time to ask, as long as `has_calls`.
    pub fn is_due(&mut self, now: Time, has_calls: bool) -> bool {
        if self.at.is_none_or(|at| now < at) {
            return false;
        }
        self.pause = PAUSE_MAX.min(2 * self.pause);
        self.at = has_calls.then(|| now + self.pause);
        has_calls
    }

    /// When [`Inquiry::is_due`] has something to say.
    pub fn deadline(&self) -> Option<Time> {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_less_and_less_often_until_the_route_is_another() {
        let mut inquiry = Inquiry::default();
        assert_eq!(inquiry.deadline(), None);
        let mut now = Time::ZERO;
        inquiry.begin(now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let at = inquiry.deadline().unwrap();
            assert!(
                !inquiry.is_due(at - Duration::from_millis(1), true) && inquiry.is_due(at, true)
            );
            pauses.push(at.since(now).as_secs());
            now = at;
            inquiry.begin(now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        inquiry.again(now);
        assert_eq!(inquiry.deadline(), Some(now + ASKED_AGAIN_WITHIN));
        assert!(!inquiry.is_due(now + ASKED_AGAIN_WITHIN, false), "no call is open");
        assert_eq!(inquiry.deadline(), None);
    }
}
