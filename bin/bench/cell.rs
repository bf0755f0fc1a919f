//! The times behind one line of a table.

use super::subject::Subject;
use super::times::Times;

/// The times that one subject took over one distance.
pub struct Cell {
    /// How many processes are in the way.
    pub hops: usize,
    /// Who took them.
    pub subject: Subject,
    /// What they are.
    pub times: Times,
}

impl Cell {
    /// A cell without times yet.
    pub fn new(hops: usize, subject: Subject) -> Cell {
        Cell { hops, subject, times: Times::new() }
    }
}
