//! Where a process listens.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use hoptree_core::TransportError;

/// Where a process listens; it connects to either.
#[derive(Clone, Debug)]
pub enum Place {
    /// A TCP port of the loopback interface that the system chooses.
    Loopback,
    /// A Unix socket in this directory, which is made, for this user alone, if it is not there.
    Directory(PathBuf),
}

impl Place {
    /// What to bind.
    pub(crate) fn endpoint(&self) -> Result<String, TransportError> {
        match self {
            Place::Loopback => Ok("tcp://127.0.0.1:*".to_owned()),
            Place::Directory(directory) => match DirBuilder::new().mode(0o700).create(directory) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    let directory = directory.display();
                    Err(TransportError(format!("can't make the directory {directory}: {error}")))
                }
                _ => Ok(format!("ipc://{}/{}", directory.display(), std::process::id())),
            },
        }
    }
}
