//! What joining and leaving cost over ipc-channel, and what strangers at the door do: the suite of
//! the whole workspace, which holds every transport to the contract, can't see that.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::iter;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, FRAME_BYTES_MAX, FRAMES_PER_WAIT_MAX, LinkId, SendError, Transport,
    linked_transports,
};
use hoptree_ipc::Ipc;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};
use rustix::process::{
    Pid, Resource, Signal, WaitOptions, getrlimit, kill_process, setrlimit, waitpid,
};
use tempfile::TempDir;

/// How long anything may take that has to happen at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long nothing must happen before it is taken not to happen.
const SILENCE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
}

use Seen::{Down, Frame, Up};

/// The directory of a tree.
fn place() -> TempDir {
    TempDir::new_in("/tmp").unwrap()
}

/// A transport and all that it has told.
struct Node {
    ipc: Box<Ipc>,
    seen: Vec<Seen>,
}

impl Node {
    fn new(place: &TempDir) -> Node {
        Node { ipc: Box::new(Ipc::open(place.path()).unwrap()), seen: Vec::new() }
    }

    /// Waits once, and says how many frames that gave.
    fn wait(&mut self, until: Option<Instant>) -> usize {
        let before = self.seen.len();
        let seen = &mut self.seen;
        self.ipc
            .wait(until, &mut |event| {
                seen.push(match event {
                    Event::Up(link) => Up(link),
                    Event::Frame(link, bytes) => Frame(link, bytes.to_vec()),
                    Event::Down(link) => Down(link),
                });
            })
            .unwrap();
        self.seen[before..].iter().filter(|seen| matches!(seen, Frame(..))).count()
    }

    #[track_caller]
    fn until_events(&mut self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen.len() < count {
            assert!(Instant::now() < deadline, "{:?}", self.seen.last());
            self.wait(Some(deadline));
        }
        assert_eq!(self.seen.len(), count, "{:?}", self.seen.last());
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

    /// Connects and says hello, without a wait.
    fn join(&mut self, address: &Address) -> LinkId {
        let link = self.ipc.connect(address);
        self.ipc.send(link, b"hello").unwrap();
        link
    }

    fn ups(&self) -> Vec<LinkId> {
        let up = |seen: &Seen| if let Up(link) = seen { Some(*link) } else { None };
        self.seen.iter().filter_map(up).collect()
    }
}

/// What a process takes of the system.
#[derive(Debug, PartialEq, Eq)]
struct Costs {
    threads: usize,
    descriptors: usize,
    files: usize,
}

impl Costs {
    fn now(place: &TempDir) -> Costs {
        let count = |path: &str| fs::read_dir(path).unwrap().count();
        Costs {
            threads: count("/proc/self/task"),
            // One is there for counting.
            descriptors: count("/proc/self/fd") - 1,
            files: fs::read_dir(place.path()).unwrap().count(),
        }
    }

