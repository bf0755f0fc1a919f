//! What nodes want done, and the processes that they start and end.

use std::time::Duration;

use hoptree_core::{
    Activity, Address, Birth, Exit, Input, Inspection, Life, LinkId, Machine, Output, ProcessId,
    Time, Worker, WorkerConfig,
};

use super::{Event, MICROSECOND, MS, Network, TOKEN, name};
use crate::digest;
use crate::process::{CONTROL, Pid, Process, Role, public};
use crate::trace::{self, note};

/// Outputs.
impl Network {
    pub(super) fn carry_out_all(&mut self, pid: Pid, outputs: &mut Vec<Output>) {
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
                let seen = self.inspect(link, told.pid);
                self.feed(pid, Input::Inspected(link, seen), outputs);
                return true;
            }
            Output::Spawn(birth, _) => self.spawn(pid, birth),
            Output::Kill(life) => self.kill_for(pid, life),
            Output::Offload(job) => self.offload(pid, job),
            Output::Record(record) => self.checks.recorded(&record),
            Output::Print(text) => {
                // Compromised nodes emit anything.
                let text = String::from_utf8_lossy(&text);
                digest::add(format_args!("{text}"));
                for line in text.lines() {
                    note!(self.now, "the console prints: {}", trace::cut(line));
                    if self.settings.is_calm {
                        self.record.printed.push(line.to_owned());
                    } else {
                        self.checks.printed(line);
                    }
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
        Inspection {
            neighbour: activity(waits && !is_stopped),
            delivery: activity(is_sending),
            round_trip: Duration::ZERO,
        }
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
        let time = self.time_between(MS, 4 * MS);
        self.plan_in(time, pid, Event::Start(birth));
    }

    /// Whether the control node has wanted a life, and it has not come about.
    fn is_wanted(&self, life: Life) -> bool {
        self.wanted.contains(&life) && !self.by_life.contains_key(&life)
    }

    pub(super) fn start(&mut self, pid: Pid, birth: Birth) {
        let spawner = self.processes[pid].spawner;
        let parent_address = Address(spawner.to_string());
        let parent = self.connect(pid, &parent_address);
        let process = &mut self.processes[pid];
        process.started = self.now;
        process.seed = Some(birth.seed);
        let config = WorkerConfig {
            birth,
            token: TOKEN,
            process: ProcessId { machine: Machine::default(), pid: public(pid) },
            parent,
            parent_address,
            transport: "simulated",
            timeout: self.settings.timeout,
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
        self.record.killed.push(life.node);
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
        self.jobs.end(pid);
        self.living.retain(|other| *other != pid);
        if pid == CONTROL {
            return self.break_lifeline();
        }
        let mut latency = self.time_between(20 * MICROSECOND, 2 * MS);
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
