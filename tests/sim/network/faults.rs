//! Faults: processes that do not run, links that break, partitions.

use hoptree_core::LinkId;

use super::{Event, Moment, Network, name};
use crate::link::Ends;
use crate::process::{CONTROL, Pid};
use crate::trace::note;

impl Network {
    pub fn stop(&mut self, pid: Pid) {
        note!(self.now, "{} is stopped", name(&self.processes[pid]));
        self.processes[pid].stops += 1;
    }

    pub(super) fn preempt(&mut self, pid: Pid) {
        self.stop(pid);
        self.processes[pid].preempted += 1;
    }

    pub(super) fn schedule(&mut self, pid: Pid) {
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

    /// Whether a link goes from one side of a partition to the other.
    pub(super) fn is_across(&self, link: LinkId) -> bool {
        let side = |pid: Pid| self.processes[pid].side;
        self.is_parted && side(self.ends.end(link).owner) != side(self.ends.peer_of(link).owner)
    }
}
