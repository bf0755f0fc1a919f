//! What the library does beyond the contract, which the suite of the whole workspace holds against
//! it, over both kinds of sockets that there are.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, LinkId, Opening, SEALED_BYTES_MAX, Secret, SendError, Transport, linked_transports,
};
use hoptree_test_support::{Down, Frame, PATIENCE, Up};
use hoptree_zeromq::{Place, Zeromq};
use tempfile::TempDir;

type Node = hoptree_test_support::Node<Zeromq>;

/// What is tested: Unix sockets in a directory that all nodes share, or TCP.
struct Medium(Option<TempDir>);

impl Medium {
    fn ipc() -> Medium {
        Medium(Some(TempDir::new().unwrap()))
    }

    fn node(&self) -> Node {
        let directory = self.0.as_ref().map(|directory| directory.path().to_owned());
        let place = directory.map_or(Place::Loopback, Place::Directory);
        Node::new(Zeromq::open(place).unwrap())
    }

    /// An address where there was a listener once.
    fn nobody(&self) -> Address {
        match &self.0 {
            Some(directory) => {
                let path = directory.path().join("nobody");
                drop(UnixListener::bind(&path).unwrap());
                Address(format!("ipc://{}", path.display()))
            }
            None => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                Address(format!("tcp://{}", listener.local_addr().unwrap()))
            }
        }
    }
}

/// Sends a frame, and waits briefly so that it leaves.
#[track_caller]
fn send(from: &mut Node, link: LinkId, frame: &[u8]) {
    from.transport.send(link, frame).unwrap();
    from.wait(Some(Instant::now()));
}

/// A parent, a child that has said hello to it, and the link as each of them names it.
struct Pair {
    parent: Node,
    child: Node,
    down: LinkId,
    up: LinkId,
}

impl Pair {
    #[track_caller]
    fn new(medium: &Medium) -> Pair {
        let mut parent = medium.node();
        let (child, up) = join(medium, &mut parent);
        parent.until(|seen| seen.len() == 2);
        let down = parent.ups()[0];
        assert_eq!(parent.seen, [Up(down), Frame(down, b"hello".to_vec())]);
        Pair { parent, child, down, up }
    }
}

#[track_caller]
fn join(medium: &Medium, parent: &mut Node) -> (Node, LinkId) {
    let address = parent.transport.listen().unwrap();
    let mut node = medium.node();
    let link = node.transport.connect(&address);
    node.until_with(parent, |seen| !seen.is_empty());
    assert_eq!(node.seen, [Up(link)]);
    send(&mut node, link, b"hello");
    (node, link)
}

/// A connection without the library.
fn raw(address: &Address) -> Box<dyn Write> {
    if let Some(path) = address.0.strip_prefix("ipc://") {
        return Box::new(UnixStream::connect(path).unwrap());
    }
    Box::new(TcpStream::connect(address.0.strip_prefix("tcp://").unwrap()).unwrap())
}

/// The greeting and the READY of a DEALER called `identity`, for what no library would send.
fn stranger(address: &Address, identity: &[u8]) -> Box<dyn Write> {
    let mut stream = raw(address);
    let mut hello = vec![0; 64];
    hello[0] = 0xff;
    hello[9..12].copy_from_slice(&[0x7f, 3, 0]);
    hello[12..16].copy_from_slice(b"NULL");
    let mut ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0".to_vec();
    ready.push(identity.len() as u8);
    ready.extend_from_slice(identity);
    hello.extend_from_slice(&[4, ready.len() as u8]);
    hello.extend_from_slice(&ready);
    stream.write_all(&hello).unwrap();
    stream
}

