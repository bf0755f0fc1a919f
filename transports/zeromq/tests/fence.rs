//! Why this library listens where nobody else comes: one header of a frame ends the process.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use hoptree_core::{Address, Transport};
use hoptree_zeromq::{Place, Zeromq};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::set_thread_res_uid;
use tempfile::TempDir;

/// How long anything may take that has to happen at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Set in the environment of the process that the library ends.
const VICTIM: &str = "HOPTREE_ZEROMQ_VICTIM";

/// Who owns nothing.
const NOBODY: u32 = 65_534;

#[test]
fn a_header_that_declares_2_to_the_40_bytes_aborts_a_process_that_listens_on_tcp() {
    let mut victim = Victim::start();
    let mut stream = TcpStream::connect(&victim.port).unwrap();
    stream.write_all(&handshake()).unwrap();
    // A long frame, the last of its message, and its length.
    stream.write_all(&[&[2][..], &(1u64 << 40).to_be_bytes()].concat()).unwrap();
    let (signal, last_words) = victim.end();
    assert_eq!(signal, Some(Signal::ABORT.as_raw()), "then TCP may be more than a comparison");
    assert!(last_words.contains("memory allocation of"), "{last_words}");
}

/// The socket itself lets everybody in here, so what keeps them out is the directory.
#[test]
fn only_the_owner_can_connect_to_a_socket_in_the_private_directory() {
    let directory = TempDir::new_in("/tmp").unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let mut node = Zeromq::open(Place::Directory(directory.path().to_owned())).unwrap();
    let Address(address) = node.listen().unwrap();
    let path = address.strip_prefix("ipc://").unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    UnixStream::connect(path).unwrap();
    if !rustix::process::geteuid().is_root() {
        // Nobody else can be played.
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        return;
    }
    assert_eq!(connect_as_nobody(path).unwrap_err().kind(), ErrorKind::PermissionDenied);
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    connect_as_nobody(path).unwrap();
}

fn connect_as_nobody(path: &str) -> io::Result<UnixStream> {
    let path = path.to_owned();
    let other = thread::spawn(move || {
        // Of this thread alone, which then has no privileges any more.
        let nobody = rustix::process::Uid::from_raw(NOBODY);
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
        UnixStream::connect(path)
    });
    other.join().unwrap()
}

/// The greeting and the READY of a DEALER.
fn handshake() -> Vec<u8> {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9..12].copy_from_slice(&[0x7f, 3, 0]);
    greeting[12..16].copy_from_slice(b"NULL");
    let ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER";
    [&greeting[..], &[4, ready.len() as u8], ready].concat()
}

/// A process that listens on TCP: this program once more. It is killed when this is dropped.
struct Victim {
    child: Child,
    /// And the host.
    port: String,
}

impl Victim {
    fn start() -> Victim {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "listen_on_tcp", "--ignored", "--nocapture"])
            .env(VICTIM, "")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // The harness writes to the same output.
        let port = lines.filter_map(|line| Some(line.split_once("tcp://")?.1.to_owned())).next();
        Victim { child, port: port.expect("it says where it listens") }
    }

    /// Waits until it has ended, and says by which signal, and what it wrote to stderr.
    fn end(&mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it still lives");
            thread::sleep(Duration::from_millis(1));
        };
        let mut last_words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut last_words).unwrap();
        (status.signal(), last_words)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "it is the process that another test ends"]
fn listen_on_tcp() {
    if env::var_os(VICTIM).is_none() {
        return;
    }
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    // No core dump, and no more memory than a machine has, also where the system promises more.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).unwrap();
    let limit = Some(1 << 38);
    setrlimit(Resource::As, Rlimit { current: limit, maximum: limit }).unwrap();
    let mut node = Zeromq::open(Place::Loopback).unwrap();
    let Address(address) = node.listen().unwrap();
    writeln!(io::stdout(), "{address}").unwrap();
    loop {
        node.wait(None, &mut |_| {}).unwrap();
    }
}
