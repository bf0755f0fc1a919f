//! The virtual machine: the real nodes, and everything around them that a driver and a transport
//! would be, under a virtual clock. It serves a node as `bin/host/src/driver.rs` does.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use hoptree_core::{
    Activity, Address, Birth, Controller, ControllerConfig, Exit, Failure, Input, Inspection,
    KEY_BYTES, Life, LinkId, NodeId, Order, Output, Registry, RequestId, Secret, Time, Token,
    Worker, WorkerConfig,
};

use crate::checks::Checks;
use crate::complaints;
use crate::digest;
use crate::frame::{self, Header};
use crate::link::Ends;
use crate::probe;
use crate::process::{CONTROL, Pid, Process, Role, public};
use crate::random::Random;
use crate::trace::{self, note};
use crate::watchdog;

/// Virtual time in nanoseconds.
pub type Moment = u64;

pub const MICROSECOND: Moment = 1_000;
pub const MS: Moment = 1_000 * MICROSECOND;

/// The deadline of a request.
pub const TIMEOUT: Duration = Duration::from_millis(1_000);

/// How many lines the console takes in at a time.
const LINES_PER_TURN_MAX: usize = 64;

/// How often a node may have a deadline at one and the same moment before it is held to spin.
const ALARMS_AT_ONCE_MAX: u32 = 1_000;

/// How many requests are remembered, for whoever wants to answer them.
const REQUESTS_REMEMBERED: usize = 64;

/// How many events there may be at one moment.
const EVENTS_AT_ONCE_MAX: u32 = 200_000;

/// What happens to a process, or to the network.
#[derive(Debug)]
pub enum Event {
    /// A process begins.
    Start(Birth),
    /// A connection has come about.
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
    ChildExited(Life, Exit),
    OrphanExited(u32, Exit),
    SpawnFailed(Life),
    JobDone(RequestId, Result<String, Failure>),
    Alarm,
    /// A compromised process has time to lie.
    Lie,
    /// There is a reason less for the process not to run.
    GoOn,
    /// Others get the processor, and later the process does.
    Preempt,
    Schedule,
    /// A partition is over.
    Heal,
    /// The user reads on.
    Read,
}

struct Planned {
    at: Moment,
    number: u64,
    pid: Pid,
    event: Event,
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        self.number == other.number
    }
}

impl Eq for Planned {}

pub struct Network {
    pub now: Moment,
    pub processes: Vec<Process>,
    /// The nodes whose processes run or are stopped, in no particular order.
    pub living: Vec<Pid>,
    pub random: Random,
    pub checks: Checks,
    /// What was typed and not read.
    pub typed: VecDeque<String>,
    pub ends: Ends,
    /// How many events there were.
    pub events: u64,
    /// How many of them were at the present moment.
    still: u32,
    /// How many starts of a process out of a hundred fail.
    pub failing_starts: u64,
    /// How many processes out of a hundred are held when they end, as by a debugger.
    pub held_ends: u64,
    by_life: HashMap<Life, Pid>,
    agenda: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    registry: Registry,
    is_parted: bool,
    is_output_blocked: bool,
    /// The ends at which something waits for the end of the partition.
    parted: Vec<LinkId>,
    /// For whom alarms were rung last, when, and how often.
    alarms: (Pid, Moment, u32),
    spare: Vec<Output>,
    /// The requests that were sent last.
    pub requests: VecDeque<u64>,
    /// The lives that the control node has wanted others to start.
    wanted: HashSet<Life>,
}

impl Network {
    pub fn new(seed: u64, registry: Registry) -> Network {
        let mut network = Network {
            now: 0,
            processes: Vec::new(),
            living: Vec::new(),
            random: Random::new(seed),
            checks: Checks::default(),
            typed: VecDeque::new(),
            ends: Ends::default(),
            events: 0,
            still: 0,
            failing_starts: 0,
            held_ends: 0,
            by_life: HashMap::new(),
            agenda: BinaryHeap::new(),
            planned: 0,
            registry,
            is_parted: false,
            is_output_blocked: false,
            parted: Vec::new(),
            alarms: (CONTROL, 0, 0),
            spare: Vec::new(),
            requests: VecDeque::new(),
            wanted: HashSet::new(),
        };
        let config = ControllerConfig {
            token: TOKEN,
            own_secret: Secret::new(&[7; KEY_BYTES]),
            pid: public(CONTROL),
            transport: "simulated",
            timeout: TIMEOUT,
            order: Order::Input,
            nodes_max: usize::MAX,
            commands: network.registry.clone(),
        };
        let role = Role::Control(Box::new(Controller::new(Time::ZERO, config)));
        network.processes.push(Process::new(Life::CONTROL, role, CONTROL, 0));
        network
    }

