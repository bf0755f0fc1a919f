//! Time as the core sees it: an argument.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A moment, as the time since some fixed but arbitrary moment of this process.
///
/// Only the driver knows how it is measured; a simulator counts it up by hand. Times of two
/// processes are not comparable and never travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(Duration);

impl Time {
    /// The moment that all others are counted from.
    pub const ZERO: Time = Time(Duration::ZERO);

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// The moment `by` later, or the last that there is: a duration may come from a peer.
    fn add(self, by: Duration) -> Time {
        Time(self.0.saturating_add(by))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    /// The moment `by` earlier, or [`Time::ZERO`] when there is none.
    fn sub(self, by: Duration) -> Time {
        Time(self.0.saturating_sub(by))
    }
}

/// The earlier of two deadlines, where `None` means never.
pub(crate) fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer may send any duration.
    #[test]
    fn no_duration_is_too_long() {
        let mut last = Time::ZERO + Duration::MAX;
        last += Duration::MAX;
        assert_eq!(last + Duration::from_secs(1), last);
    }
}
