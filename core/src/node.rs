//! The contract of a node: what goes in, what comes out.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Address, Failure, Job, JobKind, Life, LinkId, Machine, NodeId, ProcessId, Record, RequestId,
    Seed, Stream, Time,
};

/// A node as a pure state machine. [`crate::Controller`] and [`crate::Worker`] are the two there
/// are; a driver feeds them from sockets, processes and a clock, a test from an in-memory network.
///
/// A turn of the driver's loop is any number of [`Node::handle`], then one [`Node::flush`], then a
/// wait until [`Node::deadline`]. Outputs must be carried out in their order.
pub trait Node {
    /// Takes in one thing that has happened. Never blocks and never fails: what is wrong with an
    /// input ends in an output or a log line.
    ///
    /// `now` never goes back from call to call.
    fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>);

    /// Ends a turn: all that it produced for a link leaves in as few frames as possible, and all
    /// that it printed in one output.
    fn flush(&mut self, now: Time, out: &mut Vec<Output>);

    /// When it next wants [`Input::Timeout`], also if nothing else happens; `None` is never.
    fn deadline(&self) -> Option<Time>;

    /// Whether what jobs emit and come to finds its way on. While it does not, no job may be begun, and no
    /// output of one be told: they would pile up.
    fn has_room_for_outcomes(&self) -> bool {
        true
    }

    /// How much it keeps on behalf of others.
    fn holdings(&self) -> Holdings;

    /// How many of the processes that [`Output::Spawn`] asked for have neither joined nor ended.
    fn starting(&self) -> usize;
}

/// How much a node keeps on behalf of its neighbours, and of those who may become some. It is bounded
/// whatever they send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The lives that it knows below it, or has known.
    pub lives: usize,
    /// Those who have connected.
    pub peers: usize,
    /// Bytes that wait to leave.
    pub waiting_bytes: usize,
    /// Bytes of answers that are kept, to be compared with later ones or to be given again.
    pub answer_bytes: usize,
}

/// What a new compute node learns of its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// Who it is.
    pub life: Life,
    /// What it proves its places with.
    pub seed: Seed,
    /// Who has started it.
    pub parent: NodeId,
    /// Where that one runs.
    pub machine: Machine,
    /// Who is above the parent, the nearest first: they take it in when the parent is gone, even
    /// before it has said a word.
    pub ancestors: Vec<Ancestor>,
}

/// How the process of a node is started, as far as that is not as its parent's was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The name of its transport.
    pub transport: Option<String>,
    /// The machine that it runs on, and with it what is started below it.
    pub host: Option<Host>,
}

/// Another machine, as a launcher knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What the user calls it.
    pub name: String,
    /// The launcher that starts processes there: its name, or `NAME:ARGUMENT` when it was told something.
    pub launcher: String,
}

/// A node that may take in one below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Its id.
    pub node: NodeId,
    /// Where it listens.
    pub address: Address,
    /// Where it runs.
    pub machine: Machine,
}

