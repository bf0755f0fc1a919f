//! A network in memory, with virtual time, for the tests of whole trees: it drives the very nodes
//! that a driver drives, with processes that can be killed, stopped and continued.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::earliest;
use crate::{
    Address, Birth, Controller, ControllerConfig, Exit, Failure, Incarnation, Input, Inspection,
    KEY_BYTES, Life, LinkId, Node, NodeId, Order, Output, Registry, RequestId, Secret, Time, Token,
    Worker, WorkerConfig,
};

/// How long a frame, or the news of an end, is under way.
const LATENCY: Duration = Duration::from_micros(100);

/// How long a process takes from its start to its first deed.
const START: Duration = Duration::from_millis(2);

/// The deadline of a request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a job takes.
const JOB: Duration = Duration::from_millis(10);

/// How long a condition may take to come about.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who a process is; the control node has no life.
type Who = Option<Life>;

/// A tree with its console.
pub(crate) struct Network {
    pub now: Time,
    pub controller: Controller,
    token: Token,
    commands: Registry,
    processes: BTreeMap<Who, Process>,
    /// The two ends of a link know each other.
    ends: BTreeMap<LinkId, End>,
    agenda: BTreeMap<(Time, u64), (Who, Event)>,
    count: u64,
    unread: Vec<String>,
    /// How many frames were sent to each process.
    pub frames: BTreeMap<Who, usize>,
    /// The nodes that were ended by their parents.
    pub killed: Vec<u32>,
    pub ended: bool,
}

struct Process {
    /// The control node's is elsewhere.
    worker: Option<Worker>,
    parent: Who,
    stopped: bool,
    /// What came while it was stopped.
    held: Vec<Event>,
}

#[derive(Clone, Copy)]
struct End {
    owner: Who,
    peer: LinkId,
}

#[derive(Debug)]
enum Event {
    Start(Birth),
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
    ChildExited(Life, Exit),
    JobDone(RequestId, Result<String, Failure>),
}

impl Network {
    pub fn new(commands: Registry, order: Order) -> Network {
        Network::limited(commands, order, usize::MAX)
    }

    /// One of at most this many nodes.
    pub fn limited(commands: Registry, order: Order, nodes_max: usize) -> Network {
        let token = Token([7; 16]);
        let now = Time::ZERO + Duration::from_secs(1);
        let controller = Controller::new(
            now,
            ControllerConfig {
                token,
                own_secret: Secret::new(&[7; KEY_BYTES]),
                pid: 1,
                transport: "network",
                timeout: TIMEOUT,
                order,
                nodes_max,
                commands: commands.clone(),
            },
        );
        let control = Process { worker: None, parent: None, stopped: false, held: Vec::new() };
        Network {
            now,
            controller,
            token,
            commands,
            processes: BTreeMap::from([(None, control)]),
            ends: BTreeMap::new(),
            agenda: BTreeMap::new(),
            count: 0,
            unread: Vec::new(),
            frames: BTreeMap::new(),
            killed: Vec::new(),
            ended: false,
        }
    }

    /// Types lines, each as soon as the console reads on.
    pub fn enter(&mut self, lines: &str) {
        for line in lines.lines() {
            self.run_until(|network| network.controller.wants_line());
            self.feed(None, Input::Line(line.as_bytes()));
        }
    }

    /// Types lines in one turn until the console does not read on, and says how many of them.
    pub fn enter_in_one_turn(&mut self, lines: &str) -> usize {
        let (mut lines, mut outputs) = (lines.lines(), Vec::new());
        let mut count = 0;
        while self.controller.wants_line()
            && let Some(line) = lines.next()
        {
            let input = Input::Line(line.as_bytes());
            self.controller.handle(self.now, input, &mut outputs);
            count += 1;
        }
        self.controller.flush(self.now, &mut outputs);
        outputs.into_iter().for_each(|output| self.carry_out(None, output));
        count
    }

    /// What is printed for these lines when there is nothing more to wait for.
    pub fn replies(&mut self, lines: &str) -> Vec<String> {
        self.unread.clear();
        self.enter(lines);
        self.enter("wait");
        self.run_until(|network| network.controller.wants_line());
        self.printed()
    }

