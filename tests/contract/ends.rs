//! How links end, and what each side learns of it.

use std::time::{Duration, Instant};
use std::{fs, thread};

use hoptree_core::{Address, FRAME_BYTES_MAX, LinkId, SendError};

use crate::deadline::{PATIENCE, PROMPT};
use crate::flow::fill;
use crate::node::{Candidate, Down, Frame, Node, Pair, Seen, Up, join};

/// How long a peer may take to end whose frames nobody reads yet.
const UNREAD_WITHIN: Duration = Duration::from_secs(2);

pub fn connecting_to_nobody_ends_the_link(candidate: &Candidate) {
    let nobody = Node::open(candidate);
    let address = nobody.listen();
    nobody.finish(PATIENCE);
    let node = Node::open(candidate);
    let link = node.connect(&address);
    node.until_seen(&Down(link));
    assert_eq!(node.send(link, b"x"), Err(SendError::Gone));
    node.stays_silent();
    assert_eq!(node.seen(), [Down(link)]);
}

pub fn an_address_that_makes_no_sense_ends_the_link(candidate: &Candidate) {
    let node = Node::open(candidate);
    let long = "x".repeat(100_000);
    let senseless =
        ["nonsense", "", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:1\0", "/\u{1F333}", &long];
    let senseless = senseless.map(|text| Address(text.to_owned()));
    let links = node.call(move |transport| {
        let links = senseless.each_ref().map(|address| transport.connect(address));
        transport.close(links[0]);
        links
    });
    node.until_events(links.len() - 1);
    node.stays_silent();
    let seen = node.seen();
    assert_eq!(seen.len(), links.len() - 1);
    for link in &links[1..] {
        assert!(seen.contains(&Down(*link)));
        assert_eq!(node.send(*link, b"x"), Err(SendError::Gone));
    }
}

pub fn a_child_that_finishes_is_down_once_after_all_its_frames(candidate: &Candidate) {
    let Pair { parent, child, down, up } = Pair::new(candidate);
    leaves_in_order((child, up), (&parent, down));
}

pub fn a_parent_that_finishes_is_down_once_after_all_its_frames(candidate: &Candidate) {
    let Pair { parent, child, down, up } = Pair::new(candidate);
    leaves_in_order((parent, down), (&child, up));
}

/// Nothing is read until the one that goes is long gone.
fn leaves_in_order((goes, link): (Node, LinkId), (stays, name): (&Node, LinkId)) {
    let before = stays.seen().len();
    stays.pause();
    let frames = (0..64u8).map(|number| vec![number; 1_000]);
    for frame in frames.clone() {
        goes.send(link, &frame).unwrap();
    }
    goes.finish(UNREAD_WITHIN);
    stays.read();
    stays.until_seen(&Down(name));
    stays.stays_silent();
    let told: Vec<Seen> = frames.map(|frame| Frame(name, frame)).chain([Down(name)]).collect();
    assert_eq!(stays.seen()[before..], told);
    assert_eq!(stays.send(name, b"x"), Err(SendError::Gone));
}

pub fn a_child_that_is_dropped_is_down_once(candidate: &Candidate) {
    let Pair { parent, child, down, up } = Pair::new(candidate);
    leaves_at_once((child, up), (&parent, down));
}

pub fn a_parent_that_is_dropped_is_down_once(candidate: &Candidate) {
    let Pair { parent, child, down, up } = Pair::new(candidate);
    leaves_at_once((parent, down), (&child, up));
}

/// What was not yet on its way may be lost, but only from the end.
fn leaves_at_once((goes, link): (Node, LinkId), (stays, name): (&Node, LinkId)) {
    let before = stays.seen().len();
    for number in 0..64u8 {
        goes.send(link, &[number; 100]).unwrap();
    }
    drop(goes);
    stays.until_seen(&Down(name));
    stays.stays_silent();
    let seen = stays.seen();
    let (last, frames) = seen[before..].split_last().unwrap();
    assert_eq!(*last, Down(name));
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(*frame, Frame(name, vec![number as u8; 100]));
    }
    assert_eq!(stays.send(name, b"x"), Err(SendError::Gone));
}

