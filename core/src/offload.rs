//! Work that a module has done beside its node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::credit::Credit;
use crate::{Failure, RequestId, Stream};

/// Tells offloaded work that nobody waits for its outcome any more: the deadline of its call has
/// passed, the call was cancelled, or the node ends.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    credit: Arc<Credit>,
    /// Called at each look, which is when the node's own threads get a core that the work is on.
    give_way: Option<fn()>,
}

impl Stop {
    /// Whether the work must stop. What it returns then is thrown away. Ask often, about
    /// every 20 microseconds: work that asks seldom holds up its node, since the system lets even a
    /// thread of less priority go on for some milliseconds.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        if let Some(give_way) = self.give_way {
            give_way();
        }
        self.credit.is_closed()
    }

    /// Waits until the work must stop, for this long at most. Says whether it must.
    pub fn wait(&self, at_most: Duration) -> bool {
        self.credit.wait_closed(at_most)
    }

    /// Has `notice` called once when the work must stop: by the node's own thread, so that it must be
    /// quick, or at once when it must stop already. For work that waits for something else as well,
    /// such as a descriptor.
    pub fn notify(&self, notice: impl FnOnce() + Send + 'static) {
        self.credit.notify_closed(Box::new(notice));
    }

    /// Whether [`JobContext::emit`] would wait now, for a simulator, whose work must not.
    #[cfg(any(test, feature = "testkit"))]
    #[must_use]
    pub fn holds_up_output(&self) -> bool {
        self.credit.is_used_up() && !self.credit.is_closed()
    }

    /// From now on the work must stop.
    pub fn want(&self) {
        self.credit.close();
    }
}

/// The work must stop: nobody reads its output any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl From<Stopped> for Failure {
    /// Nobody will read it.
    fn from(_: Stopped) -> Failure {
        Failure::from("stopped")
    }
}

/// What offloaded work can do beside returning its outcome.
pub struct JobContext<'a> {
    stop: Stop,
    deliver: &'a dyn Fn(Stream, &[u8]),
}

impl JobContext<'_> {
    /// Tells when the work must stop.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Emits output of the call, which reaches the console before its answer and in this order. Blocks
    /// while the console, or anything on the way there, takes no more.
    ///
    /// # Errors
    ///
    /// When the work must stop. The rest of the output leads nowhere then.
    pub fn emit(&self, stream: Stream, mut bytes: &[u8]) -> Result<(), Stopped> {
        while !bytes.is_empty() {
            let taken = self.stop.credit.take(bytes.len()).ok_or(Stopped)?;
            let (now, later) = bytes.split_at(taken);
            (self.deliver)(stream, now);
            bytes = later;
        }
        Ok(())
    }
}

impl fmt::Debug for JobContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext").field("stop", &self.stop).finish_non_exhaustive()
    }
}

/// What a job does most of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// It computes: as many run at a time as there are cores.
    Computing,
    /// It waits: each has a thread of its own.
    Blocking,
}

/// How many [blocking](JobKind::Blocking) jobs may run on one node at a time.
pub const BLOCKING_JOBS_MAX: usize = 64;

type Work = dyn FnOnce(&JobContext<'_>) -> Result<String, Failure> + Send;

/// Work to be done beside a node, in another thread; see [`crate::Context::offload`].
pub struct Job {
    call: RequestId,
    kind: JobKind,
    stop: Stop,
    work: Box<Work>,
}

impl Job {
    /// A job of this kind that brings the outcome of `call`.
    pub fn new<W>(call: RequestId, kind: JobKind, work: W) -> Job
    where
        W: FnOnce(&JobContext<'_>) -> Result<String, Failure> + Send + 'static,
    {
        Job { call, kind, stop: Stop::default(), work: Box::new(work) }
    }

    /// The call whose outcome it brings.
    #[must_use]
    pub fn call(&self) -> RequestId {
        self.call
    }

    /// What it does most of the time.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        self.kind
    }

    /// What tells it to stop.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// What its output may still be, shared with the work.
    pub(crate) fn credit(&self) -> Arc<Credit> {
        Arc::clone(&self.stop.credit)
    }

    /// Does the work, which may block and take long, unless nobody wants it any more. Now and then it
    /// calls `give_way`, for others to have its core, and hands its output to `deliver`.
    ///
    /// # Errors
    ///
    /// The outcome may be a failure.
    pub fn run(self, give_way: fn(), deliver: &dyn Fn(Stream, &[u8])) -> Result<String, Failure> {
        if self.stop.is_wanted() {
            return Err(Failure::from("it came too late to be begun"));
        }
        let stop = Stop { give_way: Some(give_way), ..self.stop };
        (self.work)(&JobContext { stop, deliver })
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("call", &self.call).finish_non_exhaustive()
    }
}

/// A call has one job at most, so its id tells it from all others.
impl PartialEq for Job {
    fn eq(&self, other: &Job) -> bool {
        self.call == other.call
    }
}

impl Eq for Job {}
