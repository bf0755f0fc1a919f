//! The names of things: nodes, their lives, links and requests.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Proof;

/// A node's id, chosen by the user; nothing to do with a process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(u32);

impl NodeId {
    /// The greatest id that a compute node may have.
    pub const MAX: u32 = i32::MAX as u32;

    /// The control node, which a user writes as `-1`.
    pub const CONTROL: NodeId = NodeId(u32::MAX);

    /// The compute node with this id, when it is at most [`NodeId::MAX`].
    #[must_use]
    pub const fn compute(id: u32) -> Option<NodeId> {
        if id <= Self::MAX { Some(NodeId(id)) } else { None }
    }

    /// Whether this is the control node.
    #[must_use]
    pub fn is_control(self) -> bool {
        self == NodeId::CONTROL
    }

    /// The number that stands for this id in a message.
    pub(crate) fn to_wire(self) -> u32 {
        self.0
    }

    /// The id that a number in a message stands for; the opposite of [`NodeId::to_wire`].
    pub(crate) fn from_wire(number: u32) -> NodeId {
        NodeId(number)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_control() { f.write_str("-1") } else { self.0.fmt(f) }
    }
}

/// Tells the lives of one node id apart: each `create` of the id has a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u32);

/// One life of a node: the id, and which of its incarnations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Life {
    /// The id that the user gave it.
    pub node: NodeId,
    /// Which life of that id.
    pub incarnation: Incarnation,
}

impl Life {
    /// The control node, which has one life.
    pub const CONTROL: Life = Life { node: NodeId::CONTROL, incarnation: Incarnation(0) };
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} (life {})", self.node, self.incarnation.0)
    }
}

/// Where a life hangs in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Who hangs there.
    pub life: Life,
    /// Its parent.
    pub parent: Life,
    /// How many times it has moved from one parent to another; of two places of a life, the one with
    /// the greater number is the newer.
    pub moves: u32,
}

/// A place of a life, and the life's proof that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    /// Where.
    pub place: Place,
    /// What only the life itself can have shown.
    pub proof: Proof,
}

/// One connection to a neighbour. A transport hands them out and never uses one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One request of the control node; unique for as long as the control node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// What a peer shows in its hello: 128 bits that follow from the [secret](crate::Secret) of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(pub [u8; 16]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What tells machines apart: processes on the same one see each other by their process ids.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Machine(pub u64);

/// A process of the tree.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ProcessId {
    /// Where it runs.
    pub machine: Machine,
    /// Its process id there.
    pub pid: u32,
}

#[cfg(test)]
impl ProcessId {
    /// One on a machine that is the same in all tests.
    pub(crate) fn of(pid: u32) -> ProcessId {
        ProcessId { machine: Machine::default(), pid }
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pid.fmt(f)
    }
}
