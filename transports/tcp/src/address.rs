//! Where one can connect, and how that is written.

use std::net::{IpAddr, SocketAddr};

use hoptree_core::Address;

/// All addresses of this transport begin so, and those of no other.
pub const SCHEME: &str = "net://";

/// As a listener says it.
pub(crate) fn write(at: SocketAddr) -> Address {
    Address(format!("{SCHEME}{at}"))
}

/// None for what no listener of this transport says. No name is ever looked up.
pub(crate) fn read(address: &Address) -> Option<SocketAddr> {
    let at: SocketAddr = address.0.strip_prefix(SCHEME)?.parse().ok()?;
    (at.port() != 0 && flaw(at.ip()).is_none()).then_some(at)
}

/// The machine that an address names, whether or not something else stands behind it, such as a nonce.
#[must_use]
pub fn host_of(address: &Address) -> Option<IpAddr> {
    let at = address.0.split('#').next()?;
    read(&Address(at.to_owned())).map(|at| at.ip())
}

/// What keeps others from connecting to this address, whatever machine has it.
pub(crate) fn flaw(ip: IpAddr) -> Option<&'static str> {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if ip.is_unspecified() {
        return Some("stands for every address of a machine, and nobody can connect to it");
    }
    if ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast()) {
        return Some("is that of a group, and not of a machine");
    }
    is_link_local.then_some("is link-local: on another machine it means something else")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["127.0.0.1:4711", "10.0.0.1:1", "[fd77::2]:6200", "[::1]:65535"] {
            let at = text.parse().unwrap();
            assert_eq!(write(at), Address(format!("net://{text}")));
            assert_eq!(read(&write(at)), Some(at));
        }
    }

    #[test]
    fn only_a_number_that_others_can_connect_to_is_an_address() {
        for text in [
            "",
            "net://",
            "127.0.0.1:4711",
            "tcp://127.0.0.1:4711",
            "net://127.0.0.1",
            "net://127.0.0.1:0",
            "net://127.0.0.1:65536",
            "net://127.0.0.1:47\u{0}11",
            "net:// 127.0.0.1:4711",
            "net://localhost:4711",
            "net://fd77::2:6200",
            "net://[fe80::1]:6200",
            "net://[fe80::1%2]:6200",
            "net://169.254.1.1:6200",
            "net://0.0.0.0:6200",
            "net://[::]:6200",
            "net://224.0.0.1:6200",
            "net://255.255.255.255:6200",
            "net://[ff02::1]:6200",
        ] {
            assert_eq!(read(&Address(text.to_owned())), None, "{text:?}");
        }
    }
}