    /// Lets everything happen until a moment, unless a check fails before.
    pub fn run_until(&mut self, end: Moment) {
        while self.checks.hold()
            && let Some(Reverse(next)) = self.agenda.peek()
            && next.at <= end
        {
            let Some(Reverse(Planned { at, pid, event, .. })) = self.agenda.pop() else { return };
            self.still = if at == self.now { self.still + 1 } else { 0 };
            if self.still > EVENTS_AT_ONCE_MAX {
                let name = name(&self.processes[pid]);
                return self.checks.fail(format!("time stands still, last with {name}: {event:?}"));
            }
            self.now = at;
            self.events += 1;
            watchdog::event();
            digest::add(format_args!("{at} {pid} {event:?}\n"));
            self.happen(pid, event);
            if let Some(violation) = probe::take_violation() {
                self.checks.fail(violation);
            }
        }
        self.now = self.now.max(end);
        self.checks.now = self.now;
    }

    pub fn run_for(&mut self, time: Moment) {
        self.run_until(self.now + time);
    }

    /// Types a line.
    pub fn enter(&mut self, line: String) {
        self.typed.push_back(line);
        self.turn(CONTROL, None);
    }

    /// The user has nothing more to say.
    pub fn end_input(&mut self) {
        self.tell_control(Input::EndOfInput);
    }

    /// The user wants the tree to end at once.
    pub fn interrupt(&mut self) {
        self.tell_control(Input::Interrupt);
    }

    /// The user reads no more of what is printed, or reads on.
    pub fn block_output(&mut self, is_blocked: bool) {
        note!(self.now, "the user reads: {}", !is_blocked);
        if self.is_alive(CONTROL) {
            self.is_output_blocked = is_blocked;
            self.tell_control(Input::OutputBlocked(is_blocked));
            // What was typed meanwhile is read now.
            self.turn(CONTROL, None);
        }
    }

    fn tell_control(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.feed(CONTROL, input, &mut outputs);
        self.carry_out_all(CONTROL, &mut outputs);
        self.set_alarm(CONTROL);
    }

    pub fn has_process(&self, node: NodeId) -> bool {
        let living = self.living.iter().map(|pid| &self.processes[*pid]);
        living.filter(|process| !process.is_impostor).any(|process| process.life.node == node)
    }

    pub fn is_alive(&self, pid: Pid) -> bool {
        self.processes[pid].is_alive()
    }

    fn happen(&mut self, pid: Pid, event: Event) {
        match event {
            Event::Heal => return self.heal(),
            Event::Read if self.processes[pid].stops > 0 => {
                return self.plan_in(MS, pid, Event::Read);
            }
            Event::Read => return self.block_output(false),
            Event::GoOn => return self.go_on(pid),
            Event::Preempt => return self.preempt(pid),
            Event::Schedule => return self.schedule(pid),
            _ if !self.is_alive(pid) => return,
            Event::Alarm => return self.alarm(pid),
            _ => {}
        }
        if let Event::Frame(link, _) | Event::Down(link) | Event::Up(link) = event
            && self.is_across(link)
        {
            let end = self.ends.end_mut(link);
            if end.held.is_empty() {
                self.parted.push(link);
            }
            return end.held.push_back(event);
        }
        if self.processes[pid].stops > 0 {
            return self.processes[pid].held.push(event);
        }
        self.turn(pid, Some(event));
    }

    /// Whether a link goes from one side of a partition to the other.
    fn is_across(&self, link: LinkId) -> bool {
        let side = |pid: Pid| self.processes[pid].side;
        self.is_parted && side(self.ends.end(link).owner) != side(self.ends.peer_of(link).owner)
    }
}

