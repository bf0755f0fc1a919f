//! What others can bring about as often as they like, and is logged once a second.

use std::time::Duration;

use crate::Time;

/// How long nothing more is told.
const PAUSE: Duration = Duration::from_secs(1);

/// How often something has happened, told at most once a second.
///
/// The first time is told at once. What happens within the second after that is told with the first
/// that comes later, and not at all when none does.
#[derive(Debug, Default)]
pub struct Recurrence {
    untold: u64,
    told_at: Option<Time>,
}

impl Recurrence {
    /// It has happened once more. Returns how often it has since it was last told, if that is to be
    /// told now.
    pub fn happened(&mut self, now: Time) -> Option<u64> {
        self.untold += 1;
        if self.told_at.is_some_and(|told_at| now.since(told_at) < PAUSE) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
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
