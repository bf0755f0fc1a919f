//! The contract of a command module: how people put their own words on the tree.
//!
//! A module is a crate with one [`Command`] and one [`CommandSpec`], which it submits to
//! `inventory`. It has never heard of links, frames or transports.

use std::fmt;
use std::str::{FromStr, SplitAsciiWhitespace};
use std::time::Duration;

use crate::{NodeId, RequestId, Time};

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
/// assert_eq!(node.exec("shout"), Err("WORD is missing: expected a word".to_owned()));
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
    /// A [`Failure`] is the user's answer too; it leaves the instance as it was.
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome;

    /// The module's instance at the control node has published `value`, see [`Context::publish`].
    /// Called on compute nodes only.
    fn published(&mut self, cx: &mut Context<'_>, value: &[u8]) {
        let _ = (cx, value);
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
    /// [`Context::answer`] will bring the outcome later; other calls go on meanwhile.
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

/// A call that failed: the text after `Error:ID: `, one line that says what was wrong, with what,
/// and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// The arguments of a call: words, separated by blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args<'a>(&'a str);

impl<'a> Args<'a> {
    /// The arguments in `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Args<'a> {
        Args(text)
    }

    /// One argument after the other.
    #[must_use]
    pub fn iter(&self) -> SplitAsciiWhitespace<'a> {
        self.0.split_ascii_whitespace()
    }

    /// Nothing, for a word that takes no argument.
    ///
    /// # Errors
    ///
    /// Names the first argument when there is one.
    pub fn none(&self) -> Result<(), Failure> {
        match self.iter().next() {
            None => Ok(()),
            Some(surplus) => Err(unexpected(surplus)),
        }
    }

    /// The only argument, called `name` in what the user reads, which is to be `expected`.
    ///
    /// # Errors
    ///
    /// Says what was expected when the argument is missing, is no `T`, or is not the only one.
    pub fn only<T: FromStr>(&self, name: &str, expected: &str) -> Result<T, Failure> {
        let mut words = self.iter();
        let Some(word) = words.next() else {
            return Err(Failure(format!("{name} is missing: expected {expected}")));
        };
        let value = word
            .parse()
            .map_err(|_| Failure(format!("{name} is to be {expected}, not '{}'", shown(word))))?;
        match words.next() {
            None => Ok(value),
            Some(surplus) => Err(unexpected(surplus)),
        }
    }
}

fn unexpected(surplus: &str) -> Failure {
    Failure(format!("unexpected argument '{}'", shown(surplus)))
}

/// As much of a user's word as an error message should repeat.
#[must_use]
pub fn shown(word: &str) -> &str {
    const BYTES_MAX: usize = 40;
    &word[..word.floor_char_boundary(BYTES_MAX)]
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

/// What an instance can do beside answering; valid for the one method call it is handed to.
#[derive(Debug)]
pub struct Context<'a> {
    now: Time,
    node: NodeId,
    module: &'static str,
    effects: &'a mut Vec<Effect>,
}

/// What an instance asked for through its [`Context`], for the node to carry out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Answer(RequestId, Result<String, Failure>),
    /// Of the module with this name.
    Publish(&'static str, Vec<u8>),
    Watch(Option<Watch>),
    Notice(String),
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        now: Time,
        node: NodeId,
        module: &'static str,
        effects: &'a mut Vec<Effect>,
    ) -> Context<'a> {
        Context { now, node, module, effects }
    }

    /// The time of this node.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The node that the instance belongs to.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Answers a call that returned [`Reply::Later`]. An answer to a call that is not open (any
    /// more) does nothing.
    pub fn answer(&mut self, call: RequestId, outcome: Result<String, Failure>) {
        self.effects.push(Effect::Answer(call, outcome));
    }

    /// Makes `value` known to the module's instance on every compute node, those created later
    /// included, in place of what was published before; see [`Command::published`]. At most
    /// [`crate::PUBLISHED_BYTES_MAX`] bytes. Only at the control node.
    pub fn publish(&mut self, value: Vec<u8>) {
        debug_assert!(self.node.is_control() && value.len() <= crate::PUBLISHED_BYTES_MAX);
        self.effects.push(Effect::Publish(self.module, value));
    }

    /// Watches this node's neighbours from now on, or no more. Every call starts every clock anew.
    pub fn watch(&mut self, watch: Option<Watch>) {
        self.effects.push(Effect::Watch(watch));
    }

    /// Prints a line at the console, at once. Only at the control node.
    pub fn notice(&mut self, line: impl Into<String>) {
        debug_assert!(self.node.is_control());
        self.effects.push(Effect::Notice(line.into()));
    }
}