pub const TOKEN: Token = Token([7; 16]);

/// Turns of processes.
impl Network {
    /// One turn of a process: what happened to it, and what follows from that.
    fn turn(&mut self, pid: Pid, events: impl IntoIterator<Item = Event>) {
        self.checks.now = self.now;
        if !self.is_alive(pid) || self.processes[pid].stops > 0 {
            return;
        }
        if pid == CONTROL {
            self.checks.turn_begins();
        }
        let mut outputs = std::mem::take(&mut self.spare);
        for event in events {
            self.tell(pid, event, &mut outputs);
        }
        let time = self.time_of(pid);
        let process = &mut self.processes[pid];
        if process.node().and_then(|node| node.deadline()).is_some_and(|deadline| deadline <= time)
        {
            note!(self.now, "{} has a timeout", name(process));
            self.feed(pid, Input::Timeout, &mut outputs);
        }
        self.read_lines(pid, &mut outputs);
        self.carry_out_all(pid, &mut outputs);
        while pid == CONTROL && self.read_lines(pid, &mut outputs) {
            self.carry_out_all(pid, &mut outputs);
        }
        self.spare = outputs;
        self.set_alarm(pid);
        for complaint in complaints::take() {
            self.complains(pid, complaint);
        }
        if self.checks.is_at_peace {
            self.check_holdings(pid);
        }
    }

    fn time_of(&self, pid: Pid) -> Time {
        Time::ZERO + Duration::from_nanos(self.now - self.processes[pid].started)
    }

    fn feed(&mut self, pid: Pid, input: Input<'_>, outputs: &mut Vec<Output>) {
        let time = self.time_of(pid);
        if let Some(node) = self.processes[pid].node() {
            node.handle(time, input, outputs);
        }
    }

    /// Tells a process one thing that has happened.
    fn tell(&mut self, pid: Pid, event: Event, outputs: &mut Vec<Output>) {
        if self.is_hidden(pid, &event) {
            return self.conspire(pid, event);
        }
        if trace::is_on() {
            let name = name(&self.processes[pid]);
            match &event {
                Event::Frame(link, frame) => {
                    let from = &self.processes[self.ends.peer_of(*link).owner];
                    let words = frame::in_words(frame);
                    note!(self.now, "{name} gets from {} on {link:?}: {words}", self::name(from));
                }
                Event::Up(link) | Event::Down(link) => {
                    let from = &self.processes[self.ends.peer_of(*link).owner];
                    note!(self.now, "{name} is told {event:?}, of {}", self::name(from));
                }
                _ => note!(self.now, "{name} is told {event:?}"),
            }
        }
        match event {
            Event::Start(birth) => self.start(pid, birth),
            Event::Up(link) if self.ends.end(link).is_open => {
                self.ends.end_mut(link).is_known = true;
                self.feed(pid, Input::Up(link), outputs);
            }
            Event::Frame(link, frame) => self.deliver(pid, link, &frame, outputs),
            Event::Down(link) => self.break_off(pid, link, outputs),
            Event::ChildExited(life, exit) => {
                self.feed(pid, Input::ChildExited(life, exit, None), outputs);
            }
            Event::OrphanExited(public, exit) => {
                self.feed(pid, Input::OrphanExited(public, exit), outputs);
            }
            Event::SpawnFailed(life) => {
                self.feed(pid, Input::SpawnFailed(life, "no more processes"), outputs);
            }
            Event::JobDone(call, outcome) => {
                self.feed(pid, Input::JobDone(call, outcome), outputs);
            }
            Event::Up(_) | Event::Alarm | Event::Heal | Event::Read | Event::Lie => {}
            Event::GoOn | Event::Preempt | Event::Schedule => {}
        }
    }

