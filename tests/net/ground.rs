//! The network itself: what the other tests take for granted.

use std::env;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually};
use crate::faults::Verdict;
use crate::host::{Host, Ran};
use crate::network::Network;
use crate::process::Process;

/// How long nothing must come before a cable is taken for cut.
const SILENCE: Duration = Duration::from_millis(500);

/// A connection between two hosts: the end at `from`, and the end at `to`.
fn connection(from: &Host, to: &Host, ip: IpAddr) -> (TcpStream, TcpStream) {
    let listener = to.on_network(|| TcpListener::bind((ip, 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let near = from.on_network(|| TcpStream::connect_timeout(&address, PATIENCE)).unwrap();
    (near, listener.accept().unwrap().0)
}

#[track_caller]
fn assert_heard(to: &mut TcpStream, text: &str) {
    to.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = vec![0; text.len()];
    to.read_exact(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

#[track_caller]
fn assert_silent(to: &mut TcpStream) {
    to.set_read_timeout(Some(SILENCE)).unwrap();
    let mut heard = [0; 64];
    match uninterrupted(|| to.read(&mut heard)) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Ok(size) => panic!("heard {:?}", String::from_utf8_lossy(&heard[..size])),
        Err(error) => panic!("{error}"),
    }
}

/// Makes a call again that a signal has interrupted: a child of another test may end at any time.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[track_caller]
fn assert_fails(ran: &Ran, status: i32, words: &str) {
    assert!(ran.status == status && ran.errors.contains(words), "{ran:?}");
}

#[test]
fn hosts_reach_each_other() {
    let Some(network) = Network::new(3) else { return };
    let (a, b, c) = (network.host("a"), network.host("b"), network.host("c"));
    for (from, to, ip) in [(a, b, b.v4().into()), (b, c, c.v6().into()), (c, a, a.v4().into())] {
        let (mut near, mut far) = connection(from, to, ip);
        near.write_all(b"hello").unwrap();
        assert_heard(&mut far, "hello");
    }
}

#[test]
fn hosts_reach_each_other_by_ssh() {
    let Some(network) = Network::new(3) else { return };
    let a = network.host("a");
    assert_eq!(a.must("ssh b hostname"), "b\n");
    assert_eq!(network.host("b").must("ssh c hostname"), "c\n");
    assert_eq!(a.must("ssh b ssh c hostname"), "c\n");
    assert_eq!(a.must("ssh a 'echo $HOME; ls -A /tmp'"), "/root\n");
    network.nothing_left(PATIENCE);
}

#[test]
fn hosts_share_neither_files_nor_processes() {
    let Some(network) = Network::new(2) else { return };
    let (a, b) = (network.host("a"), network.host("b"));
    for place in ["/tmp", "/root", "/run", "/dev/shm"] {
        a.must(&format!("echo >{place}/only-here"));
        assert_fails(&b.sh(&format!("cat {place}/only-here")), 1, "No such file");
    }
    let mut console = Console::on(a, &[]);
    console.ask("exec 1 echo x", "Error:1: Not found");
    assert_eq!(a.nodes(), [console.process()]);
    assert!(b.nodes().is_empty());
    assert_eq!(a.must("cat /proc/*/comm").matches("hoptree").count(), 1);
    assert_eq!(b.must("cat /proc/*/comm").matches("hoptree").count(), 0);
}

#[test]
fn a_cut_cable_is_silent_and_a_mended_one_loses_nothing() {
    let Some(network) = Network::new(3) else { return };
    let (a, b, c) = (network.host("a"), network.host("b"), network.host("c"));
    let (mut near, mut far) = connection(a, b, b.v4().into());
    let (mut other, mut third) = connection(a, c, c.v4().into());
    network.cut("b");
    near.write_all(b"one").unwrap();
    other.write_all(b"two").unwrap();
    assert_silent(&mut far);
    assert_silent(&mut near);
    assert_heard(&mut third, "two");
    assert!(b.must("ip -o link show eth0").contains("LOWER_UP"));
    network.mend("b");
    assert_heard(&mut far, "one");
}

#[test]
fn a_host_knows_that_its_cable_is_unplugged() {
    let Some(network) = Network::new(2) else { return };
    let b = network.host("b");
    network.unplug("b");
    assert!(b.must("ip -o link show eth0").contains("NO-CARRIER"));
    network.plug("b");
    assert!(b.must("ip -o link show eth0").contains("LOWER_UP"));
    assert_eq!(network.host("a").must("ssh b hostname"), "b\n");
}

#[test]
fn a_lossy_cable_loses_its_share() {
    let Some(network) = Network::new(2) else { return };
    let (a, b) = (network.host("a"), network.host("b"));
    let socket = |host: &Host| host.on_network(|| UdpSocket::bind((host.v4(), 0)).unwrap());
    let (near, far) = (socket(a), socket(b));
    far.set_read_timeout(Some(SILENCE)).unwrap();
    let to: SocketAddr = far.local_addr().unwrap();
    let arrived = |count: usize| {
        (0..count).for_each(|_| assert_eq!(near.send_to(b"x", to).unwrap(), 1));
        (0..count).take_while(|_| uninterrupted(|| far.recv(&mut [0])).is_ok()).count()
    };
    assert_eq!(arrived(100), 100);
    network.lose("b", 50);
    let through = arrived(200);
    assert!((50..150).contains(&through), "{through} of 200");
}

#[test]
fn a_long_wire_takes_its_time() {
    let Some(mut network) = Network::new(3) else { return };
    let delay = Duration::from_millis(100);
    network.delay("b", delay);
    let (a, b, c) = (network.host("a"), network.host("b"), network.host("c"));
    let round_trip = |to: &Host| {
        let (mut near, mut far) = connection(a, to, to.v4().into());
        let sent = Instant::now();
        near.write_all(b"there").unwrap();
        assert_heard(&mut far, "there");
        far.write_all(b"back").unwrap();
        assert_heard(&mut near, "back");
        sent.elapsed()
    };
    assert!(round_trip(b) >= 2 * delay);
    eventually("there is no wire to c", PATIENCE, || round_trip(c) < 2 * delay);
    network.cut("b");
    network.mend("b");
    assert!(round_trip(b) >= 2 * delay);
    assert_eq!(a.must("ssh b hostname"), "b\n");
}

#[test]
fn a_host_without_power_says_no_word() {
    let Some(mut network) = Network::new(2) else { return };
    let (a, b) = (network.host("a"), network.host("b"));
    let address = (b.v4(), 22).into();
    let mut near = a.on_network(|| TcpStream::connect_timeout(&address, PATIENCE)).unwrap();
    assert_heard(&mut near, "SSH-2.0-");
    let mut there = b.processes();
    there.push(b.first_process());
    network.power_off("b");
    eventually("all there is dead", PATIENCE, || !there.iter().any(Process::runs));
    near.set_read_timeout(Some(SILENCE)).unwrap();
    let end = loop {
        match uninterrupted(|| near.read(&mut [0; 256])) {
            Ok(1..) => {}
            end => break end.map_err(|error| error.kind()),
        }
    };
    assert_eq!(end, Err(ErrorKind::WouldBlock));
}

#[test]
fn a_host_whose_processes_are_killed_can_begin_anew() {
    let Some(network) = Network::new(2) else { return };
    let (a, b) = (network.host("a"), network.host("b"));
    b.kill_all();
    eventually("all there is dead", PATIENCE, || b.processes().is_empty());
    assert_fails(&a.sh("ssh b hostname"), 255, "Connection refused");
    b.start_sshd();
    assert_eq!(a.must("ssh b hostname"), "b\n");
    b.kill_sshd();
    assert_fails(&a.sh("ssh b hostname"), 255, "Connection refused");
}

#[test]
fn a_firewall_refuses_or_is_silent() {
    let Some(network) = Network::new(3) else { return };
    let (a, b, c) = (network.host("a"), network.host("b"), network.host("c"));
    b.block(22, Verdict::Reject);
    c.block(22, Verdict::Drop);
    let connect = |host: &Host| {
        let address = (host.v4(), 22).into();
        let connected = a.on_network(|| TcpStream::connect_timeout(&address, SILENCE));
        connected.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(connect(b), Err(ErrorKind::ConnectionRefused));
    assert_eq!(connect(c), Err(ErrorKind::TimedOut));
}

#[test]
fn ssh_lets_in_only_who_is_known() {
    let Some(network) = Network::new(2) else { return };
    let (a, b) = (network.host("a"), network.host("b"));
    b.trust_no_keys();
    assert_fails(&a.sh("ssh -o BatchMode=yes b true"), 255, "Permission denied (publickey)");
    a.forget_host_keys();
    assert_fails(&a.sh("ssh -o BatchMode=yes b true"), 255, "Host key verification failed");
    assert_fails(&a.sh("ssh nosuch true"), 255, "Could not resolve hostname nosuch");
}

#[test]
fn a_host_may_have_no_room_and_no_program() {
    let Some(network) = Network::new(3) else { return };
    let (a, b, c) = (network.host("a"), network.host("b"), network.host("c"));
    b.fill_home();
    c.make_home_read_only();
    assert_fails(&a.sh("ssh b 'echo x >>full'"), 1, "No space left");
    assert_fails(&a.sh("ssh c 'echo x >file'"), 1, "Read-only");
    assert!(a.must("ssh b hoptree --version").starts_with("hoptree "));
    b.remove_program();
    c.replace_program("echo another");
    assert_fails(&a.sh("ssh b hoptree"), 127, "not found");
    assert_eq!(a.must("ssh c hoptree"), "another\n");
}

/// Whoever interrupts the tests must not have to clear up.
#[test]
fn nothing_is_left_of_tests_that_are_killed() {
    if Network::new(1).is_none() {
        return;
    }
    let mut tests = Command::new(env::current_exe().unwrap())
        .args(["--exact", "ground::a_network_for_ever", "--ignored", "--nocapture"])
        .env(FOR_EVER, "")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(tests.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pids = lines.filter_map(|line| line.strip_prefix("pid ")?.parse().ok());
    let processes: Vec<_> = pids.take(2).map(|pid| Process::of(pid).unwrap()).collect();
    let all: Vec<_> = processes.iter().flat_map(Process::descendants).collect();
    assert_eq!(all.len(), 2, "an sshd each");
    tests.kill().unwrap();
    tests.wait().unwrap();
    eventually("the hosts are gone", PATIENCE, || !processes.iter().chain(&all).any(Process::runs));
}

const FOR_EVER: &str = "HOPTREE_NET_FOR_EVER";

#[test]
#[ignore = "it is the tests that another one kills"]
fn a_network_for_ever() {
    if env::var_os(FOR_EVER).is_none() {
        return;
    }
    let network = Network::new(2).unwrap();
    for host in ["a", "b"] {
        writeln!(io::stdout(), "\npid {}", network.host(host).first_process().pid()).unwrap();
    }
    loop {
        std::thread::park();
    }
}
