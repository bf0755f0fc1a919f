//! What a command module can do beside answering.

use crate::offload::{Job, JobContext, JobKind};
use crate::{Facts, Failure, NodeId, Outcome, Reply, RequestId, Stream, Time, Watch};

/// What an instance can do beside answering; valid for the one method call it is handed to.
#[derive(Debug)]
pub struct Context<'a> {
    now: Time,
    module: &'static str,
    facts: Facts,
    effects: &'a mut Vec<Effect>,
}

/// What an instance asked for through its [`Context`], for the node to carry out.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    Answer(RequestId, Result<String, Failure>),
    Emit(RequestId, Stream, Vec<u8>),
    Offload(Job),
    /// On behalf of this call, of the module with this name.
    AskAll(RequestId, &'static str, Vec<u8>),
    /// Of the module with this name.
    Publish(&'static str, Vec<u8>),
    Watch(Option<Watch>),
    Notice(String),
}

impl Effect {
    /// Whether it is output of this call.
    pub fn emits_for(&self, call: RequestId) -> bool {
        matches!(self, Effect::Emit(other, ..) if *other == call)
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        now: Time,
        module: &'static str,
        facts: Facts,
        effects: &'a mut Vec<Effect>,
    ) -> Context<'a> {
        Context { now, module, facts, effects }
    }

    /// The time of this node.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The node that the instance belongs to.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.facts.node
    }

    /// What this node knows of itself.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Has `work` run beside the node, in a thread of less priority, and returns what the call must
    /// return meanwhile: the outcome of the work is that of the call. For whatever computes for longer
    /// than about a millisecond.
    ///
    /// The work is told by its [`Stop`](crate::Stop) when nobody waits for its outcome any more, and must
    /// look often: its thread is not ended, and other work of the node waits for it. A node runs as
    /// much at a time as the machine has cores.
    #[must_use]
    pub fn offload<W>(&mut self, call: RequestId, work: W) -> Reply
    where
        W: FnOnce(&JobContext<'_>) -> Result<String, Failure> + Send + 'static,
    {
        self.effects.push(Effect::Offload(Job::new(call, JobKind::Computing, work)));
        Reply::Later
    }

    /// As [`Context::offload`], for work that waits rather than computes: it has a thread of its own.
    /// There may be [`BLOCKING_JOBS_MAX`](crate::BLOCKING_JOBS_MAX) at a time on one node; more are
    /// answered with an error. A node that ends in order tells it by its [`Stop`](crate::Stop), and waits
    /// until it has returned.
    #[must_use]
    pub fn offload_blocking<W>(&mut self, call: RequestId, work: W) -> Reply
    where
        W: FnOnce(&JobContext<'_>) -> Result<String, Failure> + Send + 'static,
    {
        self.effects.push(Effect::Offload(Job::new(call, JobKind::Blocking, work)));
        Reply::Later
    }

    /// Emits output of a call of one of the module's words, which reaches the console before the answer,
    /// in this order. To be used until the call is answered; afterwards, it does nothing. A call that has
    /// offloaded work leaves this to [`JobContext::emit`].
    ///
    /// What the console has not read waits here. A call of which more than
    /// [`OUTPUT_WAITING_BYTES_MAX`](crate::OUTPUT_WAITING_BYTES_MAX) wait is ended with an error: offloaded
    /// work can be held up, this thread can't.
    pub fn emit(&mut self, call: RequestId, stream: Stream, bytes: impl Into<Vec<u8>>) {
        self.effects.push(Effect::Emit(call, stream, bytes.into()));
    }

    /// Asks the module's instance on every compute node, those included that are just being
    /// created, and returns what the call is to return meanwhile: [`Command::gathered`](crate::Command::gathered) brings the
    /// answers. Only at the control node, and once for a call.
    ///
    /// # Errors
    ///
    /// When the question is longer than [`crate::PUBLISHED_BYTES_MAX`] bytes. Nobody is asked then.
    pub fn ask_all(&mut self, call: RequestId, question: Vec<u8>) -> Outcome {
        debug_assert!(self.facts.node.is_control());
        let question = bounded("a question", question)?;
        self.effects.push(Effect::AskAll(call, self.module, question));
        Ok(Reply::Later)
    }

    /// Answers a call that returned [`Reply::Later`]. An answer to a call that is not open (any
    /// more) does nothing.
    pub fn answer(&mut self, call: RequestId, outcome: Result<String, Failure>) {
        self.effects.push(Effect::Answer(call, outcome));
    }

    /// Makes `value` known to the module's instance on every compute node, those created later
    /// included, in place of what was published before; see [`Command::published`](crate::Command::published). Only at the
    /// control node.
    ///
    /// # Errors
    ///
    /// When the value is longer than [`crate::PUBLISHED_BYTES_MAX`] bytes. What was published before
    /// stays then.
    pub fn publish(&mut self, value: Vec<u8>) -> Result<(), Failure> {
        debug_assert!(self.facts.node.is_control());
        let value = bounded("a published value", value)?;
        self.effects.push(Effect::Publish(self.module, value));
        Ok(())
    }

    /// Watches this node's neighbours from now on, or no more. Every call starts every clock anew.
    pub fn watch(&mut self, watch: Option<Watch>) {
        self.effects.push(Effect::Watch(watch));
    }

    /// Prints a line at the console, at once. Only at the control node.
    pub fn notice(&mut self, line: impl Into<String>) {
        debug_assert!(self.facts.node.is_control());
        self.effects.push(Effect::Notice(line.into()));
    }
}

/// What travels to all nodes as one control message, which must fit in a frame.
fn bounded(what: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let (length, max) = (bytes.len(), crate::PUBLISHED_BYTES_MAX);
    if length <= max {
        return Ok(bytes);
    }
    Err(Failure::from(format!("{what} may have {max} bytes, and this one has {length}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PUBLISHED_BYTES_MAX, Traffic};

    /// In pieces it would be several values, and in one it would fit in no frame.
    #[test]
    fn what_is_too_long_for_all_is_refused_also_where_assertions_are_off() {
        let traffic = Traffic::default();
        let (node, transport) = (NodeId::CONTROL, "test");
        let (pid, depth, children, below, since) = (1, 0, 0, 0, Time::ZERO);
        let facts =
            Facts { node, pid, parent: node, depth, transport, children, below, since, traffic };
        let mut effects = Vec::new();
        let mut cx = Context::new(Time::ZERO, "test", facts, &mut effects);
        let long = vec![0; PUBLISHED_BYTES_MAX + 1];
        let published = cx.publish(long.clone()).unwrap_err();
        assert_eq!(published.text, "a published value may have 1024 bytes, and this one has 1025");
        let asked = cx.ask_all(RequestId(1), long).unwrap_err();
        assert_eq!(asked.text, "a question may have 1024 bytes, and this one has 1025");
        assert!(cx.publish(vec![0; PUBLISHED_BYTES_MAX]).is_ok());
        assert_eq!(effects.len(), 1);
    }
}
