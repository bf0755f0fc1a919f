//! Where one can connect, checked before a library sees it.

use std::fmt;
use std::net::SocketAddrV4;
use std::path::PathBuf;

use hoptree_core::Address;

/// The longest path of a Unix socket on Linux.
pub(crate) const PATH_BYTES_MAX: usize = 107;

/// A place on this machine. The libraries would look up names, join other machines, and connect by
/// other schemes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A port of the loopback interface.
    Tcp(SocketAddrV4),
    /// A Unix socket at an absolute path.
    Ipc(PathBuf),
}

impl Endpoint {
    /// None for what no listener of a transport that can be mixed with these says.
    pub fn from_address(address: &Address) -> Option<Endpoint> {
        if let Some(path) = address.0.strip_prefix("ipc://") {
            let is_path = path.starts_with('/')
                && path.len() <= PATH_BYTES_MAX
                && !path.contains(['\0', '\n']);
            return is_path.then(|| Endpoint::Ipc(path.into()));
        }
        let at: SocketAddrV4 = address.0.strip_prefix("tcp://")?.parse().ok()?;
        (at.ip().is_loopback() && at.port() != 0).then_some(Endpoint::Tcp(at))
    }
}

/// As an address says it, and as each library takes it.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(at) => write!(f, "tcp://{at}"),
            Endpoint::Ipc(path) => write!(f, "ipc://{}", path.display()),
        }
    }
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
        let long = format!("ipc:///{}", "x".repeat(PATH_BYTES_MAX));
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
            "ipc://socket",
            "ipc://@abstract",
            "ipc:///tmp/so\u{0}cket",
            "ipc:///tmp/so\ncket",
            &long,
        ] {
            assert_eq!(endpoint(text), None, "{text:?}");
        }
    }
}
