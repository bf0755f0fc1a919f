//! The library as a benchmark uses it directly: a ROUTER here, a DEALER there, and a wait for each
//! frame.

use std::convert::Infallible;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use hoptree_core::{Address, TransportError};
use hoptree_system::explain;
use hoptree_zmtp::SocketFile;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use zeromq::{DealerSocket, RouterSocket, Socket, SocketRecv, SocketSend, ZmqError, ZmqMessage};

use crate::{cannot, reason, runtime};

/// Opens the near end over a Unix socket, and says where the far end is to connect. A round trip fails
/// when it takes longer than `patience`.
///
/// # Errors
///
/// When the library or the system refuses.
pub fn open_ipc(patience: Duration) -> Result<(Address, Near), TransportError> {
    open(patience, bind_ipc)
}

/// The same over TCP on the loopback interface.
///
/// # Errors
///
/// As [`open_ipc`].
pub fn open_tcp(patience: Duration) -> Result<(Address, Near), TransportError> {
    open(patience, bind_tcp)
}

/// With a file to remove at the end, and then the directory that it is in.
type Bound = (RouterSocket, Address, Option<(SocketFile, TempDir)>);

fn bind_ipc(runtime: &Runtime) -> Result<Bound, ZmqError> {
    let directory = tempfile::Builder::new()
        .prefix("hoptree-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(std::env::temp_dir())?;
    let file = SocketFile::unused_in(directory.path())?;
    let mut socket = RouterSocket::new();
    runtime.block_on(socket.bind_listener(UnixListener::bind(file.path())?))?;
    Ok((socket, file.address(), Some((file, directory))))
}

fn bind_tcp(runtime: &Runtime) -> Result<Bound, ZmqError> {
    let mut socket = RouterSocket::new();
    let endpoint = runtime.block_on(socket.bind("tcp://127.0.0.1:0"))?;
    Ok((socket, Address(endpoint.to_string()), None))
}

fn open(
    patience: Duration,
    bind: fn(&Runtime) -> Result<Bound, ZmqError>,
) -> Result<(Address, Near), TransportError> {
    let runtime = runtime()?;
    let (socket, address, file) = bind(&runtime).map_err(failure("open the near end"))?;
    Ok((address, Near { socket, peer: None, patience, runtime, _file: file }))
}

/// The near end.
pub struct Near {
    socket: RouterSocket,
    /// How the ROUTER calls the far end, which its first message tells.
    peer: Option<bytes::Bytes>,
    patience: Duration,
    runtime: Runtime,
    /// Goes with the near end.
    _file: Option<(SocketFile, TempDir)>,
}

impl Near {
    /// Sends a frame to the far end, and returns when it has come back. The first time it also
    /// waits for the far end to connect.
    ///
    /// # Errors
    ///
    /// When the frame does not come back in time, or the library can't go on.
    pub fn round_trip(&mut self, frame: &[u8]) -> Result<(), TransportError> {
        self.send_and_receive(frame).map_err(failure("make a round trip"))
    }

    fn send_and_receive(&mut self, frame: &[u8]) -> Result<(), ZmqError> {
        let Near { socket, peer, patience, runtime, .. } = self;
        let trip = async {
            let to = match peer.as_ref() {
                Some(peer) => peer.clone(),
                None => {
                    let hello = socket.recv().await?;
                    peer.insert(hello.get(0).cloned().unwrap_or_default()).clone()
                }
            };
            let mut message = ZmqMessage::from(to);
            message.push_back(frame.to_vec().into());
            socket.send(message).await?;
            socket.recv().await.map(drop)
        };
        let late = || ZmqError::Other("the far end does not answer");
        runtime.block_on(async { timeout(*patience, trip).await }).map_err(|_| late())?
    }
}

/// Is the far end, and does nothing but send back what comes. It ends with its process, which somebody
/// else ends.
///
/// # Errors
///
/// When the library can't go on.
pub fn echo(to: &Address) -> Result<Infallible, TransportError> {
    let runtime = runtime()?;
    let echoing: Result<Infallible, ZmqError> = runtime.block_on(async {
        let mut socket = DealerSocket::new();
        socket.connect(&to.0).await?;
        socket.send("hello".into()).await?;
        loop {
            let message = socket.recv().await?;
            socket.send(message).await?;
        }
    });
    echoing.map_err(failure("be the far end"))
}

fn failure(what: &str) -> impl Fn(ZmqError) -> TransportError {
    move |error| cannot(what, &reason(&error, explain))
}
