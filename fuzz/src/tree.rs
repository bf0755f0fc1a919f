//! A small tree of the real nodes in memory, whose processes and links do as they are told.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hoptree_core::{
    Address, Birth, Controller, ControllerConfig, Exit, FRAME_BYTES_MAX, Failure, Input,
    Inspection, JobKind, KEY_BYTES, Life, LinkId, Machine, Node, Order, Output, ProcessId,
    Registry, RequestId, Secret, Time, Token, Worker, WorkerConfig,
};

const TOKEN: Token = Token([7; 16]);

/// The deadline of a request.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How many nodes there may be at a time.
const NODES_MAX: usize = 6;

/// How many processes there may be in all; further ones can't be started.
const PROCESSES_MAX: usize = 16;

/// How much may happen before the tree is quiet.
const EVENTS_MAX: usize = 20_000;

/// How often a node may have a deadline at one and the same moment before it is considered to spin.
const ALARMS_AT_ONCE_MAX: usize = 1_000;

/// How much time the control node has to end, and what that time may be divided in.
const END_TIME: Duration = Duration::from_secs(2 * 86_400);
const END_STEPS_MAX: usize = 100_000;

const CONTROL: usize = 0;

/// Which transports are asked for is nobody's business here.
const TRANSPORT: &str = "memory";

/// The control node and all nodes that it has come to.
pub struct Tree {
    now: Time,
    registry: Registry,
    /// By their places in this list; those that have ended keep theirs.
    nodes: Vec<Process>,
    ends: BTreeMap<LinkId, End>,
    starts_fail: bool,
    /// What was typed and not read, and whether that is all.
    typed: VecDeque<Vec<u8>>,
    is_all_typed: bool,
    has_ended: bool,
}

struct Process {
    life: Life,
    parent: usize,
    role: Role,
}

enum Role {
    Control(Box<Controller>),
    Worker(Box<Worker>),
    Ended,
}

impl Process {
    fn node(&mut self) -> Option<&mut dyn Node> {
        match &mut self.role {
            Role::Control(control) => Some(control.as_mut()),
            Role::Worker(worker) => Some(worker.as_mut()),
            Role::Ended => None,
        }
    }

    fn deadline(&self) -> Option<Time> {
        match &self.role {
            Role::Control(control) => control.deadline(),
            Role::Worker(worker) => worker.deadline(),
            Role::Ended => None,
        }
    }

    fn runs(&self) -> bool {
        !matches!(self.role, Role::Ended)
    }
}

/// One end of a link.
struct End {
    owner: usize,
    peer: LinkId,
    /// What is on its way here.
    coming: VecDeque<Coming>,
    /// How many frames have come here.
    received: u32,
    /// Its owner knows of it.
    is_known: bool,
}

enum Coming {
    Frame(Vec<u8>),
    Down,
}

/// A message that somebody makes up.
pub struct Message<'a> {
    pub kind: u8,
    pub flags: u8,
    /// Which of all lives that there were.
    pub life: u8,
    pub request: u64,
    pub body: &'a [u8],
}

/// What the user and the input do.
impl Tree {
    pub fn new(order: Order) -> Tree {
        let registry = Registry::linked().expect("the linked modules fit together");
        let config = ControllerConfig {
            token: TOKEN,
            own_secret: Secret::new(&[7; KEY_BYTES]),
            process: ProcessId { machine: Machine::default(), pid: pid_of(CONTROL) },
            transport: TRANSPORT,
            timeout: TIMEOUT,
            order,
            nodes_max: NODES_MAX,
            records: false,
            commands: registry.clone(),
        };
        // It is not the first moment that there is.
        let now = Time::ZERO + Duration::from_secs(100);
        let role = Role::Control(Box::new(Controller::new(now, config)));
        let control = Process { life: Life::CONTROL, parent: CONTROL, role };
        Tree {
            now,
            registry,
            nodes: vec![control],
            ends: BTreeMap::new(),
            starts_fail: false,
            typed: VecDeque::new(),
            is_all_typed: false,
            has_ended: false,
        }
    }

    /// Whether no process can be started from now on.
    pub fn let_starts_fail(&mut self, they_fail: bool) {
        self.starts_fail = they_fail;
    }

