//! The contract of a command module: how people put their own words on the tree.
//!
//! A module is a crate with one [`Command`] and one [`CommandSpec`], which it submits to
//! `inventory`. It has never heard of links, frames or transports.

use std::fmt;
use std::time::Duration;

use crate::{Args, Context, Exit, NodeId, RequestId, Time};

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

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// What follows `Error:ID: WORD: `: one line that says what was wrong, with what, and what was
    /// expected.
    pub text: String,
    /// How the program ended whose failure this is, if it is one: for whoever keeps a log of them.
    pub exit: Option<Exit>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure { text, exit: None }
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Failure {
        Failure::from(text.to_owned())
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
