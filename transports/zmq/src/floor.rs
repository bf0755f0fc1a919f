//! libzmq as a benchmark uses it directly: a ROUTER here, a DEALER there, blocking calls.

use std::convert::Infallible;
use std::time::Duration;

use hoptree_core::{Address, Floor, RoundTrip};

use crate::monitored::retry;
use crate::poll::milliseconds;
use crate::{cannot, reason};

pub(crate) const FLOOR: Floor = Floor {
    about: "ROUTER to DEALER over TCP, blocking calls",
    open: |patience| open(patience).map_err(|error| cannot("open the near end", &reason(error))),
    echo: |to| echo(to).map_err(|error| cannot("be the far end", &reason(error))),
};

fn open(patience: Duration) -> Result<(Address, RoundTrip), zmq::Error> {
    let socket = zmq::Context::new().socket(zmq::ROUTER)?;
    socket.set_linger(0)?;
    socket.set_rcvtimeo(i32::try_from(milliseconds(patience)).unwrap_or(i32::MAX))?;
    socket.bind("tcp://127.0.0.1:*")?;
    let endpoint = socket.get_last_endpoint()?;
    let address = Address(endpoint.expect("an endpoint of libzmq is ASCII"));
    let mut near = Near { socket, peer: zmq::Message::new(), message: zmq::Message::new() };
    let round_trip = move |frame: &[u8]| {
        near.round_trip(frame).map_err(|error| cannot("make a round trip", &reason(error)))
    };
    Ok((address, Box::new(round_trip)))
}

struct Near {
    socket: zmq::Socket,
    /// How the ROUTER calls the far end, which its first message tells.
    peer: zmq::Message,
    message: zmq::Message,
}

impl Near {
    fn round_trip(&mut self, frame: &[u8]) -> Result<(), zmq::Error> {
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

fn echo(to: &Address) -> Result<Infallible, zmq::Error> {
    let socket = zmq::Context::new().socket(zmq::DEALER)?;
    socket.connect(&to.0)?;
    retry(|| socket.send("hello", 0))?;
    let mut message = zmq::Message::new();
    loop {
        retry(|| socket.recv(&mut message, 0))?;
        retry(|| socket.send(&*message, 0))?;
    }
}
