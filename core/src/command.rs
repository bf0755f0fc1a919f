//! The contract of a command module: how people put their own words on the tree.
//!
//! A module is a crate with one [`Command`] and one [`CommandSpec`], which it submits to
//! `inventory`. It has never heard of links, frames or transports.

use std::fmt;
use std::time::Duration;

use crate::offload::{Job, JobContext, JobKind};
use crate::{Args, NodeId, RequestId, Stream, Time};

/// A linked command module, as it registers itself. All text is shown to users.
///
/// ```
/// use hoptree_core::{Call, Claim, Command, CommandSpec, Context, Example, NodeId, Outcome, Word};
/// use hoptree_core::testkit::Harness;
///
/// struct Shout;
///
/// impl Command for Shout {
///     fn call(&mut self, _: &mut Context<'_>, call: &Call<'_>) -> Outcome {
///         let word: String = call.args.only("WORD", "a word")?;
///         Ok(word.to_uppercase().into())
///     }
/// }
///
/// inventory::submit! {
///     CommandSpec {
///         name: "shout",
///         package: "my-shout",
///         summary: "shouts",
///         words: &[Word { claim: Claim::Word("shout"), usage: "shout WORD", help: "shout it" }],
///         verbs: &[],
///         examples: &[Example { line: "exec 1 shout hey", reply: "Ok:1: HEY" }],
///         create: || Box::new(Shout),
///     }
/// }
///
/// let mut node = Harness::new("shout", NodeId::compute(1).unwrap());
/// assert_eq!(node.exec("shout hey"), Ok("HEY".to_owned()));
/// assert_eq!(node.exec("shout"), Err("shout: WORD is missing: expected a word".to_owned()));
/// ```
#[derive(Debug)]
pub struct CommandSpec {
    /// The module's name, in lower case; unique among the linked modules.
    pub name: &'static str,
    /// The package that brings it: `env!("CARGO_PKG_NAME")`.
    pub package: &'static str,
    /// What it is for, in one line.
    pub summary: &'static str,
    /// What `exec ID ...` may begin with to reach the module.
    pub words: &'static [Word],
    /// The console commands that it adds.
    pub verbs: &'static [Verb],
    /// At least one; they are run as tests.
    pub examples: &'static [Example],
    /// Makes the instance of one node.
    pub create: fn() -> Box<dyn Command>,
}

inventory::collect!(CommandSpec);

/// A word that a module answers on every compute node.
#[derive(Debug)]
pub struct Word {
    /// What the user must type.
    pub claim: Claim,
    /// How it is written after `exec ID`, for example `echo [ARG ...]`.
    pub usage: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
}

/// What a module claims as the first word after `exec ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// This very word.
    Word(&'static str),
    /// Any decimal integer, with or without a sign, of any length.
    Integer,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Claim::Word(word) => word,
            Claim::Integer => "INTEGER",
        })
    }
}

/// A console command that a module answers at the control node.
#[derive(Debug)]
pub struct Verb {
    /// What the user types, and other spellings of it.
    pub spellings: &'static [&'static str],
    /// How it is written, for example `heartbeat MS`.
    pub usage: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
}

/// A line of the console and what it prints, run in a session of its own after `create 1`.
#[derive(Debug)]
pub struct Example {
    /// What the user types.
    pub line: &'static str,
    /// The reply, without its line end.
    pub reply: &'static str,
}

/// A module's instance. Every node has one of each linked module, the control node included.
///
/// A node is one thread: no method may block or compute for long.
pub trait Command {
    /// Answers one of the module's words, on a compute node, or verbs, at the control node.
    ///
    /// # Errors
    ///
    /// A [`Failure`] is the user's answer too, with the word in front of it; it leaves the instance
    /// as it was.
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome;

    /// Answers what the module's instance at the control node has asked, see [`Context::ask_all`].
    /// Called on compute nodes only.
    ///
    /// # Errors
    ///
    /// A [`Failure`] reaches that instance like any other answer.
    fn asked(&mut self, cx: &mut Context<'_>, call: RequestId, question: &[u8]) -> Outcome {
        let _ = (cx, call, question);
        Err(Failure::from("this module answers no questions"))
    }

    /// All that was asked with [`Context::ask_all`] on behalf of `call` is answered, or never will
    /// be: one answer for each node, in ascending order. What is returned is the answer to `call`.
    /// Called at the control node only.
    ///
    /// # Errors
    ///
    /// A [`Failure`] is the user's answer too.
    fn gathered(
        &mut self,
        cx: &mut Context<'_>,
        call: RequestId,
        answers: Vec<(NodeId, Answer)>,
    ) -> Outcome {
        let _ = (cx, call, answers);
        Err(Failure::from("this module asks no questions"))
    }

    /// The module's instance at the control node has published `value`, see [`Context::publish`].
    /// Called on compute nodes only.
    fn published(&mut self, cx: &mut Context<'_>, value: &[u8]) {
        let _ = (cx, value);
    }

