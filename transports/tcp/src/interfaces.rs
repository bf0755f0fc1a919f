//! The addresses of this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use hoptree_system::explain;
use if_addrs::Interface;

use crate::address::flaw;

/// Addresses that nobody has (RFC 5737, RFC 3849), so that only the default route leads there.
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The port does not matter where nothing is sent.
const ANY_PORT: u16 = 9;

/// The address under which this machine would connect to that one, or by its default route. Sends
/// nothing.
pub(crate) fn toward(peer: Option<IpAddr>) -> Result<IpAddr, String> {
    let Some(peer) = peer else {
        let routed = ANYWHERE.into_iter().find_map(|ip| source(ip).ok());
        return routed.ok_or_else(|| {
            "this machine has no default route, so there is no address to choose: name one"
                .to_owned()
        });
    };
    source(peer).map_err(|error| format!("no route leads to {peer}: {}", explain(&error)))
}

fn source(of: IpAddr) -> std::io::Result<IpAddr> {
    let unspecified: IpAddr = match of {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((unspecified, 0))?;
    socket.connect((of, ANY_PORT))?;
    Ok(socket.local_addr()?.ip())
}

/// The address of a network interface under which others can reach it, one of IPv4 before one of
/// IPv6.
pub(crate) fn of_interface(name: &str) -> Result<IpAddr, String> {
    let all = if_addrs::get_if_addrs()
        .map_err(|error| format!("can't list the network interfaces: {}", explain(&error)))?;
    let own = all.iter().filter(|one| one.name == name);
    let own: Vec<IpAddr> = own.map(Interface::ip).collect();
    if own.is_empty() {
        let mut names: Vec<&str> = all.iter().map(|one| &*one.name).collect();
        names.dedup();
        return Err(format!(
            "'{name}' is neither an address nor a network interface that has one; those are {}. \
             Names of machines are not looked up",
            names.join(", ")
        ));
    }
    let good = own.iter().filter(|ip| flaw(**ip).is_none()).min_by_key(|ip| ip.is_ipv6());
    good.copied().ok_or_else(|| {
        format!("the network interface '{name}' has only link-local addresses: name another one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_address() {
        assert_eq!(of_interface("lo"), Ok(Ipv4Addr::LOCALHOST.into()));
        let text = of_interface("lo0").unwrap_err();
        assert!(text.starts_with("'lo0' is neither an address nor a network interface"), "{text}");
        assert!(text.contains("those are lo"), "{text}");
    }

    #[test]
    fn a_machine_reaches_itself_by_the_address_that_it_asks_for() {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(toward(Some(localhost)), Ok(localhost));
        // Whether there is another way is for the machine to say.
        if let Ok(own) = toward(None) {
            assert_eq!(toward(Some(own)), Ok(own));
        }
    }
}