    fn deliver(&mut self, pid: Pid, link: LinkId, frame: &[u8], outputs: &mut Vec<Output>) {
        let end = self.ends.end_mut(link);
        if !end.is_open || end.is_broken {
            return;
        }
        let is_right = end.receives(frame);
        let sender = self.ends.peer_of(link).owner;
        let is_trusted = !self.is_suspect(sender) && !self.is_suspect(pid);
        if is_trusted && !is_right {
            self.checks.fail(format!("{link:?}: more is acknowledged than was sent"));
        }
        if let Some(liar) = &mut self.processes[pid].liar {
            liar.see(frame);
        }
        let sender = self.processes[sender].life.node;
        for header in frame::headers(frame) {
            if pid == CONTROL && is_trusted {
                self.checks.heard(sender, &header);
            }
            if header.begins_answer() {
                self.checks.brought(pid, &header);
            }
        }
        if !std::mem::replace(&mut self.ends.end_mut(link).is_known, true) {
            self.feed(pid, Input::Up(link), outputs);
        }
        self.feed(pid, Input::Frame(link, frame), outputs);
    }

    fn break_off(&mut self, pid: Pid, link: LinkId, outputs: &mut Vec<Output>) {
        let end = self.ends.end_mut(link);
        if std::mem::replace(&mut end.is_open, false) {
            let is_known = end.is_known;
            self.processes[pid].links.retain(|other| *other != link);
            if is_known {
                self.feed(pid, Input::Down(link), outputs);
            }
        }
    }

    /// Feeds the control node with what was typed; says whether there was anything.
    fn read_lines(&mut self, pid: Pid, outputs: &mut Vec<Output>) -> bool {
        let mut count = 0;
        while count < LINES_PER_TURN_MAX
            && let Role::Control(controller) = &self.processes[pid].role
            && !self.is_output_blocked
            && controller.wants_line()
            && let Some(line) = self.typed.pop_front()
        {
            note!(self.now, "the user enters: {}", trace::cut(&line));
            self.checks.entered(&line);
            self.feed(pid, Input::Line(line.as_bytes()), outputs);
            count += 1;
        }
        count > 0
    }

    fn set_alarm(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        let started = process.started;
        let deadline = process.node().and_then(|node| node.deadline());
        process.deadline = deadline.map_or(Moment::MAX, |deadline| {
            started.saturating_add(deadline.since(Time::ZERO).as_nanos() as Moment)
        });
        let at = process.deadline.max(self.now).saturating_add(process.lateness);
        if at < process.alarm {
            process.alarm = at;
            self.plan(at, pid, Event::Alarm);
        }
    }

    fn alarm(&mut self, pid: Pid) {
        let now = self.now;
        let process = &mut self.processes[pid];
        if process.alarm != now {
            // It was planned for a deadline that was put forward since.
            return;
        }
        process.alarm = Moment::MAX;
        if process.stops > 0 {
            return;
        }
        if process.deadline > now {
            return self.set_alarm(pid);
        }
        let (last, at, count) = self.alarms;
        self.alarms = (pid, now, if (last, at) == (pid, now) { count + 1 } else { 0 });
        if self.alarms.2 > ALARMS_AT_ONCE_MAX {
            let name = name(&self.processes[pid]);
            return self.checks.fail(format!("{name} does not move its deadline on"));
        }
        self.turn(pid, None);
    }

    /// Plans something, at a moment that has not passed.
    pub fn plan(&mut self, at: Moment, pid: Pid, event: Event) {
        self.planned += 1;
        self.agenda.push(Reverse(Planned { at, number: self.planned, pid, event }));
    }

    /// Plans something in a while.
    pub fn plan_in(&mut self, time: Moment, pid: Pid, event: Event) {
        self.plan(self.now + time, pid, event);
    }
}

/// What nodes want done.
impl Network {
    fn carry_out_all(&mut self, pid: Pid, outputs: &mut Vec<Output>) {
        loop {
            let time = self.time_of(pid);
            let Some(node) = self.processes[pid].node() else { return outputs.clear() };
            node.flush(time, outputs);
            let mut fed = false;
            for output in std::mem::take(outputs) {
                fed |= self.carry_out(pid, output, outputs);
                if !self.is_alive(pid) {
                    return outputs.clear();
                }
            }
            if !fed {
                return;
            }
        }
    }

