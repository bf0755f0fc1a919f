//! The bodies of messages that are not text.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Address, Ancestor, Life, NodeId, ProcessId, Proof, Proved, RequestId, Seed, Start, Token,
};

/// How many nodes a child knows that may take it in when it loses its parent, beside the parent
/// itself: the nearest, and the control node.
pub(crate) const ANCESTORS_MAX: usize = 8;

/// What a link begins with, from the parent; sent again when it has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// Who the parent is.
    pub parent: NodeId,
    /// Its process.
    pub process: ProcessId,
    /// Where the parent listens, if it has begun to do so at another place since it has started children.
    pub address: Option<Address>,
    /// How many links there are between the child and the control node.
    pub depth: u32,
    /// Who is above the parent, and where they listen, the nearest first.
    pub ancestors: Vec<Ancestor>,
}

/// What a link begins with, from the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub version: u16,
    pub token: Token,
    pub life: Life,
    pub process: ProcessId,
    /// The proof of a new life that it is the one which its parent has started. One that has lost its parent
    /// and looks for another has none: it asks several, and shows it only to the one with whom it stays.
    pub newborn: Option<Proof>,
}

/// What holds for one request in place of what holds for all, in front of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// How long its answer is waited for; for ever without.
    pub timeout: Option<Duration>,
    /// Its output comes with its answer, as a [`Detailed`](super::Detailed), unless there is too much of it; and its answer
    /// may be one with those of other nodes to this command.
    pub fold: Option<RequestId>,
}

/// What life to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Create {
    pub life: Life,
    /// For the life alone: those on the way keep its mark.
    pub seed: Seed,
    pub start: Start,
}

/// That an orphan stays with the parent that gets this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settled {
    /// How many times it has moved, this time included.
    pub moves: u32,
    pub proof: Proof,
}

/// That a life has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moved {
    pub to: Proved,
    pub process: ProcessId,
}

/// That a new life has said its hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Joined {
    pub at: Proved,
    pub process: ProcessId,
}

/// What a module has published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Published {
    pub module: String,
    pub value: Vec<u8>,
}
