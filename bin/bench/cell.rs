//! The times behind one line of a table.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::PATIENCE;
use super::subject::Subject;

/// The times that one subject took over one distance.
pub struct Cell {
    /// How many processes are in the way.
    pub hops: usize,
    /// Who took them.
    pub subject: Subject,
    /// In nanoseconds, three digits of each.
    times: Histogram<u64>,
}

impl Cell {
    /// A cell without times yet, with room for times of up to what anything may take.
    pub fn new(hops: usize, subject: Subject) -> Cell {
        let times = Histogram::new_with_max(nanoseconds(PATIENCE), 3);
        Cell { hops, subject, times: times.expect("these are valid bounds") }
    }

    /// Adds a time.
    pub fn record(&mut self, took: Duration) {
        self.times.saturating_record(nanoseconds(took));
    }

    /// Whether it has no times.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The time that this share of the times does not exceed.
    pub fn microseconds(&self, quantile: f64) -> f64 {
        self.times.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
