//! The private directory that a transport is given for its sockets.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

/// A directory that nobody else may enter, under a name that nobody else has. It is removed, with all
/// that is in it, when this is dropped. Every test has its own for the nodes of its tree.
pub struct Directory {
    path: PathBuf,
    is_own: bool,
}

impl Directory {
    pub fn new() -> Directory {
        static NAMED: AtomicU32 = AtomicU32::new(0);
        let number = NAMED.fetch_add(1, Ordering::Relaxed);
        let name = format!("hoptree-contract-{}-{number}", process::id());
        let path = env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        Directory { path, is_own: true }
    }

    /// That of another process, which removes it.
    pub fn of_another(path: &str) -> Directory {
        Directory { path: path.into(), is_own: false }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.is_own {
            // What can't be removed fails no test.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
