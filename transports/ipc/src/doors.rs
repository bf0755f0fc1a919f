//! Where peers join: a one-shot server for each, and a thread that waits at it.

use std::io;
use std::sync::{Arc, Weak, mpsc};
use std::thread;
use std::time::Duration;

use hoptree_core::{Address, Waker};

use crate::directory::Directory;
use crate::hello::Hello;

/// Enough for waiting, one small message, and removing a directory with one file.
const STACK_BYTES: usize = 128 * 1024;

/// All doors of a process. A door is open until somebody has come through it or the process ends:
/// one descriptor and one thread each.
pub(crate) struct Doors {
    directory: Arc<Directory>,
    open: Vec<Door>,
    joining: mpsc::Sender<Hello>,
    /// Those who have come and wait to be taken in, at most one for each door that was open.
    joined: mpsc::Receiver<Hello>,
}

struct Door {
    name: String,
    /// Is there as long as the server listens.
    listening: Weak<()>,
}

impl Doors {
    pub(crate) fn new(directory: Directory) -> Doors {
        let (joining, joined) = mpsc::channel();
        Doors { directory: Arc::new(directory), open: Vec::new(), joining, joined }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Opens a door for one peer; the waker is used when it has come.
    pub(crate) fn open(&mut self, waker: Waker) -> io::Result<Address> {
        self.open.retain(|door| door.listening.strong_count() > 0);
        let (server, name) = self.directory.serve::<Hello>()?;
        let (directory, joining) = (Arc::clone(&self.directory), self.joining.clone());
        let listening = Arc::new(());
        let address = Address(name.clone());
        let door = Door { name: name.clone(), listening: Arc::downgrade(&listening) };
        thread::Builder::new().name("door".to_owned()).stack_size(STACK_BYTES).spawn(
            move || {
                let accepted = server.accept();
                drop(listening);
                directory.remove(&name);
                match accepted {
                    // When nobody takes it in, both channels are dropped, which the peer notices.
                    Ok((_, hello)) => {
                        let _ = joining.send(hello);
                        waker.wake();
                    }
                    Err(error) => log::debug!("nobody joined: {error}"),
                }
            },
        )?;
        self.open.push(door);
        Ok(address)
    }

    pub(crate) fn joined(&self) -> Option<Hello> {
        self.joined.try_recv().ok()
    }

    /// Waits for somebody to join.
    pub(crate) fn wait(&self, patience: Duration) -> Option<Hello> {
        self.joined.recv_timeout(patience).ok()
    }
}

impl Drop for Doors {
    /// The threads can be told to end only by a peer that comes and says nothing.
    fn drop(&mut self) {
        for door in self.open.iter().filter(|door| door.listening.strong_count() > 0) {
            // An error means that it has ended.
            let _ = self.directory.connect::<Hello>(&door.name);
        }
    }
}
