//! The calls of modules that are answered later, and what they have emitted meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::prefixed;
use crate::credit::Credit;
use crate::{Failure, OUTPUT_WAITING_BYTES_MAX, RequestId, Stream, Time};

/// Where output goes, a piece of a message's size at a time.
pub(crate) type Send<'a> = dyn FnMut(Stream, &[u8]) + 'a;

/// Those calls. Bounded by the control node's windows.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: FxHashMap<RequestId, Open>,
    /// When calls must be answered at the latest, in time that stands still during pauses.
    expiring: BTreeSet<(Time, RequestId)>,
    /// How long pauses have lasted that are over, and since when there is one.
    paused: Duration,
    paused_since: Option<Time>,
}

/// One of them.
#[derive(Debug)]
struct Open {
    /// What stands before the text of a failure.
    prefix: String,
    /// Whose it is, as an index.
    module: usize,
    /// How long it may take, and when that is over.
    timeout: Option<Duration>,
    expiry: Option<Time>,
    /// Tells the work that was offloaded for it, and how much output may leave.
    credit: Option<Arc<Credit>>,
    /// Output for which there is no credit yet, and the outcome that must come after it.
    waiting: VecDeque<(Stream, Vec<u8>)>,
    waiting_bytes: usize,
    outcome: Option<Result<String, Failure>>,
}

/// What a call is once it has come to something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// It is answered so.
    Answered(Result<String, Failure>),
    /// Its output must leave first.
    Waits,
    /// It is not open (any more).
    Unknown,
}

/// A call that was open until it was cancelled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cancelled {
    /// Whose it was, as an index.
    pub module: usize,
    /// It was answered, and only its output was still to leave.
    pub is_answered: bool,
}

impl Calls {
    /// A call of this module is open from now on, for this long at most if there is a bound.
    pub fn open(
        &mut self,
        now: Time,
        id: RequestId,
        module: usize,
        prefix: &str,
        timeout: Option<Duration>,
    ) {
        let open = Open {
            prefix: prefix.to_owned(),
            module,
            timeout,
            expiry: None,
            credit: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            outcome: None,
        };
        self.open.insert(id, open);
        self.expire_anew(now, id);
    }

    /// Whether a call is open.
    pub fn is_open(&self, id: RequestId) -> bool {
        self.open.contains_key(&id)
    }

    /// All that are open, in ascending order.
    pub fn ids(&self) -> Vec<RequestId> {
        let mut ids: Vec<_> = self.open.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// A call has all its time again.
    fn expire_anew(&mut self, now: Time, id: RequestId) {
        let now = self.unpaused(now);
        let Some(open) = self.open.get_mut(&id) else { return };
        let expiry = open.timeout.map(|timeout| now + timeout);
        if let Some(old) = std::mem::replace(&mut open.expiry, expiry) {
            self.expiring.remove(&(old, id));
        }
        self.expiring.extend(expiry.map(|expiry| (expiry, id)));
    }

    fn close(&mut self, id: RequestId) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(expiry) = open.expiry {
            self.expiring.remove(&(expiry, id));
        }
        Some(open)
    }

    /// Work was offloaded for a call. Says whether that is open.
    pub fn has_job(&mut self, id: RequestId, credit: Arc<Credit>) -> bool {
        self.open.get_mut(&id).map(|open| open.credit = Some(credit)).is_some()
    }

    /// A call waits for other nodes, each of which has a deadline of its own. Says whether it is open.
    pub fn asks(&mut self, id: RequestId) -> bool {
        let Some(open) = self.open.get_mut(&id) else { return false };
        if let Some(expiry) = open.expiry.take() {
            self.expiring.remove(&(expiry, id));
        }
        true
    }

    /// Sends output of a call, or keeps it until there is credit for it.
    ///
    /// # Errors
    ///
    /// When too much waits. The call is not open any more then; this is whose it was, and its outcome.
    pub fn emit(
        &mut self,
        id: RequestId,
        stream: Stream,
        bytes: Vec<u8>,
        send: &mut Send<'_>,
    ) -> Result<(), (usize, Failure)> {
        let Some(open) = self.open.get_mut(&id) else { return Ok(()) };
        open.waiting_bytes += bytes.len();
        open.waiting.push_back((stream, bytes));
        open.send_waiting(send);
        if open.waiting_bytes <= OUTPUT_WAITING_BYTES_MAX {
            return Ok(());
        }
        let why = Failure::from("it emits more than the console reads");
        open.credit().close();
        let ended = (open.module, prefixed(&open.prefix, why));
        self.close(id);
        Err(ended)
    }

