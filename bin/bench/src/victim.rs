//! A process of a benchmark that something is done to, or that is looked at.

use std::fs;
use std::thread;
use std::time::Instant;

use hoptree_host::Failure;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::gettid;

use super::PATIENCE;

/// A process that has not been reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Victim(Pid);

impl Victim {
    /// The process with this id.
    pub fn new(pid: Pid) -> Victim {
        Victim(pid)
    }

    /// The process whose id this is, if it is one.
    pub fn parse(pid: &str) -> Option<Victim> {
        Pid::from_raw(pid.parse().ok().filter(|pid| *pid > 0)?).map(Victim)
    }

    /// Its id.
    pub fn pid(self) -> Pid {
        self.0
    }

    /// Sends SIGSTOP, and returns when its main thread, which would answer, has stopped.
    ///
    /// # Errors
    ///
    /// When that does not happen.
    pub fn stop(self) -> Result<(), Failure> {
        let start = Instant::now();
        self.signal(Signal::STOP)?;
        while !self.is_stopped() {
            if start.elapsed() > PATIENCE {
                return Err(Failure::Runtime(format!("process {} does not stop", self.0)));
            }
            thread::yield_now();
        }
        Ok(())
    }

    /// Sends SIGCONT.
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub fn go_on(self) -> Result<(), Failure> {
        self.signal(Signal::CONT)
    }

    /// Sends SIGKILL.
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub fn kill(self) -> Result<(), Failure> {
        self.signal(Signal::KILL)
    }

    fn signal(self, signal: Signal) -> Result<(), Failure> {
        kill_process(self.0, signal).map_err(Failure::doing("send a signal"))
    }

    fn is_stopped(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        state(&stat) == Some("T")
    }
}

/// Returns when what this process has sent is there. Nothing tells when a process that is stopped has
/// something to read, but on one machine whatever has left this process has arrived; and what a
/// library does not send at once, it sends in threads of its own, which rest when it has left.
///
/// # Errors
///
/// When that does not happen, or the system does not tell.
pub fn let_arrive() -> Result<(), Failure> {
    let start = Instant::now();
    let mut rested = false;
    loop {
        // A thread may rest only since it woke another that was seen at rest before. So it takes
        // two looks to say that all of them do.
        let rest = others_rest()?;
        if rest && rested {
            return Ok(());
        }
        rested = rest;
        if start.elapsed() > PATIENCE {
            return Err(Failure::Runtime("a library does not stop sending".to_owned()));
        }
        thread::yield_now();
    }
}

/// Whether every thread of this process but the one that asks is asleep.
fn others_rest() -> Result<bool, Failure> {
    let unknown = Failure::doing("learn about the threads of this process");
    let this = gettid().to_string();
    for thread in fs::read_dir("/proc/self/task").map_err(&unknown)?.flatten() {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // One that has ended meanwhile has no state.
        if thread.file_name() != *this && state(&stat).is_some_and(|state| state != "S") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The state in the text of a `stat` file, `PID (NAME) STATE ...`, where the name may hold anything.
fn state(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert_eq!(state("7 (a) b) T 42 1 1"), Some("T"));
        assert_eq!(state("7 (x"), None);
    }

    #[test]
    fn only_a_positive_number_is_a_process() {
        assert_eq!(Victim::parse("1").map(Victim::pid), Pid::from_raw(1));
        for text in ["0", "-1", "", "1 2", "one"] {
            assert_eq!(Victim::parse(text), None, "{text}");
        }
    }
}
