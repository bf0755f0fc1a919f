//! What joining and leaving cost over ipc-channel, and what strangers at a listener do: the suite of
//! the whole workspace, which holds every transport to the contract, can't see that.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

mod far;
mod node;

use std::env;
use std::fs::{self, Permissions};
use std::iter;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, FRAMES_PER_WAIT_MAX, Opening, Secret, SendError, Transport, linked_transports,
};
use hoptree_ipc::Ipc;
use hoptree_test_support::{Down, Frame, PATIENCE, SILENCE, Up};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};
use rustix::process::{Resource, Signal, getrlimit, setrlimit};
use tempfile::TempDir;

use far::Far;
use node::{join, node};

/// The directory of a tree, for this user alone.
fn place() -> TempDir {
    let mode = Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(mode).tempdir_in("/tmp").unwrap()
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

/// Somebody who connects to a listener and knows nothing of what is said there.
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
    let _ = node(&place);
    let spec = linked_transports().unwrap()[0];
    assert_eq!((spec.name, spec.package), ("ipc", "hoptree-ipc"));
    (spec.open)(Opening { directory: place.path(), secret: Secret::new(&[7; 32]) })
        .unwrap()
        .finish(Duration::ZERO);
}

#[test]
fn listening_takes_one_descriptor_and_one_file_and_no_thread() {
    alone("listening_takes_one_descriptor_and_one_file_and_no_thread", || {
        let place = place();
        let mut node = node(&place);
        let idle = Costs::now(&place);
        let address = node.transport.listen().unwrap();
        for _ in 0..10 {
            assert_eq!(node.transport.listen().unwrap(), address);
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
        let (mut parent, mut child) = (node(&place), node(&place));
        let address = parent.transport.listen().unwrap();
        let idle = Costs::now(&place);
        for round in 0..ROUNDS {
            let link = join(&mut child, &address);
            child.transport.close(link);
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
        parent.transport.finish(PATIENCE);
        child.transport.finish(PATIENCE);
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
        let gone = node(&place).transport.listen().unwrap();
        fs::write(place.path().join("door-file"), "").unwrap();
        let (file, senseless) = (Address("door-file".to_owned()), Address("/tmp".to_owned()));
        let mut node = node(&place);
        let idle = Costs::now(&place);
        for address in [&killed, &gone, &file, &senseless] {
            for _ in 0..20 {
                let link = node.transport.connect(address);
                assert_eq!(node.transport.send(link, b"x"), Err(SendError::Gone));
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
        let mut parent = node(&place);
        let address = parent.transport.listen().unwrap();
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
        let mut child = node(&place);
        join(&mut child, &address);
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
        let (mut parent, mut child) = (node(&place), node(&place));
        let address = parent.transport.listen().unwrap();
        let link = join(&mut child, &address);
        let mut lower = getrlimit(Resource::Nofile);
        lower.current = Some(64);
        setrlimit(Resource::Nofile, lower).unwrap();
        let all_others: Vec<_> =
            iter::from_fn(|| rustix::io::dup(rustix::stdio::stdin()).ok()).collect();
        assert!(child.transport.listen().is_err());
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
        child.transport.close(link);
        parent.until_events(3);
    });
}

#[test]
fn many_join_at_the_same_moment() {
    const PEERS: usize = 64;
    let place = place();
    let mut parent = node(&place);
    let address = parent.transport.listen().unwrap();
    let moment = Barrier::new(PEERS);
    thread::scope(|scope| {
        for _ in 0..PEERS {
            scope.spawn(|| {
                let mut child = node(&place);
                moment.wait();
                let link = join(&mut child, &address);
                child.until_events(2);
                assert_eq!(child.seen, [Up(link), Frame(link, b"welcome".to_vec())]);
            });
        }
        parent.until_events(2 * PEERS);
        for link in parent.ups() {
            parent.transport.send(link, b"welcome").unwrap();
        }
    });
    parent.until_events(3 * PEERS);
    assert_eq!(parent.ups().len(), PEERS);
}

#[test]
fn the_directory_is_made_by_somebody_else_and_left_as_it_is() {
    let place = place();
    let mode = || fs::metadata(place.path()).unwrap().permissions().mode() & 0o7777;
    let mut node = node(&place);
    node.transport.listen().unwrap();
    assert_eq!(mode(), 0o700);
    node.transport.finish(PATIENCE);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    let error = Ipc::open(&place.path().join("nowhere")).err().unwrap();
    assert!(error.0.contains("nowhere"), "{error}");
}

/// A socket's address has room for 107 bytes.
#[test]
fn the_path_of_the_directory_may_be_long() {
    let long = TempDir::with_prefix_in("x".repeat(150), "/tmp").unwrap();
    let mut parent = node(&long);
    let address = parent.transport.listen().unwrap();
    join(&mut node(&long), &address);
    parent.until_events(3);
}

#[test]
fn who_is_stopped_can_be_joined_and_who_is_killed_meanwhile_is_down() {
    let place = place();
    for is_killed in [false, true] {
        let mut far = Far::start(&place, "listen");
        let address = Address(far.told());
        far.stop();
        let mut child = node(&place);
        let link = join(&mut child, &address);
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
    let mut parent = node(&place);
    let address = parent.transport.listen().unwrap();
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
fn each_link_has_a_share_of_every_wait() {
    const BUSY: usize = 3;
    let place = place();
    let mut parent = node(&place);
    let address = parent.transport.listen().unwrap();
    let mut child = node(&place);
    let links: Vec<_> = (0..=BUSY).map(|_| join(&mut child, &address)).collect();
    parent.until_events(2 * links.len());
    for link in &links[..BUSY] {
        (0..100).for_each(|_| child.transport.send(*link, b"work").unwrap());
    }
    child.transport.send(links[BUSY], b"order").unwrap();
    assert_eq!(parent.wait(None), BUSY * FRAMES_PER_WAIT_MAX / links.len() + 1);
    assert!(matches!(parent.seen.last(), Some(Frame(_, bytes)) if bytes == b"order"));
}

#[test]
fn several_wakes_end_one_wait_and_no_wait_ends_early() {
    let place = place();
    let mut node = node(&place);
    node.transport.listen().unwrap();
    let waker = node.transport.waker();
    waker.wake();
    waker.wake();
    node.wait(None);
    for wait in [Duration::from_micros(300), SILENCE] {
        let until = Instant::now() + wait;
        node.wait(Some(until));
        assert!(Instant::now() >= until);
    }
}