    /// In all, a call may have sent this many bytes of output. Sends what has waited for that, and
    /// returns the outcome if that has as well.
    pub fn grant(
        &mut self,
        now: Time,
        id: RequestId,
        granted: u64,
        send: &mut Send<'_>,
    ) -> Option<Result<String, Failure>> {
        self.expire_anew(now, id);
        let open = self.open.get_mut(&id)?;
        open.credit().grant(granted);
        open.send_waiting(send);
        if !open.waiting.is_empty() {
            return None;
        }
        open.outcome.take().inspect(|_| drop(self.close(id)))
    }

    /// What an open call has come to.
    pub fn finish(&mut self, id: RequestId, outcome: Result<String, Failure>) -> Finished {
        let Some(open) = self.open.get_mut(&id) else { return Finished::Unknown };
        let outcome = outcome.map_err(|failure| prefixed(&open.prefix, failure));
        if !open.waiting.is_empty() {
            open.outcome.get_or_insert(outcome);
            return Finished::Waits;
        }
        self.close(id);
        Finished::Answered(outcome)
    }

    /// What stands before a failure of a call that has asked others, and is not open any more.
    pub fn take_prefix(&mut self, id: RequestId) -> Option<String> {
        self.close(id).map(|open| open.prefix)
    }

    /// Nobody waits for a call any more: tells its work, and says what it was if it was open.
    pub fn cancel(&mut self, id: RequestId) -> Option<Cancelled> {
        let open = self.close(id)?;
        if let Some(credit) = open.credit {
            credit.close();
        }
        Some(Cancelled { module: open.module, is_answered: open.outcome.is_some() })
    }

    /// The calls that have been open for too long. One whose output is held up is not late.
    pub fn expired(&mut self, now: Time) -> Vec<RequestId> {
        if self.paused_since.is_some() {
            return Vec::new();
        }
        let until = (self.unpaused(now), RequestId(u64::MAX));
        let due: Vec<_> = self.expiring.range(..=until).map(|(_, id)| *id).collect();
        let mut expired = Vec::new();
        for id in due {
            match self.open.get(&id) {
                Some(open) if open.is_held_up() => self.expire_anew(now, id),
                _ => expired.push(id),
            }
        }
        expired
    }

    /// When [`Calls::expired`] has something to say.
    pub fn deadline(&self) -> Option<Time> {
        let (expiry, _) = self.expiring.first().filter(|_| self.paused_since.is_none())?;
        Some(*expiry + self.paused)
    }

    /// Whether calls have all the time that they need: no work is begun for them, or what they
    /// come to is not taken. What they had left is theirs when that is over.
    pub fn pause(&mut self, now: Time, is_paused: bool) {
        match (self.paused_since, is_paused) {
            (None, true) => self.paused_since = Some(now),
            (Some(since), false) => {
                self.paused_since = None;
                self.paused += now.since(since);
            }
            _ => {}
        }
    }

    fn unpaused(&self, now: Time) -> Time {
        self.paused_since.unwrap_or(now) - self.paused
    }
}

impl Open {
    fn credit(&mut self) -> &Credit {
        self.credit.get_or_insert_default()
    }

    /// Sends what waits, as far as there is credit.
    fn send_waiting(&mut self, send: &mut Send<'_>) {
        while let Some((stream, mut bytes)) = self.waiting.pop_front() {
            let mut sent = 0;
            while sent < bytes.len() {
                let piece = self.credit().try_take(bytes.len() - sent);
                if piece == 0 {
                    bytes.drain(..sent);
                    return self.waiting.push_front((stream, bytes));
                }
                send(stream, &bytes[sent..sent + piece]);
                self.waiting_bytes -= piece;
                sent += piece;
            }
        }
    }

    fn is_held_up(&self) -> bool {
        self.credit.as_ref().is_some_and(|credit| credit.is_used_up())
    }
}
