//! What a process takes of the machine, as `/proc` tells.

use std::fs;
use std::time::Duration;

use hoptree_host::Failure;
use rustix::process::Pid;

/// What a process takes at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Its memory; what it shares with others it has a share in.
    pub pss_kib: u64,
    /// How many threads it has.
    pub threads: u64,
    /// How many open files.
    pub descriptors: u64,
}

impl Usage {
    /// What this process takes now.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn of(pid: Pid) -> Result<Usage, Failure> {
        Ok(Usage {
            pss_kib: pss_kib(pid)?,
            threads: count(pid, "task")?,
            descriptors: count(pid, "fd")?,
        })
    }
}

/// The memory of a process now; what it shares with others it has a share in.
///
/// # Errors
///
/// When the system does not tell.
pub fn pss_kib(pid: Pid) -> Result<u64, Failure> {
    field(&read(pid, "smaps_rollup")?, "Pss:")
        .ok_or_else(|| Failure::Runtime(format!("process {pid} has no Pss")))
}

/// The most memory that a process has had so far, with all of what it shares with others.
///
/// # Errors
///
/// When the system does not tell.
pub fn peak_kib(pid: Pid) -> Result<u64, Failure> {
    field(&read(pid, "status")?, "VmHWM:")
        .ok_or_else(|| Failure::Runtime(format!("process {pid} has no VmHWM")))
}

/// How long the threads of a process have run so far; a thread that has ended takes its time with
/// it, and processes at rest start and end none.
///
/// # Errors
///
/// When the system does not tell.
pub fn cpu_time(pid: Pid) -> Result<Duration, Failure> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).map_err(unknown(pid))?.flatten() {
        let text = fs::read_to_string(thread.path().join("schedstat")).map_err(unknown(pid))?;
        nanoseconds += run_time(&text).unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The time on a core, in nanoseconds, in the text of a `schedstat` file.
fn run_time(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

/// The number of the line of `text` that begins with this word.
fn field(text: &str, word: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn read(pid: Pid, file: &str) -> Result<String, Failure> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(unknown(pid))
}

fn count(pid: Pid, directory: &str) -> Result<u64, Failure> {
    let entries = fs::read_dir(format!("/proc/{pid}/{directory}")).map_err(unknown(pid))?;
    Ok(entries.count() as u64)
}

fn unknown(pid: Pid) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::doing(&format!("learn about process {pid}"))(error)
}

#[cfg(test)]
mod tests {
    use rustix::process::getpid;

    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_word() {
        let text =
            "5563-7ffc ---p 0 00:00 0 [rollup]\nRss:  900 kB\nPss_Dirty: 7 kB\nPss:   41 kB\n";
        assert_eq!(field(text, "Pss:"), Some(41));
        assert_eq!(field(text, "Swap:"), None);
        assert_eq!(run_time("1500 20 3\n"), Some(1500));
    }

    #[test]
    fn this_process_takes_something() {
        let usage = Usage::of(getpid()).unwrap();
        assert!(usage.pss_kib > 0 && usage.threads > 0 && usage.descriptors > 2, "{usage:?}");
        assert!(peak_kib(getpid()).unwrap() >= usage.pss_kib);
        assert!(cpu_time(getpid()).unwrap() > Duration::ZERO);
    }
}
