//! Records: what became of each command at each node, for whoever keeps a log of them.

use std::sync::Arc;

use crate::{Exit, NodeId, Time};

/// How much of a command is recorded, in bytes. The rest is left out: the records of all commands that
/// are under way are in memory.
pub const RECORDED_BYTES_MAX: usize = 4 * 1024;

/// What became of one `exec` at one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The number of the command among those of the input, from 1 on.
    pub number: u64,
    /// Whose answer it is.
    pub node: NodeId,
    /// What followed the ids, or its beginning: no more than [`RECORDED_BYTES_MAX`] of it.
    pub line: Arc<str>,
    /// When it was sent, or, if it was not, read.
    pub started: Time,
    /// When it was answered, or given up.
    pub ended: Time,
    /// How long the line is, in bytes.
    pub sent_bytes: usize,
    /// How long its output and its answer are together, in bytes.
    pub received_bytes: usize,
    /// How it ended.
    pub ending: ExecEnding,
}

/// How a command ended at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecEnding {
    /// With a result.
    Ok,
    /// With an error, and how the program ended if it is the failure of one.
    Failed(Option<Exit>),
    /// Without an answer: the node can't be reached, or the deadline has come.
    Unanswered,
}

/// The beginning of a text that may be kept in a record.
pub(crate) fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(RECORDED_BYTES_MAX)]
}
