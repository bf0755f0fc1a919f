//! Somebody who does not belong to the tree, and what they send to its ports.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::thread;
use std::time::Duration;

/// The user that owns nothing, by custom.
const NOBODY: u32 = 65_534;

/// How many connections are held open at a time.
const HELD_MAX: usize = 200;

/// How long a connection waits for what the other side says first.
const MOMENT: Duration = Duration::from_millis(2);

/// How a peer that speaks ZMTP 3.0 opens.
pub fn greeting(mechanism: &str) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0];
    bytes.extend(mechanism.bytes());
    bytes.resize(64, 0);
    bytes
}

/// What a stranger says to a port: pieces, between which it listens for a moment.
pub type Speech = Vec<Vec<u8>>;

/// Nothing, nonsense, beginnings, lengths that nobody could have, and what a peer of the tree would
/// say if it were one.
pub fn speeches() -> Vec<Speech> {
    let null = || greeting("NULL");
    let plain = || greeting("PLAIN");
    let huge = [&[6][..], &(1u64 << 40).to_be_bytes()].concat();
    // What libzmq calls its first peer when nobody has made that unpredictable.
    let name = [&[0][..], &0x6B8B_4567u32.to_be_bytes()].concat();
    let byte_by_byte = plain().into_iter().take(8).map(|byte| vec![byte]).collect();
    vec![
        vec![],
        vec![b"GET / HTTP/1.1\r\n\r\n".to_vec()],
        vec![vec![0xff; 4_096]],
        vec![null()[..11].to_vec()],
        vec![plain()],
        byte_by_byte,
        vec![null(), huge.clone()],
        vec![plain(), huge],
        vec![null(), ready(&name)],
        vec![null(), ready(b""), frame(&hello())],
        vec![null(), ready(&name), frame(&answer())],
        vec![null(), ready(b""), frame(b"x").repeat(10_000)],
        vec![plain(), password("hoptree", &"0".repeat(64)), frame(&hello())],
        vec![plain(), password("hoptree", ""), frame(&answer())],
        vec![[plain(), password("", ""), ready(&name), frame(&hello())].concat()],
    ]
}

/// Says one of the speeches after the other to one of the ports after the other, on this many
/// connections, some of which it holds open.
pub fn attack(ports: &[SocketAddrV4], connections: usize) {
    let speeches = speeches();
    let mut held = VecDeque::new();
    let targets = ports.iter().cycle();
    for (speech, port) in speeches.iter().cycle().zip(targets).take(connections) {
        // A backlog that is full is a port that holds out.
        let Ok(mut stream) = TcpStream::connect(port) else { continue };
        stream.set_read_timeout(Some(MOMENT)).unwrap();
        stream.set_write_timeout(Some(MOMENT)).unwrap();
        say(&mut stream, speech);
        held.push_back(stream);
        if held.len() > HELD_MAX {
            held.pop_front();
        }
    }
}

/// Says it as far as the other side listens, and returns what that said.
pub fn say(stream: &mut TcpStream, speech: &Speech) -> Vec<u8> {
    let mut heard = Vec::new();
    for piece in speech {
        if stream.write_all(piece).is_err() {
            break;
        }
        let mut buffer = [0; 4_096];
        match stream.read(&mut buffer) {
            Ok(count) => heard.extend(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    heard
}

/// Does something as another user, with no rights at all. None when this user may not become another.
pub fn as_nobody<T: Send>(act: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| scope.spawn(|| become_nobody().then(act)).join().unwrap())
}

/// Makes this thread another user's. The functions of the C library would do so to the whole process.
fn become_nobody() -> bool {
    let no_groups: *const libc::gid_t = std::ptr::null();
    // SAFETY: numbers are handed over, and a list of no groups, of which nothing is read.
    unsafe {
        libc::syscall(libc::SYS_setgroups, 0, no_groups) == 0
            && libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0
            && libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0
    }
}

fn command(body: &[u8]) -> Vec<u8> {
    [&[4, body.len() as u8], body].concat()
}

fn ready(identity: &[u8]) -> Vec<u8> {
    let length = (identity.len() as u32).to_be_bytes();
    let head = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity";
    command(&[head, &length[..], identity].concat())
}

fn password(username: &str, password: &str) -> Vec<u8> {
    let [username, password] =
        [username, password].map(|text| [&[text.len() as u8], text.as_bytes()].concat());
    command(&[b"\x05HELLO", &username[..], &password].concat())
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&[0, body.len() as u8], body].concat()
}

/// A hello of node 2 with a token that is made up.
fn hello() -> Vec<u8> {
    message(1, 0xffff_ffff, 0, 0, &[0; 32])
}

/// An answer of node 2 to the third command.
fn answer() -> Vec<u8> {
    message(11, 2, 2, 3 << 16, b"forged")
}

/// A frame of hoptree with one message.
fn message(kind: u8, node: u32, incarnation: u32, request: u64, body: &[u8]) -> Vec<u8> {
    let whole = 3;
    let mut bytes = vec![0; 4];
    bytes.extend((18 + body.len() as u32).to_le_bytes());
    bytes.extend([kind, whole]);
    bytes.extend(node.to_le_bytes());
    bytes.extend(incarnation.to_le_bytes());
    bytes.extend(request.to_le_bytes());
    bytes.extend(body);
    bytes
}
