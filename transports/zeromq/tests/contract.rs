//! The contract of a transport, held against real sockets, over both that there are.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, FRAME_BYTES_MAX, FRAMES_PER_WAIT_MAX, LinkId, SendError, Transport,
    linked_transports,
};
use hoptree_zeromq::{Place, Zeromq};

/// How long anything may take that has to happen at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing must happen before it is taken not to happen.
const SILENCE: Duration = Duration::from_millis(100);

/// How long one node waits before others have their turn.
const TURN: Duration = Duration::from_millis(1);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
}

use Seen::{Down, Frame, Up};

/// What is tested. For Unix sockets it has a directory, removed with it, and all nodes share it.
struct Medium(Option<PathBuf>);

impl Medium {
    fn ipc() -> Medium {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hoptree-contract-{}-{number}", std::process::id());
        Medium(Some(std::env::temp_dir().join(name)))
    }

    fn node(&self) -> Node {
        let place = self.0.clone().map_or(Place::Loopback, Place::Directory);
        Node { zeromq: Box::new(Zeromq::open(place).unwrap()), seen: Vec::new() }
    }

    /// An address where there was a listener once.
    fn nobody(&self) -> Address {
        match &self.0 {
            Some(directory) => {
                let _ = std::fs::create_dir(directory);
                let path = directory.join("nobody");
                drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
                Address(format!("ipc://{}", path.display()))
            }
            None => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                Address(format!("tcp://{}", listener.local_addr().unwrap()))
            }
        }
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        if let Some(directory) = &self.0 {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// A transport and all that it has told.
struct Node {
    zeromq: Box<Zeromq>,
    seen: Vec<Seen>,
}

impl Node {
    /// Waits once, and says how many frames that gave.
    fn wait(&mut self, until: Option<Instant>) -> usize {
        let mut frames = 0;
        let seen = &mut self.seen;
        self.zeromq
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
    fn until(&mut self, is_done: impl Fn(&[Seen]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(&self.seen) {
            let last: Vec<_> = self.seen.iter().rev().take(3).collect();
            assert!(Instant::now() < deadline, "{} events, last {last:?}", self.seen.len());
            self.wait(Some(deadline));
        }
    }

    #[track_caller]
    fn until_seen(&mut self, event: &Seen) {
        self.until(|seen| seen.contains(event));
    }

    /// Waits while another node does, too: a listener lets nobody in unless it waits.
    #[track_caller]
    fn until_with(&mut self, other: &mut Node, is_done: impl Fn(&[Seen]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(&self.seen) {
            assert!(Instant::now() < deadline, "{} events", self.seen.len());
            self.wait(Some(Instant::now() + TURN));
            other.wait(Some(Instant::now()));
        }
    }

    #[track_caller]
    fn stays_silent(&mut self) {
        let before = self.seen.len();
        let end = Instant::now() + SILENCE;
        while Instant::now() < end {
            self.wait(Some(end));
        }
        assert_eq!(self.seen[before..], []);
    }

    fn ups(&self) -> Vec<LinkId> {
        self.seen
            .iter()
            .filter_map(|seen| if let Up(link) = seen { Some(*link) } else { None })
            .collect()
    }

    fn downs(&self) -> usize {
        self.seen.iter().filter(|seen| matches!(seen, Down(_))).count()
    }
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
    let address = parent.zeromq.listen().unwrap();
    let mut node = medium.node();
    let link = node.zeromq.connect(&address);
    node.until_with(parent, |seen| !seen.is_empty());
    assert_eq!(node.seen, [Up(link)]);
    node.zeromq.send(link, b"hello").unwrap();
    (node, link)
}

/// A connection without the library.
trait Raw: Read + Write {}

impl<T: Read + Write> Raw for T {}

fn raw(address: &Address) -> Box<dyn Raw> {
    if let Some(path) = address.0.strip_prefix("ipc://") {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        return Box::new(stream);
    }
    let stream = TcpStream::connect(address.0.strip_prefix("tcp://").unwrap()).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    Box::new(stream)
}

/// The greeting and the READY of a DEALER called `identity`, for what no library would send.
fn stranger(address: &Address, identity: &[u8]) -> Box<dyn Raw> {
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
    frames_of_every_length_arrive_in_order_both_ways,
    one_byte_too_many_drops_only_that_peer,
    connecting_to_nobody_ends_the_link,
    an_address_that_makes_no_sense_ends_the_link_at_once,
    a_wake_ends_a_wait_and_is_never_lost,
    a_wait_ends_at_its_deadline_and_not_before,
    a_peer_that_goes_is_down_once_after_all_its_frames,
    a_parent_that_goes_is_down_once_after_all_its_frames,
    peers_that_speak_and_vanish_at_once_are_told_in_full,
    sending_to_one_that_is_gone_fails_and_down_is_told_once,
    a_link_closed_by_the_listener_is_silent,
    a_link_closed_by_the_connecting_side_ends_at_the_other,
    finishing_lets_the_last_frames_leave,
    finishing_ends_in_time_though_a_peer_never_reads,
    a_peer_that_does_not_read_fills_up_and_costs_nobody_else,
    a_window_of_128_frames_is_never_full,
    garbage_harms_nobody,
    messages_that_no_hoptree_sends_are_no_frames,
    two_hundred_join_at_once,
    one_busy_peer_does_not_keep_the_others_waiting,
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
        (spec.open)(medium.0.as_ref().unwrap()).unwrap().finish(Duration::ZERO);
    }
}

fn frames_of_every_length_arrive_in_order_both_ways(medium: &Medium) {
    let mut pair = Pair::new(medium);
    let frames: Vec<Vec<u8>> =
        [1, 2, 33, 34, 255, 256, 8_191, 8_192, 8_193, FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX]
            .iter()
            .map(|&length| (0..length).map(|at| (at * 31 + length) as u8).collect())
            .collect();
    for frame in &frames {
        pair.child.zeromq.send(pair.up, frame).unwrap();
        pair.parent.zeromq.send(pair.down, frame).unwrap();
    }
    let told = |link| frames.iter().map(|frame| Frame(link, frame.clone())).collect::<Vec<_>>();
    pair.parent.until(|seen| seen.len() == 2 + frames.len());
    assert_eq!(pair.parent.seen[2..], told(pair.down));
    pair.child.until(|seen| seen.len() == 1 + frames.len());
    assert_eq!(pair.child.seen[1..], told(pair.up));
}

fn one_byte_too_many_drops_only_that_peer(medium: &Medium) {
    let mut pair = Pair::new(medium);
    let (mut offender, up) = join(medium, &mut pair.parent);
    pair.parent.until(|seen| seen.len() == 4);
    let link = pair.parent.ups()[1];
    offender.zeromq.send(up, b"last").unwrap();
    offender.zeromq.send(up, &vec![0; FRAME_BYTES_MAX + 1]).unwrap();
    pair.parent.until_seen(&Down(link));
    offender.until_seen(&Down(up));
    assert!(pair.parent.seen.contains(&Frame(link, b"last".to_vec())));
    pair.child.zeromq.send(pair.up, b"still here").unwrap();
    pair.parent.until_seen(&Frame(pair.down, b"still here".to_vec()));
    assert_eq!((pair.parent.ups().len(), pair.parent.downs()), (2, 1));
}

fn connecting_to_nobody_ends_the_link(medium: &Medium) {
    let nobody = medium.nobody();
    let mut node = medium.node();
    let before = Instant::now();
    let link = node.zeromq.connect(&nobody);
    node.until_seen(&Down(link));
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(node.zeromq.send(link, b"x"), Err(SendError::Gone));
    node.stays_silent();
    assert_eq!(node.seen, [Down(link)]);
}

fn an_address_that_makes_no_sense_ends_the_link_at_once(medium: &Medium) {
    let mut node = medium.node();
    let links: Vec<_> = ["", "nonsense", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:1\0"]
        .map(|text| node.zeromq.connect(&Address(text.to_owned())))
        .into();
    assert_eq!(node.zeromq.send(links[0], b"x"), Err(SendError::Gone));
    node.zeromq.close(links[1]);
    node.wait(None);
    assert_eq!(node.seen, [Down(links[0]), Down(links[2]), Down(links[3])]);
    node.stays_silent();
}

fn a_wake_ends_a_wait_and_is_never_lost(medium: &Medium) {
    let mut node = medium.node();
    let waker = node.zeromq.waker();
    waker.wake();
    waker.wake();
    node.wait(None);
    let before = Instant::now();
    node.wait(Some(before + SILENCE));
    assert!(before.elapsed() >= SILENCE, "two wakes are one");
    let other = thread::spawn({
        let waker = waker.clone();
        move || waker.wake()
    });
    node.wait(None);
    other.join().unwrap();
    drop(node);
    waker.wake();
}

fn a_wait_ends_at_its_deadline_and_not_before(medium: &Medium) {
    let mut pair = Pair::new(medium);
    for milliseconds in [0, 1, 30] {
        let until = Instant::now() + Duration::from_millis(milliseconds);
        pair.parent.wait(Some(until));
        assert!(Instant::now() >= until);
    }
    pair.parent.wait(Some(Instant::now()));
    assert_eq!(pair.parent.seen.len(), 2);
}

fn a_peer_that_goes_is_down_once_after_all_its_frames(medium: &Medium) {
    let mut pair = Pair::new(medium);
    let frames: Vec<_> = (0..50u8).map(|number| vec![number; 700]).collect();
    for frame in &frames {
        pair.child.zeromq.send(pair.up, frame).unwrap();
    }
    pair.child.zeromq.finish(PATIENCE);
    pair.parent.until_seen(&Down(pair.down));
    pair.parent.stays_silent();
    let told: Vec<_> = frames.into_iter().map(|frame| Frame(pair.down, frame)).collect();
    assert_eq!(pair.parent.seen[2..52], told);
    assert_eq!(pair.parent.seen[52..], [Down(pair.down)]);
    assert_eq!(pair.parent.zeromq.send(pair.down, b"x"), Err(SendError::Gone));
}

/// The other direction, and nothing is read until the parent is long gone. The system holds so much.
fn a_parent_that_goes_is_down_once_after_all_its_frames(medium: &Medium) {
    let mut pair = Pair::new(medium);
    for number in 0..50u8 {
        pair.parent.zeromq.send(pair.down, &[number; 700]).unwrap();
    }
    pair.parent.zeromq.finish(PATIENCE);
    pair.child.until_seen(&Down(pair.up));
    pair.child.stays_silent();
    let told: Vec<_> = (0..50u8).map(|number| Frame(pair.up, vec![number; 700])).collect();
    assert_eq!(pair.child.seen[1..51], told);
    assert_eq!(pair.child.seen[51..], [Down(pair.up)]);
    assert_eq!(pair.child.zeromq.send(pair.up, b"x"), Err(SendError::Gone));
}

fn peers_that_speak_and_vanish_at_once_are_told_in_full(medium: &Medium) {
    let mut parent = medium.node();
    for round in 0..50 {
        let (child, _) = join(medium, &mut parent);
        child.zeromq.finish(PATIENCE);
        if round % 10 == 9 {
            parent.until(|seen| seen.len() == 3 * (round + 1));
        }
    }
    parent.stays_silent();
    for link in parent.ups() {
        let own: Vec<_> = parent
            .seen
            .iter()
            .filter(|seen| matches!(seen, Up(of) | Frame(of, _) | Down(of) if *of == link))
            .collect();
        assert_eq!(own, [&Up(link), &Frame(link, b"hello".to_vec()), &Down(link)]);
    }
}

fn sending_to_one_that_is_gone_fails_and_down_is_told_once(medium: &Medium) {
    let mut pair = Pair::new(medium);
    drop(pair.child);
    let deadline = Instant::now() + PATIENCE;
    while pair.parent.zeromq.send(pair.down, b"anyone?") != Err(SendError::Gone) {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    pair.parent.wait(None);
    assert_eq!(pair.parent.seen[2..], [Down(pair.down)]);
    pair.parent.stays_silent();
}

/// Here it even ends at the other side.
fn a_link_closed_by_the_listener_is_silent(medium: &Medium) {
    let mut pair = Pair::new(medium);
    pair.child.zeromq.send(pair.up, b"never read").unwrap();
    pair.parent.zeromq.send(pair.down, b"goodbye").unwrap();
    pair.parent.zeromq.close(pair.down);
    assert_eq!(pair.parent.zeromq.send(pair.down, b"x"), Err(SendError::Gone));
    pair.child.until_seen(&Down(pair.up));
    assert_eq!(pair.child.seen[1..], [Frame(pair.up, b"goodbye".to_vec()), Down(pair.up)]);
    assert_eq!(pair.child.zeromq.send(pair.up, b"unwanted"), Err(SendError::Gone));
    pair.parent.stays_silent();
}

fn a_link_closed_by_the_connecting_side_ends_at_the_other(medium: &Medium) {
    let mut pair = Pair::new(medium);
    pair.parent.zeromq.send(pair.down, b"too late").unwrap();
    pair.child.zeromq.send(pair.up, b"goodbye").unwrap();
    pair.child.zeromq.close(pair.up);
    assert_eq!(pair.child.zeromq.send(pair.up, b"x"), Err(SendError::Gone));
    pair.child.stays_silent();
    pair.parent.until_seen(&Down(pair.down));
    assert_eq!(pair.parent.seen[2..], [Frame(pair.down, b"goodbye".to_vec()), Down(pair.down)]);
}

fn finishing_lets_the_last_frames_leave(medium: &Medium) {
    for (length, round) in [(1_024, 0), (1_024, 1), (FRAME_BYTES_MAX, 2)] {
        let mut pair = Pair::new(medium);
        let reader = thread::spawn(move || {
            pair.parent.until(|seen| seen.contains(&Down(pair.down)));
            pair.parent.seen.len()
        });
        for _ in 0..100 {
            pair.child.zeromq.send(pair.up, &vec![7; length]).unwrap();
        }
        pair.child.zeromq.finish(PATIENCE);
        assert_eq!(reader.join().unwrap(), 2 + 100 + 1, "round {round}");
    }
}

fn finishing_ends_in_time_though_a_peer_never_reads(medium: &Medium) {
    let mut pair = Pair::new(medium);
    while pair.parent.zeromq.send(pair.down, &vec![7; FRAME_BYTES_MAX]).is_ok() {}
    let before = Instant::now();
    pair.parent.zeromq.finish(Duration::from_millis(50));
    assert!(before.elapsed() < PATIENCE);
}

fn a_peer_that_does_not_read_fills_up_and_costs_nobody_else(medium: &Medium) {
    let mut pair = Pair::new(medium);
    let (mut other, other_up) = join(medium, &mut pair.parent);
    pair.parent.until(|seen| seen.len() == 4);
    let other_down = pair.parent.ups()[1];
    let mut sent = 0;
    let frame = vec![7; FRAME_BYTES_MAX];
    let refusal = loop {
        match pair.parent.zeromq.send(pair.down, &frame) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 10_000, "nothing bounds what is held");
    };
    assert_eq!(refusal, SendError::Full);
    assert!(sent >= 128, "a link may have 128 frames under way, {sent} were taken");
    pair.parent.zeromq.send(other_down, b"you").unwrap();
    other.until_seen(&Frame(other_up, b"you".to_vec()));
    pair.child.until_with(&mut pair.parent, |seen| seen.len() > sent);
    assert_eq!(pair.child.seen.len(), 1 + sent);
}

/// The window of a link: 128 frames under way at any time, read in the largest gulps.
fn a_window_of_128_frames_is_never_full(medium: &Medium) {
    let mut pair = Pair::new(medium);
    let mut answered = 2;
    for _ in 0..40 {
        for _ in 0..128 {
            pair.child.zeromq.send(pair.up, b"x").unwrap();
        }
        answered += 128;
        pair.parent.until(|seen| seen.len() == answered);
    }
}

fn garbage_harms_nobody(medium: &Medium) {
    let mut pair = Pair::new(medium);
    let address = pair.parent.zeromq.listen().unwrap();
    let greeting = [&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0][..], &[b'N', 0xff, 0x80]].concat();
    let scraps: [&[u8]; 5] = [b"", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 300], &[0; 300], &greeting];
    let mut kept: Vec<Box<dyn Raw>> = Vec::new();
    for scrap in scraps {
        for is_kept in [false, true] {
            let mut stream = raw(&address);
            // The other side may already have hung up.
            let _ = stream.write_all(scrap);
            if is_kept {
                kept.push(stream);
            }
        }
    }
    pair.child.zeromq.send(pair.up, b"still here").unwrap();
    pair.parent.until_seen(&Frame(pair.down, b"still here".to_vec()));
    pair.parent.stays_silent();
    let refused = &mut kept[2];
    let end = refused.read_to_end(&mut Vec::new());
    assert!(!end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "it was hung up on");
    pair.parent.stays_silent();
}

fn messages_that_no_hoptree_sends_are_no_frames(medium: &Medium) {
    let mut parent = medium.node();
    let address = parent.zeromq.listen().unwrap();
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

fn two_hundred_join_at_once(medium: &Medium) {
    const PEERS: usize = 200;
    let mut parent = medium.node();
    let address = parent.zeromq.listen().unwrap();
    assert_eq!(parent.zeromq.listen().unwrap(), address);
    let mut crowd = medium.node();
    let links: Vec<_> = (0..PEERS).map(|_| crowd.zeromq.connect(&address)).collect();
    for link in &links {
        crowd.zeromq.send(*link, &link.0.to_be_bytes()).unwrap();
    }
    crowd.until_with(&mut parent, |seen| seen.len() == PEERS);
    parent.until(|seen| seen.len() == 2 * PEERS);
    for link in parent.ups() {
        parent.zeromq.send(link, b"welcome").unwrap();
    }
    crowd.until(|seen| seen.len() == 2 * PEERS);
    crowd.zeromq.finish(PATIENCE);
    parent.until(|seen| seen.len() == 3 * PEERS);
    assert_eq!(parent.downs(), PEERS);
}

fn one_busy_peer_does_not_keep_the_others_waiting(medium: &Medium) {
    let mut middle = medium.node();
    let mut parent = medium.node();
    let to_parent = middle.zeromq.connect(&parent.zeromq.listen().unwrap());
    middle.until_with(&mut parent, |seen| seen == [Up(to_parent)]);
    middle.zeromq.send(to_parent, b"hello").unwrap();
    parent.until(|seen| seen.len() == 2);
    let (mut child, up) = join(medium, &mut middle);
    middle.until(|seen| seen.len() == 3);
    for _ in 0..128 {
        child.zeromq.send(up, b"work").unwrap();
    }
    let down = parent.ups()[0];
    parent.zeromq.send(down, b"order").unwrap();
    // All is surely there once the last of it is; the frames are counted wait by wait.
    let deadline = Instant::now() + PATIENCE;
    let mut frames = 0;
    while frames < 129 {
        assert!(Instant::now() < deadline);
        frames += middle.wait(Some(deadline));
    }
    assert!(middle.seen.contains(&Frame(to_parent, b"order".to_vec())));
}

/// When a write fails the library forgets what it has not read from that peer.
fn a_frame_for_one_that_is_gone_does_not_cost_its_last_words(medium: &Medium) {
    let mut pair = Pair::new(medium);
    for number in 0..50u8 {
        pair.child.zeromq.send(pair.up, &[number; 700]).unwrap();
    }
    pair.child.zeromq.finish(PATIENCE);
    for _ in 0..3 {
        let _ = pair.parent.zeromq.send(pair.down, b"anyone?");
    }
    pair.parent.until_seen(&Down(pair.down));
    let told: Vec<_> = (0..50u8).map(|number| Frame(pair.down, vec![number; 700])).collect();
    assert_eq!(pair.parent.seen[2..52], told);
    assert_eq!(pair.parent.seen[52..], [Down(pair.down)]);
}

/// It costs a task for each, which must not be taken for one that writes.
fn silent_strangers_do_not_delay_the_end(medium: &Medium) {
    let mut pair = Pair::new(medium);
    let address = pair.parent.zeromq.listen().unwrap();
    let strangers: Vec<_> = (0..10).map(|_| raw(&address)).collect();
    pair.parent.stays_silent();
    pair.parent.zeromq.send(pair.down, b"goodbye").unwrap();
    let before = Instant::now();
    pair.parent.zeromq.finish(PATIENCE);
    assert!(before.elapsed() < PATIENCE / 4);
    pair.child.until_seen(&Down(pair.up));
    assert!(pair.child.seen.contains(&Frame(pair.up, b"goodbye".to_vec())));
    drop(strangers);
}

/// Its parent does not wait yet; it stands all the same.
fn a_listener_that_is_slow_to_start_is_waited_for(medium: &Medium) {
    let mut parent = medium.node();
    let address = parent.zeromq.listen().unwrap();
    let mut child = medium.node();
    let link = child.zeromq.connect(&address);
    for _ in 0..10 {
        child.stays_silent();
    }
    child.until_with(&mut parent, |seen| seen == [Up(link)]);
}

#[test]
fn a_socket_file_is_private_and_goes_with_its_transport() {
    use std::os::unix::fs::PermissionsExt;
    let medium = Medium::ipc();
    let mut node = medium.node();
    let address = node.zeromq.listen().unwrap();
    let path = PathBuf::from(address.0.strip_prefix("ipc://").unwrap());
    let directory = path.parent().unwrap().metadata().unwrap();
    assert_eq!(directory.permissions().mode() & 0o7777, 0o700);
    assert!(path.exists());
    node.zeromq.finish(PATIENCE);
    assert!(!path.exists());
    let mut node = medium.node();
    let Address(dropped) = node.zeromq.listen().unwrap();
    drop(node);
    assert!(!PathBuf::from(dropped.strip_prefix("ipc://").unwrap()).exists());
}
