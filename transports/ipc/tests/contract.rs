//! The contract of a transport, held against real sockets.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, FRAME_BYTES_MAX, FRAMES_PER_WAIT_MAX, LinkId, SendError, Transport,
    linked_transports,
};
use hoptree_ipc::Ipc;
use ipc_channel::ipc::IpcSender;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

/// How long anything may take that has to happen at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing must happen before it is taken not to happen.
const SILENCE: Duration = Duration::from_millis(100);

/// The directory of the tree that all nodes of one test are in; the first of them makes it.
fn directory() -> PathBuf {
    thread_local!(static HOME: TempDir = TempDir::new_in("/tmp").unwrap());
    HOME.with(|home| home.path().join("tree"))
}

fn entries() -> usize {
    fs::read_dir(directory()).unwrap().count()
}

#[track_caller]
fn becomes_empty() {
    let deadline = Instant::now() + PATIENCE;
    while entries() > 0 {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
}

use Seen::{Down, Frame, Up};

/// A transport and all that it has told.
struct Node {
    ipc: Box<Ipc>,
    seen: Vec<Seen>,
}

impl Node {
    fn of(directory: &Path) -> Node {
        Node { ipc: Box::new(Ipc::open(directory).unwrap()), seen: Vec::new() }
    }

    fn new() -> Node {
        Node::of(&directory())
    }

    /// Waits once, and says how many frames that gave.
    fn wait(&mut self, until: Option<Instant>) -> usize {
        let mut frames = 0;
        let seen = &mut self.seen;
        self.ipc
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
    fn new() -> Pair {
        let mut parent = Node::new();
        let address = parent.ipc.listen().unwrap();
        let (child, up) = join(&address);
        parent.until(|seen| seen.len() == 2);
        let down = parent.ups()[0];
        assert_eq!(parent.seen, [Up(down), Frame(down, b"hello".to_vec())]);
        Pair { parent, child, down, up }
    }
}

#[track_caller]
fn join(address: &Address) -> (Node, LinkId) {
    let mut node = Node::new();
    let link = node.ipc.connect(address);
    node.until(|seen| !seen.is_empty());
    assert_eq!(node.seen, [Up(link)]);
    node.ipc.send(link, b"hello").unwrap();
    (node, link)
}

#[test]
fn it_is_registered() {
    // Naming the crate links it.
    let _ = Node::new();
    let spec = linked_transports().unwrap()[0];
    assert_eq!((spec.name, spec.package), ("ipc", "hoptree-ipc"));
    (spec.open)(&directory()).unwrap().finish(Duration::ZERO);
}

#[test]
fn frames_of_every_length_arrive_in_order_both_ways() {
    let mut pair = Pair::new();
    let frames: Vec<Vec<u8>> =
        [1, 2, 33, 34, 255, 256, 8_191, 8_192, 8_193, FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX]
            .iter()
            .map(|&length| (0..length).map(|at| (at * 31 + length) as u8).collect())
            .collect();
    for frame in &frames {
        pair.child.ipc.send(pair.up, frame).unwrap();
        pair.parent.ipc.send(pair.down, frame).unwrap();
    }
    let told = |link| frames.iter().map(|frame| Frame(link, frame.clone())).collect::<Vec<_>>();
    pair.parent.until(|seen| seen.len() == 2 + frames.len());
    assert_eq!(pair.parent.seen[2..], told(pair.down));
    pair.child.until(|seen| seen.len() == 1 + frames.len());
    assert_eq!(pair.child.seen[1..], told(pair.up));
}

#[test]
fn one_byte_too_many_drops_only_that_peer() {
    let mut pair = Pair::new();
    let address = pair.parent.ipc.listen().unwrap();
    let (mut offender, up) = join(&address);
    pair.parent.until(|seen| seen.len() == 4);
    let link = pair.parent.ups()[1];
    offender.ipc.send(up, b"last").unwrap();
    offender.ipc.send(up, &vec![0; FRAME_BYTES_MAX + 1]).unwrap();
    pair.parent.until_seen(&Down(link));
    offender.until_seen(&Down(up));
    pair.child.ipc.send(pair.up, b"still here").unwrap();
    pair.parent.until_seen(&Frame(pair.down, b"still here".to_vec()));
    assert_eq!((pair.parent.ups().len(), pair.parent.downs()), (2, 1));
}

#[test]
fn a_wake_ends_a_wait_and_is_never_lost() {
    let mut node = Node::new();
    let waker = node.ipc.waker();
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

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    let mut pair = Pair::new();
    for milliseconds in [0, 1, 30] {
        let until = Instant::now() + Duration::from_millis(milliseconds);
        pair.parent.wait(Some(until));
        assert!(Instant::now() >= until);
    }
    pair.parent.wait(Some(Instant::now()));
    assert_eq!(pair.parent.seen.len(), 2);
}

#[test]
fn a_peer_that_goes_is_down_once_after_all_its_frames() {
    let mut pair = Pair::new();
    let frames: Vec<_> = (0..100u8).map(|number| vec![number; 700]).collect();
    for frame in &frames {
        pair.child.ipc.send(pair.up, frame).unwrap();
    }
    pair.child.ipc.finish(PATIENCE);
    pair.parent.until_seen(&Down(pair.down));
    pair.parent.stays_silent();
    let told: Vec<_> = frames.into_iter().map(|frame| Frame(pair.down, frame)).collect();
    assert_eq!(pair.parent.seen[2..102], told);
    assert_eq!(pair.parent.seen[102..], [Down(pair.down)]);
    assert_eq!(pair.parent.ipc.send(pair.down, b"x"), Err(SendError::Gone));
}

/// The other direction, and nothing is read until the parent is long gone.
#[test]
fn a_parent_that_goes_is_down_once_after_all_its_frames() {
    let mut pair = Pair::new();
    for number in 0..100u8 {
        pair.parent.ipc.send(pair.down, &[number; 700]).unwrap();
    }
    pair.parent.ipc.finish(PATIENCE);
    pair.child.until_seen(&Down(pair.up));
    pair.child.stays_silent();
    let told: Vec<_> = (0..100u8).map(|number| Frame(pair.up, vec![number; 700])).collect();
    assert_eq!(pair.child.seen[1..101], told);
    assert_eq!(pair.child.seen[101..], [Down(pair.up)]);
    assert_eq!(pair.child.ipc.send(pair.up, b"x"), Err(SendError::Gone));
}

#[test]
fn peers_that_speak_and_vanish_at_once_are_told_in_full() {
    let mut parent = Node::new();
    for round in 0..50 {
        let (child, _) = join(&parent.ipc.listen().unwrap());
        child.ipc.finish(PATIENCE);
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

#[test]
fn sending_to_one_that_is_gone_fails_and_down_is_told_once() {
    let mut pair = Pair::new();
    drop(pair.child);
    let deadline = Instant::now() + PATIENCE;
    while pair.parent.ipc.send(pair.down, b"anyone?") != Err(SendError::Gone) {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    pair.parent.wait(None);
    assert_eq!(pair.parent.seen[2..], [Down(pair.down)]);
    pair.parent.stays_silent();
}

#[test]
fn a_link_closed_by_the_listener_is_silent() {
    let mut pair = Pair::new();
    pair.parent.ipc.send(pair.down, b"goodbye").unwrap();
    pair.parent.ipc.close(pair.down);
    assert_eq!(pair.parent.ipc.send(pair.down, b"x"), Err(SendError::Gone));
    pair.child.until_seen(&Frame(pair.up, b"goodbye".to_vec()));
    for _ in 0..100 {
        // It may have noticed already.
        let _ = pair.child.ipc.send(pair.up, b"unwanted");
    }
    pair.parent.stays_silent();
    pair.child.until_seen(&Down(pair.up));
    pair.parent.stays_silent();
}

#[test]
fn a_link_closed_by_the_connecting_side_ends_at_the_other() {
    let mut pair = Pair::new();
    pair.parent.ipc.send(pair.down, b"too late").unwrap();
    pair.child.ipc.send(pair.up, b"goodbye").unwrap();
    pair.child.ipc.close(pair.up);
    assert_eq!(pair.child.ipc.send(pair.up, b"x"), Err(SendError::Gone));
    pair.child.stays_silent();
    pair.parent.until_seen(&Down(pair.down));
    assert_eq!(pair.parent.seen[2..], [Frame(pair.down, b"goodbye".to_vec()), Down(pair.down)]);
}

#[test]
fn finishing_lets_the_last_frames_leave() {
    for (length, round) in [(1_024, 0), (1_024, 1), (FRAME_BYTES_MAX, 2)] {
        let mut pair = Pair::new();
        let reader = thread::spawn(move || {
            pair.parent.until(|seen| seen.contains(&Down(pair.down)));
            pair.parent.seen.len()
        });
        for _ in 0..100 {
            while pair.child.ipc.send(pair.up, &vec![7; length]) == Err(SendError::Full) {
                thread::yield_now();
            }
        }
        pair.child.ipc.finish(PATIENCE);
        assert_eq!(reader.join().unwrap(), 2 + 100 + 1, "round {round}");
    }
}

/// The window of a link: 128 frames under way at any time, read in the largest gulps.
#[test]
fn a_window_of_128_frames_is_never_full() {
    let mut pair = Pair::new();
    let mut answered = 2;
    for _ in 0..40 {
        for _ in 0..128 {
            pair.child.ipc.send(pair.up, b"x").unwrap();
        }
        answered += 128;
        pair.parent.until(|seen| seen.len() == answered);
    }
}

#[test]
fn a_hundred_join_at_once() {
    const PEERS: usize = 100;
    let mut parent = Node::new();
    let addresses: Vec<_> = (0..PEERS).map(|_| parent.ipc.listen().unwrap()).collect();
    let mut crowd = Node::new();
    let links: Vec<_> = addresses.iter().map(|address| crowd.ipc.connect(address)).collect();
    for link in &links {
        crowd.ipc.send(*link, &link.0.to_be_bytes()).unwrap();
    }
    crowd.until(|seen| seen.len() == PEERS);
    parent.until(|seen| seen.len() == 2 * PEERS);
    for link in parent.ups() {
        parent.ipc.send(link, b"welcome").unwrap();
    }
    crowd.until(|seen| seen.len() == 2 * PEERS);
    crowd.ipc.finish(PATIENCE);
    parent.until(|seen| seen.len() == 3 * PEERS);
    assert_eq!(parent.downs(), PEERS);
}

#[test]
fn one_busy_peer_does_not_keep_the_others_waiting() {
    let mut middle = Node::new();
    let address = middle.ipc.listen().unwrap();
    let mut parent = Node::new();
    let to_parent = middle.ipc.connect(&parent.ipc.listen().unwrap());
    middle.until_seen(&Up(to_parent));
    middle.ipc.send(to_parent, b"hello").unwrap();
    parent.until(|seen| seen.len() == 2);
    let (mut child, up) = join(&address);
    middle.until(|seen| seen.len() == 3);
    for _ in 0..128 {
        child.ipc.send(up, b"work").unwrap();
    }
    let down = parent.ups()[0];
    parent.ipc.send(down, b"order").unwrap();
    // All is surely there once the last of it is; the frames are counted wait by wait.
    let deadline = Instant::now() + PATIENCE;
    let mut frames = 0;
    while frames < 129 {
        assert!(Instant::now() < deadline);
        frames += middle.wait(Some(deadline));
    }
    assert!(middle.seen.contains(&Frame(to_parent, b"order".to_vec())));
}

#[test]
fn connecting_to_nobody_ends_the_link() {
    let mut node = Node::new();
    let gone = Node::new().ipc.listen().unwrap();
    becomes_empty();
    let stale = Address(".tmpStale1".to_owned());
    fs::create_dir(directory().join(&stale.0)).unwrap();
    drop(UnixListener::bind(directory().join(&stale.0).join("socket")).unwrap());
    for address in [gone, stale] {
        let link = node.ipc.connect(&address);
        assert_eq!(node.ipc.send(link, b"x"), Err(SendError::Gone));
        node.until_seen(&Down(link));
        node.stays_silent();
        assert_eq!(std::mem::take(&mut node.seen), [Down(link)]);
    }
}

#[test]
fn an_address_that_makes_no_sense_ends_the_link_at_once() {
    let mut node = Node::new();
    let links: Vec<_> = ["", "nonsense", "/tmp", ".tmp/../x", ".tmpabc\0"]
        .map(|text| node.ipc.connect(&Address(text.to_owned())))
        .into();
    assert_eq!(node.ipc.send(links[0], b"x"), Err(SendError::Gone));
    node.ipc.close(links[1]);
    node.wait(None);
    assert_eq!(node.seen, [Down(links[0]), Down(links[2]), Down(links[3]), Down(links[4])]);
    node.stays_silent();
}

#[test]
fn an_address_is_good_for_one_peer() {
    let mut parent = Node::new();
    let address = parent.ipc.listen().unwrap();
    let _first = join(&address);
    parent.until(|seen| seen.len() == 2);
    let mut late = Node::new();
    let link = late.ipc.connect(&address);
    late.until_seen(&Down(link));
    parent.stays_silent();
}

#[test]
fn the_directory_is_private_and_empty_once_all_have_joined_or_ended() {
    let mut pair = Pair::new();
    let mode = fs::metadata(directory()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    becomes_empty();
    for _ in 0..3 {
        pair.parent.ipc.listen().unwrap();
    }
    assert_eq!(entries(), 3);
    pair.parent.ipc.finish(PATIENCE);
    becomes_empty();
}

/// A socket's address is cut off after 107 bytes.
#[test]
fn the_path_of_the_directory_may_be_long() {
    let long = directory().join("x".repeat(150));
    fs::create_dir(directory()).unwrap();
    let mut parent = Node::of(&long);
    let address = parent.ipc.listen().unwrap();
    let mut child = Node::of(&long);
    let link = child.ipc.connect(&address);
    child.ipc.send(link, b"hello").unwrap();
    parent.until(|seen| seen.len() == 2);
}

#[test]
fn what_is_no_hello_costs_only_its_door() {
    let mut pair = Pair::new();
    for round in 0..3u64 {
        let address = pair.parent.ipc.listen().unwrap();
        let path = directory().join(&address.0).join("socket").to_str().unwrap().to_owned();
        let stranger = IpcSender::<u64>::connect(path).unwrap();
        if round > 0 {
            stranger.send(round - 1).unwrap();
        }
    }
    pair.child.ipc.send(pair.up, b"still here").unwrap();
    pair.parent.until_seen(&Frame(pair.down, b"still here".to_vec()));
    pair.parent.stays_silent();
}

/// The mixture of the longest 64 frames of data, in the system's counting, that come to 64 KiB, and
/// beside them 64 control frames. The child does not read meanwhile.
#[test]
fn the_window_of_a_link_is_never_full() {
    let mut pair = Pair::new();
    let data = std::iter::repeat_n(706, 44).chain(std::iter::repeat_n(1_710, 20));
    let lengths: Vec<usize> = data.chain(std::iter::repeat_n(400, 64)).collect();
    for &length in &lengths {
        pair.parent.ipc.send(pair.down, &vec![7; length]).unwrap();
    }
    pair.child.until(|seen| seen.len() == 1 + lengths.len());
}

#[test]
fn an_empty_frame_is_none() {
    let mut pair = Pair::new();
    pair.child.ipc.send(pair.up, b"").unwrap();
    pair.child.ipc.send(pair.up, b"x").unwrap();
    pair.parent.until(|seen| seen.len() == 3);
    assert_eq!(pair.parent.seen[2..], [Frame(pair.down, b"x".to_vec())]);
}

/// A child process that says hello, and then reads and sends back what comes.
struct Far(Child);

impl Far {
    fn start(address: &Address) -> Far {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "far_end"])
            .env("HOPTREE_TEST_FAR_END", &address.0)
            .env("HOPTREE_TEST_DIRECTORY", directory())
            .stdout(Stdio::null())
            .spawn();
        Far(child.unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Returns when it has stopped.
    fn stop(&self) {
        self.signal(Signal::STOP);
        waitpid(Some(Pid::from_child(&self.0)), WaitOptions::UNTRACED).unwrap();
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Not a test: it is what [`Far`] runs.
#[test]
fn far_end() {
    let Ok(address) = std::env::var("HOPTREE_TEST_FAR_END") else { return };
    let mut node = Node::of(Path::new(&std::env::var("HOPTREE_TEST_DIRECTORY").unwrap()));
    let link = node.ipc.connect(&Address(address));
    node.ipc.send(link, b"hello").unwrap();
    while node.downs() == 0 {
        node.wait(None);
        for seen in std::mem::take(&mut node.seen) {
            match seen {
                Frame(_, frame) => node.ipc.send(link, &frame).unwrap(),
                Down(_) => return,
                Up(_) => {}
            }
        }
    }
}

fn with_far_end() -> (Node, Far, LinkId) {
    let mut parent = Node::new();
    let far = Far::start(&parent.ipc.listen().unwrap());
    parent.until(|seen| seen.len() == 2);
    let link = parent.ups()[0];
    (parent, far, link)
}

#[test]
fn a_killed_process_is_down_once() {
    let (mut parent, far, link) = with_far_end();
    far.signal(Signal::KILL);
    parent.until_seen(&Down(link));
    assert_eq!(parent.ipc.send(link, b"x"), Err(SendError::Gone));
    parent.stays_silent();
}

#[test]
fn a_process_killed_before_it_joins_harms_nobody() {
    let mut parent = Node::new();
    for _ in 0..5 {
        drop(Far::start(&parent.ipc.listen().unwrap()));
    }
    parent.wait(Some(Instant::now() + SILENCE));
    assert_eq!(parent.ups().len(), parent.downs());
}

#[test]
fn a_stopped_process_fills_up_and_costs_nobody_else() {
    for length in [64, 1_024, 16 * 1_024, FRAME_BYTES_MAX] {
        let (mut parent, far, link) = with_far_end();
        let (mut other, other_up) = join(&parent.ipc.listen().unwrap());
        parent.until(|seen| seen.len() == 4);
        let other_down = parent.ups()[1];
        far.stop();
        let before = Instant::now();
        let mut sent = 0;
        while parent.ipc.send(link, &vec![7; length]).is_ok() {
            sent += 1;
            assert!(sent < 10_000, "nothing bounds what is held");
        }
        assert_eq!(parent.ipc.send(link, &vec![7; length]), Err(SendError::Full));
        assert!(before.elapsed() < PATIENCE, "no send blocked");
        assert!(sent >= (64 * 1_024 / length).min(128), "{sent} of {length} bytes were taken");
        parent.ipc.send(other_down, b"you").unwrap();
        other.until_seen(&Frame(other_up, b"you".to_vec()));
        far.signal(Signal::CONT);
        parent.until(|seen| seen.len() == 4 + sent);
        far.stop();
        while parent.ipc.send(link, &vec![7; length]).is_ok() {}
        let before = Instant::now();
        parent.ipc.finish(PATIENCE);
        assert!(before.elapsed() < PATIENCE);
    }
}
