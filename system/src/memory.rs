//! How much memory a process may have.

use std::fs;
use std::ptr;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::process::{Resource, getrlimit};

/// A limit that is this near is considered the one that was met, in bytes: what the system wanted to give
/// is not known, and a stack of a thread is the most that it may have been.
const NEAR_BYTES: u64 = 2 * 1024 * 1024;

/// The limits of memory: what the system calls that they are about, how they are set, and which line
/// of `/proc/self/status` says how much of it there is.
const LIMITS: [(Resource, &str, &str, &str); 2] = [
    (Resource::Data, "the limit of data", "ulimit -d", "VmData:"),
    (Resource::As, "the limit of the address space", "ulimit -v", "VmSize:"),
];

/// Makes sure that this much more memory can be had, by taking it for a moment. None of it is used.
///
/// # Errors
///
/// Names the limit.
pub fn require_memory(bytes: usize) -> Result<(), String> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the system chooses a place where nothing is, and nobody else knows of it when it is
    // given back.
    let taken = unsafe {
        mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::PRIVATE)
            .and_then(|place| munmap(place, bytes))
    };
    taken.map_err(|_| exhausted(bytes as u64))
}

/// What to say when this many bytes more could not be had, as far as that is known.
pub(crate) fn exhausted(wanted: u64) -> String {
    limit_met(wanted).unwrap_or_else(|| "out of memory".to_owned())
}

/// Names the limit that forbids this many bytes more, if one does.
pub(crate) fn limit_met(wanted: u64) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    LIMITS.into_iter().find_map(|(resource, name, command, line)| {
        let limit = getrlimit(resource).current?;
        let has = kib_in_status(&status, line)? * 1024;
        let is_met = has + wanted.max(NEAR_BYTES) > limit;
        is_met
            .then(|| format!("out of memory: {name} is {} KiB ({command} raises it)", limit / 1024))
    })
}

fn kib_in_status(status: &str, line: &str) -> Option<u64> {
    let text = status.lines().find_map(|it| it.strip_prefix(line))?;
    text.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_can_be_had_and_more_than_any_machine_has_can_not() {
        require_memory(1 << 20).unwrap();
        require_memory(1 << 20).unwrap();
        assert!(require_memory(1 << 60).unwrap_err().starts_with("out of memory"));
    }

    #[test]
    fn a_status_says_how_much_there_is() {
        assert_eq!(kib_in_status("VmSize:\t  123 kB\nVmData:\t 45 kB\n", "VmData:"), Some(45));
        assert_eq!(kib_in_status("Name:\tx\n", "VmData:"), None);
    }
}
