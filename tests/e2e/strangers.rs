//! Those who do not belong to the tree can neither join it, nor read, nor answer, nor stop anything.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::{Reach, TransportSpec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::console::Console;
use crate::deadline::{LONG_PATIENCE, eventually};
use crate::load;
use crate::process::Process;
use crate::stranger::{as_nobody, attack, greeting, say, speeches};
use crate::tcp::sockets;
use crate::transport::{self, linked};

/// As many as a debug build stands in seconds.
const CONNECTIONS: usize = if cfg!(debug_assertions) { 3_000 } else { 10_000 };

/// What a process may keep of an attack, in bytes: what its allocator has not given back.
const KEPT_MAX: u64 = 24 << 20;

/// The transports to which strangers can connect and that keep them off.
fn guarded() -> impl Iterator<Item = &'static TransportSpec> {
    let all = linked().into_iter();
    all.filter(|spec| spec.reach == Reach::ThisMachine && spec.flaw.is_none())
}

fn ports(processes: &[Process]) -> Vec<SocketAddrV4> {
    let sockets = processes.iter().flat_map(sockets);
    sockets.filter(|socket| socket.listens).map(|socket| socket.local).collect()
}

/// A control node with node 1, node 2 below it, and node 3.
fn tree(transport: &str) -> (Console, Vec<Process>) {
    let mut console = Console::start(&["--transport", transport]);
    let mut processes = vec![console.process()];
    for (node, parent) in [(1, -1), (2, 1), (3, -1)] {
        processes.push(console.create(node, parent));
    }
    (console, processes)
}

#[test]
fn strangers_at_the_ports_harm_nothing() {
    if transport::dies_of_strangers() {
        return;
    }
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(2);
    let giant = [&greeting("NULL")[..], &[6, 0, 0, 1, 0, 0, 0, 0, 0]].concat();
    let mut strangers = Vec::new();
    for port in ports(&[console.process(), nodes[0], nodes[1]]) {
        let speeches: [&[u8]; 5] =
            [b"", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 4096], &greeting("NULL"), &giant];
        for speech in speeches {
            let mut stranger = TcpStream::connect(port).unwrap();
            stranger.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            say(&mut stranger, &vec![speech.to_vec()]);
            strangers.push(stranger);
        }
    }
    console.ask("exec 2 echo unharmed", "Ok:2: unharmed");
    console.create(3, 2);
    console.ask("exec 3 echo unharmed", "Ok:3: unharmed");
    drop(strangers);
    console.ask("exec 1 echo unharmed", "Ok:1: unharmed");
    assert_eq!(console.finish().errors, "");
}

#[test]
fn thousands_of_hostile_connections_cost_no_command_and_leave_nothing() {
    let _heavy = load::heavy();
    for spec in guarded() {
        let (mut console, processes) = tree(spec.name);
        let victims = &processes[..2];
        let ports = ports(victims);
        assert_eq!(ports.len(), 2, "{}: one for each", spec.name);
        // What they cost once, such as buffers that are kept.
        attack(&ports, 100);
        let held = |process: &Process| process.descriptors().len();
        let before: Vec<_> = victims.iter().map(Process::memory).collect();
        let descriptors = settled(victims, held);

        let began = Instant::now();
        let target = ports.clone();
        let attacker = thread::spawn(move || attack(&target, CONNECTIONS));
        let mut commands = 0u32;
        while !attacker.is_finished() || commands < 100 {
            let node = 1 + commands % 3;
            console.ask(&format!("exec {node} echo {commands}"), &format!("Ok:{node}: {commands}"));
            commands += 1;
        }
        attacker.join().unwrap();

        assert!(processes.iter().all(Process::runs));
        eventually("the descriptors are as many as before", LONG_PATIENCE, || {
            victims.iter().map(held).eq(descriptors.iter().copied())
        });
        for (victim, before) in victims.iter().zip(before) {
            assert!(victim.memory() < before + KEPT_MAX, "{} bytes", victim.memory() - before);
        }
        console.create(4, 1);
        console.ask("exec 4 echo here", "Ok:4: here");
        console.ask("pingall", "Ok: -1");
        let finished = console.finish();
        let lines_max = victims.len() as u64 * (began.elapsed().as_secs() + 2);
        let lines = finished.errors.lines().count() as u64;
        assert!(lines <= lines_max, "more than one a second:\n{}", finished.errors);
        assert!(finished.errors.lines().all(|line| line.contains("a stranger wanted to join")));
    }
}

/// The figures of the processes once they don't change any more for longer than a stranger is waited
/// for.
fn settled(processes: &[Process], figure: impl Fn(&Process) -> usize) -> Vec<usize> {
    let figures = || processes.iter().map(&figure).collect::<Vec<_>>();
    let mut last = (figures(), Instant::now());
    eventually("the strangers are gone", LONG_PATIENCE, || {
        let now = figures();
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(2)
    });
    last.0
}

#[test]
fn another_user_can_neither_join_nor_read_nor_answer_nor_stop_anything() {
    if as_nobody(|| ()).is_none() {
        let _ = writeln!(io::stderr(), "not tested: this user may not become another one");
        return;
    }
    // One that has flaws is not for a machine with others on it.
    for spec in linked().into_iter().filter(|spec| spec.flaw.is_none()) {
        let (mut console, processes) = tree(spec.name);
        let files = socket_files(&console);
        assert_eq!(files.is_empty(), !spec.has_socket_files, "{}", spec.name);
        let ports = ports(&processes);
        as_nobody(|| {
            processes.iter().for_each(is_out_of_reach);
            for file in files {
                assert!(UnixStream::connect(&file).is_err(), "{}", file.display());
                assert!(fs::read_dir(file.parent().unwrap()).is_err());
            }
            for port in ports {
                is_never_let_in(port);
            }
        });
        for node in 1..=3 {
            console.ask(&format!("exec {node} echo mine"), &format!("Ok:{node}: mine"));
        }
        console.ask("pingall", "Ok: -1");
        assert!(processes.iter().all(Process::runs));
        assert_eq!(console.finish().status, 0);
    }
}

/// The sockets in the private directory of a tree.
fn socket_files(console: &Console) -> Vec<PathBuf> {
    let directories = fs::read_dir(console.scratch().path()).unwrap();
    let files = directories.flat_map(|entry| fs::read_dir(entry.unwrap().path()).unwrap());
    files.map(|entry| entry.unwrap().path()).collect()
}

fn is_out_of_reach(process: &Process) {
    let pid = Pid::from_raw(process.pid()).unwrap();
    for signal in [Signal::KILL, Signal::STOP, Signal::TERM] {
        assert_eq!(kill_process(pid, signal), Err(Errno::PERM));
    }
    assert!(!process.trace());
    for file in ["environ", "mem", "maps", "fd/0"] {
        assert!(File::open(format!("/proc/{}/{file}", process.pid())).is_err(), "{file}");
    }
}

/// Whatever is said there, what comes back is the greeting at most, and that the stranger is refused.
fn is_never_let_in(port: SocketAddrV4) {
    for speech in speeches() {
        let mut stream = TcpStream::connect(port).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let heard = say(&mut stream, &speech);
        let said = String::from_utf8_lossy(&heard);
        assert!(!said.contains("WELCOME") && !said.contains("READY"), "{said:?}");
    }
}