/// What can happen to a node.
#[derive(Debug)]
pub enum Input<'a> {
    /// The console read a line, without its line end. Only for the control node.
    Line(&'a [u8]),
    /// The console read a line of more than [`crate::LINE_BYTES_MAX`] bytes and dropped it.
    LineTooLong,
    /// The console did not read all of a line and dropped it. The text says why, in words for the
    /// user.
    LineRefused(&'a str),
    /// The console will read no more lines.
    EndOfInput,
    /// Whether more was printed than the user reads. While that is so, answers are held back where they
    /// are, as far as they have not come already, and no deadline passes. Only for the control node.
    OutputBlocked(bool),
    /// The user wants what is under way to be stopped. Only for the control node.
    Cancel,
    /// The user wants the tree to end, now and in order: a signal, or nobody reads the output.
    Interrupt,
    /// This node listens at another place than before, where peers on other machines can connect as well.
    Listening(Address),
    /// The link that [`Output::Connect`] asked for is this; told at once, and before anything else of
    /// it. The number is that of the attempt.
    Connecting(u64, LinkId),
    /// A link can carry frames; the first thing that is told of it, unless this node has begun it.
    Up(LinkId),
    /// A frame came.
    Frame(LinkId, &'a [u8]),
    /// A link is gone; the last thing that is told of it.
    Down(LinkId),
    /// The process of a child that [`Output::Spawn`] asked for could not be started. The text says
    /// why, in words for the user.
    SpawnFailed(Life, &'a str),
    /// The process of a child has ended and has been reaped. The text is what it said of that, in
    /// words for the user, if it did.
    ChildExited(Life, Exit, Option<&'a str>),
    /// A process has ended and been reaped whose parent, which had started it, is gone: with this
    /// process id. Only for the control node, to which all such processes come.
    OrphanExited(u32, Exit),
    /// Output of a job that [`Output::Offload`] asked for, in the order in which it was emitted. The first
    /// is its call.
    JobOutput(RequestId, Stream, &'a [u8]),
    /// What a job of this kind that [`Output::Offload`] asked for has come to, after all its output. The
    /// first is its call.
    JobDone(RequestId, JobKind, Result<String, Failure>),
    /// What was seen of the neighbour on this link, as [`Output::Inspect`] has asked for. All that it
    /// had sent by then, and that has arrived since, has been told before.
    Inspected(LinkId, Inspection),
    /// [`Node::deadline`] has come. All that happened before it has been told before.
    Timeout,
}

/// What is seen, at one moment, of a neighbour from which nothing comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Its process, whose loop is what has run.
    pub neighbour: Activity,
    /// The threads of this process that deliver its frames, if there are any beside the node's own.
    pub delivery: Activity,
    /// How long a frame and its acknowledgement take on the link at present, if it leads to another machine,
    /// whose processes can't be seen.
    pub round_trip: Duration,
}

/// What a process, or some of its threads, are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// One of them runs, or could and waits for a processor. Those that are asleep, stopped or gone
    /// are not busy.
    pub is_busy: bool,
    /// How long they have run in all.
    pub ran: Duration,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Exit {
    /// It returned this exit status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
}

/// How a node ends that could not end a process below it. Its last words say which.
pub const LEFT_BEHIND: Exit = Exit::Status(LEFT_BEHIND_STATUS as i32);

/// The exit status of such a node.
pub const LEFT_BEHIND_STATUS: u8 = 3;

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Status(status) => write!(f, "exit status {status}"),
            Exit::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// What a node wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a frame. When the transport does not take it, the link must be closed and reported as
    /// [`Input::Down`]: the credit of a link leaves no other reason.
    Send(LinkId, Vec<u8>),
    /// Close a link; no [`Input::Down`] follows.
    Close(LinkId),
    /// Connect to a node that listens there. [`Input::Connecting`] follows, with this number.
    Connect(u64, Address),
    /// This node is responsible from now on for a process that another one has started: it can be
    /// ended with [`Output::Kill`], though its end is not told. The number is its process id, as long
    /// as its link stands.
    Adopt(Life, u32),
    /// Start a child's process, with this node as its parent. It learns of its birth, connects and says
    /// hello, or [`Input::SpawnFailed`] or [`Input::ChildExited`] follows.
    Spawn(Birth, Start),
    /// End a child's process with SIGKILL. [`Input::ChildExited`] follows. Nothing happens when
    /// there is no such process any more.
    Kill(Life),
    /// Look what this process, a neighbour's on this link, is doing. [`Input::Inspected`] follows.
    Inspect(LinkId, ProcessId),
    /// Run a job in another thread. [`Input::JobOutput`] may follow, and [`Input::JobDone`] does.
    Offload(Job),
    /// Write to the user, at once: whole lines of UTF-8. Only from the control node.
    Print(Vec<u8>),
    /// A command has ended at a node. Only from the control node, when [`ControllerConfig`] wants it.
    ///
    /// [`ControllerConfig`]: crate::ControllerConfig
    Record(Record),
    /// The node is done: after what was output before, its process ends. Nothing follows.
    Exit,
}
