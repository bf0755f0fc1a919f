//! Where a process listens, as a user says it.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::address::flaw;
use crate::interfaces::{of_interface, toward};

/// Stands in place of an address for the one that the routes of this machine choose.
const AUTO: &str = "auto";

/// Where a process listens, and the address that it tells others. They can connect to that one, as
/// far as its digits show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    at: IpAddr,
    /// Of these the first that is not in use; with none, the system chooses.
    ports: Option<RangeInclusive<u16>>,
    advertised: Option<Advertised>,
}

/// What others are told, where a router or a forwarded port stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Advertised {
    at: IpAddr,
    /// With none, it is the one at which the process listens.
    port: Option<u16>,
}

impl Listen {
    /// Reads `HOST`, `HOST:PORT` or `HOST:PORT-PORT`. `HOST` is an address, one of IPv6 in brackets
    /// when a port follows; the name of a network interface; or `auto`: the address under which this
    /// machine would connect to `peer`, or by its default route.
    ///
    /// `advertised` is the address that others are told in place of it, with or without a port.
    ///
    /// # Errors
    ///
    /// Says what is wrong with which text.
    pub fn from_text(
        text: &str,
        advertised: Option<&str>,
        peer: Option<IpAddr>,
    ) -> Result<Listen, String> {
        let (host, ports) = split(text)?;
        let at = match host.parse::<IpAddr>() {
            Ok(at) => at.to_canonical(),
            Err(_) if host == AUTO => toward(peer)?,
            Err(_) => of_interface(host)?,
        };
        let ports = ports.map(parse_ports).transpose()?;
        let advertised = advertised.map(Advertised::from_text).transpose()?;
        match flaw(at) {
            Some(_) if at.is_unspecified() && advertised.is_some() => {}
            Some(flaw) if at.is_unspecified() => {
                return Err(format!("{at} {flaw}: say which address others are told, or name one"));
            }
            Some(flaw) => return Err(format!("{at} {flaw}")),
            None => {}
        }
        Ok(Listen { at, ports, advertised })
    }

    /// The ports that a text names, as it names them; none when it leaves them to the system, or makes no sense.
    #[must_use]
    pub fn ports_of(text: &str) -> Option<&str> {
        split(text).ok()?.1
    }

    /// The places to try, one after the other.
    pub(crate) fn places(&self) -> impl Iterator<Item = SocketAddr> {
        let ports = self.ports.clone().unwrap_or(0..=0);
        ports.map(|port| SocketAddr::new(self.at, port))
    }

    /// What others are told when this is where the process listens.
    pub(crate) fn told(&self, bound: SocketAddr) -> SocketAddr {
        let Some(advertised) = self.advertised else { return bound };
        SocketAddr::new(advertised.at, advertised.port.unwrap_or(bound.port()))
    }

    /// What to say when all of the places are in use.
    pub(crate) fn in_use(&self) -> String {
        let at = self.at;
        match &self.ports {
            None => format!(
                "every port of {at} that the system may choose is in use \
                 (net.ipv4.ip_local_port_range)"
            ),
            Some(ports) if ports.start() == ports.end() => {
                format!("port {} of {at} is in use: name another one, or several", ports.start())
            }
            Some(ports) => {
                let (first, last) = (ports.start(), ports.end());
                format!("every port of {at} from {first} to {last} is in use: name more of them")
            }
        }
    }
}

impl Advertised {
    fn from_text(text: &str) -> Result<Advertised, String> {
        let (host, port) = split(text)?;
        let at: IpAddr = host.parse().map_err(|_| {
            format!("'{host}' is no address that others can be told: names are not looked up")
        })?;
        let at = at.to_canonical();
        if let Some(flaw) = flaw(at) {
            return Err(format!("{at} {flaw}"));
        }
        Ok(Advertised { at, port: port.map(parse_port).transpose()? })
    }
}

