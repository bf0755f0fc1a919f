//! The signs of life on a link: when the next is due, and when one should have come.

use std::time::Duration;

use super::suspicion::{Suspicion, Verdict};
use crate::{Inspection, Time};

/// The signs of life of the two ends of a link. Every frame is one; a beat is sent when there is no
/// other.
#[derive(Debug)]
pub(super) struct Pulse {
    heard: Time,
    sent: Time,
    beat_every: Option<Duration>,
    silent_after: Option<Duration>,
    suspicion: Suspicion,
    is_silent: bool,
}

impl Pulse {
    /// Nobody is watched, and no beats are sent.
    pub fn new(now: Time) -> Pulse {
        Pulse {
            heard: now,
            sent: now,
            beat_every: None,
            silent_after: None,
            suspicion: Suspicion::default(),
            is_silent: false,
        }
    }

    /// Has a beat sent whenever nothing else was for `every`. Starts its clock anew.
    pub fn beat_every(&mut self, every: Option<Duration>, now: Time) {
        self.beat_every = every;
        self.sent = now;
    }

    /// Considers the peer silent when nothing has come from it for `after`. Starts its clock anew.
    pub fn silent_after(&mut self, after: Option<Duration>, now: Time) {
        self.silent_after = after;
        self.heard(now);
    }

    /// Something came from the peer.
    pub fn heard(&mut self, now: Time) {
        self.heard = now;
        self.suspicion = Suspicion::default();
    }

    /// Something leaves for the peer.
    pub fn sent(&mut self, now: Time) {
        self.sent = now;
    }

    /// Whether beats are sent at all.
    pub fn has_beats(&self) -> bool {
        self.beat_every.is_some()
    }

    /// When the next beat is due.
    pub fn beat_at(&self) -> Option<Time> {
        self.beat_every.map(|every| self.sent + every)
    }

    /// When [`Pulse::inspect_if_due`] has something to do.
    pub fn inspect_at(&self) -> Option<Time> {
        self.verdict_at().filter(|_| !self.is_silent && !self.suspicion.is_inspected())
    }

    /// When the peer is considered silent, as things stand.
    fn verdict_at(&self) -> Option<Time> {
        self.silent_after.map(|after| self.heard + after + self.suspicion.respite())
    }

    /// Whether it is time to look at the peer's process, since nothing has come from it for too
    /// long. [`Pulse::judge`] must follow, and nothing more is due before.
    pub fn inspect_if_due(&mut self, now: Time) -> bool {
        let is_due = !self.is_silent && self.verdict_at().is_some_and(|verdict| now >= verdict);
        is_due && self.suspicion.inspect()
    }

    /// Whether the peer, whose process was looked at, has just turned out to be silent; true once
    /// for each silence. One that is kept from running has a respite.
    pub fn judge(&mut self, now: Time, seen: Inspection) -> bool {
        let Some(after) = self.silent_after else { return false };
        match self.suspicion.judge(seen, after, now.since(self.heard + after)) {
            Verdict::None | Verdict::Respite => false,
            Verdict::Silent => !std::mem::replace(&mut self.is_silent, true),
        }
    }

    /// Whether the peer is considered silent.
    pub fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Whether the peer was considered silent until now; true once for each silence. To be called
    /// when something came from it.
    pub fn broke_silence(&mut self) -> bool {
        std::mem::take(&mut self.is_silent)
    }
}

#[cfg(test)]
mod tests {
    use super::super::suspicion::RESPITE_MAX;
    use super::*;
    use crate::Activity;

    const NOW: Time = Time::ZERO;
    const MS: Duration = Duration::from_millis(1);
    const IDLE: Activity = Activity { is_busy: false, ran: Duration::ZERO };
    const ASLEEP: Inspection =
        Inspection { neighbour: IDLE, delivery: IDLE, round_trip: Duration::ZERO };

    /// What is seen when the neighbour is busy, or else the delivery of its frames, and what they
    /// have run so far.
    fn busy(neighbour: bool, ran: Duration) -> Inspection {
        let activity = |is_busy| Activity { is_busy, ran };
        Inspection {
            neighbour: activity(neighbour),
            delivery: activity(!neighbour),
            round_trip: Duration::ZERO,
        }
    }

