//! What a scenario wants to see of what has happened.

use std::collections::HashMap;

use hoptree_core::{LinkId, NodeId};

use crate::process::Pid;

#[derive(Default)]
pub struct Record {
    /// What was printed and not read.
    pub printed: Vec<String>,
    /// How many frames came to each process.
    pub frames: HashMap<Pid, usize>,
    /// How many bytes of what is reduced came to each end of a link.
    pub reduced: HashMap<LinkId, usize>,
    /// The nodes that were ended by those above them.
    pub killed: Vec<NodeId>,
}
