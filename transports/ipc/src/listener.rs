//! Where peers join.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use hoptree_core::Address;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with,
};
use tempfile::NamedTempFile;

use crate::directory::Directory;
use crate::hello::Hello;
use crate::letter::Letter;

/// How many may wait to be accepted. The system may allow fewer (`net.core.somaxconn`, 4096 by
/// default); who comes when that many wait is refused.
const WAITING_MAX: i32 = 4096;

/// All addresses begin so.
const PREFIX: &str = "door-";

/// A socket in the directory of a tree, good for any number of peers. Nothing there blocks.
pub(crate) struct Listener {
    /// Goes with its file, so before the directory.
    socket: NamedTempFile<OwnedFd>,
    /// What every hello says.
    hello: Vec<u8>,
    _directory: Arc<Directory>,
}

impl Listener {
    pub(crate) fn open(directory: &Arc<Directory>) -> io::Result<Listener> {
        let socket = tempfile::Builder::new().prefix(PREFIX).make_in(directory.path(), |path| {
            let socket = socket()?;
            bind(&socket, &SocketAddrUnix::new(path)?)?;
            listen(&socket, WAITING_MAX)?;
            Ok(socket)
        })?;
        let hello = Hello::new()?.0.into_letter()?.text;
        Ok(Listener { socket, hello, _directory: Arc::clone(directory) })
    }

    pub(crate) fn address(&self) -> Address {
        let name = self.socket.path().file_name().and_then(OsStr::to_str);
        Address(name.expect("the names of listeners are short and plain").to_owned())
    }

    /// Accepts a caller, if there is one.
    pub(crate) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        match accept_with(self, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(caller) => Ok(Some(caller)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a caller has to say. `WouldBlock` when it has not said it yet.
    pub(crate) fn read_hello(&self, caller: &OwnedFd) -> io::Result<Hello> {
        Hello::from_letter(Letter::read(caller)?, &self.hello)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_file().as_fd()
    }
}

/// Connects to a listener in this directory and leaves a hello there. The listener's owner finds it
/// even when the caller is gone by then.
pub(crate) fn send_hello(directory: &Directory, at: &Address, hello: Hello) -> io::Result<()> {
    let is_name = at.0.strip_prefix(PREFIX).is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if !is_name {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a listener's address"));
    }
    let letter = hello.into_letter()?;
    let socket = socket()?;
    connect(&socket, &SocketAddrUnix::new(directory.path().join(&at.0))?)?;
    letter.post(&socket)
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use tempfile::TempDir;

    use super::*;

    fn open() -> (TempDir, Arc<Directory>, Listener) {
        let place = TempDir::new_in("/tmp").unwrap();
        let directory = Arc::new(Directory::open(place.path()).unwrap());
        let listener = Listener::open(&directory).unwrap();
        (place, directory, listener)
    }

    /// A letter that says what a hello says, with these two descriptors.
    fn forged(
        listener: &Listener,
        first: impl Into<OwnedFd>,
        second: impl Into<OwnedFd>,
    ) -> Letter {
        let mut letter = Hello::new().unwrap().0.into_letter().unwrap();
        letter.text.clone_from(&listener.hello);
        letter.enclose(vec![first.into(), second.into()]);
        letter
    }

    #[test]
    fn a_hello_is_heard_though_its_caller_is_gone() {
        let (_place, directory, listener) = open();
        assert!(listener.accept().unwrap().is_none());
        for _ in 0..3 {
            send_hello(&directory, &listener.address(), Hello::new().unwrap().0).unwrap();
        }
        for _ in 0..3 {
            let caller = listener.accept().unwrap().unwrap();
            listener.read_hello(&caller).unwrap();
        }
        assert!(listener.accept().unwrap().is_none());
    }

    #[test]
    fn a_letter_is_a_hello_only_with_its_words_and_two_channels() {
        let (_place, directory, listener) = open();
        let (stream, mut held) = UnixStream::pair().unwrap();
        let null = || File::open("/dev/null").unwrap();
        let mut wrong_words = Hello::new().unwrap().0.into_letter().unwrap();
        wrong_words.text[0] += 1;
        let letters = [
            (wrong_words, "its text is not that of a hello"),
            (forged(&listener, null(), null()), "it encloses something that is no channel"),
            (forged(&listener, stream, null()), "it encloses something that is no channel"),
        ];
        for (letter, what) in letters {
            let socket = socket().unwrap();
            let path = directory.path().join(listener.address().0);
            connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
            letter.post(&socket).unwrap();
            drop(letter);
            let error = listener.read_hello(&listener.accept().unwrap().unwrap()).unwrap_err();
            assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::InvalidData, what));
        }
        assert_eq!(held.read(&mut [0]).unwrap(), 0, "what it enclosed is closed");
    }

    #[test]
    fn a_listener_goes_with_its_file_and_those_who_wait() {
        let (place, directory, listener) = open();
        let (hello, _, receiver) = Hello::new().unwrap();
        let address = listener.address();
        send_hello(&directory, &address, hello).unwrap();
        drop(listener);
        assert!(receiver.recv().is_err());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        let error = send_hello(&directory, &address, Hello::new().unwrap().0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
