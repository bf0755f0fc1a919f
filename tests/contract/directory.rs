//! The private directory that a transport is given for its sockets.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

/// A name that nobody else has. The transport makes the directory if it needs one; it is removed,
/// with all that is in it, when this is dropped.
///
/// Every test has its own for the nodes of its tree. Sockets may be named after their process, so no
/// test has two nodes in this process that listen at the same time.
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    pub fn new() -> Directory {
        static NAMED: AtomicU32 = AtomicU32::new(0);
        let number = NAMED.fetch_add(1, Ordering::Relaxed);
        let name = format!("hoptree-contract-{}-{number}", process::id());
        Directory { path: env::temp_dir().join(name) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Most transports never make it.
        let _ = fs::remove_dir_all(&self.path);
    }
}
