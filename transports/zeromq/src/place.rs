//! Where a process listens.

use std::fs::{self, DirBuilder};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Where a process listens; it connects to either.
#[derive(Clone, Debug)]
pub enum Place {
    /// A TCP port of the loopback interface that the system chooses. Any user of this machine can
    /// connect to it and end the process.
    Loopback,
    /// A Unix socket in this directory, which is made, for this user alone, if it is not there.
    Directory(PathBuf),
}

/// A Unix socket of this process. The file goes when this is dropped.
pub(crate) struct SocketFile(PathBuf);

impl SocketFile {
    /// Listens in `directory`, which is made if it is not there, and which nobody else may enter.
    pub(crate) fn bind(directory: &Path) -> Result<(UnixListener, SocketFile), Error> {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if fs::metadata(directory)?.permissions().mode() & 0o077 != 0 {
            let directory = directory.display();
            return Err(Error::other(format!("others than its owner may enter {directory}")));
        }
        // Not the id of the process: nodes with the same may have other namespaces.
        let path = directory.join(random_name()?);
        let listener = UnixListener::bind(&path)?;
        Ok((listener, SocketFile(path)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
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

/// A directory for a socket that belongs to no tree, with the name of one that does not exist yet.
pub(crate) struct Hideout(PathBuf);

impl Hideout {
    pub(crate) fn find() -> Result<Hideout, Error> {
        Ok(Hideout(std::env::temp_dir().join(format!("hoptree-zeromq-{}", random_name()?))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Hideout {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            log::debug!("can't remove {}: {error}", self.0.display());
        }
    }
}

fn random_name() -> Result<String, Error> {
    getrandom::u64().map(|number| format!("{number:016x}")).map_err(Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_private_and_keeps_no_socket() {
        let hideout = Hideout::find().unwrap();
        let path = hideout.path().to_owned();
        let (_one, file) = SocketFile::bind(&path).unwrap();
        let (_other, beside) = SocketFile::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
        drop((file, beside));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        drop(hideout);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_others_can_enter_is_not_used() {
        let hideout = Hideout::find().unwrap();
        DirBuilder::new().mode(0o755).create(hideout.path()).unwrap();
        let text = SocketFile::bind(hideout.path()).err().unwrap().to_string();
        assert!(text.contains("others than its owner"), "{text}");
    }
}
