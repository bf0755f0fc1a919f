//! Flow control of answers, so that the control node has room for all that may come: short ones
//! come unasked, as far as each request allows, and long ones are offered, and taken in one after
//! the other. What comes in pieces is put together here.

use std::collections::BTreeMap;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::wire::{Allowance, Flags};
use crate::{Life, RequestId, Time};

/// Up to how many bytes of answers that may come unasked requests are given [`Allowance::Large`],
/// and up to how many [`Allowance::Medium`]. Those beyond have [`Allowance::Small`]: with as many
/// commands as may be under way that is 17 MiB more.
const LARGE_BYTES_MAX: usize = 8 * 1024 * 1024;
const MEDIUM_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many bytes of long answers may be on their way, or wait to be printed or gathered. The
/// answer that all others wait for to be printed comes even so, so this is exceeded by one of them.
const LONG_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many bytes a second an answer in pieces must bring since it began, to be waited for beyond its
/// deadline. A slow link between machines carries more; a compromised node that sends less would hold up
/// for hours whatever is printed after it.
const BYTES_PER_SECOND_MIN: u64 = 64 * 1024;

/// What may come, and what was offered.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// How much may come unasked, in bytes.
    allowed: usize,
    /// The long answers that wait to be taken.
    offers: BTreeMap<RequestId, Offer>,
    /// Those that were taken and have not come, with their lengths in bytes.
    taken: FxHashMap<RequestId, usize>,
    taken_bytes: usize,
    /// Answers in pieces, of which some are still to come. None is longer than it may be.
    partial: FxHashMap<RequestId, Partial>,
}

/// What has come of an answer in pieces.
#[derive(Debug)]
struct Partial {
    begun: Time,
    body: Vec<u8>,
}

impl Partial {
    /// Whether it has come too slowly so far.
    fn is_slow(&self, now: Time) -> bool {
        let allowed = self.body.len() as u64 * 1_000 / BYTES_PER_SECOND_MIN;
        now.since(self.begun) > Duration::from_millis(allowed)
    }
}

/// What an answer is after one more piece of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pieces {
    /// More of it is still to come.
    Partial,
    /// As [`Pieces::Partial`], but it comes so slowly that it does not delay its deadline.
    Slow,
    /// Its beginning has not come, so the rest is worth nothing.
    Headless,
    /// It has begun before.
    BegunAgain,
    /// It is whole.
    Whole(Vec<u8>),
    /// It is longer than it may be.
    TooLong,
}

/// A long answer that a node offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Where.
    pub life: Life,
    pub bytes: usize,
}

impl Intake {
    /// What the answer to a request that is sent now may have unasked. It must be given back.
    pub fn allow(&mut self) -> Allowance {
        let fits = |allowance: Allowance, max| self.allowed + allowance.bytes() <= max;
        let allowance = if fits(Allowance::Large, LARGE_BYTES_MAX) {
            Allowance::Large
        } else if fits(Allowance::Medium, MEDIUM_BYTES_MAX) {
            Allowance::Medium
        } else {
            Allowance::Small
        };
        self.allowed += allowance.bytes();
        allowance
    }

    /// A request is answered, or is not waited for any more.
    pub fn give_back(&mut self, allowance: Allowance) {
        self.allowed = self.allowed.saturating_sub(allowance.bytes());
    }

    /// Notes that a node offers a long answer.
    pub fn offer(&mut self, request: RequestId, offer: Offer) {
        if !self.taken.contains_key(&request) {
            self.offers.insert(request, offer);
        }
    }

    /// Whether anything waits to be taken.
    pub fn has_offers(&self) -> bool {
        !self.offers.is_empty()
    }

    /// Whether the answer to a request waits to be taken.
    pub fn is_offered(&self, request: RequestId) -> bool {
        self.offers.contains_key(&request)
    }

    /// How long an answer is that was taken, in bytes; 0 for one that comes unasked.
    pub fn taken(&self, request: RequestId) -> usize {
        self.taken.get(&request).copied().unwrap_or_default()
    }

    /// Forgets what was offered or taken for a request that is answered, or is not waited for.
    pub fn forget(&mut self, request: RequestId) {
        if self.offers.is_empty() && self.taken.is_empty() {
            return;
        }
        self.offers.remove(&request);
        if let Some(bytes) = self.taken.remove(&request) {
            self.taken_bytes -= bytes;
        }
    }

    /// The next long answer to be taken: the oldest, when there is room for it besides those that
    /// are coming and the `held` bytes that wait to be printed or gathered; otherwise the one that
    /// all others wait for, if it is there. It counts as taken from now on.
    pub fn take_next(
        &mut self,
        first_awaited: impl FnOnce() -> Option<RequestId>,
        held: usize,
    ) -> Option<(RequestId, Offer)> {
        let (oldest, Offer { bytes, .. }) = self.offers.first_key_value()?;
        let has_room = self.taken_bytes + held + bytes <= LONG_BYTES_MAX;
        let request = if has_room { *oldest } else { first_awaited()? };
        let offer = self.offers.remove(&request)?;
        self.taken.insert(request, offer.bytes);
        self.taken_bytes += offer.bytes;
        Some((request, offer))
    }

