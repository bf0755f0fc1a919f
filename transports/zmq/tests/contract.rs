//! What libzmq does beyond the contract, which the suite of the whole workspace holds against it.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

mod node;

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::{Address, Opening, SEALED_BYTES_MAX, SendError, Transport, linked_transports};
use hoptree_test_support::{Down, Frame, PATIENCE, SILENCE, Up};

use node::{Pair, SECRET, dealer, endpoint, join, node, raw, rise};

#[test]
fn it_is_registered() {
    // Naming the crate links it.
    let _ = node();
    let spec = linked_transports().unwrap()[0];
    assert_eq!((spec.name, spec.package), ("zmq", "hoptree-zmq"));
    (spec.open)(Opening { directory: &std::env::temp_dir(), secret: SECRET })
        .unwrap()
        .finish(Duration::ZERO);
}

#[test]
fn one_byte_too_many_drops_only_that_peer() {
    let mut pair = Pair::new();
    let offender = dealer(&pair.parent.transport.listen().unwrap());
    offender.send("last", 0).unwrap();
    pair.parent.until(|seen| seen.len() == 4);
    let link = pair.parent.ups()[1];
    offender.send(vec![0; SEALED_BYTES_MAX + 1], 0).unwrap();
    pair.parent.until_seen(&Down(link));
    pair.child.transport.send(pair.up, b"still here").unwrap();
    pair.parent.until_seen(&Frame(pair.down, b"still here".to_vec()));
    assert!(!pair.parent.seen.contains(&Down(pair.down)));
}

#[test]
fn an_address_that_makes_no_sense_ends_the_link_with_the_next_wait() {
    let mut node = node();
    let links: Vec<_> = ["", "nonsense", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:1\0"]
        .map(|text| node.transport.connect(&Address(text.to_owned())))
        .into();
    assert_eq!(node.transport.send(links[0], b"x"), Err(SendError::Gone));
    node.transport.close(links[1]);
    node.wait(None);
    assert_eq!(node.seen, [Down(links[0]), Down(links[2]), Down(links[3])]);
    node.stays_silent();
}

#[test]
fn several_wakes_end_one_wait() {
    let mut node = node();
    let waker = node.transport.waker();
    waker.wake();
    waker.wake();
    node.wait(None);
    let before = Instant::now();
    node.wait(Some(before + SILENCE));
    assert!(before.elapsed() >= SILENCE, "two wakes are one");
}

#[test]
fn a_wait_never_returns_early_with_nothing() {
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
fn a_link_closed_by_the_connecting_side_ends_at_the_other() {
    let mut pair = Pair::new();
    pair.parent.transport.send(pair.down, b"too late").unwrap();
    pair.child.transport.send(pair.up, b"goodbye").unwrap();
    pair.child.transport.close(pair.up);
    assert_eq!(pair.child.transport.send(pair.up, b"x"), Err(SendError::Gone));
    pair.child.stays_silent();
    pair.parent.until_seen(&Down(pair.down));
    assert_eq!(pair.parent.seen[2..], [Frame(pair.down, b"goodbye".to_vec()), Down(pair.down)]);
}

#[test]
fn garbage_is_hung_up_on() {
    let mut pair = Pair::new();
    let address = pair.parent.transport.listen().unwrap();
    let greeting = [&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0][..], &[b'N', 0xff, 0x80]].concat();
    let scraps: [&[u8]; 5] = [b"", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 300], &[0; 300], &greeting];
    let mut kept = Vec::new();
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
    pair.child.transport.send(pair.up, b"still here").unwrap();
    pair.parent.until_seen(&Frame(pair.down, b"still here".to_vec()));
    pair.parent.stays_silent();
    let refused = &mut kept[2];
    refused.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = refused.read_to_end(&mut Vec::new());
    assert!(!end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "it was hung up on");
    pair.parent.stays_silent();
}

#[test]
fn messages_that_no_hoptree_sends_are_no_frames() {
    let mut parent = node();
    let address = parent.transport.listen().unwrap();
    let named = dealer(&address);
    named.disconnect(&endpoint(&address)).unwrap();
    named.set_identity(b"name").unwrap();
    named.connect(&endpoint(&address)).unwrap();
    named.send("I have a name", 0).unwrap();
    let odd = dealer(&address);
    odd.send("", 0).unwrap();
    odd.send_multipart(["a", "b", "c"], 0).unwrap();
    odd.send("plain", 0).unwrap();
    parent.until(|seen| seen.len() == 2);
    parent.stays_silent();
    let link = parent.ups()[0];
    assert_eq!(parent.seen, [Up(link), Frame(link, b"plain".to_vec())]);
}

/// libzmq takes in what has come when it sends, though not within a millisecond or two of the last
/// time, and then its descriptor tells of it no more.
#[test]
fn a_frame_that_came_before_a_send_is_delivered() {
    let Pair { mut parent, mut child, down, up } = Pair::new();
    for round in 0..3u8 {
        parent.stays_silent();
        child.stays_silent();
        child.transport.send(up, &[1, round]).unwrap();
        thread::sleep(SILENCE);
        parent.transport.send(down, &[2, round]).unwrap();
        thread::sleep(SILENCE);
        child.transport.send(up, &[3, round]).unwrap();
        for number in [1, 3] {
            parent.until_seen(&Frame(down, vec![number, round]));
        }
        child.until_seen(&Frame(up, vec![2, round]));
    }
}

#[test]
fn one_busy_peer_does_not_keep_the_others_waiting() {
    let mut middle = node();
    let mut parent = node();
    let to_parent = middle.transport.connect(&parent.transport.listen().unwrap());
    rise(&mut middle, to_parent, &mut parent);
    middle.transport.send(to_parent, b"hello").unwrap();
    parent.until(|seen| seen.len() == 2);
    let (mut child, up) = join(&mut middle);
    middle.until(|seen| seen.len() == 3);
    for _ in 0..128 {
        child.transport.send(up, b"work").unwrap();
    }
    let down = parent.ups()[0];
    parent.transport.send(down, b"order").unwrap();
    // All is surely there once the last of it is; the frames are counted wait by wait.
    let deadline = Instant::now() + PATIENCE;
    let mut frames = 0;
    while frames < 129 {
        assert!(Instant::now() < deadline);
        frames += middle.wait(Some(deadline));
    }
    assert!(middle.seen.contains(&Frame(to_parent, b"order".to_vec())));
}
