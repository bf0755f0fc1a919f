//! libzmq as a benchmark uses it directly: a ROUTER here, a DEALER there, blocking calls.

use std::convert::Infallible;
use std::time::Duration;

use hoptree_core::{Address, TransportError};

use crate::monitored::retry;
use crate::poll::milliseconds;
use crate::{cannot, reason};

/// Opens the near end, on this machine only, and says where the far end is to connect. A round trip fails
/// when it takes longer than `patience`.
///
/// # Errors
///
/// When the library or the system refuses.
pub fn open(patience: Duration) -> Result<(Address, Near), TransportError> {
    let cannot_open = |error| cannot("open the near end", &reason(error));
    let (endpoint, socket) = bound(patience).map_err(cannot_open)?;
    let near = Near { socket, peer: zmq::Message::new(), message: zmq::Message::new() };
    Ok((Address(endpoint), near))
}

fn bound(patience: Duration) -> Result<(String, zmq::Socket), zmq::Error> {
    let socket = zmq::Context::new().socket(zmq::ROUTER)?;
    socket.set_linger(0)?;
    socket.set_rcvtimeo(i32::try_from(milliseconds(patience)).unwrap_or(i32::MAX))?;
    socket.bind("tcp://127.0.0.1:*")?;
    let endpoint = socket.get_last_endpoint()?;
    Ok((endpoint.expect("an endpoint of libzmq is ASCII"), socket))
}

/// The near end.
pub struct Near {
    socket: zmq::Socket,
    /// How the ROUTER calls the far end, which its first message tells.
    peer: zmq::Message,
    message: zmq::Message,
}

impl Near {
    /// Sends a frame to the far end, and returns when it has come back. The first time it also
    /// waits for the far end to connect.
    ///
    /// # Errors
    ///
    /// When the frame does not come back in time, or the library can't go on.
    pub fn round_trip(&mut self, frame: &[u8]) -> Result<(), TransportError> {
        self.send_and_receive(frame).map_err(|error| cannot("make a round trip", &reason(error)))
    }

    fn send_and_receive(&mut self, frame: &[u8]) -> Result<(), zmq::Error> {
        if self.peer.is_empty() {
            self.receive()?;
        }
        retry(|| self.socket.send(&*self.peer, zmq::SNDMORE))?;
        retry(|| self.socket.send(frame, 0))?;
        self.receive()
    }

    fn receive(&mut self) -> Result<(), zmq::Error> {
        retry(|| self.socket.recv(&mut self.peer, 0))?;
        retry(|| self.socket.recv(&mut self.message, 0))
    }
}

/// Is the far end, and does nothing but send back what comes. It ends with its process, which somebody
/// else ends.
///
/// # Errors
///
/// When the library can't go on.
pub fn echo(to: &Address) -> Result<Infallible, TransportError> {
    echo_all(to).map_err(|error| cannot("be the far end", &reason(error)))
}

fn echo_all(to: &Address) -> Result<Infallible, zmq::Error> {
    let socket = zmq::Context::new().socket(zmq::DEALER)?;
    socket.connect(&to.0)?;
    retry(|| socket.send("hello", 0))?;
    let mut message = zmq::Message::new();
    loop {
        retry(|| socket.recv(&mut message, 0))?;
        retry(|| socket.send(&*message, 0))?;
    }
}
