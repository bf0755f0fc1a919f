//! Which machine this is, as far as processes see each other.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use hoptree_core::{Machine, ProcessId};

/// What tells this machine, since it was started, from all others, and a container from the machine that it
/// runs on.
pub fn machine() -> Machine {
    static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
        let started = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let processes = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        // The same in every process of the tree, since all run the same build.
        let mut hasher = DefaultHasher::new();
        (started, processes).hash(&mut hasher);
        Machine(hasher.finish())
    });
    *MACHINE
}

/// This process.
pub fn this_process() -> ProcessId {
    ProcessId { machine: machine(), pid: std::process::id() }
}