    /// What was printed since the last call.
    pub fn printed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unread)
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    pub fn run_until(&mut self, condition: impl Fn(&Network) -> bool) {
        let end = self.now + PATIENCE;
        while !condition(self) {
            assert!(self.step(end), "it does not come about: {:?}", self.unread);
        }
    }

    /// Ends the input, and waits for the end of the control node.
    pub fn finish(&mut self) {
        self.feed(None, Input::EndOfInput);
        self.run_until(|network| network.ended);
    }

    /// The life of a node that has a process.
    pub fn life(&self, id: u32) -> Life {
        let node = NodeId::compute(id).unwrap();
        let lives = self.processes.keys().flatten().filter(|life| life.node == node);
        *lives.max().unwrap_or_else(|| panic!("node {id} has no process"))
    }

    /// Every node that has a process.
    pub fn alive(&self) -> BTreeSet<u32> {
        self.processes.keys().flatten().map(|life| life.node.to_wire()).collect()
    }

    /// Ends a process as kill -9 does.
    pub fn kill(&mut self, life: Life) {
        self.end(life, Exit::Signal(9));
    }

    pub fn stop(&mut self, who: Who) {
        self.processes.get_mut(&who).expect("it runs").stopped = true;
    }

    pub fn go_on(&mut self, who: Who) {
        let process = self.processes.get_mut(&who).expect("it is there");
        process.stopped = false;
        for event in std::mem::take(&mut process.held) {
            self.plan(Duration::ZERO, who, event);
        }
    }

    /// Breaks the link between two processes, and leaves both alive.
    pub fn cut(&mut self, one: Who, other: Who) {
        let ends: Vec<_> = self.ends.iter().map(|(link, end)| (*link, *end)).collect();
        for (link, End { owner, peer }) in ends {
            let Some(far) = self.ends.get(&peer).copied() else { continue };
            if owner == one && far.owner == other {
                self.plan(Duration::ZERO, owner, Event::Down(link));
                self.plan(Duration::ZERO, far.owner, Event::Down(peer));
            }
        }
    }

    /// A peer connects to the control node, and sends a frame.
    pub fn intrude(&mut self, frame: &[u8]) -> LinkId {
        let (link, _) = self.connect(None, None);
        self.plan(Duration::ZERO, None, Event::Up(link));
        self.plan(Duration::ZERO, None, Event::Frame(link, frame.to_vec()));
        link
    }

    pub fn is_open(&self, link: LinkId) -> bool {
        self.ends.contains_key(&link)
    }

    /// Does what is next, if that is before `end`.
    fn step(&mut self, end: Time) -> bool {
        let event = self.agenda.keys().next().copied();
        let running = self.processes.iter().filter(|(_, process)| !process.stopped);
        let alarm = running.filter_map(|(who, _)| Some((self.deadline(*who)?, *who))).min();
        let next = earliest(event.map(|(time, _)| time), alarm.map(|(time, _)| time));
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        match (event, alarm) {
            (Some(key), _) if key.0 <= next => {
                let (who, event) = self.agenda.remove(&key).expect("it was there");
                self.happen(who, event);
            }
            (_, Some((_, who))) => self.feed(who, Input::Timeout),
            _ => unreachable!("something was next"),
        }
        true
    }

    fn deadline(&self, who: Who) -> Option<Time> {
        match &self.processes.get(&who)?.worker {
            Some(worker) => worker.deadline(),
            None if who.is_none() => self.controller.deadline(),
            None => None,
        }
    }

    fn happen(&mut self, who: Who, event: Event) {
        let Some(process) = self.processes.get_mut(&who) else { return };
        if process.stopped {
            return process.held.push(event);
        }
        match event {
            Event::Start(birth) => self.start(birth),
            Event::Up(link) => self.feed(who, Input::Up(link)),
            Event::Frame(link, frame) if self.ends.contains_key(&link) => {
                *self.frames.entry(who).or_default() += 1;
                self.feed(who, Input::Frame(link, &frame));
            }
            Event::Down(link) if self.ends.remove(&link).is_some() => {
                self.feed(who, Input::Down(link));
            }
            Event::Frame(..) | Event::Down(_) => {}
            Event::ChildExited(life, exit) => {
                self.feed(who, Input::ChildExited(life, exit, None));
            }
            Event::JobDone(call, outcome) => self.feed(who, Input::JobDone(call, outcome)),
        }
    }

    /// One turn of a node: an input, and what follows from it.
    fn feed(&mut self, who: Who, input: Input<'_>) {
        let Some(process) = self.processes.get_mut(&who) else { return };
        let mut outputs = Vec::new();
        let node: &mut dyn Node = match &mut process.worker {
            Some(worker) => worker,
            None if who.is_none() => &mut self.controller,
            None => return,
        };
        node.handle(self.now, input, &mut outputs);
        node.flush(self.now, &mut outputs);
        for output in outputs {
            self.carry_out(who, output);
        }
    }

    fn carry_out(&mut self, who: Who, output: Output) {
        match output {
            Output::Send(link, frame) => {
                assert!(frame.len() <= crate::FRAME_BYTES_MAX);
                if let Some(End { peer, .. }) = self.ends.get(&link).copied()
                    && let Some(End { owner, .. }) = self.ends.get(&peer).copied()
                {
                    self.plan(LATENCY, owner, Event::Frame(peer, frame));
                }
            }
            Output::Close(link) => self.close(link),
            Output::Connect(number, address) => {
                let to = Network::who(&address);
                let (far, near) = self.connect(to, who);
                self.feed(who, Input::Connecting(number, near));
                if self.processes.contains_key(&to) {
                    self.plan(LATENCY, who, Event::Up(near));
                    self.plan(LATENCY, to, Event::Up(far));
                } else {
                    self.plan(LATENCY, who, Event::Down(near));
                }
            }
            Output::Adopt(life, pid) => {
                assert_eq!(pid, 1_000 + life.node.to_wire());
                assert!(self.processes.contains_key(&Some(life)));
            }
            Output::Inspect(link, _) => {
                self.feed(who, Input::Inspected(link, Inspection::default()));
            }
            Output::Spawn(birth, _) => {
                let life = birth.life;
                let process =
                    Process { worker: None, parent: who, stopped: false, held: Vec::new() };
                self.processes.insert(Some(life), process);
                self.plan(START, Some(life), Event::Start(birth));
            }
            Output::Kill(life) => {
                self.killed.push(life.node.to_wire());
                self.end(life, Exit::Signal(9));
            }
            Output::Offload(job) => {
                let call = job.call();
                self.plan(JOB, who, Event::JobDone(call, job.run(|| ())));
            }
            Output::Print(text) => {
                let text = String::from_utf8(text).expect("it is UTF-8");
                assert!(text.ends_with('\n'));
                self.unread.extend(text.lines().map(str::to_owned));
            }
            Output::Exit => match who {
                Some(life) => self.end(life, Exit::Status(0)),
                None => {
                    self.ended = true;
                    // Everybody sees the lifeline break.
                    self.processes.retain(|who, _| who.is_none());
                    self.ends.clear();
                }
            },
        }
    }

    fn start(&mut self, birth: Birth) {
        let life = birth.life;
        let parent = self.processes[&Some(life)].parent;
        let (parents, own) = self.connect(parent, Some(life));
        let config = WorkerConfig {
            birth,
            token: self.token,
            pid: 1_000 + life.node.to_wire(),
            parent: own,
            parent_address: Network::address(parent),
            transport: "network",
            timeout: TIMEOUT,
            commands: self.commands.clone(),
        };
        let process = self.processes.get_mut(&Some(life)).expect("it is there");
        process.worker = Some(Worker::new(self.now, config));
        if self.processes.contains_key(&parent) {
            self.plan(Duration::ZERO, Some(life), Event::Up(own));
            self.plan(LATENCY, parent, Event::Up(parents));
        } else {
            self.plan(Duration::ZERO, Some(life), Event::Down(own));
        }
    }

    /// Where a process listens.
    fn address(who: Who) -> Address {
        let Life { node, incarnation } = who.unwrap_or(Life::CONTROL);
        Address(format!("{} {}", node.to_wire(), incarnation.0))
    }

    fn who(address: &Address) -> Who {
        let (node, incarnation) = address.0.split_once(' ').expect("it is one of ours");
        let incarnation = Incarnation(incarnation.parse().expect("it is one of ours"));
        let node = NodeId::from_wire(node.parse().expect("it is one of ours"));
        Some(Life { node, incarnation }).filter(|life| *life != Life::CONTROL)
    }

    fn connect(&mut self, one: Who, other: Who) -> (LinkId, LinkId) {
        self.count += 2;
        let ids = (LinkId(self.count), LinkId(self.count + 1));
        self.ends.insert(ids.0, End { owner: one, peer: ids.1 });
        self.ends.insert(ids.1, End { owner: other, peer: ids.0 });
        ids
    }

    fn close(&mut self, link: LinkId) {
        if let Some(End { peer, .. }) = self.ends.remove(&link)
            && let Some(End { owner, .. }) = self.ends.get(&peer).copied()
        {
            self.plan(LATENCY, owner, Event::Down(peer));
        }
    }

    fn end(&mut self, life: Life, exit: Exit) {
        let Some(process) = self.processes.remove(&Some(life)) else { return };
        let owned = self.ends.iter().filter(|(_, end)| end.owner == Some(life));
        for link in owned.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.close(link);
        }
        self.plan(LATENCY, process.parent, Event::ChildExited(life, exit));
    }

    fn plan(&mut self, after: Duration, who: Who, event: Event) {
        self.count += 1;
        self.agenda.insert((self.now + after, self.count), (who, event));
    }
}

/// A life that nobody has had.
pub(crate) fn stranger(id: u32) -> Life {
    Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(u32::MAX) }
}