/// A host, and the ports behind it.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok((text, None));
    }
    if let Some(bracketed) = text.strip_prefix('[') {
        let parts = bracketed.split_once(']').filter(|(host, _)| host.contains(':'));
        return match parts.map(|(host, rest)| (host, rest.strip_prefix(':'), rest)) {
            Some((host, None, "")) => Ok((host, None)),
            Some((host, Some(ports), _)) => Ok((host, Some(ports))),
            _ => Err(format!("'{text}' is not of the form [ADDRESS]:PORT")),
        };
    }
    match text.split_once(':') {
        None if text.is_empty() => Err("an address is missing".to_owned()),
        None => Ok((text, None)),
        Some((_, ports)) if ports.contains(':') => Err(format!(
            "'{text}' is no address; one of IPv6 stands in brackets when a port follows: \
             [ADDRESS]:PORT"
        )),
        Some((host, ports)) => Ok((host, Some(ports))),
    }
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports = parse_port(first)?..=parse_port(last)?;
    if ports.is_empty() {
        return Err(format!("there is no port in '{text}': the first is greater than the last"));
    }
    Ok(ports)
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) => Err("a port is 1 to 65535; without one, the system chooses".to_owned()),
        Ok(port) => Ok(port),
        Err(_) => Err(format!("a port is 1 to 65535, not '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Result<Listen, String> {
        Listen::from_text(text, None, None)
    }

    fn places(text: &str) -> Vec<String> {
        listen(text).unwrap().places().map(|place| place.to_string()).collect()
    }

    #[test]
    fn an_address_has_ports_or_none() {
        assert_eq!(places("10.0.0.1"), ["10.0.0.1:0"]);
        assert_eq!(places("10.0.0.1:6200"), ["10.0.0.1:6200"]);
        assert_eq!(places("10.0.0.1:65534-65535"), ["10.0.0.1:65534", "10.0.0.1:65535"]);
        assert_eq!(places("fd77::2"), ["[fd77::2]:0"]);
        assert_eq!(places("[fd77::2]"), ["[fd77::2]:0"]);
        assert_eq!(places("[fd77::2]:6200-6201"), ["[fd77::2]:6200", "[fd77::2]:6201"]);
        assert_eq!(places("[::ffff:10.0.0.1]:6200"), ["10.0.0.1:6200"]);
    }

    #[test]
    fn an_interface_and_the_routes_name_one_too() {
        assert_eq!(places("lo:6200"), ["127.0.0.1:6200"]);
        let localhost = Some("127.0.0.1".parse().unwrap());
        let chosen = Listen::from_text("auto:6200", None, localhost).unwrap();
        assert_eq!(chosen, listen("127.0.0.1:6200").unwrap());
    }

    #[test]
    fn others_are_told_what_is_advertised() {
        let bound = "10.0.0.1:6200".parse().unwrap();
        let told = |text, advertised| {
            let listen = Listen::from_text(text, advertised, None).unwrap();
            listen.told(bound).to_string()
        };
        assert_eq!(told("10.0.0.1", None), "10.0.0.1:6200");
        assert_eq!(told("0.0.0.0", Some("192.0.2.7")), "192.0.2.7:6200");
        assert_eq!(told("::", Some("[fd77::2]:443")), "[fd77::2]:443");
        assert_eq!(told("10.0.0.1", Some("192.0.2.7:443")), "192.0.2.7:443");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, advertised, wrong) in [
            ("", None, "an address is missing"),
            ("10.0.0.1:", None, "a port is 1 to 65535, not ''"),
            ("10.0.0.1:0", None, "a port is 1 to 65535; without one, the system chooses"),
            ("10.0.0.1:*", None, "a port is 1 to 65535, not '*'"),
            ("10.0.0.1:65536", None, "a port is 1 to 65535, not '65536'"),
            ("10.0.0.1:6200-", None, "a port is 1 to 65535, not ''"),
            ("10.0.0.1:9-8", None, "there is no port in '9-8': the first is greater than the last"),
            ("[10.0.0.1]:1", None, "'[10.0.0.1]:1' is not of the form [ADDRESS]:PORT"),
            ("[::1", None, "'[::1' is not of the form [ADDRESS]:PORT"),
            ("[::1]6200", None, "'[::1]6200' is not of the form [ADDRESS]:PORT"),
            (
                "169.254.0.1",
                None,
                "169.254.0.1 is link-local: on another machine it means something",
            ),
            ("[fe80::1]:1", None, "fe80::1 is link-local: on another machine it means something"),
            ("224.0.0.1", None, "224.0.0.1 is that of a group, and not of a machine"),
            (
                "0.0.0.0:1",
                None,
                "0.0.0.0 stands for every address of a machine, and nobody can connect to it: say \
                 which address others are told, or name one",
            ),
            ("0.0.0.0", Some("::"), ":: stands for every address of a machine"),
            ("224.0.0.1", Some("10.0.0.1"), "224.0.0.1 is that of a group"),
            ("10.0.0.1", Some("fe80::1"), "fe80::1 is link-local"),
            ("10.0.0.1", Some("me"), "'me' is no address that others can be told: names are not"),
            ("10.0.0.1", Some("10.0.0.1:1-2"), "a port is 1 to 65535, not '1-2'"),
            ("fd77::2:6200-6210", None, "'fd77::2:6200-6210' is no address; one of IPv6 stands in"),
            ("fe80::1%lo", None, "'fe80::1%lo' is no address; one of IPv6 stands in brackets"),
            (
                "example.org:6200",
                None,
                "'example.org' is neither an address nor a network interface",
            ),
        ] {
            let told = Listen::from_text(text, advertised, None).unwrap_err();
            assert!(told.starts_with(wrong), "{text:?}: {told}");
        }
    }
}
