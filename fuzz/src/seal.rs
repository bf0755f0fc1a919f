//! Sealed links on which somebody reads, changes, drops, repeats, moves and makes up frames.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, KEY_BYTES, LinkId, LinkIds, Secret, SendError, Transport, TransportError, Waker,
};
use hoptree_seal::{Listens, Sealed};

use crate::script::Script;

const SECRET: Secret = Secret::new(&[7; KEY_BYTES]);

/// How many links there may be; each costs the fuzzer a handshake.
const LINKS_MAX: usize = 8;

/// The longest frame that is sent here.
const FRAME_BYTES_MAX: usize = 256;

/// Has two processes of one tree talk over links that somebody else is on, as the input says.
///
/// # Panics
///
/// When a frame comes out that did not go in there, in that order and once, or one is missing on a link
/// that was left alone.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let mut wires = Wires::new();
    while !script.is_over() {
        wires.step(&mut script);
    }
    wires.finish();
}

/// A process: the seal and what is below it.
struct Process {
    seal: Sealed,
    below: Rc<RefCell<Below>>,
}

/// What a transport has been told, and what it will tell.
#[derive(Default)]
struct Below {
    tells: VecDeque<Told>,
    sent: VecDeque<(LinkId, Vec<u8>)>,
    closed: Vec<LinkId>,
    link_ids: LinkIds,
}

enum Told {
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
}

/// A link between the two: first its end that connects, then the one that accepts.
struct Wire {
    ends: [End; 2],
    /// Nobody has been on it.
    is_clean: bool,
}

struct End {
    link: LinkId,
    /// What is on its way here.
    coming: VecDeque<Vec<u8>>,
    /// The transport below has named it.
    is_known: bool,
    /// The seal has named it, and not told its end.
    is_up: bool,
    /// What went in here, and how much of that has come out at the other end.
    sent: Vec<Vec<u8>>,
    arrived: usize,
}

struct Wires {
    processes: [Process; 2],
    wires: Vec<Wire>,
}

impl Wires {
    fn new() -> Wires {
        let processes = [Process::new(Listens::Open), Process::new(Listens::Sealed)];
        Wires { processes, wires: Vec::new() }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let (what, wire, end) = (script.byte() % 12, script.byte(), usize::from(script.byte() % 2));
        let Some(at) = usize::from(wire).checked_rem(self.wires.len()).filter(|_| what > 0) else {
            return self.connect();
        };
        match what {
            1 => self.connect_to(&Address(String::from_utf8_lossy(script.bytes()).into_owned())),
            2..5 => self.send(at, end, script.bytes()),
            5..8 => self.deliver(at, end),
            8 => self.cut(at),
            _ => self.meddle(at, end, what, script),
        }
    }

    fn connect(&mut self) {
        if self.wires.len() == LINKS_MAX {
            return;
        }
        let [child, parent] = &mut self.processes;
        let address = parent.seal.listen().expect("the transport below can listen");
        let up = child.seal.connect(&address);
        let down = parent.below.borrow_mut().link_ids.next_id();
        child.tell(Told::Up(up));
        let ends = [End::new(up, true), End::new(down, false)];
        self.wires.push(Wire { ends, is_clean: true });
        self.hear(0);
    }

    /// Whatever an address is, it is only one.
    fn connect_to(&mut self, address: &Address) {
        let process = &mut self.processes[0];
        let link = process.seal.connect(address);
        process.tell(Told::Down(link));
        self.hear(0);
    }

    fn send(&mut self, at: usize, end: usize, frame: &[u8]) {
        let its = &mut self.wires[at].ends[end];
        if !its.is_up || frame.is_empty() {
            return;
        }
        let frame = &frame[..frame.len().min(FRAME_BYTES_MAX)];
        if self.processes[end].seal.send(its.link, frame).is_ok() {
            its.sent.push(frame.to_vec());
        }
        self.collect(end);
    }

    /// Lets the next frame arrive at an end.
    fn deliver(&mut self, at: usize, end: usize) {
        let its = &mut self.wires[at].ends[end];
        let Some(frame) = its.coming.pop_front() else { return };
        if !std::mem::replace(&mut its.is_known, true) {
            self.processes[end].tell(Told::Up(its.link));
        }
        self.processes[end].tell(Told::Frame(its.link, frame));
        self.hear(end);
    }

    fn cut(&mut self, at: usize) {
        let wire = &mut self.wires[at];
        wire.is_clean = false;
        for (process, end) in self.processes.iter().zip(&mut wire.ends) {
            if end.is_known {
                process.tell(Told::Down(end.link));
            }
            // Nothing follows.
            end.link = LinkId(0);
        }
        self.hear(0);
        self.hear(1);
    }

    /// Somebody does something to what is on its way to an end.
    fn meddle(&mut self, at: usize, end: usize, what: u8, script: &mut Script<'_>) {
        let (how, where_to, by) = (script.byte() % 4, script.byte(), script.byte());
        self.wires[at].is_clean = false;
        let coming = &mut self.wires[at].ends[end].coming;
        if what == 9 {
            return coming.push_back(script.bytes().to_vec());
        }
        let Some(mut frame) = coming.front().cloned() else { return };
        match how {
            0 => drop(coming.pop_front()),
            1 => {
                if let Some(at) = usize::from(where_to).checked_rem(frame.len()) {
                    frame[at] ^= by;
                }
                coming[0] = frame;
            }
            2 => coming.push_back(frame),
            _ => {
                let at = usize::from(where_to) % self.wires.len();
                self.wires[at].is_clean = false;
                self.wires[at].ends[usize::from(by % 2)].coming.push_front(frame);
            }
        }
    }

