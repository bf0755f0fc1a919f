//! The other end of a link in a process of its own: this program once more.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hoptree_core::{Address, LinkId, SendError, Transport};
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, set_parent_process_death_signal, waitpid,
};

use crate::deadline::PATIENCE;
use crate::node::{Candidate, Down, Frame, Up, wait};

/// Names the transport, whether it is sealed, and the part that the other process plays.
const PART: &str = "HOPTREE_CONTRACT_PART";

/// What the other process does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Connects, says hello, and answers "count" with the number of frames before it.
    Count,
    /// Connects, and sends numbered frames for as long as it lives.
    Flood,
    /// Listens, and sends numbered frames to whoever says hello.
    FloodFromBelow,
}

const PARTS: [(&str, Part); 3] =
    [("count", Part::Count), ("flood", Part::Flood), ("flood-from-below", Part::FloodFromBelow)];

/// A process that is killed, at the latest, when this is dropped.
pub struct Process {
    child: Child,
    control: BufReader<UnixStream>,
}

impl Process {
    #[track_caller]
    pub fn start(candidate: &Candidate, part: Part) -> Process {
        let (name, _) = PARTS.into_iter().find(|(_, known)| *known == part).unwrap();
        let (own, theirs) = UnixStream::pair().unwrap();
        own.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "process::other_end", "--ignored", "--nocapture"])
            .env(PART, format!("{} {} {name}", candidate.name, candidate.is_sealed()))
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Process { child, control: BufReader::new(own) };
        process.tell(candidate.directory().to_str().unwrap());
        process
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.control.get_mut(), "{line}").unwrap();
    }

    pub fn told(&mut self) -> String {
        read_line(&mut self.control)
    }

    /// Stops it, and returns when it has stopped.
    pub fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped());
    }

    pub fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "it is the other process of some tests, which start it"]
fn other_end() {
    let Ok(part) = env::var(PART) else { return };
    // The thread that started it lives until the test has ended, in whatever way.
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let words: Vec<_> = part.split(' ').collect();
    let [transport, is_sealed, name] = words[..] else { panic!("{part}") };
    let (_, part) = PARTS.into_iter().find(|(known, _)| *known == name).unwrap();
    let control = rustix::io::dup(rustix::stdio::stdin()).unwrap();
    let mut control = BufReader::new(UnixStream::from(control));
    let candidate = Candidate::named(transport).in_directory(&read_line(&mut control));
    let candidate = if is_sealed == "true" { candidate.sealed() } else { candidate };
    let mut transport = candidate.open().unwrap();
    let transport = &mut *transport;
    match part {
        Part::Count => {
            let link = transport.connect(&Address(read_line(&mut control)));
            count(transport, link);
        }
        Part::Flood => {
            let link = transport.connect(&Address(read_line(&mut control)));
            while !wait(transport, None).contains(&Up(link)) {}
            flood(transport, link);
        }
        Part::FloodFromBelow => {
            let Address(address) = transport.listen().unwrap();
            writeln!(control.get_mut(), "{address}").unwrap();
            let link = loop {
                if let [first, ..] = &wait(transport, None)[..] {
                    break first.link();
                }
            };
            flood(transport, link);
        }
    }
}

fn count(transport: &mut dyn Transport, link: LinkId) {
    let mut frames: u64 = 0;
    loop {
        for seen in wait(transport, None) {
            match seen {
                Up(_) => transport.send(link, b"hello").unwrap(),
                Frame(_, bytes) if bytes == b"count" => {
                    transport.send(link, &frames.to_be_bytes()).unwrap();
                }
                Frame(..) => frames += 1,
                Down(_) => return,
            }
        }
    }
}

fn flood(transport: &mut dyn Transport, link: LinkId) {
    for number in 0u64.. {
        let frame = number.to_be_bytes();
        loop {
            match transport.send(link, &frame) {
                Ok(()) => break,
                Err(SendError::Gone) => return,
                Err(SendError::Full) => {
                    wait(transport, Some(Instant::now() + Duration::from_millis(1)));
                }
            }
        }
        // Some libraries send only while they are given time.
        if number % 64 == 0 {
            wait(transport, Some(Instant::now()));
        }
    }
}

fn read_line(from: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    assert_ne!(from.read_line(&mut line).unwrap(), 0, "the other process has ended");
    line.pop();
    line
}
