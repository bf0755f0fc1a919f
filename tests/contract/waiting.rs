//! Waits, their deadlines, and what ends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::{FRAMES_PER_WAIT_MAX, Transport};

use crate::deadline::{PATIENCE, PROMPT, SILENCE};
use crate::node::{Candidate, Frame, Node, Pair, Seen, wait};

/// How often a wait may return early with nothing. More would be a busy loop.
const EARLY_RETURNS_MAX: usize = 10;

pub fn a_wait_lasts_until_its_deadline_and_no_longer(candidate: &Candidate) {
    let pair = Pair::new(candidate);
    for node in [&pair.parent, &pair.child] {
        node.call(|transport| {
            for wanted in [300, 1_000, 30_000, 100_000].map(Duration::from_micros) {
                quiet_waits(transport, Instant::now() + wanted);
            }
        });
    }
    // Nor does it take a peer.
    Node::open(candidate).call(|transport| {
        quiet_waits(transport, Instant::now() + Duration::from_millis(30));
    });
}

/// Waits until a time at which nothing happens, again after each early return.
fn quiet_waits(transport: &mut dyn Transport, until: Instant) {
    let mut waits = 0;
    while Instant::now() < until {
        assert_eq!(wait(transport, Some(until)), []);
        waits += 1;
    }
    assert!(waits <= 1 + EARLY_RETURNS_MAX, "{waits} waits until one deadline");
    assert!(until.elapsed() < PROMPT, "{:?} late", until.elapsed());
}

pub fn a_deadline_that_has_passed_only_looks(candidate: &Candidate) {
    let pair = Pair::new(candidate);
    pair.parent.pause();
    pair.child.send(pair.up, b"look").unwrap();
    let frame = Frame(pair.down, b"look".to_vec());
    let (found, longest) = pair.parent.call(|transport| {
        let passed = Instant::now();
        let mut longest = Duration::ZERO;
        loop {
            let before = Instant::now();
            let found = wait(transport, Some(passed));
            longest = longest.max(before.elapsed());
            if !found.is_empty() || passed.elapsed() > PATIENCE / 2 {
                return (found, longest);
            }
            thread::yield_now();
        }
    });
    assert_eq!(found, [frame]);
    assert!(longest < PROMPT, "it took {longest:?} to look");
}

pub fn a_wake_ends_a_wait(candidate: &Candidate) {
    in_time(candidate, |transport| {
        let waker = transport.waker();
        let (begin, begun) = mpsc::channel();
        let other = thread::spawn(move || {
            begun.recv().unwrap();
            waker.wake();
        });
        begin.send(()).unwrap();
        assert_eq!(wait(transport, None), []);
        other.join().unwrap();
    });
}

/// Many wakes may be seen as one, and are at most as many as they were.
pub fn a_wake_before_the_wait_is_not_lost(candidate: &Candidate) {
    const WAKES: usize = 1_000;
    in_time(candidate, |transport| {
        let waker = transport.waker();
        for _ in 0..WAKES {
            waker.clone().wake();
        }
        assert_eq!(wait(transport, None), []);
        let mut waits = 0;
        let end = Instant::now() + SILENCE;
        while Instant::now() < end {
            wait(transport, Some(end));
            waits += 1;
        }
        assert!(waits <= WAKES + EARLY_RETURNS_MAX, "it never comes to rest");
    });
}

/// A wake that is lost leaves the wait without an end.
pub fn a_wake_from_many_threads_is_never_lost(candidate: &Candidate) {
    const THREADS: u32 = 4;
    const WAKES: u32 = 2_000;
    in_time(candidate, |transport| {
        let done = Arc::<AtomicU32>::default();
        for _ in 0..THREADS {
            let (done, waker) = (Arc::clone(&done), transport.waker());
            thread::spawn(move || {
                for _ in 0..WAKES {
                    done.fetch_add(1, Ordering::SeqCst);
                    waker.wake();
                }
            });
        }
        while done.load(Ordering::SeqCst) < THREADS * WAKES {
            wait(transport, None);
        }
    });
}

pub fn a_waker_outlives_its_transport(candidate: &Candidate) {
    let transport = candidate.open().unwrap();
    let waker = transport.waker();
    transport.finish(PATIENCE);
    waker.wake();
    let transport = candidate.open().unwrap();
    let waker = transport.waker();
    drop(transport);
    waker.wake();
}

/// A library that tells only once that there is something to read leaves frames lying.
pub fn what_one_wait_leaves_the_next_delivers(candidate: &Candidate) {
    const FRAMES: usize = FRAMES_PER_WAIT_MAX + 40;
    let pair = Pair::new(candidate);
    pair.parent.pause();
    for number in 0..FRAMES as u8 {
        pair.child.send(pair.up, &[number]).unwrap();
    }
    pair.parent.read();
    pair.parent.until_events(2 + FRAMES);
    let told: Vec<Seen> = (0..FRAMES as u8).map(|byte| Frame(pair.down, vec![byte])).collect();
    assert_eq!(pair.parent.seen()[2..], told);
}

/// Does with a transport what might never end.
#[track_caller]
fn in_time(candidate: &Candidate, what: impl FnOnce(&mut dyn Transport) + Send + 'static) {
    let candidate = candidate.clone();
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        what(&mut *candidate.open().unwrap());
        end.send(()).unwrap();
    });
    ended.recv_timeout(PATIENCE).expect("it failed, see above, or a wait has no end");
}
