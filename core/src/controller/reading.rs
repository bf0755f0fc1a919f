//! `sleep`, `wait` and `exit`: whether the console reads on.

use crate::Time;

/// Whether the console reads on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Lines,
    /// `sleep`: not before this time.
    From(Time),
    /// `wait`: when every command has its reply.
    AllClosed,
    /// There is nothing more to read.
    Ended,
}

impl Reading {
    /// Whether the next line is wanted.
    pub fn wants_line(self) -> bool {
        self.state == State::Lines
    }

    /// Whether there is nothing more to read.
    pub fn has_ended(self) -> bool {
        self.state == State::Ended
    }

    /// Takes in `sleep`.
    pub fn sleep(&mut self, until: Time) {
        self.state = State::From(until);
    }

    /// Takes in `wait`.
    pub fn wait(&mut self) {
        self.state = State::AllClosed;
    }

    /// Whether a `sleep` or a `wait` holds up the console.
    pub fn can_interrupt(self) -> bool {
        matches!(self.state, State::From(_) | State::AllClosed)
    }

    /// Ends a `sleep` or a `wait`.
    pub fn interrupt(&mut self) {
        if self.can_interrupt() {
            self.state = State::Lines;
        }
    }

    /// Takes in `exit`, or the end of what there is to read.
    pub fn end(&mut self) {
        self.state = State::Ended;
    }

    /// When [`Reading::timeout`] has something to do.
    pub fn deadline(self) -> Option<Time> {
        match self.state {
            State::From(time) => Some(time),
            State::Lines | State::AllClosed | State::Ended => None,
        }
    }

    /// Reads on when the pause is over.
    pub fn timeout(&mut self, now: Time) {
        if self.deadline().is_some_and(|time| time <= now) {
            self.state = State::Lines;
        }
    }

    /// Every command has its reply: reads on if it has waited for that.
    pub fn all_closed(&mut self) {
        if self.state == State::AllClosed {
            self.state = State::Lines;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pause_ends_with_its_time_and_a_wait_with_the_replies() {
        let mut reading = Reading::default();
        let later = Time::ZERO + Duration::from_secs(1);
        reading.sleep(later);
        reading.timeout(Time::ZERO);
        reading.all_closed();
        assert_eq!((reading.wants_line(), reading.deadline()), (false, Some(later)));
        reading.timeout(later);
        assert!(reading.wants_line());

        reading.wait();
        reading.timeout(later);
        assert_eq!((reading.wants_line(), reading.deadline()), (false, None));
        reading.all_closed();
        assert!(reading.wants_line());
    }

    #[test]
    fn nothing_is_read_after_the_end() {
        let mut reading = Reading::default();
        reading.end();
        reading.timeout(Time::ZERO);
        reading.all_closed();
        assert!(reading.has_ended() && !reading.wants_line());
    }
}