    /// Nobody waits for the answer to an open call any more: its deadline has come, or it was cancelled.
    /// What it does must end; work that was offloaded for it is told by itself.
    fn cancelled(&mut self, cx: &mut Context<'_>, call: RequestId) {
        let _ = (cx, call);
    }

    /// Something changed about a compute node. Called at the control node only.
    fn node_changed(&mut self, cx: &mut Context<'_>, node: NodeId, change: Change) {
        let _ = (cx, node, change);
    }

    /// [`Command::deadline`] has come. May be called early or late.
    fn timeout(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// When the instance next wants [`Command::timeout`]; `None` is never.
    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// What a call comes to: the text after `Ok:ID: ` (nothing more than `Ok:ID` for an empty one), or
/// a failure.
pub type Outcome = Result<Reply, Failure>;

/// A call that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This is the result: one line of text, or nothing.
    Now(String),
    /// The outcome comes later, by [`Context::answer`], [`Context::offload`] or
    /// [`Context::ask_all`]; other calls go on meanwhile.
    Later,
}

impl Reply {
    /// The reply that says no more than `Ok`.
    pub const EMPTY: Reply = Reply::Now(String::new());
}

impl From<String> for Reply {
    fn from(result: String) -> Reply {
        Reply::Now(result)
    }
}

impl From<&str> for Reply {
    fn from(result: &str) -> Reply {
        Reply::Now(result.to_owned())
    }
}

/// A call that failed: the text after `Error:ID: WORD: `, one line that says what was wrong, with
/// what, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Failure {
        Failure(text.to_owned())
    }
}

/// One call of a word or a verb.
#[derive(Debug)]
pub struct Call<'a> {
    /// What to give [`Context::answer`] when the answer comes later.
    pub id: RequestId,
    /// The word or verb as it was typed.
    pub word: &'a str,
    /// What followed it.
    pub args: Args<'a>,
    /// When nobody waits for the answer any more; so far away that it never comes when it is waited for
    /// until the call is cancelled.
    pub deadline: Time,
}

/// What one of many nodes has answered, see [`Command::gathered`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The module's instance there has answered.
    Given(Result<String, Failure>),
    /// The node can't be reached.
    Unavailable,
    /// The node lives, and has not answered by the deadline.
    Late,
    /// Too many requests wait for the node already, and it answers none of them.
    Refused,
    /// There is no such node any more.
    NotFound,
}

/// What happened to a compute node, as the control node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It can't be reached: its process or its link ended, or something above it was lost.
    Lost,
    /// Its parent has heard nothing from it for as long as [`Watch::silent_after`].
    Silent,
    /// It can be reached again, after it was lost or silent, and has shown so.
    Returned,
    /// It was removed, or its id is being created anew: what was known of it is void.
    Ended,
}

/// How a node watches its neighbours, see [`Context::watch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// A node that has sent its parent nothing for this long sends a beat.
    pub beat_every: Duration,
    /// A child that has sent nothing for this long is reported as [`Change::Silent`]. Time in which
    /// the observer itself did not run does not count.
    pub silent_after: Duration,
}

/// What a node knows of itself, see [`Context::facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Which node it is.
    pub node: NodeId,
    /// Its process.
    pub pid: u32,
    /// The node that it hangs from; the control node's is itself.
    pub parent: NodeId,
    /// How many links there are between it and the control node.
    pub depth: u32,
    /// The name of its transport.
    pub transport: &'static str,
    /// How many children are linked to it.
    pub children: usize,
    /// How many nodes there are below it, as far as it knows.
    pub below: usize,
    /// When it came to be.
    pub since: Time,
    /// What it has done since.
    pub traffic: Traffic,
}

/// Counters of one node, from its beginning on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that it has run itself.
    pub run: u64,
    /// Messages for others, either way, that it has passed on.
    pub passed_on: u64,
    /// Frames that came from its neighbours.
    pub frames_received: u64,
    /// Frames that it sent to them.
    pub frames_sent: u64,
    /// Answers that came after their deadline, or for a second time, and were dropped: at a compute
    /// node those of its own commands, at the control node those of nodes.
    pub answers_dropped: u64,
}

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
    /// created, and returns what the call is to return meanwhile: [`Command::gathered`] brings the
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
    /// included, in place of what was published before; see [`Command::published`]. Only at the
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
    Err(Failure(format!("{what} may have {max} bytes, and this one has {length}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PUBLISHED_BYTES_MAX;

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
        assert_eq!(published.0, "a published value may have 1024 bytes, and this one has 1025");
        let asked = cx.ask_all(RequestId(1), long).unwrap_err();
        assert_eq!(asked.0, "a question may have 1024 bytes, and this one has 1025");
        assert!(cx.publish(vec![0; PUBLISHED_BYTES_MAX]).is_ok());
        assert_eq!(effects.len(), 1);
    }
}
