//! Work that a module has done beside its node.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Failure, RequestId};

/// Tells offloaded work that nobody waits for its outcome any more: the deadline of its call has
/// passed.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    wanted: Arc<AtomicBool>,
    /// Called at each look, which is when the node's own threads get a core that the work is on.
    give_way: Option<fn()>,
}

impl Stop {
    /// Whether the work is to stop. What it returns then is thrown away. To be asked often, about
    /// every 20 microseconds: work that asks seldom holds up its node, since the system lets even a
    /// thread of less priority go on for some milliseconds.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        if let Some(give_way) = self.give_way {
            give_way();
        }
        self.wanted.load(Ordering::Relaxed)
    }

    /// From now on the work is to stop.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }
}

type Work = dyn FnOnce(&Stop) -> Result<String, Failure> + Send;

/// Work to be done beside a node, in another thread; see [`crate::Context::offload`].
pub struct Job {
    call: RequestId,
    stop: Stop,
    work: Box<Work>,
}

impl Job {
    /// A job that brings the outcome of `call`.
    pub fn new<W>(call: RequestId, work: W) -> Job
    where
        W: FnOnce(&Stop) -> Result<String, Failure> + Send + 'static,
    {
        Job { call, stop: Stop::default(), work: Box::new(work) }
    }

    /// The call whose outcome it brings.
    #[must_use]
    pub fn call(&self) -> RequestId {
        self.call
    }

    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Does the work, which may block and take long, unless nobody wants it any more. Now and then it
    /// calls `give_way`, for others to have its core.
    ///
    /// # Errors
    ///
    /// The outcome may be a failure.
    pub fn run(self, give_way: fn()) -> Result<String, Failure> {
        if self.stop.is_wanted() {
            return Err(Failure::from("it came too late to be begun"));
        }
        (self.work)(&Stop { give_way: Some(give_way), ..self.stop })
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