    /// Lets the seal of a process take in what it is told, and checks what it tells.
    fn hear(&mut self, process: usize) {
        let mut told = Vec::new();
        let seal = &mut self.processes[process].seal;
        let deliver = &mut |event: Event<'_>| {
            told.push(match event {
                Event::Up(link) => Told::Up(link),
                Event::Frame(link, frame) => Told::Frame(link, frame.to_vec()),
                Event::Down(link) => Told::Down(link),
            });
        };
        seal.wait(Some(Instant::now()), deliver).expect("the transport below can go on");
        for told in told {
            match told {
                Told::Up(link) => self.end(process, link).is_up = true,
                Told::Down(link) => {
                    let mut ends = self.wires.iter_mut().map(|wire| &mut wire.ends[process]);
                    if let Some(end) = ends.find(|end| end.link == link) {
                        end.is_up = false;
                    }
                }
                Told::Frame(link, frame) => self.arrived(process, link, &frame),
            }
        }
        self.collect(process);
    }

    fn arrived(&mut self, process: usize, link: LinkId, frame: &[u8]) {
        let mut wires = self.wires.iter_mut();
        let wire = wires.find(|wire| wire.ends[process].link == link);
        let [other, own] = match &mut wire.expect("a frame of a link that there is").ends {
            [one, other] if process == 0 => [other, one],
            [one, other] => [one, other],
        };
        assert!(own.is_up, "a frame before its link is up");
        let sent = other.sent.get(other.arrived).expect("as many frames as were sent");
        assert_eq!(sent, frame, "another frame than was sent");
        other.arrived += 1;
    }

    fn end(&mut self, process: usize, link: LinkId) -> &mut End {
        let mut ends = self.wires.iter_mut().map(|wire| &mut wire.ends[process]);
        ends.find(|end| end.link == link).expect("a link that there is")
    }

    /// What a process has sent is on its way.
    fn collect(&mut self, process: usize) {
        let below = Rc::clone(&self.processes[process].below);
        let mut below = below.borrow_mut();
        for (link, frame) in below.sent.drain(..) {
            if let Some(wire) = self.wires.iter_mut().find(|it| it.ends[process].link == link) {
                wire.ends[1 - process].coming.push_back(frame);
            }
        }
        for link in below.closed.drain(..) {
            let mut wires = self.wires.iter_mut();
            if let Some(wire) = wires.find(|wire| wire.ends[process].link == link) {
                assert!(!wire.is_clean, "a link ends that was left alone");
                wire.ends[process].is_up = false;
            }
        }
    }

    /// Lets everything arrive, and looks whether all of it has on the links that were left alone.
    fn finish(&mut self) {
        for at in 0..self.wires.len() {
            while let Some(end) = (0..2).find(|end| !self.wires[at].ends[*end].coming.is_empty()) {
                self.deliver(at, end);
            }
        }
        for wire in self.wires.iter().filter(|wire| wire.is_clean) {
            let [child, parent] = &wire.ends;
            assert!(child.is_up, "a link is not up that was left alone");
            assert_eq!([child.arrived, parent.arrived], [child.sent.len(), parent.sent.len()]);
        }
    }
}

impl End {
    fn new(link: LinkId, is_known: bool) -> End {
        let coming = VecDeque::new();
        End { link, coming, is_known, is_up: false, sent: Vec::new(), arrived: 0 }
    }
}

impl Process {
    fn new(listens: Listens) -> Process {
        let below = Rc::<RefCell<Below>>::default();
        let transport = Box::new(Memory(Rc::clone(&below)));
        Process { seal: Sealed::new(transport, SECRET, listens), below }
    }

    fn tell(&self, told: Told) {
        self.below.borrow_mut().tells.push_back(told);
    }
}

/// A transport whose links are [`Wires`].
struct Memory(Rc<RefCell<Below>>);

impl Transport for Memory {
    fn listen(&mut self) -> Result<Address, TransportError> {
        Ok(Address("memory".to_owned()))
    }

    fn connect(&mut self, _: &Address) -> LinkId {
        self.0.borrow_mut().link_ids.next_id()
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        self.0.borrow_mut().sent.push_back((link, frame.to_vec()));
        Ok(())
    }

    fn wait(
        &mut self,
        _: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        let tells = std::mem::take(&mut self.0.borrow_mut().tells);
        for told in &tells {
            deliver(match told {
                Told::Up(link) => Event::Up(*link),
                Told::Frame(link, frame) => Event::Frame(*link, frame),
                Told::Down(link) => Event::Down(*link),
            });
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        Waker::new(|| {})
    }

    fn close(&mut self, link: LinkId) {
        self.0.borrow_mut().closed.push(link);
    }

    fn finish(self: Box<Self>, _: Duration) {}
}