/// The system reuses descriptors and names at once, so here some of them are soon somebody else's.
pub fn peers_that_speak_and_vanish_are_told_in_full(candidate: &Candidate) {
    const PEERS: usize = 50;
    let parent = Node::open(candidate);
    for _ in 0..PEERS {
        let child = Node::open(candidate);
        let link = child.connect(&parent.listen());
        child.until_seen(&Up(link));
        child.send(link, b"hello").unwrap();
        child.finish(UNREAD_WITHIN);
    }
    parent.until_events(3 * PEERS);
    parent.stays_silent();
    assert_eq!(parent.ups().len(), PEERS);
    for link in parent.ups() {
        let told = [Up(link), Frame(link, b"hello".to_vec()), Down(link)];
        assert_eq!(parent.seen_of(link), told);
    }
}

pub fn sending_to_one_that_is_gone_fails_and_down_is_told_once(candidate: &Candidate) {
    let Pair { parent, child, down, .. } = Pair::new(candidate);
    drop(child);
    let deadline = Instant::now() + PATIENCE;
    while parent.send(down, b"anyone?") != Err(SendError::Gone) {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    parent.until_events(3);
    parent.stays_silent();
    assert_eq!(parent.seen()[2..], [Down(down)]);
}

pub fn a_link_closed_by_the_listener_is_silent(candidate: &Candidate) {
    let Pair { parent, child, down, up } = Pair::new(candidate);
    closes((&parent, down), (child, up));
}

pub fn a_link_closed_by_the_connecting_side_is_silent(candidate: &Candidate) {
    let Pair { parent, child, down, up } = Pair::new(candidate);
    closes((&child, up), (parent, down));
}

/// The other side learns of it by a frame, and by `Down` if the library can do that.
fn closes((closer, link): (&Node, LinkId), (other, name): (Node, LinkId)) {
    let seen_before = (closer.seen().len(), other.seen().len());
    closer.call(move |transport| {
        transport.send(link, b"goodbye").unwrap();
        transport.close(link);
        assert_eq!(transport.send(link, b"x"), Err(SendError::Gone));
        // Once more is harmless.
        transport.close(link);
    });
    other.until_seen(&Frame(name, b"goodbye".to_vec()));
    for _ in 0..64 {
        if other.send(name, b"unwanted") == Err(SendError::Gone) {
            break;
        }
    }
    other.comes_to_rest();
    let told = &other.seen()[seen_before.1..];
    assert_eq!(told[0], Frame(name, b"goodbye".to_vec()));
    assert!(told.len() == 1 || told[1..] == [Down(name)], "{told:?}");
    other.finish(PATIENCE);
    closer.stays_silent();
    assert_eq!(closer.seen().len(), seen_before.0);
}

/// Not even while the tree goes on.
pub fn a_transport_that_ends_leaves_no_file(candidate: &Candidate) {
    let files = || fs::read_dir(candidate.directory()).unwrap().count();
    let Pair { parent, child, .. } = Pair::new(candidate);
    child.listen();
    child.finish(PATIENCE);
    drop(parent);
    let deadline = Instant::now() + PATIENCE;
    while files() > 0 {
        assert!(Instant::now() < deadline, "{} files are left", files());
        thread::yield_now();
    }
}

pub fn finishing_lets_the_last_frames_leave(candidate: &Candidate) {
    for length in [1, 1_024, FRAME_BYTES_MAX] {
        let Pair { parent, child, down, up } = Pair::new(candidate);
        for _ in 0..100 {
            child.push(up, &vec![7; length]);
        }
        child.finish(PATIENCE);
        parent.until_seen(&Down(down));
        assert_eq!(parent.seen().len(), 2 + 100 + 1, "{length} bytes");
    }
}

pub fn finishing_ends_in_time_though_a_peer_never_reads(candidate: &Candidate) {
    let pair = Pair::new(candidate);
    pair.child.pause();
    fill(&pair.parent, pair.down);
    let within = Duration::from_millis(50);
    let taken = pair.parent.finish(within);
    assert!(taken < within + PROMPT, "it took {taken:?}");
    // A link whose frames can't leave is no reason for another to wait.
    let parent = Node::open(candidate);
    let _joined = join(candidate, &parent);
    assert!(parent.finish(PATIENCE) < PATIENCE);
}
