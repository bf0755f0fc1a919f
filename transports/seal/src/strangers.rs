//! Those who were turned away.

use std::time::Instant;

use hoptree_core::Recurrence;

/// Counts the connections that were turned away, and tells the log of them now and then.
#[derive(Default)]
pub(crate) struct Strangers {
    turned_away: Recurrence<Instant>,
    /// Why the last of them was.
    why: &'static str,
}

impl Strangers {
    /// One more was, just now.
    pub(crate) fn turn_away(&mut self, why: &'static str, now: Instant) {
        self.why = why;
        if let Some(times) = self.turned_away.happened(now) {
            self.complain(times);
        }
    }

    /// When to tell the log of those whom it does not know of.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.turned_away.deadline()
    }

    /// Tells the log, if there is something to tell and it is time to.
    pub(crate) fn tell(&mut self, now: Instant) {
        if let Some(times) = self.turned_away.take_due(now) {
            self.complain(times);
        }
    }

    fn complain(&self, times: u64) {
        log::warn!("{}", complaint(times, self.why));
    }
}

/// What the log says of this many, of whom the last was turned away for this reason.
fn complaint(times: u64, why: &str) -> String {
    match times {
        1 => format!("turned a connection away: {why}"),
        many => format!("turned {many} connections away; of the last one: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together_a_second_later() {
        let begin = Instant::now();
        let mut strangers = Strangers::default();
        strangers.tell(begin);
        strangers.turn_away("rude", begin);
        assert_eq!((strangers.turned_away.untold(), strangers.deadline()), (0, None));

        let soon = begin + Duration::from_millis(500);
        for _ in 0..1_000 {
            strangers.turn_away("rude", soon);
        }
        let later = begin + Duration::from_secs(1);
        assert_eq!((strangers.turned_away.untold(), strangers.deadline()), (1_000, Some(later)));
        strangers.tell(later);
        assert_eq!((strangers.turned_away.untold(), strangers.deadline()), (0, None));
        strangers.turn_away("rude", later);
        assert_eq!(strangers.deadline(), Some(later + Duration::from_secs(1)));
    }

    #[test]
    fn a_complaint_has_the_number_and_the_last_reason() {
        assert_eq!(complaint(2, "rude"), "turned 2 connections away; of the last one: rude");
        assert_eq!(complaint(1, "rude"), "turned a connection away: rude");
    }
}
