//! What is said in the log of peers that make no sense: not more often than anybody can read.

use std::fmt;
use std::time::Duration;

use crate::Time;

/// How often one node complains at most.
const PERIOD: Duration = Duration::from_secs(1);

/// The complaints of one node about its peers, any number of which may come from a hostile one.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// Before that it says no more.
    quiet_until: Option<Time>,
    /// How many it has kept to itself since it last said one.
    kept_back: u64,
}

impl Complaints {
    /// Writes a line to the log, or only counts it.
    pub fn add(&mut self, now: Time, level: log::Level, what: fmt::Arguments<'_>) {
        if !self.may_speak(now) {
            self.kept_back += 1;
        } else if self.kept_back > 0 {
            let more = std::mem::take(&mut self.kept_back);
            log::log!(level, "{what} (and {more} complaints before that were kept back)");
        } else {
            log::log!(level, "{what}");
        }
    }

    fn may_speak(&mut self, now: Time) -> bool {
        let may_speak = self.quiet_until.is_none_or(|until| now >= until);
        if may_speak {
            self.quiet_until = Some(now + PERIOD);
        }
        may_speak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_them_is_counted() {
        let mut complaints = Complaints::default();
        let mut said = Vec::new();
        for step in 0..50 {
            let now = Time::ZERO + PERIOD / 20 * step;
            complaints.add(now, log::Level::Debug, format_args!("again"));
            if complaints.kept_back == 0 {
                said.push(step);
            }
        }
        assert_eq!((said, complaints.kept_back), (vec![0, 20, 40], 9));
    }
}
