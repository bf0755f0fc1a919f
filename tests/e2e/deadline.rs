//! How long things may take, on a machine with two busy cores.

use std::thread;
use std::time::{Duration, Instant};

/// For anything that is only slow when the machine is. Passing it means that it will never happen.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// For whole scripts.
pub const LONG_PATIENCE: Duration = Duration::from_secs(120);

/// For a reply that waits for no time-out. The default time-out of a request is 5 s, so a reply that
/// did wait for it is told apart from one that did not.
pub const AT_ONCE: Duration = Duration::from_secs(2);

/// How long a process may outlive its control node.
pub const OUTLIVING_MAX: Duration = Duration::from_secs(2);

/// How much later than promised a busy machine may make a notice.
pub const TOLERANCE: Duration = Duration::from_millis(800);

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, within: Duration, condition: impl FnMut() -> bool) {
    assert!(holds_within(within, condition), "not within {within:?}: {what}");
}

/// Waits until `condition` holds, and says whether it came to that.
pub fn holds_within(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() >= within {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Lets time pass because the test is about time.
pub fn pass(time: Duration) {
    thread::sleep(time);
}
