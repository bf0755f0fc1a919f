//! What the transports that speak ZMTP, the protocol of `ZeroMQ`, have in common: where a process
//! listens, and how that is written.
//!
//! It knows no library.

mod endpoint;
mod socket_file;

use std::path::{Path, PathBuf};

use hoptree_core::TransportError;

pub use endpoint::Endpoint;
pub use socket_file::SocketFile;

/// Where a process listens; it connects to either.
#[derive(Clone, Debug)]
pub enum Place {
    /// A TCP port of the loopback interface that the system chooses. Any user of this machine can
    /// connect to it.
    Loopback,
    /// A Unix socket in this directory, which nobody else should be able to enter.
    Directory(PathBuf),
}

impl Place {
    /// A place in the directory of a tree.
    ///
    /// # Errors
    ///
    /// When nobody could connect to a socket there, before anybody tries to.
    pub fn in_directory(directory: &Path) -> Result<Place, TransportError> {
        socket_file::check(directory).map_err(TransportError)?;
        Ok(Place::Directory(directory.to_owned()))
    }
}
