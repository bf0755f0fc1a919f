//! Where the sockets are that peers connect to.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// A directory for sockets. It is reached through its descriptor, since the address of a socket has
/// room for 107 bytes, and a path may be longer.
pub(crate) struct Directory(OwnedFd);

impl Directory {
    pub(crate) fn open(path: &Path) -> io::Result<Directory> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = Directory(rustix::fs::open(path, flags, Mode::empty())?);
        if directory.path().exists() {
            return Ok(directory);
        }
        Err(io::Error::other("/proc, through which it is reached, is not mounted"))
    }

    /// A path to it that is short, and good as long as it is open here.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}
