//! Work that nodes have done beside them.

use std::cell::RefCell;

use hoptree_core::{Input, Job, JobKind, Output, RequestId};

use super::{Event, MICROSECOND, MS, Network};
use crate::jobs::Step;
use crate::process::Pid;

impl Network {
    pub(super) fn offload(&mut self, pid: Pid, job: Job) {
        match job.kind() {
            JobKind::Blocking => {
                let call = job.call();
                self.jobs.begin(pid, job);
                self.plan_step(pid, call);
            }
            JobKind::Computing => self.compute(pid, job),
        }
    }

    /// Does work at once, and tells later what has come of it.
    fn compute(&mut self, pid: Pid, job: Job) {
        let call = job.call();
        let emitted = RefCell::new(Vec::new());
        let outcome =
            job.run(|| (), &|stream, bytes| emitted.borrow_mut().push((stream, bytes.to_vec())));
        let mut time = 0;
        for (stream, bytes) in emitted.into_inner() {
            time += self.time_between(MS, 20 * MS);
            self.plan_in(time, pid, Event::JobOutput(call, stream, bytes));
        }
        time += self.time_between(MS, 20 * MS);
        self.plan_in(time, pid, Event::JobDone(call, JobKind::Computing, outcome));
    }

    fn plan_step(&mut self, pid: Pid, call: RequestId) {
        let time = self.time_between(100 * MICROSECOND, 10 * MS);
        self.plan_in(time, pid, Event::Step(call));
    }

    /// Lets work go on, if what comes of it finds its way on.
    pub(super) fn step_of(&mut self, pid: Pid, call: RequestId, outputs: &mut Vec<Output>) {
        let node = self.processes[pid].node();
        if !node.is_some_and(|node| node.has_room_for_outcomes()) {
            return self.plan_step(pid, call);
        }
        match self.jobs.step(pid, call) {
            Some(Step::Waits) => self.plan_step(pid, call),
            Some(Step::Output(stream, bytes)) => {
                self.plan_step(pid, call);
                self.feed(pid, Input::JobOutput(call, stream, &bytes), outputs);
            }
            Some(Step::Done(outcome)) => {
                self.feed(pid, Input::JobDone(call, JobKind::Blocking, outcome), outputs);
            }
            None => {}
        }
    }
}
