//! Requests whose commands had their replies without an answer of their nodes.

use rustc_hash::FxHashMap;

use super::windows::Charge;
use crate::{Life, RequestId};

/// What is left of these requests until their answers come. Bounded by the windows.
#[derive(Debug, Default)]
pub(crate) struct Abandoned {
    requests: FxHashMap<RequestId, Leftover>,
    /// How many answers came too late, or twice.
    dropped: u64,
}

/// What is left of a request whose command has its reply.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    /// What it takes of the windows.
    pub charge: Option<Charge>,
    /// The node to remove, if it is still there when the answer says that it has ended.
    pub removed: Option<Life>,
}

impl Abandoned {
    /// How many answers came too late, or twice.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Keeps what is left of a request, if anything is.
    pub fn keep(&mut self, request: RequestId, leftover: Leftover) {
        if leftover.charge.is_some() || leftover.removed.is_some() {
            self.requests.insert(request, leftover);
        }
    }

    /// What is left of a request that need not be answered any more.
    pub fn take(&mut self, request: RequestId) -> Option<Leftover> {
        self.requests.remove(&request)
    }

    /// Drops an answer that nobody waits for, and takes what was left of its request.
    pub fn drop_answer(&mut self, request: RequestId) -> Leftover {
        self.dropped += 1;
        log::debug!("the answer to request {} came too late: dropped", request.0);
        self.take(request).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_once_and_every_answer_counts() {
        let mut abandoned = Abandoned::default();
        abandoned.keep(RequestId(1), Leftover { charge: None, removed: Some(Life::CONTROL) });
        abandoned.keep(RequestId(2), Leftover::default());
        assert!(abandoned.take(RequestId(2)).is_none(), "nothing is left of it");
        assert_eq!(abandoned.drop_answer(RequestId(1)).removed, Some(Life::CONTROL));
        assert_eq!(abandoned.drop_answer(RequestId(1)).removed, None);
        assert_eq!(abandoned.dropped(), 2);
    }
}
