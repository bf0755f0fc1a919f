//! What one command of the console is waiting for.

use std::sync::Arc;
use std::time::Duration;

use super::gather::Gather;
use super::windows::Charge;
use crate::wire::{Kind, Terms};
use crate::{Life, NodeId, RequestId, Start, Time};

/// A command that waits for its reply.
#[derive(Debug)]
pub(crate) struct Pending {
    pub operation: Operation,
    /// When its request was sent; its deadline counts from here. `None` while it waits for others.
    pub sent: Option<Time>,
    /// What its request takes of the windows, until it is answered.
    pub charge: Option<Charge>,
    pub options: Options,
    /// How often it was asked for again.
    pub repeats: u32,
}

/// What the user wants of one command in place of what holds for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub patience: Patience,
    /// Equal answers of its nodes are told once.
    pub is_folded: bool,
}

impl Options {
    /// How long its answer is waited for, if there is a bound, where the deadline of others is `default`.
    pub fn limit(self, default: Duration) -> Option<Duration> {
        match self.patience {
            Patience::Default => Some(default),
            Patience::AtMost(limit) => Some(limit),
            Patience::Endless => None,
        }
    }

    /// What the nodes of `command` must know of that, where the deadline of others is `default`.
    pub fn terms(self, default: Duration, command: RequestId) -> Option<Terms> {
        let fold = Some(command).filter(|_| self.is_folded);
        let terms = Terms { timeout: self.limit(default), fold };
        (self != Options::default()).then_some(terms)
    }
}

/// How long the answer to a request is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as that of any other.
    #[default]
    Default,
    /// For this long.
    AtMost(Duration),
    /// Until it is cancelled.
    Endless,
}

/// What a command does.
#[derive(Debug)]
pub(crate) enum Operation {
    /// A line for a node; empty once it has been sent.
    Exec { node: NodeId, line: Vec<u8> },
    /// The same for many nodes: its parts are pending on their own.
    Many(Box<Gather>),
    /// What a command for many nodes, or a module's question to all, asks of one of them.
    Part { command: RequestId, node: NodeId, kind: Kind, body: Arc<[u8]> },
    /// A question whether a node lives.
    Ping { node: NodeId },
    /// A new life of a node.
    Create { node: NodeId, parent: NodeId, start: Start, stage: CreateStage },
    /// The end of a node and all below it.
    Remove { node: NodeId, stage: RemoveStage },
    /// A console command of a module, which has its reply later.
    Verb,
}

/// How far a create is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CreateStage {
    /// It waits for its turn.
    Waiting,
    /// A node with this id exists, as far as is known, and is asked whether it still lives.
    Asking,
    /// That node does not live any more; it waits for its turn again.
    Cleared,
    /// The parent was told to start this life.
    Starting { life: Life, parent: Life },
}

/// How far a removal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoveStage {
    /// It waits for its turn.
    Waiting,
    /// The node is asked whether it lives: one that can't be reached is not changed.
    Asking,
    /// Its parent was told to end it.
    Ending,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GiveUpReason {
    /// Its node, or the route to it, is gone.
    Lost,
    /// Its node shows no sign of life until the deadline.
    Silent,
    /// Its node lives, but the deadline has come.
    Slow,
    /// The user does not want it any more.
    Cancelled,
    /// Its node sends more output than it may.
    Excess,
}

impl Pending {
    pub fn new(operation: Operation) -> Pending {
        Pending { operation, sent: None, charge: None, options: Options::default(), repeats: 0 }
    }

    /// A console command whose reply a module gives later, sent at `now`.
    pub fn verb(now: Time) -> Pending {
        Pending { sent: Some(now), ..Pending::new(Operation::Verb) }
    }

    /// The node whose answer is waited for, once the request is sent.
    pub fn asked(&self) -> Option<NodeId> {
        match self.operation {
            Operation::Exec { node, .. }
            | Operation::Part { node, .. }
            | Operation::Ping { node }
            | Operation::Remove { node, .. } => Some(node),
            Operation::Create { node, stage: CreateStage::Asking, .. } => Some(node),
            Operation::Create { parent, .. } => Some(parent),
            Operation::Verb | Operation::Many(_) => None,
        }
    }
}
