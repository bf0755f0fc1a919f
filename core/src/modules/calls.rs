//! The calls of modules that are answered later, and what they have emitted meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::prefixed;
use crate::credit::Credit;
use crate::wire::Terms;
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
    /// Tells the work that was offloaded for it, and how much output that may emit.
    job: Option<Arc<Credit>>,
    /// How much output may leave; that of its work, unless output is held here first.
    window: Arc<Credit>,
    /// Output that will come with the answer, as long as there is not too much of it.
    held: Option<Held>,
    /// Output for which there is no credit yet, and the outcome that must come after it.
    waiting: VecDeque<(Stream, Vec<u8>)>,
    waiting_bytes: usize,
    outcome: Option<Result<String, Failure>>,
}

/// Output that is held until the answer, by its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The command that the call is a part of.
    pub command: RequestId,
    pub streams: [Vec<u8>; 2],
}

impl Held {
    /// None yet, of a part of this command.
    pub fn none(command: RequestId) -> Held {
        Held { command, streams: Default::default() }
    }
}

/// How much output a call may hold for its answer, in bytes. When there is more, all of it is sent as it comes.
pub(crate) const HELD_BYTES_MAX: usize = 1024 * 1024;

// What is not held any more waits like other output.
const _: () = assert!(HELD_BYTES_MAX < OUTPUT_WAITING_BYTES_MAX);

/// What a call is once it has come to something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// It is answered so, with the output that was held.
    Answered(Result<String, Failure>, Option<Held>),
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
    /// A call of this module is open from now on.
    pub fn open(
        &mut self,
        now: Time,
        id: RequestId,
        module: usize,
        prefix: &str,
        Terms { timeout, fold }: Terms,
    ) {
        let open = Open {
            prefix: prefix.to_owned(),
            module,
            timeout,
            expiry: None,
            job: None,
            window: Arc::default(),
            held: fold.map(Held::none),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            outcome: None,
        };
        self.open.insert(id, open);
        self.expire_anew(now, id);
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether all that an open call has emitted comes with its answer.
    pub fn holds_output(&self, id: RequestId) -> bool {
        self.open.get(&id).is_some_and(|open| open.held.is_some())
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
        // The control node, which goes by its own clock, tells when nobody waits any more. This is for what
        // it says and is lost.
        let expiry = open.timeout.map(|timeout| now + 2 * timeout);
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
        let Some(open) = self.open.get_mut(&id) else { return false };
        if open.held.is_none() {
            credit.take_over(&open.window);
            open.window = Arc::clone(&credit);
        }
        open.job = Some(credit);
        true
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
        if let Some(bytes) = open.hold(stream, bytes) {
            open.wait(stream, bytes);
        }
        open.send_waiting(send);
        if open.waiting_bytes <= OUTPUT_WAITING_BYTES_MAX {
            return Ok(());
        }
        let why = Failure::from("it emits more than the console reads");
        if let Some(job) = &open.job {
            job.close();
        }
        let ended = (open.module, prefixed(&open.prefix, why));
        self.close(id);
        Err(ended)
    }

    /// Sends output of the work of a call, or holds it.
    pub fn job_output(&mut self, id: RequestId, stream: Stream, bytes: &[u8], send: &mut Send<'_>) {
        let Some(open) = self.open.get_mut(&id) else { return };
        if open.has_window_of_job() {
            return send(stream, bytes);
        }
        let more = bytes.len();
        if let Some(bytes) = open.hold(stream, bytes.to_vec()) {
            open.wait(stream, bytes);
            open.send_waiting(send);
        } else if let Some(job) = &open.job {
            job.grant_more(more);
        }
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
        open.window.grant(granted);
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
        let held = self.close(id).and_then(|open| open.held);
        Finished::Answered(outcome, held)
    }

    /// What stands before a failure of a call that has asked others, and is not open any more.
    pub fn take_prefix(&mut self, id: RequestId) -> Option<String> {
        self.close(id).map(|open| open.prefix)
    }

    /// Nobody waits for a call any more: tells its work, and says what it was if it was open.
    pub fn cancel(&mut self, id: RequestId) -> Option<Cancelled> {
        let open = self.close(id)?;
        if let Some(job) = open.job {
            job.close();
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
    /// Whether what its work emits has counted already.
    fn has_window_of_job(&self) -> bool {
        self.job.as_ref().is_some_and(|job| Arc::ptr_eq(job, &self.window))
    }

    /// Holds output for the answer. Returns what is not held since there is too much of it: from then on
    /// nothing is.
    fn hold(&mut self, stream: Stream, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let Some(held) = &mut self.held else { return Some(bytes) };
        let held_bytes: usize = held.streams.iter().map(Vec::len).sum();
        if held_bytes + bytes.len() <= HELD_BYTES_MAX {
            held.streams[stream as usize].extend_from_slice(&bytes);
            return None;
        }
        let [out, err] = self.held.take()?.streams;
        self.wait(Stream::Out, out);
        self.wait(Stream::Err, err);
        Some(bytes)
    }

    fn wait(&mut self, stream: Stream, bytes: Vec<u8>) {
        self.waiting_bytes += bytes.len();
        self.waiting.push_back((stream, bytes));
    }

    /// Sends what waits, as far as there is credit.
    fn send_waiting(&mut self, send: &mut Send<'_>) {
        while let Some((stream, mut bytes)) = self.waiting.pop_front() {
            let mut sent = 0;
            while sent < bytes.len() {
                let piece = self.window.try_take(bytes.len() - sent);
                if piece == 0 {
                    bytes.drain(..sent);
                    return self.waiting.push_front((stream, bytes));
                }
                send(stream, &bytes[sent..sent + piece]);
                self.waiting_bytes -= piece;
                sent += piece;
                if !self.has_window_of_job()
                    && let Some(job) = &self.job
                {
                    job.grant_more(piece);
                }
            }
        }
    }

    fn is_held_up(&self) -> bool {
        self.window.is_used_up()
    }
}