/// Runs a test over Unix sockets and over TCP.
macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {
        mod ipc { $(#[test] fn $name() { super::$name(&super::Medium::ipc()); })+ }
        mod tcp { $(#[test] fn $name() { super::$name(&super::Medium(None)); })+ }
    };
}

over_both! {
    one_byte_too_many_drops_only_that_peer,
    that_nobody_listens_is_known_at_once,
    a_link_closed_by_the_listener_ends_at_the_other,
    a_link_closed_by_the_connecting_side_ends_at_the_other,
    messages_that_no_hoptree_sends_are_no_frames,
    a_frame_for_one_that_is_gone_does_not_cost_its_last_words,
    silent_strangers_do_not_delay_the_end,
    a_listener_that_is_slow_to_start_is_waited_for,
}

#[test]
fn both_are_registered() {
    // Naming the crate links it.
    let medium = Medium::ipc();
    let _ = medium.node();
    let linked = linked_transports().unwrap();
    let names: Vec<_> = linked.iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["zeromq", "zeromq:tcp"]);
    for spec in linked {
        assert_eq!((spec.package, spec.speaks), ("hoptree-zeromq", "ZMTP 3"));
        (spec.open)(Opening {
            directory: medium.0.as_ref().unwrap().path(),
            secret: Secret::new(&[7; 32]),
        })
        .unwrap()
        .finish(Duration::ZERO);
    }
}

fn one_byte_too_many_drops_only_that_peer(medium: &Medium) {
    let mut pair = Pair::new(medium);
    let address = pair.parent.transport.listen().unwrap();
    let mut offender = stranger(&address, b"");
    let length = (SEALED_BYTES_MAX as u64 + 1).to_be_bytes();
    offender.write_all(&[b"\0\x04last\x02", &length[..]].concat()).unwrap();
    offender.write_all(&vec![0; SEALED_BYTES_MAX + 1]).unwrap();
    pair.parent.until(|seen| seen.len() == 5);
    let link = pair.parent.ups()[1];
    assert_eq!(pair.parent.seen[2..], [Up(link), Frame(link, b"last".to_vec()), Down(link)]);
    send(&mut pair.child, pair.up, b"still here");
    pair.parent.until_seen(&Frame(pair.down, b"still here".to_vec()));
}

fn that_nobody_listens_is_known_at_once(medium: &Medium) {
    let nobody = medium.nobody();
    let mut node = medium.node();
    let before = Instant::now();
    let link = node.transport.connect(&nobody);
    node.until_seen(&Down(link));
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(node.transport.send(link, b"x"), Err(SendError::Gone));
    node.stays_silent();
    assert_eq!(node.seen, [Down(link)]);
}

fn a_link_closed_by_the_listener_ends_at_the_other(medium: &Medium) {
    let mut pair = Pair::new(medium);
    send(&mut pair.child, pair.up, b"never read");
    pair.parent.transport.send(pair.down, b"goodbye").unwrap();
    pair.parent.transport.close(pair.down);
    assert_eq!(pair.parent.transport.send(pair.down, b"x"), Err(SendError::Gone));
    pair.child.until_seen(&Down(pair.up));
    assert_eq!(pair.child.seen[1..], [Frame(pair.up, b"goodbye".to_vec()), Down(pair.up)]);
    assert_eq!(pair.child.transport.send(pair.up, b"unwanted"), Err(SendError::Gone));
    pair.parent.stays_silent();
}

fn a_link_closed_by_the_connecting_side_ends_at_the_other(medium: &Medium) {
    let mut pair = Pair::new(medium);
    send(&mut pair.parent, pair.down, b"too late");
    pair.child.transport.send(pair.up, b"goodbye").unwrap();
    pair.child.transport.close(pair.up);
    assert_eq!(pair.child.transport.send(pair.up, b"x"), Err(SendError::Gone));
    pair.child.stays_silent();
    pair.parent.until_seen(&Down(pair.down));
    assert_eq!(pair.parent.seen[2..], [Frame(pair.down, b"goodbye".to_vec()), Down(pair.down)]);
}

fn messages_that_no_hoptree_sends_are_no_frames(medium: &Medium) {
    let mut parent = medium.node();
    let address = parent.transport.listen().unwrap();
    let mut named = stranger(&address, b"name");
    named.write_all(b"\0\x0dI have a name").unwrap();
    let mut odd = stranger(&address, b"");
    odd.write_all(b"\0\0\x01\x01a\x01\x01b\0\x01c\0\x05plain").unwrap();
    parent.until(|seen| seen.len() == 2);
    parent.stays_silent();
    let link = parent.ups()[0];
    assert_eq!(parent.seen, [Up(link), Frame(link, b"plain".to_vec())]);
    odd.write_all(b"\0\x05trun").unwrap();
    drop(odd);
    parent.until_seen(&Down(link));
}

/// When a write fails the library forgets what it has not read from that peer.
fn a_frame_for_one_that_is_gone_does_not_cost_its_last_words(medium: &Medium) {
    let mut pair = Pair::new(medium);
    for number in 0..50u8 {
        pair.child.transport.send(pair.up, &[number; 700]).unwrap();
    }
    pair.child.transport.finish(PATIENCE);
    for _ in 0..3 {
        let _ = pair.parent.transport.send(pair.down, b"anyone?");
    }
    pair.parent.until_seen(&Down(pair.down));
    let told: Vec<_> = (0..50u8).map(|number| Frame(pair.down, vec![number; 700])).collect();
    assert_eq!(pair.parent.seen[2..52], told);
    assert_eq!(pair.parent.seen[52..], [Down(pair.down)]);
}

/// It costs a task for each, which must not be taken for one that writes.
fn silent_strangers_do_not_delay_the_end(medium: &Medium) {
    let mut pair = Pair::new(medium);
    let address = pair.parent.transport.listen().unwrap();
    let strangers: Vec<_> = (0..10).map(|_| raw(&address)).collect();
    pair.parent.stays_silent();
    pair.parent.transport.send(pair.down, b"goodbye").unwrap();
    let before = Instant::now();
    pair.parent.transport.finish(PATIENCE);
    assert!(before.elapsed() < PATIENCE / 4);
    pair.child.until_seen(&Down(pair.up));
    assert!(pair.child.seen.contains(&Frame(pair.up, b"goodbye".to_vec())));
    drop(strangers);
}

/// Its parent does not wait yet; it stands all the same.
fn a_listener_that_is_slow_to_start_is_waited_for(medium: &Medium) {
    let mut parent = medium.node();
    let address = parent.transport.listen().unwrap();
    let mut child = medium.node();
    let link = child.transport.connect(&address);
    for _ in 0..10 {
        child.stays_silent();
    }
    child.until_with(&mut parent, |seen| seen == [Up(link)]);
}
