//! Transports under test, and what others send to them.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::TcpStream;

use hoptree_core::{Address, LinkId, Secret, Transport};
use hoptree_test_support::{Down, Frame, Up};
use hoptree_zmq::{Place, Zmq};

pub const SECRET: Secret = Secret::new(&[7; 32]);

pub type Node = hoptree_test_support::Node<Zmq>;

pub fn node() -> Node {
    Node::new(Zmq::open(Place::Loopback, SECRET).unwrap())
}

/// A parent, a child that has said hello to it, and the link as each of them names it.
pub struct Pair {
    pub parent: Node,
    pub child: Node,
    pub down: LinkId,
    pub up: LinkId,
}

impl Pair {
    #[track_caller]
    pub fn new() -> Pair {
        let mut parent = node();
        let (child, up) = join(&mut parent);
        parent.until(|seen| seen.len() == 2);
        let down = parent.ups()[0];
        assert_eq!(parent.seen, [Up(down), Frame(down, b"hello".to_vec())]);
        Pair { parent, child, down, up }
    }
}

#[track_caller]
pub fn join(parent: &mut Node) -> (Node, LinkId) {
    let mut child = node();
    let link = child.transport.connect(&parent.transport.listen().unwrap());
    rise(&mut child, link, parent);
    assert_eq!(child.seen, [Up(link)]);
    child.transport.send(link, b"hello").unwrap();
    (child, link)
}

/// Waits until a connection stands, which it does not before the other side has waited too.
#[track_caller]
pub fn rise(node: &mut Node, link: LinkId, parent: &mut Node) {
    node.until_with(parent, |seen| seen.iter().any(|seen| seen.link() == link));
    assert!(!node.seen.contains(&Down(link)));
}

/// What libzmq calls the place where a listener is.
pub fn endpoint(address: &Address) -> String {
    address.0.rsplit_once('/').unwrap().0.to_owned()
}

/// The password of those who know the secret.
pub fn password(address: &Address) -> String {
    let nonce = address.0.rsplit_once('/').unwrap().1;
    let nonce = u128::from_str_radix(nonce, 16).unwrap().to_be_bytes();
    SECRET.key("zmq", &nonce).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A DEALER of a member of the tree without any of our options, for what no hoptree would send.
pub fn dealer(address: &Address) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::DEALER).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_plain_username(Some("hoptree")).unwrap();
    socket.set_plain_password(Some(&password(address))).unwrap();
    socket.connect(&endpoint(address)).unwrap();
    socket
}

pub fn raw(address: &Address) -> TcpStream {
    TcpStream::connect(endpoint(address).strip_prefix("tcp://").unwrap()).unwrap()
}
