//! Where one can connect, checked before a library sees it.

use std::fmt;
use std::net::SocketAddrV4;
use std::path::PathBuf;

use hoptree_core::Address;
use hoptree_system::{explain, require_loopback};
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

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
    /// None for what no listener of these transports says.
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

impl Endpoint {
    /// Why nobody can connect there at this moment, if so. For the libraries do not say it. A
    /// listener may notice that somebody comes and goes.
    pub fn refusal(&self) -> Option<String> {
        let tried = match self {
            Endpoint::Tcp(at) => {
                if let Err(why) = require_loopback() {
                    return Some(why);
                }
                try_to_connect(AddressFamily::INET, at)
            }
            Endpoint::Ipc(path) => SocketAddrUnix::new(path.as_path())
                .and_then(|at| try_to_connect(AddressFamily::UNIX, &at)),
        };
        match tried {
            Ok(()) | Err(Errno::INPROGRESS | Errno::AGAIN) => None,
            Err(Errno::ADDRNOTAVAIL) => Some(format!(
                "can't connect to {self}: no port is left to do so from \
                 (net.ipv4.ip_local_port_range, and connections that have just ended)"
            )),
            Err(error) => Some(format!("can't connect to {self}: {}", explain(&error.into()))),
        }
    }
}

/// Begins to connect, and gives it up.
fn try_to_connect(family: AddressFamily, to: &impl SocketAddrArg) -> Result<(), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    connect(socket_with(family, SocketType::STREAM, flags, None)?, to)
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

    #[test]
    fn what_keeps_others_from_connecting_is_said() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let endpoint = Endpoint::Ipc(path.clone());
        let missing = endpoint.refusal().unwrap();
        assert!(missing.contains("/socket: No such file"), "{missing}");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(endpoint.refusal(), None);
        drop(listener);
        assert!(endpoint.refusal().unwrap().contains("Connection refused"));
    }
}
