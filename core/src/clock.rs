//! A clock that stands still while its process does.

use std::time::Duration;

use crate::Time;

/// How late a node may wake without its clock standing still: what whole milliseconds and a busy
/// scheduler cost.
const LATENESS: Duration = Duration::from_millis(5);

/// How long before its deadline a late node goes on at most, since what others sent while it did not
/// run may take a moment to reach it: the library's own threads did not run either.
const HEARING: Duration = Duration::from_millis(50);

/// The time in which a node judges others.
///
/// A process that was stopped, or starved on a busy machine, wakes long after its deadlines. The
/// silence that it then seems to see may be its own, so it grants everyone the time by which it was
/// late. (The idea is Lifeguard's: an observer first asks whether it is itself slow.)
#[derive(Debug, Default)]
pub(crate) struct Clock {
    stood: Duration,
    last: Time,
    was_late: bool,
    /// It stands still whatever time it is.
    is_halted: bool,
}

impl Clock {
    /// The node's own time, given its own deadline: what it was to be woken for at the latest. It
    /// never goes back.
    pub fn read(&mut self, now: Time, deadline: Option<Time>) -> Time {
        if self.is_halted {
            self.stood = now.since(self.last);
            return self.last;
        }
        let own = now - self.stood;
        let paused = own.since(self.last);
        // A deadline that had passed when the node last ran was not missed before that.
        let late = deadline.map_or(Duration::ZERO, |deadline| own.since(deadline).min(paused));
        if late > LATENESS {
            let granted = (late + late.min(HEARING)).min(paused);
            self.stood += granted;
            self.was_late = true;
        }
        self.last = now - self.stood;
        self.last
    }

    /// Whether it is to stand still from now on.
    pub fn halt(&mut self, is_halted: bool) {
        self.is_halted = is_halted;
    }

    /// Whether the node has turned out to be late since this was last asked. It is to show a sign of
    /// life at once then: others that were late as well, by as much, wait no longer for it than
    /// it does for them.
    pub fn was_late(&mut self) -> bool {
        std::mem::take(&mut self.was_late)
    }

    /// When a moment of the node's own time comes, as things stand.
    pub fn real(&self, own: Time) -> Time {
        own + self.stood
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_runs_as_long_as_its_owner_does() {
        let mut clock = Clock::default();
        let start = Time::ZERO;
        assert_eq!(clock.read(start + 100 * MS, None), start + 100 * MS);
        assert_eq!(clock.read(start + 205 * MS, Some(start + 200 * MS)), start + 205 * MS);
    }

    #[test]
    fn it_stands_while_its_owner_does_not_run() {
        let mut clock = Clock::default();
        let start = Time::ZERO;
        clock.read(start + 100 * MS, None);
        let own = clock.read(start + 10_000 * MS, Some(start + 200 * MS));
        assert_eq!(
            own,
            start + 200 * MS - HEARING,
            "there is time to hear what was sent meanwhile"
        );
        assert!(clock.was_late() && !clock.was_late());
        assert_eq!(clock.real(own), start + 10_000 * MS);
        assert_eq!(clock.read(start + 10_001 * MS, Some(start + 200 * MS)), own + MS);
    }

    #[test]
    fn it_stands_when_it_is_halted_and_goes_on_from_there() {
        let mut clock = Clock::default();
        let start = Time::ZERO;
        let own = clock.read(start + 100 * MS, None);
        clock.halt(true);
        assert_eq!(clock.read(start + 5_000 * MS, Some(start + 200 * MS)), own);
        clock.halt(false);
        assert_eq!(clock.read(start + 5_003 * MS, Some(start + 200 * MS)), own + 3 * MS);
        assert!(!clock.was_late());
    }

    /// Two nodes with such deadlines would show each other signs of life for each that they get.
    #[test]
    fn who_runs_all_the_time_is_not_late_though_a_deadline_has_passed() {
        let mut clock = Clock::default();
        let start = Time::ZERO;
        clock.read(start + 100 * MS, None);
        for ms in 100..110 {
            assert_eq!(clock.read(start + ms * MS, Some(start + 50 * MS)), start + ms * MS);
        }
        assert!(!clock.was_late());
    }

    #[test]
    fn it_never_goes_back() {
        let mut clock = Clock::default();
        let start = Time::ZERO;
        let own = clock.read(start + 100 * MS, None);
        assert_eq!(clock.read(start + 200 * MS, Some(start + 110 * MS)), own);
        assert_eq!(clock.read(start + 201 * MS, Some(start + 110 * MS)), own + MS);
    }
}
