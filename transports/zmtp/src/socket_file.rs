//! The file of a Unix socket.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use hoptree_core::Address;

use crate::Endpoint;
use crate::endpoint::PATH_BYTES_MAX;

/// A path for a Unix socket that nobody else uses. What is there when this is dropped is removed, so
/// it should outlive the socket.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl SocketFile {
    /// A path in `directory`, of which only the last part is chosen, at random: processes may have
    /// the same id in other namespaces, and a process may have several transports.
    ///
    /// # Errors
    ///
    /// When no socket there could be connected to, or the system has no random numbers.
    pub fn unused_in(directory: &Path) -> Result<SocketFile, Error> {
        check(directory).map_err(Error::other)?;
        let number = getrandom::u64().map_err(Error::other)?;
        Ok(SocketFile(path(directory, number)))
    }

    /// Where to bind the socket.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The address that peers are given.
    pub fn address(&self) -> Address {
        Address(Endpoint::Ipc(self.0.clone()).to_string())
    }
}

/// Checks that a socket in this directory can be connected to by peers who are told its address.
///
/// # Errors
///
/// Says to the user why not.
pub(crate) fn check(directory: &Path) -> Result<(), String> {
    let shown = directory.display();
    let longest = path(directory, u64::MAX);
    let length = longest.as_os_str().len();
    if length > PATH_BYTES_MAX {
        return Err(format!(
            "the directory {shown} has too long a path: that of a socket in it would have {length} \
             bytes, and the system takes {PATH_BYTES_MAX}. Choose a shorter one with TMPDIR"
        ));
    }
    let endpoint = Endpoint::Ipc(longest);
    if Endpoint::from_address(&Address(endpoint.to_string())) == Some(endpoint) {
        return Ok(());
    }
    Err(format!(
        "the directory {shown} has a path that is relative, or not a line of UTF-8, so that nobody \
         could connect there. Choose another one with TMPDIR"
    ))
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016x}"))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                log::warn!("can't remove {}: {error}", self.0.display());
            }
            // The directory may be gone already, with its tree.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn each_has_a_path_of_its_own_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let files = [(); 2].map(|()| SocketFile::unused_in(directory.path()).unwrap());
        let listeners = files.each_ref().map(|file| UnixListener::bind(file.path()).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        drop((listeners, files));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        drop(SocketFile::unused_in(directory.path()).unwrap());
    }

    #[test]
    fn a_path_that_no_peer_could_connect_to_is_refused() {
        let long = |bytes| format!("/{}", "x".repeat(bytes - 1));
        for (directory, why) in [
            ("here", "relative"),
            ("/tmp/two\nlines", "not a line"),
            (&long(PATH_BYTES_MAX - 16), "would have 108 bytes, and the system takes 107"),
        ] {
            let text = SocketFile::unused_in(Path::new(directory)).unwrap_err().to_string();
            assert!(text.contains(directory) && text.contains(why), "{text}");
            assert!(text.contains("TMPDIR"), "{text}");
        }
        SocketFile::unused_in(Path::new(&long(PATH_BYTES_MAX - 17))).unwrap();
    }
}
