//! Names the run that does not go on, since a node that never comes back from a turn ends no run.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;
use std::{process, thread};

/// Longer than any event takes, also in the largest run of an unoptimised build.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many events there were in all runs together.
static EVENTS: AtomicU64 = AtomicU64::new(0);

/// How the runs that are under way can be repeated.
static RUNS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A run that is under way, until it is dropped.
pub struct Watched(String);

/// Ends the tests, and says which run it was, when nothing has happened for long.
pub fn watch(run: String) -> Watched {
    static START: Once = Once::new();
    START.call_once(|| drop(thread::spawn(bark)));
    runs(|runs| runs.push(run.clone()));
    Watched(run)
}

/// Something has happened.
pub fn event() {
    EVENTS.fetch_add(1, Ordering::Relaxed);
}

impl Drop for Watched {
    fn drop(&mut self) {
        runs(|runs| runs.retain(|run| *run != self.0));
    }
}

fn runs<T>(look: impl FnOnce(&mut Vec<String>) -> T) -> T {
    look(&mut RUNS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn bark() {
    let mut before = 0;
    loop {
        thread::sleep(PATIENCE);
        let now = EVENTS.load(Ordering::Relaxed);
        let under_way = runs(|runs| runs.clone());
        if now == before && !under_way.is_empty() {
            // What is printed otherwise is kept until a test has ended.
            let _ = writeln!(
                io::stderr(),
                "a node does not come back from a turn in one of these: {under_way:#?}"
            );
            process::exit(1);
        }
        before = now;
    }
}
