//! Whether processes of this machine can talk to each other over TCP.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use crate::refusal::explain;

/// Makes sure that the loopback interface is there, which a sandbox may lack. Sends nothing.
///
/// # Errors
///
/// Says what is wrong with it, and what to do.
pub fn require_loopback() -> Result<(), String> {
    let probe = || -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Any port will do: this only looks for a way there.
        socket.connect((Ipv4Addr::LOCALHOST, 9))
    };
    match probe() {
        Err(error) if is_unreachable(&error) => Err(format!(
            "the loopback interface is down, so 127.0.0.1 can't be reached ({error}): start it with \
             'ip link set lo up', or use '--transport zmq:ipc'"
        )),
        // The transport will say itself what else is wrong, if it is.
        _ => Ok(()),
    }
}

/// What an error means that came of listening at a port of the loopback interface which the system was
/// to choose.
#[must_use]
pub fn explain_listen(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        return "every port of 127.0.0.1 that the system may choose is in use \
                (net.ipv4.ip_local_port_range)"
            .to_owned();
    }
    explain(error)
}

fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_way_is_unreachable() {
        assert!(is_unreachable(&io::Error::from_raw_os_error(libc::ENETUNREACH)));
        assert!(!is_unreachable(&io::Error::from_raw_os_error(libc::EMFILE)));
    }

    #[test]
    fn an_address_in_use_is_a_want_of_ports() {
        let text = |number| explain_listen(&io::Error::from_raw_os_error(number));
        assert!(text(libc::EADDRINUSE).contains("ip_local_port_range"));
        assert!(text(libc::EMFILE).contains("open files"));
    }
}
