//! Links between processes, of which one is killed or stopped.

use hoptree_core::{LinkId, SendError};

use crate::flow::{WINDOWS, fill, send_window};
use crate::node::{Candidate, Down, Frame, Node, Pair, Up, join};
use crate::process::{Part, Process};

pub fn frames_travel_between_processes(candidate: &Candidate) {
    let counting = Counting::new(candidate);
    for _ in 0..1_000 {
        counting.node.push(counting.link, b"frame");
    }
    counting.has_counted(1_000);
}

pub fn a_child_that_is_killed_is_down_once_after_what_arrived(candidate: &Candidate) {
    let node = Node::open(candidate);
    let address = node.listen();
    let mut process = Process::start(candidate, Part::Flood);
    process.tell(&address.0);
    node.until_events(100);
    process.kill();
    ended_well(&node, node.ups()[0]);
}

pub fn a_parent_that_is_killed_is_down_once_after_what_arrived(candidate: &Candidate) {
    let node = Node::open(candidate);
    let mut process = Process::start(candidate, Part::FloodFromBelow);
    let link = node.connect(&hoptree_core::Address(process.told()));
    node.until_seen(&Up(link));
    node.send(link, b"hello").unwrap();
    node.until_events(100);
    process.kill();
    ended_well(&node, link);
}

/// Numbers without a gap from the first on, and one end.
fn ended_well(node: &Node, link: LinkId) {
    node.until_seen(&Down(link));
    node.stays_silent();
    let seen = node.seen();
    let [first, frames @ .., last] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((first, last), (&Up(link), &Down(link)));
    for (number, frame) in (0u64..).zip(frames) {
        assert_eq!(*frame, Frame(link, number.to_be_bytes().to_vec()));
    }
    assert_eq!(node.send(link, b"x"), Err(SendError::Gone));
}

pub fn a_stopped_peer_takes_a_window_and_blocks_nobody(candidate: &Candidate) {
    for window in WINDOWS {
        let counting = Counting::new(candidate);
        let (child, up, down) = join(candidate, &counting.node);
        counting.process.stop();
        let sent = send_window(&counting.node, counting.link, window);
        let Counting { node, process, link } = counting;
        let pair = Pair { parent: node, child, down, up };
        pair.works();
        process.go_on();
        Counting { node: pair.parent, process, link }.has_counted(sent);
    }
}

pub fn a_stopped_peer_fills_up_and_gets_it_all_when_it_goes_on(candidate: &Candidate) {
    let counting = Counting::new(candidate);
    let (child, up, down) = join(candidate, &counting.node);
    counting.process.stop();
    let sent = fill(&counting.node, counting.link);
    let Counting { node, process, link } = counting;
    let pair = Pair { parent: node, child, down, up };
    pair.works();
    process.go_on();
    Counting { node: pair.parent, process, link }.has_counted(sent);
}

/// A node, and a process below it that counts what it gets.
struct Counting {
    node: Node,
    process: Process,
    link: LinkId,
}

impl Counting {
    #[track_caller]
    fn new(candidate: &Candidate) -> Counting {
        let node = Node::open(candidate);
        let address = node.listen();
        let mut process = Process::start(candidate, Part::Count);
        process.tell(&address.0);
        node.until_events(2);
        let link = node.ups()[0];
        assert_eq!(node.seen(), [Up(link), Frame(link, b"hello".to_vec())]);
        Counting { node, process, link }
    }

    #[track_caller]
    fn has_counted(&self, frames: usize) {
        self.node.push(self.link, b"count");
        self.node.until_seen(&Frame(self.link, (frames as u64).to_be_bytes().to_vec()));
    }
}
