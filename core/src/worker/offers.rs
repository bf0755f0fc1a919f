//! Answers of a compute node that are too long to be sent unasked, until the control node takes
//! them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::wire::Flags;
use crate::{RequestId, Time};

/// How often they are offered again: a node that has taken notice may have lost the route here.
const PERIOD: Duration = Duration::from_secs(1);

/// Answers that were offered. Bounded: while there are many bytes of them, no request is run and no
/// job begun that could add to them.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    by_request: BTreeMap<RequestId, (Flags, Vec<u8>)>,
    bytes: usize,
    /// When they are offered again.
    again: Option<Time>,
}

impl Offers {
    /// Keeps an answer, which is offered now.
    pub fn add(&mut self, now: Time, request: RequestId, flags: Flags, body: Vec<u8>) {
        self.bytes += body.len();
        self.by_request.insert(request, (flags, body));
        self.again.get_or_insert(now + PERIOD);
    }

    /// The answer to a request, if it is here.
    pub fn take(&mut self, now: Time, request: RequestId) -> Option<(Flags, Vec<u8>)> {
        let (flags, body) = self.by_request.remove(&request)?;
        self.bytes -= body.len();
        self.again = (!self.by_request.is_empty()).then(|| now + PERIOD);
        Some((flags, body))
    }

    /// Has all offered again as soon as may be.
    pub fn offer_again(&mut self, now: Time) {
        if !self.by_request.is_empty() {
            self.again = Some(now);
        }
    }

    /// Throws all away.
    pub fn clear(&mut self) {
        self.by_request.clear();
        (self.bytes, self.again) = (0, None);
    }

    /// How many bytes wait to be taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When [`Offers::due_again`] has something to say.
    pub fn deadline(&self) -> Option<Time> {
        self.again
    }

    /// What must be offered again, with its length in bytes, if it is time.
    pub fn due_again(&mut self, now: Time) -> Vec<(RequestId, usize)> {
        if self.again.is_none_or(|again| now < again) {
            return Vec::new();
        }
        self.again = Some(now + PERIOD);
        self.by_request.iter().map(|(request, (_, body))| (*request, body.len())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Status;

    #[test]
    fn what_is_not_taken_is_offered_again() {
        let mut offers = Offers::default();
        let (first, second) = (RequestId(1), RequestId(2));
        let ok = Flags::new(Status::Ok);
        assert_eq!(offers.deadline(), None);
        offers.add(Time::ZERO, first, ok, b"one".to_vec());
        offers.add(Time::ZERO, second, ok, b"second".to_vec());
        assert_eq!((offers.bytes(), offers.due_again(Time::ZERO)), (9, vec![]));
        let later = Time::ZERO + PERIOD;
        assert_eq!(offers.due_again(later), [(first, 3), (second, 6)]);
        assert_eq!(offers.take(later, first), Some((ok, b"one".to_vec())));
        assert_eq!(offers.take(later, first), None);
        assert_eq!(offers.deadline(), Some(later + PERIOD));
        offers.offer_again(later);
        assert_eq!(offers.due_again(later), [(second, 6)]);
        offers.clear();
        assert_eq!((offers.bytes(), offers.deadline()), (0, None));
    }
}
