//! What others can bring about as often as they like, and is logged once a second.

use std::mem;
use std::ops::Add;
use std::time::Duration;

use crate::Time;

/// How long nothing more is told.
const PAUSE: Duration = Duration::from_secs(1);

/// How often something has happened, told at most once a second, by whatever clock.
///
/// The first time is told at once. What happens within the second after that is told with the first
/// that comes later, or by whoever asks for it at the [deadline](Recurrence::deadline).
#[derive(Debug)]
pub struct Recurrence<T = Time> {
    untold: u64,
    told_at: Option<T>,
}

impl<T> Default for Recurrence<T> {
    fn default() -> Recurrence<T> {
        Recurrence::new()
    }
}

impl<T> Recurrence<T> {
    /// It has not happened yet.
    #[must_use]
    pub const fn new() -> Recurrence<T> {
        Recurrence { untold: 0, told_at: None }
    }
}

impl<T: Copy + PartialOrd + Add<Duration, Output = T>> Recurrence<T> {
    /// It has happened once more. Returns how often it has since it was last told, if it must be told
    /// now.
    pub fn happened(&mut self, now: T) -> Option<u64> {
        self.untold += 1;
        self.take_due(now)
    }

    /// How often it has happened since it was last told, if it has and must be told now.
    pub fn take_due(&mut self, now: T) -> Option<u64> {
        if self.untold == 0 || self.told_at.is_some_and(|at| now < at + PAUSE) {
            return None;
        }
        self.told_at = Some(now);
        Some(mem::take(&mut self.untold))
    }

    /// When what has not been told may be, if there is any.
    #[must_use]
    pub fn deadline(&self) -> Option<T> {
        self.told_at.map(|at| at + PAUSE).filter(|_| self.untold > 0)
    }

    /// How often it has happened and was not told.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.untold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_once_and_then_once_a_second_with_how_often_it_was() {
        let mut recurrence = Recurrence::default();
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        assert_eq!(recurrence.happened(at(5)), Some(1));
        for ms in 5..1_005 {
            assert_eq!(recurrence.happened(at(ms)), None);
        }
        assert_eq!(recurrence.happened(at(1_005)), Some(1_001));
        assert_eq!(recurrence.happened(at(9_000)), Some(1));
    }
}
