//! Where others connect.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use hoptree_core::Address;
use hoptree_system::{Unauthenticated, explain};

use crate::listen::Listen;
use crate::{address, socket};

/// A port, good for any number of peers. Those who have not sent a frame have a bound, beyond which the
/// oldest is hung up on.
pub(crate) struct Listener {
    /// Goes before the socket, whose descriptor may then be that of another listener.
    unauthenticated: Unauthenticated,
    socket: TcpListener,
    address: Address,
}

impl Listener {
    /// Listens where `listen` says, and says in words why that can't be.
    pub(crate) fn open(listen: &Listen) -> Result<Listener, String> {
        for place in listen.places() {
            match socket::listen(place) {
                Ok(socket) => return Listener::above(socket, listen, place),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) => return Err(refusal(place, &error)),
            }
        }
        Err(listen.in_use())
    }

    fn above(socket: TcpListener, listen: &Listen, place: SocketAddr) -> Result<Listener, String> {
        let bound = socket.local_addr().map_err(|error| refusal(place, &error))?;
        let address = address::write(listen.told(bound));
        let unauthenticated = Unauthenticated::of(socket.as_raw_fd());
        Ok(Listener { socket, unauthenticated, address })
    }

    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    /// Accepts a connection, if there is one. An error is none of a connection: the system lacks
    /// something.
    pub(crate) fn accept(&self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        // The standard library calls the function of hoptree-system, which turns those away for whom
        // there is no descriptor, and hangs up on the oldest of too many.
        match self.socket.accept() {
            Ok((socket, from)) => {
                socket.set_nonblocking(true)?;
                // Who listens at every address is told those of IPv4 as ones of IPv6.
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                Ok(Some((socket, from)))
            }
            Err(error) if is_none(error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A connection has sent a frame.
    pub(crate) fn admit(&self, socket: &TcpStream) {
        self.unauthenticated.admit(socket.as_raw_fd());
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether there is no connection, or one that has ended before it was accepted.
fn is_none(error: ErrorKind) -> bool {
    use ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error, WouldBlock | ConnectionAborted | Interrupted)
}

fn refusal(place: SocketAddr, error: &io::Error) -> String {
    let (ip, port) = (place.ip(), place.port());
    match error.kind() {
        ErrorKind::AddrNotAvailable => format!("no network interface of this machine has {ip}"),
        _ if port == 0 => format!("can't listen at {ip}: {}", explain(error)),
        _ => format!("can't listen at port {port} of {ip}: {}", explain(error)),
    }
}
