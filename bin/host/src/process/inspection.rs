//! What the process of a neighbour is doing, which shows no sign of life.
//!
//! Where processor time is short, by a quota or by other programs, a node that lives may not run for
//! longer than the patience of its neighbours, while these do. It then waits for a processor, which
//! one that hangs does not: that one sleeps, or is stopped, or runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hoptree_core::{Activity, Inspection};
use rustix::thread::gettid;

use crate::threads::is_own;

/// What the neighbour with this process is doing now: nothing when the system does not tell.
///
/// A frame is on its way as long as a thread that passes it on is about to run. So threads are looked
/// at in the order in which it passes them: those of its sender, then those of this process. The
/// caller, which comes last, must hear what has arrived before it draws conclusions.
pub fn inspect(pid: u32) -> Inspection {
    let process = format!("/proc/{pid}");
    let ran = run_time(Path::new(&process));
    let neighbour = Activity { ran, ..activity(&process) };
    Inspection { neighbour, delivery: activity("/proc/self"), ..Inspection::default() }
}

/// What the threads of a process are doing, without the caller and the threads of this program.
fn activity(process: &str) -> Activity {
    let mut activity = Activity::default();
    let caller = gettid().to_string();
    let Ok(threads) = fs::read_dir(format!("{process}/task")) else { return activity };
    for thread in threads.flatten().filter(|thread| *thread.file_name() != *caller) {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        if let Some(is_busy) = is_busy(&stat) {
            activity.is_busy |= is_busy;
            activity.ran += run_time(&thread.path());
        }
    }
    activity
}

/// Whether a thread with this text of its `stat` file, `ID (NAME) STATE ...`, runs or waits to: for a
/// processor, or, while it starts another process, for that one. `None` for our own threads, which have
/// nothing to do with frames.
fn is_busy(stat: &str) -> Option<bool> {
    let (before, after) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once(" (")?;
    (!is_own(name)).then_some(after.starts_with(['R', 'D']))
}

/// How long a process or thread has run, which its `schedstat` file begins with, in nanoseconds.
fn run_time(path: &Path) -> Duration {
    let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
    let nanoseconds = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::thread;
    use std::time::Instant;

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;
    use crate::threads::named;

    /// A shell that does something until the test ends.
    struct Shell(Child);

    impl Shell {
        fn new(script: &str) -> Shell {
            Shell(Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap())
        }

        fn signal(&self, signal: Signal) {
            kill_process(Pid::from_child(&self.0), signal).unwrap();
        }

        fn inspect(&self) -> Activity {
            inspect(self.0.id()).neighbour
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[track_caller]
    fn eventually(condition: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < until);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn who_waits_for_input_or_is_stopped_is_not_busy_and_who_runs_is() {
        let waiting = Shell::new("read line");
        eventually(|| !waiting.inspect().is_busy);
        let running = Shell::new("while :; do :; done");
        eventually(|| running.inspect().is_busy);
        let before = running.inspect().ran;
        eventually(|| running.inspect().ran > before);
        running.signal(Signal::STOP);
        eventually(|| !running.inspect().is_busy);
        running.signal(Signal::CONT);
        eventually(|| running.inspect().is_busy);
    }

    #[test]
    fn who_is_gone_is_not_busy() {
        assert_eq!(inspect(u32::MAX).neighbour, Activity::default());
    }

    #[test]
    fn the_state_is_found_behind_any_name_but_that_of_our_own() {
        assert_eq!(is_busy("7 (a) b) R 42"), Some(true));
        assert_eq!(is_busy("7 (x) D 42"), Some(true));
        for stat in ["7 (R) S 42", "7 (x) T 42", "7 (x) Z 42"] {
            assert_eq!(is_busy(stat), Some(false), "{stat}");
        }
        assert_eq!(is_busy("7 (x"), None);
        let name = |thread: thread::Builder| {
            thread.spawn(|| thread::current().name().map(str::to_owned)).unwrap().join().unwrap()
        };
        let own = name(named("work")).unwrap();
        assert_eq!(is_busy(&format!("7 ({own}) R 42")), None);
    }
}