    #[test]
    fn silence_is_told_once_and_so_is_its_end() {
        let after = Duration::from_millis(40);
        let mut pulse = Pulse::new(NOW);
        pulse.silent_after(Some(after), NOW);
        assert_eq!(pulse.inspect_at(), Some(NOW + after));
        assert!(!pulse.inspect_if_due(NOW + after - Duration::from_nanos(1)));
        assert!(pulse.inspect_if_due(NOW + after) && !pulse.inspect_if_due(NOW + after));
        assert_eq!(pulse.inspect_at(), None);
        assert!(pulse.judge(NOW + after, ASLEEP) && !pulse.judge(NOW + after, ASLEEP));
        assert!(!pulse.inspect_if_due(NOW + after));
        assert_eq!(pulse.inspect_at(), None);
        assert!(pulse.broke_silence() && !pulse.broke_silence());
    }

    /// Looks at a peer at each moment when that is due, and says when it was considered silent.
    fn verdict(pulse: &mut Pulse, mut seen: impl FnMut(Time) -> Inspection) -> Time {
        for _ in 0..100 {
            let now = pulse.inspect_at().unwrap();
            assert!(pulse.inspect_if_due(now));
            if pulse.judge(now, seen(now)) {
                return now;
            }
        }
        panic!("there is no verdict");
    }

    fn watching(after: Duration) -> Pulse {
        let mut pulse = Pulse::new(NOW);
        pulse.silent_after(Some(after), NOW);
        pulse
    }

    #[test]
    fn who_is_kept_from_running_has_a_respite() {
        for after in [40 * MS, 4_000 * MS, 86_400_000 * 4 * MS] {
            for neighbour in [true, false] {
                let mut looks = 0;
                let waits = |_| {
                    looks += 1;
                    busy(neighbour, 7 * MS)
                };
                assert_eq!(verdict(&mut watching(after), waits), NOW + after + RESPITE_MAX);
                assert!(looks < 12, "{looks} looks");
            }
        }
    }

    #[test]
    fn who_stops_or_falls_asleep_meanwhile_has_none_left() {
        let after = 40 * MS;
        let until = NOW + after + 9 * MS;
        let seen = |now| if now < until { busy(true, Duration::ZERO) } else { ASLEEP };
        assert_eq!(verdict(&mut watching(after), seen), NOW + after + 10 * MS);
    }

    #[test]
    fn who_runs_and_says_nothing_is_silent_within_another_beat() {
        for after in [40 * MS, 400 * MS, 40_000 * MS] {
            for neighbour in [true, false] {
                let runs = |now: Time| busy(neighbour, now.since(NOW));
                let silent = verdict(&mut watching(after), runs);
                assert!(silent > NOW + after && silent <= NOW + after * 5 / 4, "{silent:?}");
            }
        }
    }

    /// Traffic with others is no sign that the neighbour could have run.
    #[test]
    fn a_neighbour_is_waited_for_while_frames_of_others_are_delivered() {
        let after = 40 * MS;
        let seen = |now: Time| Inspection {
            neighbour: Activity { is_busy: true, ran: Duration::ZERO },
            delivery: Activity { is_busy: true, ran: now.since(NOW) },
            round_trip: Duration::ZERO,
        };
        assert_eq!(verdict(&mut watching(after), seen), NOW + after + RESPITE_MAX);
    }

    #[test]
    fn a_sign_of_life_ends_a_respite() {
        let after = 40 * MS;
        let mut pulse = watching(after);
        assert!(pulse.inspect_if_due(NOW + after));
        pulse.judge(NOW + after, busy(true, Duration::ZERO));
        let heard = NOW + 44 * MS;
        pulse.heard(heard);
        assert_eq!(pulse.inspect_at(), Some(heard + after));

        // Also when it comes between a look and the verdict.
        assert!(pulse.inspect_if_due(heard + after));
        pulse.heard(heard + after);
        assert!(!pulse.judge(heard + after, ASLEEP));
        assert_eq!(pulse.inspect_at(), Some(heard + after * 2));
    }

    #[test]
    fn a_beat_is_due_when_nothing_has_been_sent_for_long() {
        let mut pulse = Pulse::new(NOW);
        assert_eq!((pulse.has_beats(), pulse.beat_at()), (false, None));
        pulse.beat_every(Some(10 * MS), NOW);
        pulse.sent(NOW + 4 * MS);
        assert_eq!((pulse.has_beats(), pulse.beat_at()), (true, Some(NOW + 14 * MS)));
    }
}
