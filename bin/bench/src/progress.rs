//! How far the benchmark is, for a user at a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::measure::Measure;

/// How often it is drawn in a second: what draws takes a core from what is measured.
const DRAWS_PER_SECOND: u8 = 2;

/// A bar on stderr; nothing at all when that is no terminal. What is shown counts in milliseconds
/// of the time that all will take.
pub struct Progress {
    bar: ProgressBar,
    /// What came before the measure that is under way.
    before: Duration,
    /// How long that one will take.
    time: Duration,
}

impl Progress {
    /// A bar for so long a time.
    pub fn new(total: Duration) -> Progress {
        let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
        let bar = ProgressBar::with_draw_target(Some(milliseconds(total)), target);
        let style =
            ProgressStyle::with_template("{bar:24} {percent:>3} %  {eta_precise} left  {msg}");
        bar.set_style(style.expect("the template is a valid one"));
        Progress { bar, before: Duration::ZERO, time: Duration::ZERO }
    }

    /// The next measure begins, in this run of all.
    pub fn begin(&mut self, run: u32, runs: u32, measure: Measure, time: Duration) {
        self.before += self.time;
        self.time = time;
        self.bar.set_message(format!("run {} of {runs}, {}", run + 1, measure.name()));
        self.advance(0.0);
    }

    /// This share of the measure that is under way is done.
    pub fn advance(&self, share: f64) {
        self.bar.set_position(milliseconds(self.before + self.time.mul_f64(share)));
    }

    /// There is nothing more to come.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