    /// Does what a node wants done; says whether the node was told something at once.
    fn carry_out(&mut self, pid: Pid, output: Output, outputs: &mut Vec<Output>) -> bool {
        match output {
            Output::Send(link, frame) => self.send(link, frame),
            Output::Close(link) => {
                note!(self.now, "{} closes {link:?}", name(&self.processes[pid]));
                self.processes[pid].links.retain(|other| *other != link);
                self.close(link);
            }
            Output::Connect(number, address) => {
                let link = self.connect(pid, &address);
                self.feed(pid, Input::Connecting(number, link), outputs);
                return true;
            }
            Output::Adopt(life, told) => {
                let right = self.by_life.get(&life).copied();
                if right.map(public) == Some(told) {
                    self.processes[pid].adopted.push(life);
                } else if !self.is_suspect(pid) && right.is_none_or(|it| !self.is_suspect(it)) {
                    self.checks.fail(format!("{life} is adopted with the wrong process {told}"));
                }
            }
            Output::Inspect(link, told) => {
                let seen = self.inspect(link, told);
                self.feed(pid, Input::Inspected(link, seen), outputs);
                return true;
            }
            Output::Spawn(birth, _) => self.spawn(pid, birth),
            Output::Kill(life) => self.kill_for(pid, life),
            Output::Offload(job) => {
                let call = job.call();
                let outcome = job.run(|| ());
                let time = self.random.between(MS, 20 * MS);
                self.plan_in(time, pid, Event::JobDone(call, outcome));
            }
            Output::Print(text) => {
                let text = String::from_utf8(text).expect("what is printed is UTF-8");
                digest::add(format_args!("{text}"));
                for line in text.lines() {
                    note!(self.now, "the console prints: {}", trace::cut(line));
                    self.checks.printed(line);
                }
            }
            Output::Exit => self.end(pid, Exit::Status(0)),
        }
        false
    }

    /// What the process at the other end of a link is doing, which was told to be this one: whether it
    /// waits for the processor, or something that it has sent is on its way.
    fn inspect(&mut self, link: LinkId, told: u32) -> Inspection {
        let peer = self.ends.peer_of(link).owner;
        let process = &self.processes[peer];
        if public(peer) != told && !self.is_suspect(peer) {
            let name = name(process);
            self.checks.fail(format!("{told} is inspected in place of {name}"));
        }
        let waits = process.is_alive() && process.preempted > 0;
        let is_stopped = process.stops > process.preempted;
        let is_sending = self.ends.end(link).last_arrival > self.now;
        let activity = |is_busy| Activity { is_busy, ran: Duration::ZERO };
        Inspection { neighbour: activity(waits && !is_stopped), delivery: activity(is_sending) }
    }

    fn send(&mut self, link: LinkId, frame: Vec<u8>) {
        let sender = self.ends.end(link).owner;
        let frame = self.tamper(sender, link, frame);
        if frame.len() > hoptree_core::FRAME_BYTES_MAX {
            self.checks.fail(format!("a frame of {} bytes on {link:?}", frame.len()));
        }
        for header in frame::headers(&frame) {
            if header.name() == "Settled" && self.processes[sender].liar.is_none() {
                self.settles(sender, link);
            }
            if self.is_suspect(sender) {
                continue;
            }
            if sender == CONTROL
                && let Some(life) = header.created()
            {
                self.wanted.insert(life);
            }
            if header.begins_request() {
                self.remember(header.request);
                self.checks.passed_on(sender, &header);
            }
            if header.begins_answer() {
                self.answered(sender, &header);
            }
        }
        let end = self.ends.end_mut(link);
        if !end.is_open {
            return;
        }
        if !end.sends(&frame) && !self.is_suspect(sender) {
            self.checks.fail(format!("{link:?}: too much is unacknowledged"));
        }
        self.send_to(Ends::peer(link), |link| Event::Frame(link, frame));
    }

