//! Where the library makes the sockets that peers connect to.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ipc_channel::ipc::{IpcOneShotServer, IpcSender};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

/// The file that the library makes in a directory of its own.
const SOCKET: &str = "/socket";

/// A directory for sockets. It is reached through its descriptor, since the address of a socket is
/// cut off silently after 107 bytes, and a path may be longer.
pub(crate) struct Directory(OwnedFd);

impl Directory {
    /// The directory at `path`, which is made, for this user alone, if it is not there.
    pub(crate) fn open(path: &Path) -> io::Result<Directory> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Directory(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// A server in this directory, and its name there.
    pub(crate) fn serve<T>(&self) -> io::Result<(IpcOneShotServer<T>, String)>
    where
        T: for<'de> Deserialize<'de> + Serialize,
    {
        // The library knows only one place, that of all temporary files of the process, which can
        // be chosen once. So a descriptor is chosen, and made to be this directory.
        static PLACE: Mutex<Option<OwnedFd>> = Mutex::new(None);
        let mut place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match &mut *place {
            Some(place) => {
                rustix::io::dup3(&self.0, place, rustix::io::DupFlags::CLOEXEC)?;
                place
            }
            none => {
                let chosen = self.0.try_clone()?;
                tempfile::env::override_temp_dir(Path::new(&path_through(&chosen))).map_err(
                    |other| io::Error::other(format!("sockets are to be in {}", other.display())),
                )?;
                none.insert(chosen)
            }
        };
        let (server, path) = IpcOneShotServer::new()?;
        let name = path.strip_prefix(&path_through(place)).and_then(|path| {
            path.strip_prefix('/').and_then(|path| path.strip_suffix(SOCKET)).map(str::to_owned)
        });
        let name = name.ok_or_else(|| io::Error::other("the library made its socket elsewhere"))?;
        Ok((server, name))
    }

    /// A channel to the server of that name.
    pub(crate) fn connect<T: Serialize>(&self, name: &str) -> io::Result<IpcSender<T>> {
        let is_name =
            name.starts_with(".tmp") && name[1..].bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_name {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a listener's address"));
        }
        let path = format!("{}/{name}{SOCKET}", path_through(&self.0));
        // The library loses a descriptor with each attempt that fails.
        if !fs::symlink_metadata(&path)?.file_type().is_socket() {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        IpcSender::connect(path)
    }

    /// Removes what a server has left, if it has: the library does it at the end of the server, but
    /// in the directory that its place is by then.
    pub(crate) fn remove(&self, name: &str) {
        let _ = fs::remove_dir_all(format!("{}/{name}", path_through(&self.0)));
    }
}

fn path_through(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}
