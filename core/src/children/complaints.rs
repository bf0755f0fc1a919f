//! What is said in the log of peers that make no sense: not more often than anybody can read.

use std::fmt;

use crate::{Recurrence, Time};

/// The complaints of one node about its peers, any number of which may come from a hostile one.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Recurrence);

impl Complaints {
    /// Writes a line to the log, or only counts it.
    pub fn add(&mut self, now: Time, level: log::Level, what: fmt::Arguments<'_>) {
        match self.0.happened(now) {
            None => {}
            Some(1) => log::log!(level, "{what}"),
            Some(times) => log::log!(level, "{what} (and {} complaints before it)", times - 1),
        }
    }
}