    fn and(self, descriptors: usize, files: usize) -> Costs {
        Costs {
            threads: self.threads,
            descriptors: self.descriptors + descriptors,
            files: self.files + files,
        }
    }
}

/// Runs a test in a process of its own, where no other one opens descriptors.
fn alone(name: &str, test: fn()) {
    const ALONE: &str = "HOPTREE_IPC_ALONE";
    if env::var_os(ALONE).is_some() {
        return test();
    }
    let program = env::current_exe().unwrap();
    let ran = Command::new(program).args(["--exact", name]).env(ALONE, "").output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}

/// Somebody who comes to a door and knows nothing of what is said there.
fn stranger(place: &TempDir, address: &Address) -> OwnedFd {
    let kind = SocketType::SEQPACKET;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    let path = place.path().join(&address.0);
    connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

#[test]
fn it_is_registered() {
    // Naming the crate links it.
    let place = place();
    let _ = Node::new(&place);
    let spec = linked_transports().unwrap()[0];
    assert_eq!((spec.name, spec.package), ("ipc", "hoptree-ipc"));
    (spec.open)(place.path()).unwrap().finish(Duration::ZERO);
}

#[test]
fn listening_takes_one_descriptor_and_one_file_and_no_thread() {
    alone("listening_takes_one_descriptor_and_one_file_and_no_thread", || {
        let place = place();
        let mut node = Node::new(&place);
        let idle = Costs::now(&place);
        let address = node.ipc.listen().unwrap();
        for _ in 0..10 {
            assert_eq!(node.ipc.listen().unwrap(), address);
        }
        assert_eq!(Costs::now(&place), idle.and(1, 1));
    });
}

#[test]
fn comings_and_goings_leave_nothing_behind() {
    alone("comings_and_goings_leave_nothing_behind", || {
        const ROUNDS: usize = 500;
        let place = place();
        let nothing = Costs::now(&place);
        let (mut parent, mut child) = (Node::new(&place), Node::new(&place));
        let address = parent.ipc.listen().unwrap();
        let idle = Costs::now(&place);
        for round in 0..ROUNDS {
            let link = child.join(&address);
            child.ipc.close(link);
            if round % 7 == 0 {
                parent.wait(Some(Instant::now()));
            }
        }
        parent.until_events(3 * ROUNDS);
        for link in parent.ups() {
            let told = [Up(link), Frame(link, b"hello".to_vec()), Down(link)];
            assert!(parent.seen.windows(3).any(|seen| seen == told));
        }
        child.stays_silent();
        assert_eq!(Costs::now(&place), idle);
        parent.ipc.finish(PATIENCE);
        child.ipc.finish(PATIENCE);
        assert_eq!(Costs::now(&place), nothing);
    });
}

#[test]
fn connecting_in_vain_costs_nothing() {
    alone("connecting_in_vain_costs_nothing", || {
        let place = place();
        let mut far = Far::start(&place, "listen");
        let killed = Address(far.told());
        far.kill();
        assert!(place.path().join(&killed.0).exists(), "it could not clear up");
        let gone = Node::new(&place).ipc.listen().unwrap();
        fs::write(place.path().join("door-file"), "").unwrap();
        let (file, senseless) = (Address("door-file".to_owned()), Address("/tmp".to_owned()));
        let mut node = Node::new(&place);
        let idle = Costs::now(&place);
        for address in [&killed, &gone, &file, &senseless] {
            for _ in 0..20 {
                let link = node.ipc.connect(address);
                assert_eq!(node.ipc.send(link, b"x"), Err(SendError::Gone));
                node.wait(None);
                assert_eq!(std::mem::take(&mut node.seen), [Down(link)]);
            }
        }
        assert_eq!(Costs::now(&place), idle);
    });
}

#[test]
fn strangers_cost_a_bounded_number_of_descriptors_while_they_stay() {
    alone("strangers_cost_a_bounded_number_of_descriptors_while_they_stay", || {
        const CALLERS_MAX: usize = 64;
        const STRANGERS: usize = 200;
        let place = place();
        let mut parent = Node::new(&place);
        let address = parent.ipc.listen().unwrap();
        let idle = Costs::now(&place);
        let strangers: Vec<_> = (0..STRANGERS).map(|_| stranger(&place, &address)).collect();
        parent.stays_silent();
        let others = Costs::now(&place).descriptors - STRANGERS;
        assert_eq!(others, idle.descriptors + CALLERS_MAX);
        let texts: [&[u8]; 3] = [b"?", &[0xff; 70], &[0; 10_000]];
        for (stranger, text) in strangers.iter().rev().zip(texts) {
            send(stranger, text, SendFlags::NOSIGNAL).unwrap();
        }
        // Somebody who belongs here comes in all the same.
        let mut child = Node::new(&place);
        child.join(&address);
        parent.until_events(2);
        drop((strangers, child));
        parent.until_events(3);
        parent.stays_silent();
        assert_eq!(Costs::now(&place), idle);
    });
}

#[test]
fn who_comes_when_there_are_no_descriptors_waits_for_some() {
    alone("who_comes_when_there_are_no_descriptors_waits_for_some", || {
        let place = place();
        let (mut parent, mut child) = (Node::new(&place), Node::new(&place));
        let address = parent.ipc.listen().unwrap();
        let link = child.join(&address);
        let mut lower = getrlimit(Resource::Nofile);
        lower.current = Some(64);
        setrlimit(Resource::Nofile, lower).unwrap();
        let all_others: Vec<_> =
            iter::from_fn(|| rustix::io::dup(rustix::stdio::stdin()).ok()).collect();
        assert!(child.ipc.listen().is_err());
        let end = Instant::now() + 3 * SILENCE;
        let mut waits = 0;
        while Instant::now() < end {
            parent.wait(Some(end));
            waits += 1;
        }
        assert!(waits < 20, "{waits} waits: it never comes to rest");
        assert_eq!(parent.seen, []);
        drop(all_others);
        parent.until_events(2);
        child.ipc.close(link);
        parent.until_events(3);
    });
}

#[test]
fn many_join_at_the_same_moment() {
    const PEERS: usize = 64;
    let place = place();
    let mut parent = Node::new(&place);
    let address = parent.ipc.listen().unwrap();
    let moment = Barrier::new(PEERS);
    thread::scope(|scope| {
        for _ in 0..PEERS {
            scope.spawn(|| {
                let mut child = Node::new(&place);
                moment.wait();
                let link = child.join(&address);
                child.until_events(2);
                assert_eq!(child.seen, [Up(link), Frame(link, b"welcome".to_vec())]);
            });
        }
        parent.until_events(2 * PEERS);
        for link in parent.ups() {
            parent.ipc.send(link, b"welcome").unwrap();
        }
    });
    parent.until_events(3 * PEERS);
    assert_eq!(parent.ups().len(), PEERS);
}

/// A socket's address has room for 107 bytes.
#[test]
fn the_path_of_the_directory_may_be_long() {
    let long = TempDir::with_prefix_in("x".repeat(150), "/tmp").unwrap();
    let mut parent = Node::new(&long);
    let address = parent.ipc.listen().unwrap();
    Node::new(&long).join(&address);
    parent.until_events(3);
}

#[test]
fn who_is_stopped_can_be_joined_and_who_is_killed_meanwhile_is_down() {
    let place = place();
    for is_killed in [false, true] {
        let mut far = Far::start(&place, "listen");
        let address = Address(far.told());
        far.stop();
        let mut child = Node::new(&place);
        let link = child.join(&address);
        child.until_events(1);
        if is_killed {
            far.kill();
            child.until_events(2);
            assert_eq!(child.seen, [Up(link), Down(link)]);
        } else {
            far.signal(Signal::CONT);
            child.until_events(2);
            assert_eq!(child.seen, [Up(link), Frame(link, b"hello".to_vec())]);
        }
    }
}

#[test]
fn who_joins_and_is_killed_is_down_once_or_was_never_there() {
    let place = place();
    let mut parent = Node::new(&place);
    let address = parent.ipc.listen().unwrap();
    for round in 0..10 {
        let mut far = Far::start(&place, &address.0);
        if round % 2 == 0 {
            far.told();
        }
        far.kill();
    }
    parent.until_rest();
    let downs = parent.seen.iter().filter(|seen| matches!(seen, Down(_))).count();
    assert!(downs >= 5 && downs == parent.ups().len(), "{:?}", parent.seen);
}

#[test]
fn what_is_no_frame_is_not_delivered() {
    let place = place();
    let (mut parent, mut child) = (Node::new(&place), Node::new(&place));
    let address = parent.ipc.listen().unwrap();
    let link = child.join(&address);
    child.ipc.send(link, b"").unwrap();
    child.ipc.send(link, b"last").unwrap();
    child.ipc.send(link, &vec![0; FRAME_BYTES_MAX + 1]).unwrap();
    parent.until_events(4);
    child.until_events(2);
    assert_eq!(child.seen, [Up(link), Down(link)]);
    let name = parent.ups()[0];
    assert_eq!(parent.seen[2..], [Frame(name, b"last".to_vec()), Down(name)]);
}

#[test]
fn each_link_has_a_share_of_every_wait() {
    const BUSY: usize = 3;
    let place = place();
    let mut parent = Node::new(&place);
    let address = parent.ipc.listen().unwrap();
    let mut child = Node::new(&place);
    let links: Vec<_> = (0..=BUSY).map(|_| child.join(&address)).collect();
    parent.until_events(2 * links.len());
    for link in &links[..BUSY] {
        (0..100).for_each(|_| child.ipc.send(*link, b"work").unwrap());
    }
    child.ipc.send(links[BUSY], b"order").unwrap();
    assert_eq!(parent.wait(None), BUSY * FRAMES_PER_WAIT_MAX / links.len() + 1);
    assert!(matches!(parent.seen.last(), Some(Frame(_, bytes)) if bytes == b"order"));
}

#[test]
fn several_wakes_end_one_wait_and_no_wait_ends_early() {
    let place = place();
    let mut node = Node::new(&place);
    node.ipc.listen().unwrap();
    let waker = node.ipc.waker();
    waker.wake();
    waker.wake();
    node.wait(None);
    for wait in [Duration::from_micros(300), SILENCE] {
        let until = Instant::now() + wait;
        node.wait(Some(until));
        assert!(Instant::now() >= until);
    }
}

impl Node {
    /// Waits until nothing has happened for a while.
    #[track_caller]
    fn until_rest(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let mut before = usize::MAX;
        while before != self.seen.len() {
            assert!(Instant::now() < deadline);
            before = self.seen.len();
            let end = Instant::now() + SILENCE;
            while Instant::now() < end {
                self.wait(Some(end));
            }
        }
    }
}

/// A process that listens, or joins, and sends back what comes. It is killed when this is dropped.
struct Far {
    child: Child,
    control: BufReader<UnixStream>,
}

/// Says to a process of this program that it is one, and what it is to do.
const FAR: &str = "HOPTREE_IPC_FAR";

impl Far {
    /// It is to join there, or to listen.
    fn start(place: &TempDir, what: &str) -> Far {
        let (own, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "far_end", "--ignored"])
            .env(FAR, what)
            .current_dir(place.path())
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Far { child, control: BufReader::new(own) }
    }

    /// Its address, once it listens, or an empty line, once it has joined.
    fn told(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.control.read_line(&mut line).unwrap(), 0, "it has ended");
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Returns when it has stopped.
    fn stop(&self) {
        self.signal(Signal::STOP);
        waitpid(Some(Pid::from_child(&self.child)), WaitOptions::UNTRACED).unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "it is the other process of some tests, which start it"]
fn far_end() {
    let Ok(what) = env::var(FAR) else { return };
    let mut ipc = Ipc::open(&env::current_dir().unwrap()).unwrap();
    let said = if what == "listen" {
        ipc.listen().unwrap().0
    } else {
        let link = ipc.connect(&Address(what));
        ipc.send(link, b"hello").unwrap();
        String::new()
    };
    let control = rustix::io::dup(rustix::stdio::stdin()).unwrap();
    writeln!(UnixStream::from(control), "{said}").unwrap();
    loop {
        let mut came = Vec::new();
        ipc.wait(None, &mut |event| {
            if let Event::Frame(link, bytes) = event {
                came.push((link, bytes.to_vec()));
            }
        })
        .unwrap();
        for (link, bytes) in came {
            // Whoever sent it may be gone.
            let _ = ipc.send(link, &bytes);
        }
    }
}