    fn remember(&mut self, request: u64) {
        if self.requests.len() >= REQUESTS_REMEMBERED {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    /// A process answers a request, itself or for those below it.
    fn answered(&mut self, sender: Pid, header: &Header<'_>) {
        let Life { node, incarnation } = self.processes[sender].life;
        if NodeId::compute(header.node) == Some(node) {
            self.checks.answered_by(sender, header);
        }
        let is_own =
            (NodeId::compute(header.node), header.incarnation) == (Some(node), incarnation.0);
        if header.is_of_the_node() && !is_own {
            self.checks.answer_passed_on(sender, header);
        }
    }

    /// Plans the arrival of something at the end of a link, after all that is on its way there.
    pub fn send_to(&mut self, link: LinkId, event: impl FnOnce(LinkId) -> Event) {
        let latency = self.random.between(20 * MICROSECOND, 150 * MICROSECOND);
        let end = self.ends.end_mut(link);
        let at = (self.now + latency + end.delay).max(end.last_arrival);
        (end.last_arrival, end.delay) = (at, end.delay.saturating_sub(latency));
        let owner = end.owner;
        self.plan(at, owner, event(link));
    }

    pub fn close(&mut self, link: LinkId) {
        if std::mem::replace(&mut self.ends.end_mut(link).is_open, false)
            && !self.ends.end(link).is_broken
        {
            self.send_to(Ends::peer(link), Event::Down);
        }
    }

    pub fn connect(&mut self, from: Pid, to: &Address) -> LinkId {
        let to: Option<Pid> = to.0.parse().ok().filter(|to| *to < self.processes.len());
        let Some(to) = to else {
            // Somebody below a compromised node was told nonsense.
            let (near, far) = self.ends.connect(from, from);
            self.ends.end_mut(far).is_open = false;
            self.processes[from].links.push(near);
            self.send_to(near, Event::Down);
            return near;
        };
        let (near, far) = self.ends.connect(from, to);
        self.processes[from].links.push(near);
        if self.is_alive(to) && !matches!(self.processes[to].role, Role::Starting) {
            self.processes[to].links.push(far);
            self.send_to(near, Event::Up);
        } else {
            self.ends.end_mut(far).is_open = false;
            self.send_to(near, Event::Down);
        }
        near
    }
}

/// Processes.
impl Network {
    fn spawn(&mut self, spawner: Pid, birth: Birth) {
        let life = birth.life;
        let pid = self.processes.len();
        if self.random.chance(self.failing_starts) {
            return self.plan_in(MS, spawner, Event::SpawnFailed(life));
        }
        let is_impostor = self.is_suspect(spawner) && !self.is_wanted(life);
        if !is_impostor && self.by_life.insert(life, pid).is_some() {
            self.checks.fail(format!("{life} is started twice"));
        }
        note!(self.now, "{} starts {life}", name(&self.processes[spawner]));
        let mut process = Process::new(life, Role::Starting, spawner, self.now);
        process.side = self.processes[spawner].side;
        process.is_impostor = is_impostor;
        self.processes.push(process);
        self.living.push(pid);
        if !is_impostor {
            self.checks.started(life.node, pid);
        }
        if self.is_suspect(spawner) {
            self.suspect(pid);
        } else {
            self.usurp(spawner, life);
        }
        let time = self.random.between(MS, 4 * MS);
        self.plan_in(time, pid, Event::Start(birth));
    }

    /// Whether the control node has wanted a life, and it has not come about.
    fn is_wanted(&self, life: Life) -> bool {
        self.wanted.contains(&life) && !self.by_life.contains_key(&life)
    }

    fn start(&mut self, pid: Pid, birth: Birth) {
        let spawner = self.processes[pid].spawner;
        let parent_address = Address(spawner.to_string());
        let parent = self.connect(pid, &parent_address);
        let process = &mut self.processes[pid];
        process.started = self.now;
        process.seed = Some(birth.seed);
        let config = WorkerConfig {
            birth,
            token: TOKEN,
            pid: public(pid),
            parent,
            parent_address,
            transport: "simulated",
            timeout: TIMEOUT,
            commands: self.registry.clone(),
        };
        process.role = Role::Worker(Box::new(Worker::new(Time::ZERO, config)));
    }

    fn kill_for(&mut self, by: Pid, life: Life) {
        let Some(pid) = self.by_life.get(&life).copied() else { return };
        note!(self.now, "{} kills {life}", name(&self.processes[by]));
        if self.processes[pid].spawner != by && !self.processes[by].adopted.contains(&life) {
            if self.is_suspect(pid) || self.is_suspect(by) {
                return;
            }
            self.checks.fail(format!("{life} is killed by one who has nothing to do with it"));
        }
        self.end(pid, Exit::Signal(9));
    }

    /// Ends a process, by itself or by a signal.
    pub fn end(&mut self, pid: Pid, exit: Exit) {
        let process = &mut self.processes[pid];
        if process.ended.is_some() {
            return;
        }
        note!(self.now, "{} ends: {exit}", name(process));
        if self.checks.is_at_peace && !process.is_suspect {
            let name = name(process);
            self.checks.fail(format!("{name} ends, without a reason"));
        }
        let process = &mut self.processes[pid];
        process.ended = Some(self.now);
        process.role = Role::Ended;
        process.held = Vec::new();
        let (life, spawner) = (process.life, process.spawner);
        for link in std::mem::take(&mut process.links) {
            self.close(link);
        }
        self.checks.ended(pid);
        self.living.retain(|other| *other != pid);
        if pid == CONTROL {
            return self.break_lifeline();
        }
        let mut latency = self.random.between(20 * MICROSECOND, 2 * MS);
        if self.random.chance(self.held_ends) {
            latency += 5_000 * MS;
        }
        if self.is_alive(spawner) {
            self.plan_in(latency, spawner, Event::ChildExited(life, exit));
        } else {
            self.plan_in(latency, CONTROL, Event::OrphanExited(public(pid), exit));
        }
    }

    /// The control node has ended: everybody's lifeline breaks.
    fn break_lifeline(&mut self) {
        self.checks.left_behind = self.living.clone();
        for pid in std::mem::take(&mut self.living) {
            self.end(pid, Exit::Status(1));
        }
    }
}

/// Faults.
impl Network {
    pub fn stop(&mut self, pid: Pid) {
        note!(self.now, "{} is stopped", name(&self.processes[pid]));
        self.processes[pid].stops += 1;
    }

    fn preempt(&mut self, pid: Pid) {
        self.stop(pid);
        self.processes[pid].preempted += 1;
    }

    fn schedule(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        process.preempted = process.preempted.saturating_sub(1);
        self.go_on(pid);
    }

    pub fn go_on(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        if process.stops == 0 {
            return;
        }
        process.stops -= 1;
        if process.stops > 0 || !process.is_alive() {
            return;
        }
        note!(self.now, "{} goes on", name(process));
        let held = std::mem::take(&mut process.held);
        self.turn(pid, held);
    }

    /// Breaks a link. One end is told sooner, the other later.
    pub fn cut(&mut self, link: LinkId, later: Moment) {
        let peer = Ends::peer(link);
        if !self.ends.end(link).is_open || !self.ends.end(peer).is_open {
            return;
        }
        let [one, other] = [link, peer].map(|link| self.ends.end(link).owner);
        let names = [one, other].map(|pid| name(&self.processes[pid]));
        note!(self.now, "{link:?} breaks, between {} and {}", names[0], names[1]);
        for (link, pid, time) in [(link, one, 0), (peer, other, later)] {
            self.ends.end_mut(link).is_broken = true;
            self.plan_in(time, pid, Event::Down(link));
        }
    }

    /// Parts the processes for which `side` is set from the others.
    pub fn part(&mut self, time: Moment) {
        note!(self.now, "a partition begins");
        self.is_parted = true;
        self.plan_in(time, CONTROL, Event::Heal);
    }

    pub fn is_parted(&self) -> bool {
        self.is_parted
    }

    /// Ends a partition: what waited arrives.
    pub fn heal(&mut self) {
        if !std::mem::replace(&mut self.is_parted, false) {
            return;
        }
        note!(self.now, "the partition ends");
        self.processes.iter_mut().for_each(|process| process.side = false);
        for link in std::mem::take(&mut self.parted) {
            let owner = self.ends.end(link).owner;
            for event in std::mem::take(&mut self.ends.end_mut(link).held) {
                self.happen(owner, event);
            }
        }
    }
}

/// How a process is called in the trace.
pub fn name(process: &Process) -> String {
    match process.life {
        Life::CONTROL => "control".to_owned(),
        Life { node, incarnation } => format!("{node}/{}", incarnation.0),
    }
}
