//! How many processes and threads there may be; a limit counts both.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::{fs, thread};

use rustix::process::{Resource, geteuid, getrlimit};

use crate::memory::{limit_met, require_memory};
use crate::refusal::explain_thread;

/// The stack of a thread that only waits.
const STACK_BYTES: usize = 16 * 1024;

/// The stack of a thread whose library asks for none in particular, unless there is a limit, which it
/// is then.
const LIBRARY_STACK_BYTES: u64 = 2 * 1024 * 1024;

/// What keeps one stack from the next.
const GUARD_BYTES: u64 = 64 * 1024;

/// How much memory a library needs beside the stacks of its threads.
const LIBRARY_BYTES: u64 = 4 * 1024 * 1024;

/// Where systems mount the hierarchies of control groups, the second in the days of many.
const CGROUP_MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/pids"];

/// Makes sure that this many more threads of a library can run side by side, by running as many for a
/// moment, and that there is memory for their stacks.
///
/// # Errors
///
/// Names the limit.
pub fn require_threads(count: usize) -> Result<(), String> {
    let stack = getrlimit(Resource::Stack).current.unwrap_or(LIBRARY_STACK_BYTES);
    let bytes = (count as u64).saturating_mul(stack).saturating_add(LIBRARY_BYTES);
    require_memory(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = || drop(gate.lock());
        let start = |_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, waits);
        let started: Result<Vec<_>, _> = (0..count).map(start).collect();
        let started = started.map(drop).map_err(|error| explain_thread(&error));
        drop(closed);
        started
    })
}

/// What to say when the system starts no more. It doesn't tell by which limit, so those that are met
/// at this moment are looked for. A limit of memory is one: there may be none for the stack of a thread.
pub(crate) fn exhausted() -> String {
    let no_stack = || limit_met(LIBRARY_STACK_BYTES + GUARD_BYTES);
    cgroup_limit().or_else(user_limit).or_else(no_stack).unwrap_or_else(|| {
        let limit = getrlimit(Resource::Nproc).current;
        let limit = limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
        format!("too many processes: the system starts no more (RLIMIT_NPROC is {limit})")
    })
}

/// Names the control group of this process, or the nearest one above it, that has all the processes
/// that it may have.
fn cgroup_limit() -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let paths = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let is_concerned = controllers.is_empty() || controllers.split(',').any(|it| it == "pids");
        fields.next().filter(|_| is_concerned)
    });
    paths
        .flat_map(|path| Path::new(path).ancestors())
        .find_map(|group| CGROUP_MOUNTS.into_iter().find_map(|mount| full_group(mount, group)))
}

fn full_group(mount: &str, group: &Path) -> Option<String> {
    let place = Path::new(mount).join(group.strip_prefix("/").unwrap_or(group));
    let figure =
        |name| -> Option<u64> { fs::read_to_string(place.join(name)).ok()?.trim().parse().ok() };
    let (most, now) = (figure("pids.max")?, figure("pids.current")?);
    (now >= most).then(|| {
        let group = group.display();
        format!("too many processes: the control group {group} may have {most} (pids.max)")
    })
}

/// Names the limit of the user, if there are as many processes of theirs.
fn user_limit() -> Option<String> {
    let most = getrlimit(Resource::Nproc).current?;
    let user = geteuid().as_raw();
    let threads: u64 = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter(|entry| entry.metadata().is_ok_and(|of| of.uid() == user))
        .filter_map(|entry| {
            threads_in_status(&fs::read_to_string(entry.path().join("status")).ok()?)
        })
        .sum();
    (threads >= most).then(|| {
        format!(
            "too many processes: user {user} may have {most}, threads included (RLIMIT_NPROC; \
             ulimit -Hu raises it)"
        )
    })
}

fn threads_in_status(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_needed_run_side_by_side() {
        require_threads(0).unwrap();
        require_threads(3).unwrap();
    }

    #[test]
    fn a_group_is_full_when_it_has_what_it_may_have() {
        let place = std::env::temp_dir().join(format!("hoptree-cgroup-{}", std::process::id()));
        fs::create_dir_all(place.join("user/nodes")).unwrap();
        let mount = place.to_str().unwrap();
        let group = Path::new("/user/nodes");
        let set = |most: &str, now: &str| {
            fs::write(place.join("user/nodes/pids.max"), most).unwrap();
            fs::write(place.join("user/nodes/pids.current"), now).unwrap();
            full_group(mount, group)
        };
        assert_eq!(set("max\n", "7\n"), None);
        assert_eq!(set("8\n", "7\n"), None);
        let text = set("7\n", "7\n").unwrap();
        assert!(text.ends_with("the control group /user/nodes may have 7 (pids.max)"), "{text}");
        assert_eq!(full_group(mount, Path::new("/user")), None);
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_status_says_how_many_threads_there_are() {
        assert_eq!(threads_in_status("Name:\tx\nThreads:\t12\nSigQ:\t0/1\n"), Some(12));
        assert_eq!(threads_in_status("Name:\tx\n"), None);
    }
}
