//! Work that waits, each in a thread of its own, of which one goes on at a time: so its steps come when the
//! virtual clock says so.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use hoptree_core::{Failure, Job, RequestId, Stop, Stream};

use crate::process::Pid;

/// The work of all processes.
#[derive(Default)]
pub struct Jobs(BTreeMap<(Pid, RequestId), Work>);

/// What work does next.
pub enum Step {
    /// It waits until more of its output may leave.
    Waits,
    Output(Stream, Vec<u8>),
    /// It is over.
    Done(Result<String, Failure>),
}

impl Jobs {
    /// Begins the work of a process, which does nothing before its first step.
    pub fn begin(&mut self, pid: Pid, job: Job) {
        self.0.insert((pid, job.call()), Work::begin(job));
    }

    /// Lets work go on; none when its process has ended.
    pub fn step(&mut self, pid: Pid, call: RequestId) -> Option<Step> {
        let step = self.0.get(&(pid, call))?.step();
        if let Step::Done(_) = step {
            self.0.remove(&(pid, call));
        }
        Some(step)
    }

    /// A process has ended, and with it its work.
    pub fn end(&mut self, pid: Pid) {
        self.0.retain(|(other, _), _| *other != pid);
    }

    /// The calls for which there is work, with their processes.
    pub fn open(&self) -> impl Iterator<Item = (Pid, RequestId)> {
        self.0.keys().copied()
    }
}

/// Work that has begun. Its thread is told to end when this is dropped.
struct Work {
    stop: Stop,
    go_on: Sender<()>,
    steps: Receiver<Step>,
}

impl Work {
    fn begin(job: Job) -> Work {
        let stop = job.stop().clone();
        let ((go_on, may_go_on), (told, steps)) = (channel(), channel());
        thread::spawn(move || {
            // Nobody is there any more when its process has ended.
            if may_go_on.recv().is_err() {
                return;
            }
            let outcome = job.run(|| (), &|stream, bytes| {
                let _ = told.send(Step::Output(stream, bytes.to_vec()));
                let _ = may_go_on.recv();
            });
            let _ = told.send(Step::Done(outcome));
        });
        Work { stop, go_on, steps }
    }

    fn step(&self) -> Step {
        if self.stop.holds_up_output() {
            return Step::Waits;
        }
        self.go_on.send(()).expect("it waits for this");
        self.steps.recv().expect("it says what it does, or that it is over")
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stop.want();
    }
}
