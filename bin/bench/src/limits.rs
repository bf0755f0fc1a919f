//! Whether the system allows as many open files and processes as the measures need.

use hoptree_host::Failure;
use rustix::process::{Resource, geteuid, getrlimit};

use super::measure::Measure;

/// How many files a control node has open for each of its children, and how many beside these, at
/// most, over any transport.
const FILES_PER_CHILD: u64 = 2;
const FILES: u64 = 64;

/// How many threads a process has, at most, over any transport. The limit counts threads.
const THREADS_PER_PROCESS: u64 = 5;

/// Checks it for all of these, each over this many transports.
///
/// # Errors
///
/// Names the limit, and says how to raise it.
pub fn check(measures: &[Measure], transports: usize) -> Result<(), Failure> {
    let files = getrlimit(Resource::Nofile).current;
    // The system holds nobody with all rights to the number of processes.
    let threads = if geteuid().is_root() { None } else { getrlimit(Resource::Nproc).current };
    for measure in measures {
        fits(*measure, transports, files, threads)?;
    }
    Ok(())
}

fn fits(
    measure: Measure,
    transports: usize,
    files: Option<u64>,
    threads: Option<u64>,
) -> Result<(), Failure> {
    let files_needed = measure.children_max() * FILES_PER_CHILD + FILES;
    let threads_needed = measure.processes() * THREADS_PER_PROCESS * transports as u64;
    for (limit, allowed, needed, things, option) in [
        ("RLIMIT_NOFILE", files, files_needed, "open files", 'n'),
        ("RLIMIT_NPROC", threads, threads_needed, "threads of all processes", 'u'),
    ] {
        if let Some(allowed) = allowed.filter(|allowed| *allowed < needed) {
            return Err(Failure::Runtime(format!(
                "the limit {limit} allows {allowed} {things}, and '{}' needs up to {needed}: \
                 raise it with 'ulimit -{option} {needed}', or leave that measure out",
                measure.name()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: Option<u64>, threads: Option<u64>) -> Option<String> {
        fits(Measure::Create, 3, files, threads).err().map(Failure::into_text)
    }

    #[test]
    fn a_limit_is_named_with_its_remedy() {
        let files = text(Some(64), None).unwrap();
        assert!(files.contains("RLIMIT_NOFILE allows 64") && files.contains("'ulimit -n "));
        let threads = text(None, Some(64)).unwrap();
        assert!(threads.contains("RLIMIT_NPROC allows 64") && threads.contains("'ulimit -u "));
    }

    #[test]
    fn what_is_enough_is_not_refused() {
        assert_eq!(text(None, None), None);
        assert_eq!(text(Some(1 << 20), Some(1 << 20)), None);
    }
}
