//! More strangers than there may be. It changes a limit of its process, so it is alone in it.

#![allow(clippy::unwrap_used, reason = "in a test, whatever goes wrong must end it")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use hoptree_core::Transport;
use hoptree_tcp::{Listen, Tcp};
use hoptree_test_support::Node;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Of the descriptors that a process may have, those who have not sent a frame get an eighth.
const DESCRIPTORS: u64 = 512;
const STRANGERS_MAX: usize = 64;

fn is_hung_up_on(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Ok(0) | Err(_) => true,
        Ok(_) => panic!("nobody has sent anything"),
    }
}

#[test]
fn the_oldest_of_too_many_strangers_are_hung_up_on_and_no_peer() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(DESCRIPTORS), ..limit })
        .unwrap();
    let mut node =
        Node::new(Tcp::open(Listen::from_text("127.0.0.1", None, None).unwrap()).unwrap());
    let address = node.transport.listen().unwrap();
    let place = address.0.strip_prefix("net://").unwrap().to_owned();
    let come = |count: usize, node: &mut Node<Tcp>| -> Vec<TcpStream> {
        let streams = (0..count).map(|_| {
            let stream = TcpStream::connect(&place).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        });
        let streams = streams.collect();
        node.until_rest();
        streams
    };
    let mut peer = come(1, &mut node);
    peer[0].write_all(b"\x05\0\0\0hello").unwrap();
    node.until_events(2);

    let mut first = come(STRANGERS_MAX, &mut node);
    assert!(!first.iter_mut().any(is_hung_up_on));
    let mut second = come(10, &mut node);
    let gone: Vec<_> = first.iter_mut().map(is_hung_up_on).collect();
    assert_eq!(gone.iter().take_while(|is_gone| **is_gone).count(), 10);
    assert_eq!(gone.iter().filter(|is_gone| **is_gone).count(), 10);
    assert!(!second.iter_mut().any(is_hung_up_on));
    assert!(!is_hung_up_on(&mut peer[0]));
    assert_eq!(node.seen.len(), 2, "nobody heard of them");
}
