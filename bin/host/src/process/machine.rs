//! Which machine this is, as far as processes see each other.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use hoptree_core::{Machine, ProcessId};

/// What tells this machine, since it was started, from all others, and a container from the machine that it
/// runs on.
pub fn machine() -> Machine {
    static MACHINE: LazyLock<Machine> = LazyLock::new(|| Machine(number_of(&["pid"], "")));
    *MACHINE
}

/// A number for `what` as it is in these namespaces of this machine, since it was started: the same in every
/// process of the tree there, since all run the same build.
pub(crate) fn number_of(namespaces: &[&str], what: impl Hash) -> u64 {
    let started = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    (started, what).hash(&mut hasher);
    for namespace in namespaces {
        fs::read_link(format!("/proc/self/ns/{namespace}")).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// This process.
pub fn this_process() -> ProcessId {
    ProcessId { machine: machine(), pid: std::process::id() }
}
