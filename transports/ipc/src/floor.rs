//! ipc-channel as a benchmark uses it directly: a channel each way, blocking calls.

use std::convert::Infallible;
use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hoptree_core::{Address, TransportError};
use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcReceiver, IpcSender};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use serde_bytes::ByteBuf;
use tempfile::TempDir;

use crate::directory::Directory;
use crate::hello::Hello;
use crate::listener::{self, Listener};
use crate::{allocator, cannot, descriptor};

/// Opens the near end, on this machine only, and says where the far end is to connect. A round trip fails
/// when it takes longer than `patience`.
///
/// # Errors
///
/// When the library or the system refuses.
pub fn open(patience: Duration) -> Result<(Address, Near), TransportError> {
    let opened = waiting(patience).map_err(|error| cannot("open the near end", &error));
    opened.map(|(address, state)| (address, Near(state)))
}

fn waiting(patience: Duration) -> io::Result<(Address, State)> {
    allocator::keep_pages();
    let place = tempfile::Builder::new()
        .prefix("hoptree-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(std::env::temp_dir())?;
    let listener = Listener::open(&Arc::new(Directory::open(place.path())?))?;
    let address = Address(format!("{}/{}", place.path().display(), listener.address().0));
    Ok((address, State::Waiting { listener, _place: place, patience }))
}

/// The near end.
pub struct Near(State);

enum State {
    /// For the far end to join. The directory is removed when it has.
    Waiting {
        listener: Listener,
        _place: TempDir,
        patience: Duration,
    },
    Joined(IpcSender<ByteBuf>, IpcReceiver<ByteBuf>),
}

impl Near {
    /// Sends a frame to the far end, and returns when it has come back. The first time it also
    /// waits for the far end to join.
    ///
    /// # Errors
    ///
    /// When the frame does not come back in time, or the library can't go on.
    pub fn round_trip(&mut self, frame: &[u8]) -> Result<(), TransportError> {
        self.0.send_and_receive(frame).map_err(|error| cannot("make a round trip", &error))
    }
}

impl State {
    fn send_and_receive(&mut self, frame: &[u8]) -> io::Result<()> {
        loop {
            match self {
                State::Waiting { listener, patience, .. } => {
                    let Hello { sender, receiver, .. } = welcome(listener, *patience)?;
                    set_socket_timeout(descriptor::of(&receiver)?, Timeout::Recv, Some(*patience))?;
                    *self = State::Joined(sender, receiver);
                }
                State::Joined(sender, receiver) => {
                    sender.send(ByteBuf::from(frame)).map_err(io::Error::other)?;
                    receiver.recv().map_err(io::Error::other)?;
                    return Ok(());
                }
            }
        }
    }
}

/// Waits for the far end.
fn welcome(listener: &Listener, patience: Duration) -> io::Result<Hello> {
    readable(listener, patience)?;
    let caller = listener.accept()?.ok_or(ErrorKind::WouldBlock)?;
    readable(&caller, patience)?;
    listener.read_hello(&caller)
}

fn readable(descriptor: impl AsFd, patience: Duration) -> io::Result<()> {
    let patience = patience.try_into().map_err(io::Error::other)?;
    let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
    match retry_on_intr(|| poll(&mut watched, Some(&patience)))? {
        0 => Err(ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

/// Is the far end, and does nothing but send back what comes. It ends with its process, which somebody
/// else ends.
///
/// # Errors
///
/// When the library can't go on.
pub fn echo(to: &Address) -> Result<Infallible, TransportError> {
    echo_all(to).map_err(|error| cannot("be the far end", &error))
}

fn echo_all(to: &Address) -> io::Result<Infallible> {
    allocator::keep_pages();
    let (place, name) = to.0.rsplit_once('/').ok_or_else(|| {
        io::Error::new(ErrorKind::InvalidInput, "the address of the near end has no directory")
    })?;
    let (hello, sender, receiver) = Hello::new()?;
    listener::send_hello(&Directory::open(Path::new(place))?, &Address(name.to_owned()), hello)?;
    loop {
        let echoed = receiver.recv().and_then(|frame| sender.send(frame));
        match echoed {
            Ok(()) => {}
            // The near end is gone, and soon this process.
            Err(IpcError::Disconnected) => thread::park(),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}
