//! What the control node is told before it starts.

use std::time::Duration;

use crate::{ProcessId, Registry, Secret, Token};

/// What the control node is told before it starts.
#[derive(Debug)]
pub struct ControllerConfig {
    /// What every node of this tree shows its neighbours.
    pub token: Token,
    /// What the [seeds](crate::Seed) of all lives are made from. Nobody else may know it, not even
    /// the nodes of the tree.
    pub own_secret: Secret,
    /// Its process.
    pub process: ProcessId,
    /// The name of its transport.
    pub transport: &'static str,
    /// The deadline of a request.
    pub timeout: Duration,
    /// The order of the replies.
    pub order: Order,
    /// How many compute nodes there may be.
    pub nodes_max: usize,
    /// Whether [`Output::Record`](crate::Output::Record) is wanted.
    pub records: bool,
    /// The command modules.
    pub commands: Registry,
}

/// In which order replies are printed. Notices are printed at once in either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the commands were typed.
    Input,
    /// As they complete.
    Completion,
}