    /// Takes in a piece of an answer that may have this many bytes.
    pub fn piece(
        &mut self,
        now: Time,
        request: RequestId,
        flags: Flags,
        piece: &[u8],
        bytes_max: usize,
    ) -> Pieces {
        if flags.is_first() {
            let partial = Partial { begun: now, body: Vec::with_capacity(self.taken(request)) };
            if self.partial.insert(request, partial).is_some() {
                self.partial.remove(&request);
                return Pieces::BegunAgain;
            }
        }
        let Some(partial) = self.partial.get_mut(&request) else { return Pieces::Headless };
        if partial.body.len() + piece.len() > bytes_max {
            self.partial.remove(&request);
            return Pieces::TooLong;
        }
        partial.body.extend_from_slice(piece);
        if !flags.is_last() {
            return if partial.is_slow(now) { Pieces::Slow } else { Pieces::Partial };
        }
        let whole = self.partial.remove(&request);
        whole.map_or(Pieces::Headless, |partial| Pieces::Whole(partial.body))
    }

    /// Forgets the pieces of an answer, which was cut off or is not waited for.
    pub fn forget_pieces(&mut self, request: RequestId) {
        self.partial.remove(&request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Status;
    use crate::{Incarnation, NodeId};

    fn offer(bytes: usize) -> Offer {
        Offer {
            life: Life { node: NodeId::compute(1).unwrap(), incarnation: Incarnation(1) },
            bytes,
        }
    }

    #[test]
    fn the_more_is_under_way_the_less_comes_unasked() {
        let mut intake = Intake::default();
        let allowances: Vec<_> = (0..100_000).map(|_| intake.allow()).collect();
        assert!(allowances.is_sorted_by_key(|allowance| *allowance as u8));
        let bytes: usize = allowances.iter().map(|allowance| allowance.bytes()).sum();
        assert!(bytes <= MEDIUM_BYTES_MAX + 100_000 * Allowance::Small.bytes());
        allowances.into_iter().for_each(|allowance| intake.give_back(allowance));
        assert_eq!((intake.allowed, intake.allow()), (0, Allowance::Large));
    }

    #[test]
    fn long_answers_come_one_after_the_other() {
        let mut intake = Intake::default();
        let long = LONG_BYTES_MAX * 2 / 3;
        for request in [3, 1, 2] {
            intake.offer(RequestId(request), offer(long));
        }
        assert_eq!(intake.take_next(|| None, 0), Some((RequestId(1), offer(long))));
        assert_eq!(intake.take_next(|| None, 0), None, "there is room for one");
        assert_eq!(intake.take_next(|| Some(RequestId(9)), 0), None, "that is not there");
        intake.offer(RequestId(1), offer(long));
        assert!(!intake.is_offered(RequestId(1)), "it was taken");

        // What the others wait for always comes.
        let third = intake.take_next(|| Some(RequestId(3)), long);
        assert_eq!(third, Some((RequestId(3), offer(long))));
        intake.forget(RequestId(1));
        intake.forget(RequestId(3));
        assert_eq!(intake.take_next(|| None, long), None);
        assert_eq!(intake.take_next(|| None, 0), Some((RequestId(2), offer(long))));
        assert!(!intake.has_offers());
    }

    #[test]
    fn pieces_are_put_together_up_to_a_bound() {
        let mut intake = Intake::default();
        let whole = Flags::new(Status::Ok);
        let [first, middle, last] = [(true, false), (false, false), (false, true)]
            .map(|(first, last)| whole.piece(first, last));
        let mut piece = |request, flags, text: &str| {
            intake.piece(Time::ZERO, RequestId(request), flags, text.as_bytes(), 6)
        };
        assert_eq!(piece(1, first, "ab"), Pieces::Partial);
        assert_eq!(piece(2, first, "xy"), Pieces::Partial);
        assert_eq!(piece(1, middle, "cd"), Pieces::Partial);
        assert_eq!(piece(2, middle, "longer"), Pieces::TooLong);
        assert_eq!(piece(2, last, "rest"), Pieces::Headless);
        assert_eq!(piece(1, last, "ef"), Pieces::Whole(b"abcdef".to_vec()));
        assert_eq!(piece(3, last, "its beginning was lost"), Pieces::Headless);
        assert_eq!(piece(4, first, "ab"), Pieces::Partial);
        assert_eq!(piece(4, first, "ab"), Pieces::BegunAgain);
        assert_eq!(piece(4, middle, "cd"), Pieces::Headless);
        assert!(intake.partial.is_empty());
    }

    /// Or a compromised node could hold up for hours whatever is printed after it.
    #[test]
    fn an_answer_is_slow_until_it_has_made_up_for_a_pause() {
        let mut intake = Intake::default();
        let whole = Flags::new(Status::Ok);
        let second = vec![0; BYTES_PER_SECOND_MIN as usize];
        let mut piece = |now_ms, is_first| {
            let (now, flags) =
                (Time::ZERO + Duration::from_millis(now_ms), whole.piece(is_first, false));
            intake.piece(now, RequestId(1), flags, &second, usize::MAX)
        };
        assert_eq!(piece(5_000, true), Pieces::Partial);
        assert_eq!(piece(7_000, false), Pieces::Partial);
        assert_eq!(piece(9_000, false), Pieces::Slow);
        assert_eq!(piece(9_000, false), Pieces::Partial);
        assert_eq!(piece(9_001, false), Pieces::Partial);
    }
}
