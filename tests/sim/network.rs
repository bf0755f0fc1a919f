//! The virtual machine: the real nodes, and everything around them that a driver and a transport
//! would be, under a virtual clock. It serves a node as `bin/host/src/driver.rs` does.

mod agenda;
mod faults;
mod host;
mod links;
mod record;
mod turns;
mod work;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use hoptree_core::{
    Controller, ControllerConfig, Input, KEY_BYTES, Life, LinkId, Machine, NodeId, Order, Output,
    ProcessId, Registry, Secret, Time, Token,
};

use crate::checks::Checks;
use crate::digest;
use crate::jobs::Jobs;
use crate::link::Ends;
use crate::probe;
use crate::process::{CONTROL, Pid, Process, Role, public};
use crate::random::Random;
use crate::trace::note;
use crate::watchdog;

use agenda::Agenda;
pub use agenda::Event;
use record::Record;

/// Virtual time in nanoseconds.
pub type Moment = u64;

pub const MICROSECOND: Moment = 1_000;
pub const MS: Moment = 1_000 * MICROSECOND;

/// The deadline of a request.
pub const TIMEOUT: Duration = Duration::from_millis(1_000);

pub const TOKEN: Token = Token([7; 16]);

/// How many events there may be at one moment.
const EVENTS_AT_ONCE_MAX: u32 = 200_000;

/// How a tree is, and how what is around it behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The deadline of a request.
    pub timeout: Duration,
    pub order: Order,
    pub nodes_max: usize,
    /// The same takes as long each time, and replies are recorded, not checked.
    pub is_calm: bool,
}

pub struct Network {
    settings: Settings,
    pub record: Record,

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
    pub jobs: Jobs,
    agenda: Agenda,
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
    /// A network with faults, and a control node without nodes below it.
    pub fn new(seed: u64, registry: Registry) -> Network {
        let settings = Settings {
            timeout: TIMEOUT,
            order: Order::Input,
            nodes_max: usize::MAX,
            is_calm: false,
        };
        Network::with(settings, seed, registry)
    }

    /// As [`Network::new`], with these settings.
    pub fn with(settings: Settings, seed: u64, registry: Registry) -> Network {
        let mut network = Network {
            settings,
            record: Record::default(),
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
            jobs: Jobs::default(),
            agenda: Agenda::default(),
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
            process: ProcessId { machine: Machine::default(), pid: public(CONTROL) },
            transport: "simulated",
            timeout: settings.timeout,
            order: settings.order,
            nodes_max: settings.nodes_max,
            records: true,
            commands: network.registry.clone(),
        };
        let role = Role::Control(Box::new(Controller::new(Time::ZERO, config)));
        network.processes.push(Process::new(Life::CONTROL, role, CONTROL, 0));
        network
    }

    /// Lets everything happen until a moment, unless a check fails before.
    pub fn run_until(&mut self, end: Moment) {
        while self.step(end) {}
        self.now = self.now.max(end);
        self.checks.now = self.now;
    }

    /// Lets the next thing happen, unless that is later than `end`, or a check has failed.
    pub fn step(&mut self, end: Moment) -> bool {
        if self.checks.hold()
            && let Some((at, pid, event)) = self.agenda.next_until(end)
        {
            self.still = if at == self.now { self.still + 1 } else { 0 };
            if self.still > EVENTS_AT_ONCE_MAX {
                let name = name(&self.processes[pid]);
                self.checks.fail(format!("time stands still, last with {name}: {event:?}"));
                return false;
            }
            self.now = at;
            self.events += 1;
            watchdog::event();
            digest::add(format_args!("{at} {pid} {event:?}\n"));
            self.happen(pid, event);
            if let Some(violation) = probe::take_violation() {
                self.checks.fail(violation);
            }
            return true;
        }
        false
    }

    /// How long something takes.
    fn time_between(&mut self, least: Moment, most: Moment) -> Moment {
        if self.settings.is_calm { least.midpoint(most) } else { self.random.between(least, most) }
    }

    /// Types lines in one turn until the console does not read on, and says how many of them.
    pub fn enter_in_one_turn<'a>(&mut self, mut lines: impl Iterator<Item = &'a str>) -> usize {
        let (mut outputs, mut count) = (Vec::new(), 0);
        while let Role::Control(controller) = &self.processes[CONTROL].role
            && controller.wants_line()
            && let Some(line) = lines.next()
        {
            self.feed(CONTROL, Input::Line(line.as_bytes()), &mut outputs);
            count += 1;
        }
        self.carry_out_all(CONTROL, &mut outputs);
        self.set_alarm(CONTROL);
        count
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

    /// The user wants all that is under way to be stopped.
    pub fn cancel(&mut self) {
        self.checks.cancelled(None);
        self.tell_control(Input::Cancel);
        self.turn(CONTROL, None);
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

    /// Plans something, at a moment that has not passed.
    pub fn plan(&mut self, at: Moment, pid: Pid, event: Event) {
        self.agenda.plan(at, pid, event);
    }

    /// Plans something in a while.
    pub fn plan_in(&mut self, time: Moment, pid: Pid, event: Event) {
        self.plan(self.now + time, pid, event);
    }
}

/// How a process is called in the trace.
pub fn name(process: &Process) -> String {
    match process.life {
        Life::CONTROL => "control".to_owned(),
        Life { node, incarnation } => format!("{node}/{}", incarnation.0),
    }
}