    /// Types a line, which is read when the console wants one.
    pub fn enter(&mut self, line: &[u8]) {
        self.typed.push_back(line.to_vec());
        self.read_lines();
    }

    /// Nothing more is typed.
    pub fn end_input(&mut self) {
        self.is_all_typed = true;
        self.read_lines();
    }

    pub fn tell_control(&mut self, input: Input<'_>) {
        self.tell(CONTROL, input);
    }

    /// Lets everything arrive that is on its way.
    pub fn settle(&mut self) {
        for _ in 0..EVENTS_MAX {
            let mut ends = self.ends.iter();
            let Some((link, _)) = ends.find(|(_, end)| !end.coming.is_empty()) else { return };
            self.arrive(*link);
        }
        panic!("the nodes do not come to rest");
    }

    /// Lets one thing arrive at an end.
    pub fn deliver(&mut self, end: u8) {
        if let Some(link) = self.end(end) {
            self.arrive(link);
        }
    }

    /// Lets time pass, with everything that is due in it.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.deadline().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.ring();
        }
        self.now = until;
        self.read_lines();
    }

    /// Has a frame arrive at an end behind all that is on its way there.
    pub fn inject(&mut self, end: u8, frame: &[u8]) {
        let frame = &frame[..frame.len().min(FRAME_BYTES_MAX)];
        if let Some(link) = self.end(end) {
            self.send(link, Coming::Frame(frame.to_vec()));
        }
    }

    /// As [`Tree::inject`], with a frame that is in order and has these messages.
    pub fn inject_messages(&mut self, end: u8, messages: &[Message<'_>]) {
        let Some(link) = self.end(end) else { return };
        let received = self.ends.get(&self.ends[&link].peer).map_or(0, |peer| peer.received);
        let mut frame = received.to_le_bytes().to_vec();
        for message in messages {
            let length = u32::try_from(18 + message.body.len()).expect("an input is not that long");
            let Life { node, incarnation } = self.life(message.life);
            let node = node.to_string().parse::<i32>().expect("it fits in one");
            frame.extend_from_slice(&length.to_le_bytes());
            frame.extend_from_slice(&[message.kind, message.flags]);
            frame.extend_from_slice(&node.to_le_bytes());
            frame.extend_from_slice(&incarnation.0.to_le_bytes());
            frame.extend_from_slice(&message.request.to_le_bytes());
            frame.extend_from_slice(message.body);
        }
        frame.truncate(FRAME_BYTES_MAX);
        self.send(link, Coming::Frame(frame));
    }

    /// Changes a byte of the next frame that comes to an end.
    pub fn corrupt(&mut self, end: u8, at: usize, by: u8) {
        if let Some(Coming::Frame(frame)) = self.coming(end).and_then(VecDeque::front_mut)
            && let Some(at) = at.checked_rem(frame.len())
        {
            frame[at] ^= by;
        }
    }

    /// Has the next frame that comes to an end come there once more.
    pub fn repeat(&mut self, end: u8) {
        if let Some(coming) = self.coming(end)
            && let Some(Coming::Frame(frame)) = coming.front()
        {
            coming.push_front(Coming::Frame(frame.clone()));
        }
    }

    /// Cuts a link.
    pub fn cut(&mut self, end: u8) {
        if let Some(link) = self.end(end) {
            self.hang_up(link);
        }
    }

    pub fn cut_all(&mut self) {
        for link in self.ends.keys().copied().collect::<Vec<_>>() {
            self.hang_up(link);
        }
    }

    /// Ends a node's process, unless it is the control node's.
    pub fn kill(&mut self, node: u8) {
        let node = usize::from(node) % self.nodes.len();
        if node != CONTROL {
            self.end_process(node, Exit::Signal(9));
        }
    }

    /// The control node has all the time that it wants, and ends.
    pub fn expect_end(&mut self) {
        let until = self.now + END_TIME;
        for _ in 0..END_STEPS_MAX {
            self.settle();
            self.read_lines();
            match self.deadline().filter(|next| *next <= until) {
                _ if self.has_ended => return,
                None => panic!("the control node waits for ever"),
                Some(next) => self.now = self.now.max(next),
            }
            self.ring();
        }
        panic!("the control node does not end");
    }

    fn read_lines(&mut self) {
        while let Role::Control(control) = &self.nodes[CONTROL].role
            && control.wants_line()
        {
            match self.typed.pop_front() {
                Some(line) => self.tell_control(Input::Line(&line)),
                None if self.is_all_typed => return self.tell_control(Input::EndOfInput),
                None => return,
            }
        }
    }

    fn end(&self, number: u8) -> Option<LinkId> {
        let at = usize::from(number).checked_rem(self.ends.len())?;
        self.ends.keys().nth(at).copied()
    }

    fn coming(&mut self, end: u8) -> Option<&mut VecDeque<Coming>> {
        let link = self.end(end)?;
        self.ends.get_mut(&link).map(|end| &mut end.coming)
    }

    fn life(&self, number: u8) -> Life {
        self.nodes[usize::from(number) % self.nodes.len()].life
    }
}

