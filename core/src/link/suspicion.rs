//! Whether a peer that has said nothing for too long is silent, or is only kept from running.

use std::time::Duration;

use crate::{Activity, Inspection};

/// How much longer than others a peer has at most that is kept from running.
pub(super) const RESPITE_MAX: Duration = Duration::from_secs(2);

/// How long the first respite is at most; an eighth of the time after which a peer is overdue,
/// which is half a beat, when that is less. Each further respite is as long as all before: looks
/// take time of the processor, of which there is little then.
const RESPITE_FIRST_MAX: Duration = Duration::from_millis(50);
const RESPITE_FIRST_SHARE: u32 = 8;

/// How many round trips longer than others a peer has on another machine, and how much that is at most.
const ROUND_TRIPS: u32 = 4;
const NETWORK_RESPITE_MAX: Duration = Duration::from_secs(5);

/// A peer that has run for this share of a respite has had its chance.
const RUN_SHARE: u32 = 4;

/// What is known of a peer that is overdue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Suspicion {
    /// Its process is being looked at.
    is_inspected: bool,
    /// How much longer it has than others.
    respite: Duration,
    /// What was seen first.
    first: Option<Inspection>,
}

/// What follows from a look at a peer's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There was nothing to judge: the peer has said something since it was looked at.
    None,
    /// It is kept from running, and has more time.
    Respite,
    /// It had its chance to say something.
    Silent,
}

impl Suspicion {
    /// How much longer than others the peer has.
    pub fn respite(&self) -> Duration {
        self.respite
    }

    /// Whether the peer's process is being looked at.
    pub fn is_inspected(&self) -> bool {
        self.is_inspected
    }

    /// Notes that the peer's process must be looked at; false when it is already.
    pub fn inspect(&mut self) -> bool {
        !std::mem::replace(&mut self.is_inspected, true)
    }

    /// The peer's process was looked at. The peer is overdue after `after`, and has been so for
    /// `overdue`.
    pub fn judge(&mut self, seen: Inspection, after: Duration, overdue: Duration) -> Verdict {
        if !std::mem::take(&mut self.is_inspected) {
            return Verdict::None;
        }
        let for_network = (ROUND_TRIPS * seen.round_trip).min(NETWORK_RESPITE_MAX);
        if overdue < for_network && self.respite < for_network {
            self.respite = for_network;
            return Verdict::Respite;
        }
        let first = *self.first.get_or_insert(seen);
        let is_kept_waiting = is_kept_waiting(first.neighbour, seen.neighbour, self.respite)
            || is_kept_waiting(first.delivery, seen.delivery, self.respite);
        if !is_kept_waiting || self.respite >= RESPITE_MAX {
            return Verdict::Silent;
        }
        let step = self.respite.max(RESPITE_FIRST_MAX.min(after / RESPITE_FIRST_SHARE));
        self.respite = RESPITE_MAX.min(overdue + step);
        Verdict::Respite
    }
}

/// Whether those of which this was seen, in the beginning of a respite and now, want to run and
/// have hardly done so in it.
fn is_kept_waiting(first: Activity, seen: Activity, respite: Duration) -> bool {
    let has_run = !respite.is_zero() && seen.ran >= first.ran + respite / RUN_SHARE;
    seen.is_busy && !has_run
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn busy(ran: Duration) -> Inspection {
        let neighbour = Activity { is_busy: true, ran };
        Inspection { neighbour, ..Inspection::default() }
    }

    fn judge(suspicion: &mut Suspicion, seen: Inspection, overdue: Duration) -> Verdict {
        assert!(suspicion.inspect() && !suspicion.inspect());
        suspicion.judge(seen, 80 * MS, overdue)
    }

    #[test]
    fn each_respite_is_as_long_as_all_before_up_to_the_longest() {
        let mut suspicion = Suspicion::default();
        let mut respites = Vec::new();
        loop {
            let overdue = suspicion.respite();
            if judge(&mut suspicion, busy(Duration::ZERO), overdue) == Verdict::Silent {
                break;
            }
            respites.push(suspicion.respite().as_millis());
        }
        assert_eq!(respites, [10, 20, 40, 80, 160, 320, 640, 1280, 2000]);
    }

    /// Its machine can't be seen, and what it sends takes its time.
    #[test]
    fn who_is_far_has_the_time_of_some_round_trips_more() {
        let far = |round_trip| Inspection { round_trip, ..Inspection::default() };
        let mut suspicion = Suspicion::default();
        assert_eq!(judge(&mut suspicion, far(100 * MS), Duration::ZERO), Verdict::Respite);
        assert_eq!(suspicion.respite(), 400 * MS);
        assert_eq!(judge(&mut suspicion, far(100 * MS), 400 * MS), Verdict::Silent);
        let mut suspicion = Suspicion::default();
        assert_eq!(judge(&mut suspicion, far(9_000 * MS), Duration::ZERO), Verdict::Respite);
        assert_eq!(suspicion.respite(), NETWORK_RESPITE_MAX);
    }

    #[test]
    fn who_is_idle_or_has_run_is_silent() {
        let mut suspicion = Suspicion::default();
        let asleep = Inspection::default();
        assert_eq!(judge(&mut suspicion, asleep, Duration::ZERO), Verdict::Silent);

        for (ran, verdict) in [(2 * MS, Verdict::Respite), (3 * MS, Verdict::Silent)] {
            let mut suspicion = Suspicion::default();
            assert_eq!(judge(&mut suspicion, busy(7 * MS), Duration::ZERO), Verdict::Respite);
            assert_eq!(judge(&mut suspicion, busy(7 * MS + ran), 10 * MS), verdict);
        }
    }

    #[test]
    fn what_was_seen_without_need_is_no_verdict() {
        let mut suspicion = Suspicion::default();
        let asleep = Inspection::default();
        assert_eq!(suspicion.judge(asleep, 80 * MS, Duration::ZERO), Verdict::None);
    }
}
