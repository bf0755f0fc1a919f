//! What strangers can do to a listener at a TCP port that everyone on the machine can reach: nothing.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

mod node;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hoptree_core::{Address, Transport};
use hoptree_test_support::{Down, Frame, PATIENCE, Up};

use node::{Node, Pair, dealer, endpoint, join, node, password, raw};

/// How a peer that speaks ZMTP 3.0 opens.
fn greeting(mechanism: &str) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0];
    bytes.extend(mechanism.bytes());
    bytes.resize(64, 0);
    bytes
}

fn command(body: &[u8]) -> Vec<u8> {
    [&[4, body.len() as u8], body].concat()
}

fn ready() -> Vec<u8> {
    command(b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0")
}

fn hello(username: &str, password: &str) -> Vec<u8> {
    let [username, password] =
        [username, password].map(|text| [&[text.len() as u8], text.as_bytes()].concat());
    command(&[b"\x05HELLO", &username[..], &password].concat())
}

/// What strangers say, each at once and whole.
fn speeches(parent: &mut Node) -> Vec<Vec<u8>> {
    let right = password(&parent.transport.listen().unwrap());
    let wrong = right.replace(|digit| digit != 'x', "0");
    let frame = b"\0\x04junk";
    let long = [&[6][..], &(1u64 << 40).to_be_bytes()].concat();
    let version = |number| [&greeting("")[..10], &[number, 5, 0, 0], frame].concat();
    vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 4_096],
        greeting("NULL")[..11].to_vec(),
        // The greeting of another mechanism, finished, and a frame behind it.
        [greeting("NULL"), ready(), frame.to_vec()].concat(),
        [greeting("CURVE"), ready()].concat(),
        // ZMTP 1 and 2, which have none.
        [&b"\x01\0"[..], frame].concat(),
        version(0),
        version(1),
        [greeting("PLAIN"), hello("hoptree", &wrong), frame.to_vec()].concat(),
        [greeting("PLAIN"), hello("", &right)].concat(),
        [greeting("PLAIN"), hello("hoptree", &right[1..])].concat(),
        [greeting("PLAIN"), hello("hoptree", "")].concat(),
        // No hello comes first, and nothing comes between it and its answer.
        [greeting("PLAIN"), ready(), frame.to_vec()].concat(),
        [greeting("PLAIN"), frame.to_vec()].concat(),
        [greeting("PLAIN"), hello("hoptree", &right), frame.to_vec()].concat(),
        [greeting("PLAIN"), command(b"\x05HELLO\xff")].concat(),
        [greeting("PLAIN"), command(b"\x05ERROR\xff")].concat(),
        // Lengths that nobody could have.
        [greeting("PLAIN"), long.clone()].concat(),
        [greeting("NULL"), long].concat(),
    ]
}

/// Lets the parent wait until it has hung up on all of them.
#[track_caller]
fn until_hung_up_on(parent: &mut Node, strangers: &mut [TcpStream]) {
    let deadline = Instant::now() + PATIENCE;
    let before = parent.seen.len();
    for stranger in strangers {
        stranger.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4_096];
        loop {
            match stranger.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "a stranger is not hung up on");
                    parent.wait(Some(Instant::now() + Duration::from_millis(1)));
                }
                Ok(_) => {}
                // It has hung up before it has read everything.
                Err(_) => break,
            }
        }
    }
    assert_eq!(parent.seen[before..], [], "nothing of them was taken for a peer");
}

#[track_caller]
fn still_works(pair: &mut Pair) {
    pair.child.transport.send(pair.up, b"still here").unwrap();
    pair.parent.until_seen(&Frame(pair.down, b"still here".to_vec()));
    let (_newcomer, _) = join(&mut pair.parent);
    // Both have come up, and nobody else.
    pair.parent.until(|seen| seen.iter().filter(|one| matches!(one, Up(_))).count() == 2);
    assert_eq!(pair.parent.seen.last(), Some(&Frame(pair.parent.ups()[1], b"hello".to_vec())));
}