/// What happens to nodes.
impl Tree {
    /// Tells a node something, and does what it wants done.
    fn tell(&mut self, node: usize, input: Input<'_>) {
        let mut out = Vec::new();
        if let Some(its) = self.nodes[node].node() {
            its.handle(self.now, input, &mut out);
            its.flush(self.now, &mut out);
        }
        for output in out {
            self.carry_out(node, output);
        }
    }

    /// Tells everybody whose deadline has come.
    fn ring(&mut self) {
        for node in 0..self.nodes.len() {
            let mut times = 0;
            while self.is_due(node) {
                self.tell(node, Input::Timeout);
                times += 1;
                assert!(times < ALARMS_AT_ONCE_MAX, "node {node} does not move its deadline on");
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.nodes.iter().filter_map(Process::deadline).min()
    }

    fn is_due(&self, node: usize) -> bool {
        self.nodes[node].deadline().is_some_and(|deadline| deadline <= self.now)
    }

    fn arrive(&mut self, link: LinkId) {
        let Some(end) = self.ends.get_mut(&link) else { return };
        let Some(coming) = end.coming.pop_front() else { return };
        let (owner, is_news) = (end.owner, !std::mem::replace(&mut end.is_known, true));
        match coming {
            Coming::Frame(frame) => {
                end.received = end.received.wrapping_add(1);
                if is_news {
                    self.tell(owner, Input::Up(link));
                }
                self.tell(owner, Input::Frame(link, &frame));
            }
            Coming::Down => {
                self.ends.remove(&link);
                if !is_news {
                    self.tell(owner, Input::Down(link));
                }
            }
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        match output {
            Output::Send(link, frame) => {
                assert!((4..=FRAME_BYTES_MAX).contains(&frame.len()), "a frame no transport takes");
                if let Some(end) = self.ends.get(&link) {
                    self.send(end.peer, Coming::Frame(frame));
                }
            }
            Output::Close(link) => {
                if let Some(end) = self.ends.remove(&link) {
                    self.send(end.peer, Coming::Down);
                }
            }
            Output::Connect(number, Address(to)) => {
                let (near, far) = self.connect(node, to.parse().unwrap_or(usize::MAX));
                self.tell(node, Input::Connecting(number, near));
                match far {
                    Some(_) => self.tell(node, Input::Up(near)),
                    None => self.send(near, Coming::Down),
                }
            }
            Output::Spawn(birth, _) => self.spawn(node, birth),
            Output::Kill(life) => self.kill_life(life),
            Output::Inspect(link, _) => {
                self.tell(node, Input::Inspected(link, Inspection::default()));
            }
            // A file may be asked for, and nobody knows which.
            Output::Offload(job) => self.job_done(node, job.call(), job.kind()),
            Output::Print(text) => {
                let text = String::from_utf8(text).expect("what is printed is UTF-8");
                assert!(text.ends_with('\n'), "a line without its end: {text:?}");
            }
            Output::Adopt(..) | Output::Record(_) => {}
            Output::Exit if node == CONTROL => self.has_ended = true,
            Output::Exit => self.end_process(node, Exit::Status(0)),
        }
    }

    fn job_done(&mut self, node: usize, call: RequestId, kind: JobKind) {
        self.tell(node, Input::JobDone(call, kind, Err(Failure::from("it is not done here"))));
    }

    fn spawn(&mut self, parent: usize, birth: Birth) {
        if self.starts_fail || self.nodes.len() > PROCESSES_MAX {
            return self.tell(parent, Input::SpawnFailed(birth.life, "no more processes"));
        }
        let (life, node) = (birth.life, self.nodes.len());
        self.nodes.push(Process { life, parent, role: Role::Ended });
        let (near, _) = self.connect(node, parent);
        let config = WorkerConfig {
            birth,
            token: TOKEN,
            process: ProcessId { machine: Machine::default(), pid: pid_of(node) },
            parent: near,
            parent_address: Address(parent.to_string()),
            transport: TRANSPORT,
            timeout: TIMEOUT,
            commands: self.registry.clone(),
        };
        self.nodes[node].role = Role::Worker(Box::new(Worker::new(self.now, config)));
        self.tell(node, Input::Up(near));
    }

    fn kill_life(&mut self, life: Life) {
        if let Some(node) = self.nodes.iter().position(|process| process.life == life) {
            self.end_process(node, Exit::Signal(9));
        }
    }

    fn end_process(&mut self, node: usize, exit: Exit) {
        if !self.nodes[node].runs() {
            return;
        }
        self.nodes[node].role = Role::Ended;
        let of_node = |(link, end): (&LinkId, &End)| (end.owner == node).then_some(*link);
        for link in self.ends.iter().filter_map(of_node).collect::<Vec<_>>() {
            if let Some(end) = self.ends.remove(&link) {
                self.send(end.peer, Coming::Down);
            }
        }
        let Process { life, parent, .. } = self.nodes[node];
        if self.nodes[parent].runs() {
            self.tell(parent, Input::ChildExited(life, exit, None));
        } else {
            self.tell_control(Input::OrphanExited(pid_of(node), exit));
        }
    }
}

/// Links.
impl Tree {
    /// The two ends of a new link, the second when there is somebody.
    fn connect(&mut self, from: usize, to: usize) -> (LinkId, Option<LinkId>) {
        let next = self.ends.last_key_value().map_or(1, |(link, _)| link.0 + 1);
        let (near, far) = (LinkId(next), LinkId(next + 1));
        let end = |owner, peer, is_known| End {
            owner,
            peer,
            coming: VecDeque::new(),
            received: 0,
            is_known,
        };
        self.ends.insert(near, end(from, far, true));
        let listens = self.nodes.get(to).is_some_and(Process::runs);
        if listens {
            self.ends.insert(far, end(to, near, false));
        }
        (near, listens.then_some(far))
    }

    fn send(&mut self, link: LinkId, coming: Coming) {
        if let Some(end) = self.ends.get_mut(&link) {
            end.coming.push_back(coming);
        }
    }

    /// Both ends are told that a link is gone, after what is on its way.
    fn hang_up(&mut self, link: LinkId) {
        let Some(peer) = self.ends.get(&link).map(|end| end.peer) else { return };
        self.send(link, Coming::Down);
        self.send(peer, Coming::Down);
    }
}

fn pid_of(node: usize) -> u32 {
    1_000 + u32::try_from(node).expect("there are few")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or else nothing of a node would ever be reached.
    #[test]
    fn nodes_join_find_another_parent_and_end() {
        let mut tree = Tree::new(Order::Input);
        for line in ["create 1", "create 2 1", "heartbeat 10"] {
            tree.enter(line.as_bytes());
            tree.settle();
        }
        let has_joined = |process: &Process| match &process.role {
            Role::Worker(worker) => worker.has_joined(),
            _ => false,
        };
        assert_eq!(tree.nodes.iter().filter(|process| has_joined(process)).count(), 2);
        tree.kill(1);
        tree.settle();
        let links: Vec<_> = tree.ends.values().map(|end| end.owner).collect();
        assert_eq!(links, [2, CONTROL]);
        tree.end_input();
        tree.expect_end();
        assert!(!tree.nodes[2].runs());
    }
}
