//! Where one can connect, checked before the library sees it.

use std::io::ErrorKind;
use std::net::SocketAddrV4;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use hoptree_core::Address;
use tokio::net::TcpStream;

/// A place on this machine. The library would look up the names of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Tcp(SocketAddrV4),
    Ipc(PathBuf),
}

impl Endpoint {
    /// None for what no listener of a transport that can be mixed with this one says.
    pub(crate) fn from_address(address: &Address) -> Option<Endpoint> {
        if let Some(path) = address.0.strip_prefix("ipc://") {
            let is_path = path.starts_with('/') && !path.contains(['\0', '\n']);
            return is_path.then(|| Endpoint::Ipc(path.into()));
        }
        let at: SocketAddrV4 = address.0.strip_prefix("tcp://")?.parse().ok()?;
        (at.ip().is_loopback() && at.port() != 0).then_some(Endpoint::Tcp(at))
    }

    /// The address of a socket file, unless its path can't be written as text.
    pub(crate) fn address_of(path: &Path) -> Option<Address> {
        Some(Address(format!("ipc://{}", path.to_str()?)))
    }

    /// Whether it is certain that nobody listens there.
    pub(crate) async fn is_deserted(&self) -> bool {
        match self {
            Endpoint::Ipc(path) => is_deserted(path),
            Endpoint::Tcp(at) => {
                let refusal = TcpStream::connect(*at).await.err();
                refusal.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
            }
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Tcp(at) => write!(f, "tcp://{at}"),
            Endpoint::Ipc(path) => write!(f, "ipc://{}", path.display()),
        }
    }
}

/// Whether no socket lives at `path`. Asks with a datagram socket: one that listens for streams
/// answers that it is of another type, and does not notice.
pub(crate) fn is_deserted(path: &Path) -> bool {
    let refusal = UnixDatagram::unbound().and_then(|socket| socket.connect(path)).err();
    refusal.is_some_and(|error| {
        matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listener_on_this_machine_is_an_address() {
        let endpoint = |text: &str| Endpoint::from_address(&Address(text.to_owned()));
        for text in ["tcp://127.0.0.1:4711", "ipc:///tmp/socket"] {
            assert_eq!(endpoint(text).map(|good| good.to_string()).as_deref(), Some(text));
        }
        for text in [
            "",
            "127.0.0.1:4711",
            "tcp://127.0.0.1",
            "tcp://127.0.0.1:0",
            "tcp://127.0.0.1:*",
            "tcp://127.0.0.1:47\u{0}11",
            "tcp://10.0.0.1:4711",
            "tcp://localhost:4711",
            "inproc://monitor-0",
            "ipc://",
            "ipc://*",
            "ipc://@abstract",
            "ipc:///tmp/so\u{0}cket",
        ] {
            assert_eq!(endpoint(text), None, "{text:?}");
        }
    }
}
