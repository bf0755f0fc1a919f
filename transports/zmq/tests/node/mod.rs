//! Transports under test, and what others send to them.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::TcpStream;
use std::time::{Duration, Instant};

use hoptree_core::{Address, Event, FRAMES_PER_WAIT_MAX, LinkId, Secret, Transport};
use hoptree_zmq::{Place, Zmq};

/// How long anything may take that has to happen at all.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing must happen before it is taken not to happen.
pub const SILENCE: Duration = Duration::from_millis(100);

pub const SECRET: Secret = Secret::new(&[7; 32]);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
}

use Seen::{Down, Frame, Up};

/// A transport and all that it has told.
pub struct Node {
    pub zmq: Box<Zmq>,
    pub seen: Vec<Seen>,
}

impl Node {
    pub fn new() -> Node {
        Node { zmq: Box::new(Zmq::open(Place::Loopback, SECRET).unwrap()), seen: Vec::new() }
    }

    /// Waits once, and says how many frames that gave.
    pub fn wait(&mut self, until: Option<Instant>) -> usize {
        let mut frames = 0;
        let seen = &mut self.seen;
        self.zmq
            .wait(until, &mut |event| {
                seen.push(match event {
                    Event::Up(link) => Up(link),
                    Event::Frame(link, bytes) => {
                        frames += 1;
                        Frame(link, bytes.to_vec())
                    }
                    Event::Down(link) => Down(link),
                });
            })
            .unwrap();
        assert!(frames <= FRAMES_PER_WAIT_MAX);
        frames
    }

    #[track_caller]
    pub fn until(&mut self, is_done: impl Fn(&[Seen]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(&self.seen) {
            let last: Vec<_> = self.seen.iter().rev().take(3).collect();
            assert!(Instant::now() < deadline, "{} events, last {last:?}", self.seen.len());
            self.wait(Some(deadline));
        }
    }

    #[track_caller]
    pub fn until_seen(&mut self, event: &Seen) {
        self.until(|seen| seen.contains(event));
    }

    #[track_caller]
    pub fn stays_silent(&mut self) {
        let before = self.seen.len();
        let end = Instant::now() + SILENCE;
        while Instant::now() < end {
            self.wait(Some(end));
        }
        assert_eq!(self.seen[before..], []);
    }

    pub fn ups(&self) -> Vec<LinkId> {
        self.seen
            .iter()
            .filter_map(|seen| if let Up(link) = seen { Some(*link) } else { None })
            .collect()
    }
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
        let mut parent = Node::new();
        let (child, up) = join(&mut parent);
        parent.until(|seen| seen.len() == 2);
        let down = parent.ups()[0];
        assert_eq!(parent.seen, [Up(down), Frame(down, b"hello".to_vec())]);
        Pair { parent, child, down, up }
    }
}

#[track_caller]
pub fn join(parent: &mut Node) -> (Node, LinkId) {
    let mut node = Node::new();
    let link = node.zmq.connect(&parent.zmq.listen().unwrap());
    rise(&mut node, link, parent);
    assert_eq!(node.seen, [Up(link)]);
    node.zmq.send(link, b"hello").unwrap();
    (node, link)
}

/// Waits until a connection stands, which it does not before the other side has waited too.
#[track_caller]
pub fn rise(node: &mut Node, link: LinkId, parent: &mut Node) {
    let deadline = Instant::now() + PATIENCE;
    while !node.seen.contains(&Up(link)) {
        assert!(Instant::now() < deadline && !node.seen.contains(&Down(link)));
        for node in [&mut *node, &mut *parent] {
            node.wait(Some(Instant::now() + Duration::from_millis(1)));
        }
    }
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
