//! Those who were turned away.

use std::mem;
use std::time::{Duration, Instant};

/// How often the log tells of strangers at most.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Counts the connections that were turned away, and tells the log of them now and then.
#[derive(Default)]
pub(crate) struct Strangers {
    /// Those that the log has not been told of.
    untold: u64,
    /// Why the last of them was turned away.
    why: &'static str,
    told_at: Option<Instant>,
}

impl Strangers {
    /// One more was, just now.
    pub(crate) fn turn_away(&mut self, why: &'static str, now: Instant) {
        self.untold += 1;
        self.why = why;
        self.tell(now);
    }

    /// When the log is to be told of those whom it has not been told of.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.told_at.map(|at| at + TOLD_EVERY).filter(|_| self.untold > 0)
    }

    /// Tells the log, if there is something to tell and it is time to.
    pub(crate) fn tell(&mut self, now: Instant) {
        let is_time = self.told_at.is_none_or(|at| at + TOLD_EVERY <= now);
        if is_time && self.untold > 0 {
            self.told_at = Some(now);
            let complaint = self.complaint();
            log::warn!("{complaint}");
        }
    }

    /// What is said of those who were not told of.
    fn complaint(&mut self) -> String {
        let why = self.why;
        match mem::take(&mut self.untold) {
            1 => format!("turned a connection away: {why}"),
            many => format!("turned {many} connections away; of the last one: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together_a_second_later() {
        let begin = Instant::now();
        let mut strangers = Strangers::default();
        strangers.tell(begin);
        strangers.turn_away("rude", begin);
        assert_eq!((strangers.untold, strangers.deadline()), (0, None));

        let soon = begin + TOLD_EVERY / 2;
        for _ in 0..1_000 {
            strangers.turn_away("rude", soon);
        }
        let later = begin + TOLD_EVERY;
        assert_eq!((strangers.untold, strangers.deadline()), (1_000, Some(later)));
        strangers.tell(later);
        assert_eq!((strangers.untold, strangers.deadline()), (0, None));
        strangers.turn_away("rude", later);
        assert_eq!(strangers.deadline(), Some(later + TOLD_EVERY));
    }

    #[test]
    fn a_complaint_has_the_number_and_the_last_reason() {
        let mut strangers = Strangers { untold: 2, why: "rude", told_at: None };
        assert_eq!(strangers.complaint(), "turned 2 connections away; of the last one: rude");
        strangers.untold = 1;
        assert_eq!(strangers.complaint(), "turned a connection away: rude");
    }
}
