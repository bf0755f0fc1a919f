//! How long something took, many times.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::PATIENCE;

/// Times of up to what anything may take, in nanoseconds, three digits of each.
pub struct Times(Histogram<u64>);

impl Times {
    /// No times yet.
    pub fn new() -> Times {
        let times = Histogram::new_with_max(nanoseconds(PATIENCE), 3);
        Times(times.expect("these are valid bounds"))
    }

    /// Adds a time.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(nanoseconds(took));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this share of the times does not exceed.
    pub fn microseconds(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
