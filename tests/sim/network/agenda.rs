//! What is going to happen, and when.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use hoptree_core::{Birth, Exit, Failure, JobKind, Life, LinkId, RequestId, Stream};

use super::Moment;
use crate::process::Pid;

/// Events in the order of their moments; those of one moment in the order in which they were planned.
#[derive(Default)]
pub(super) struct Agenda {
    events: BinaryHeap<Reverse<Planned>>,
    planned: u64,
}

impl Agenda {
    pub fn plan(&mut self, at: Moment, pid: Pid, event: Event) {
        self.planned += 1;
        self.events.push(Reverse(Planned { at, number: self.planned, pid, event }));
    }

    /// Takes the next event, unless it is later than `end`.
    pub fn next_until(&mut self, end: Moment) -> Option<(Moment, Pid, Event)> {
        let Reverse(next) = self.events.peek()?;
        if next.at > end {
            return None;
        }
        self.events.pop().map(|Reverse(Planned { at, pid, event, .. })| (at, pid, event))
    }
}

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
    JobOutput(RequestId, Stream, Vec<u8>),
    JobDone(RequestId, JobKind, Result<String, Failure>),
    /// Work that waits goes on.
    Step(RequestId),
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
