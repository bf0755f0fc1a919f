//! The threads that this program starts beside the loop of a node, told by their names from those
//! of libraries.

use std::thread;

/// What their names begin with.
const PREFIX: &str = "hop-";

/// A thread to be started, with a name of at most 11 bytes that says what it is for.
pub fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(format!("{PREFIX}{name}"))
}

/// Whether the thread with this name was started with [`named`].
pub fn is_own(name: &str) -> bool {
    name.starts_with(PREFIX)
}
