//! TCP sockets and who holds them, as `/proc` shows it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::process::Process;

/// A TCP socket of some process.
#[derive(Clone, Debug)]
pub struct Socket {
    pub local: SocketAddrV4,
    pub remote: SocketAddrV4,
    pub listens: bool,
    pub established: bool,
}

/// The TCP sockets that `process` holds. hoptree must use no IPv6, so one such socket is a panic.
pub fn sockets(process: &Process) -> Vec<Socket> {
    let held = process.descriptors();
    let is_held = |line: &&str| held.contains(&format!("socket:[{}]", field(line, 9)));
    let six = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    assert!(!six.lines().skip(1).any(|line| is_held(&line)), "{process:?} holds an IPv6 socket");
    let four = fs::read_to_string("/proc/net/tcp").unwrap();
    four.lines().skip(1).filter(is_held).map(parse).collect()
}

/// Whether a TCP connection stands between two processes.
pub fn connected(one: &Process, other: &Process) -> bool {
    let others = sockets(other);
    sockets(one)
        .iter()
        .filter(|near| near.established)
        .any(|near| others.iter().any(|far| (far.local, far.remote) == (near.remote, near.local)))
}

fn parse(line: &str) -> Socket {
    let state = field(line, 3);
    Socket {
        local: address(field(line, 1)),
        remote: address(field(line, 2)),
        listens: state == "0A",
        established: state == "01",
    }
}

fn field(line: &str, index: usize) -> &str {
    line.split_ascii_whitespace().nth(index).unwrap()
}

/// Reads an address such as `0100007F:1F90`, the four bytes of which are in the machine's order.
fn address(text: &str) -> SocketAddrV4 {
    let (ip, port) = text.split_once(':').unwrap();
    let ip = u32::from_str_radix(ip, 16).unwrap().to_ne_bytes();
    SocketAddrV4::new(Ipv4Addr::from(ip), u16::from_str_radix(port, 16).unwrap())
}
