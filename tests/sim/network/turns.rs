//! Turns of processes: what happened to one, its deadlines, and what was typed.

use std::time::Duration;

use hoptree_core::{Input, Output, Time};

use super::{Event, Moment, Network, name};
use crate::complaints;
use crate::frame;
use crate::process::{CONTROL, Pid, Role};
use crate::trace::{self, note};

/// How many lines the console takes in at a time.
const LINES_PER_TURN_MAX: usize = 64;

/// How often a node may have a deadline at one and the same moment before it is held to spin.
const ALARMS_AT_ONCE_MAX: u32 = 1_000;

impl Network {
    /// One turn of a process: what happened to it, and what follows from that.
    pub(super) fn turn(&mut self, pid: Pid, events: impl IntoIterator<Item = Event>) {
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

    pub(super) fn time_of(&self, pid: Pid) -> Time {
        Time::ZERO + Duration::from_nanos(self.now - self.processes[pid].started)
    }

    pub(super) fn feed(&mut self, pid: Pid, input: Input<'_>, outputs: &mut Vec<Output>) {
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
            Event::JobOutput(call, stream, bytes) => {
                self.feed(pid, Input::JobOutput(call, stream, &bytes), outputs);
            }
            Event::JobDone(call, kind, outcome) => {
                self.feed(pid, Input::JobDone(call, kind, outcome), outputs);
            }
            Event::Step(call) => self.step_of(pid, call, outputs),
            Event::Up(_) | Event::Alarm | Event::Heal | Event::Read | Event::Lie => {}
            Event::GoOn | Event::Preempt | Event::Schedule => {}
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
            if !self.settings.is_calm {
                self.checks.entered(&line);
            }
            self.feed(pid, Input::Line(line.as_bytes()), outputs);
            count += 1;
        }
        count > 0
    }

    pub(super) fn set_alarm(&mut self, pid: Pid) {
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

    pub(super) fn alarm(&mut self, pid: Pid) {
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
}