#[test]
fn whatever_strangers_say_they_are_hung_up_on_and_not_heard() {
    let mut pair = Pair::new();
    let address = pair.parent.transport.listen().unwrap();
    let mut strangers: Vec<_> = speeches(&mut pair.parent)
        .iter()
        .map(|speech| {
            let mut stranger = raw(&address);
            // The other side may already have hung up.
            let _ = stranger.write_all(speech);
            stranger
        })
        .collect();
    until_hung_up_on(&mut pair.parent, &mut strangers);
    still_works(&mut pair);
}

#[test]
fn a_thousand_who_say_nothing_are_hung_up_on() {
    let mut pair = Pair::new();
    let address = pair.parent.transport.listen().unwrap();
    let mut strangers: Vec<_> = (0..1_000).map(|_| raw(&address)).collect();
    until_hung_up_on(&mut pair.parent, &mut strangers);
    still_works(&mut pair);
}

#[test]
fn who_says_a_greeting_byte_by_byte_is_hung_up_on() {
    let mut pair = Pair::new();
    let mut stranger = raw(&pair.parent.transport.listen().unwrap());
    let deadline = Instant::now() + PATIENCE;
    let mut bytes = greeting("PLAIN").into_iter().cycle();
    // A greeting takes six seconds at this speed.
    while stranger.write_all(&[bytes.next().unwrap()]).is_ok() {
        assert!(Instant::now() < deadline, "a stranger is not hung up on");
        pair.parent.wait(Some(Instant::now() + Duration::from_millis(100)));
    }
    assert_eq!(pair.parent.seen.len(), 2);
    still_works(&mut pair);
}

/// Whoever listens at the port of one that is gone is told its password by those who come too late.
#[test]
fn what_a_false_listener_is_told_opens_no_other_door() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap();
    let mut child = node();
    let link = child.transport.connect(&Address(format!("tcp://{port}/{:032x}", 7)));
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&greeting("PLAIN")).unwrap();
    let mut said = [0; 64 + 2 + 6 + 8 + 65];
    stream.read_exact(&mut said).unwrap();
    let password = std::str::from_utf8(&said[said.len() - 64..]).unwrap();
    drop(stream);
    child.until_seen(&Down(link));

    let mut pair = Pair::new();
    let mut stranger = raw(&pair.parent.transport.listen().unwrap());
    stranger.write_all(&[greeting("PLAIN"), hello("hoptree", password)].concat()).unwrap();
    until_hung_up_on(&mut pair.parent, &mut [stranger]);
    still_works(&mut pair);
}

/// With the right password, for this shows that it is the password that keeps the others out.
#[test]
fn who_knows_the_password_is_heard() {
    let mut parent = node();
    let address = parent.transport.listen().unwrap();
    let member = dealer(&address);
    member.send("hello", 0).unwrap();
    parent.until(|seen| seen.len() == 2);
    assert_ne!(endpoint(&address), address.0);
}

/// A member that never stops sending, and another one whose end must be told all the same.
#[test]
fn a_flood_of_one_does_not_delay_the_end_of_another() {
    let mut pair = Pair::new();
    let address = pair.parent.transport.listen().unwrap();
    let floods: Vec<_> = (0..4).map(|_| flood(&address)).collect();
    pair.parent.until(|seen| seen.len() > 10_000);
    pair.child.transport.close(pair.up);
    let deadline = Instant::now() + PATIENCE;
    while !pair.parent.seen.contains(&Down(pair.down)) {
        assert!(Instant::now() < deadline, "the end is not told");
        // Slower than those who send, so that there is always something left to read.
        thread::sleep(Duration::from_millis(2));
        pair.parent.wait(Some(deadline));
    }
    drop(pair.parent);
    for flood in floods {
        flood.join().unwrap();
    }
}

/// A member that sends as much as it can until the listener is gone.
fn flood(address: &Address) -> JoinHandle<()> {
    let mut stream = raw(address);
    let hello = hello("hoptree", &password(address));
    thread::spawn(move || {
        let mut answer = [0; 64 + 2 + 8];
        stream.write_all(&[greeting("PLAIN"), hello].concat()).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert!(answer.ends_with(b"WELCOME"));
        let initiate = command(b"\x08INITIATE\x0bSocket-Type\0\0\0\x06DEALER");
        stream.write_all(&initiate).unwrap();
        let frames = b"\0\x01x".repeat(20_000);
        while stream.write_all(&frames).is_ok() {}
    })
}
