//! Work of command modules, done beside the node in threads of less priority than its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use hoptree_core::{Failure, Job, RequestId, Waker};
use hoptree_system::explain_thread;

use crate::panic::guard;
use crate::threads::named;

/// By how much a thread is nicer than the node, which has to relay and to beat meanwhile. That is
/// about shares of time; how soon the node has a core again is a matter of giving way.
const NICENESS: i32 = 10;

/// The work of one node. There are no threads as long as there is nothing to do.
pub struct Offload {
    pool: Arc<Pool>,
    is_paused: bool,
}

/// How many threads a node may have for work at a time. To find out takes a dozen system calls, and
/// most nodes never need to know.
static THREADS_MAX: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));

struct Pool {
    work: Mutex<Work>,
    /// Whether anything is done that was not taken.
    is_done: AtomicBool,
    waker: Waker,
}

#[derive(Default)]
struct Work {
    /// Jobs that no thread has taken. Bounded by the control node's windows.
    waiting: VecDeque<Job>,
    threads: usize,
    /// No job is begun for now.
    is_paused: bool,
    /// What jobs have come to, for the node to take.
    done: Vec<Done>,
}

/// A call, and its outcome.
pub type Done = (RequestId, Result<String, Failure>);

impl Offload {
    /// No work yet. The waker is used whenever some is done.
    pub fn new(waker: Waker) -> Offload {
        let (work, is_done) = (Mutex::default(), AtomicBool::new(false));
        Offload { pool: Arc::new(Pool { work, is_done, waker }), is_paused: false }
    }

    /// Has a job done, now or when a thread is free.
    pub fn begin(&self, job: Job) {
        let mut work = self.pool.lock();
        work.waiting.push_back(job);
        self.start_threads(&mut work, 1);
    }

    /// Whether to begin no further job for now. Those under way go on.
    pub fn pause(&mut self, is_paused: bool) {
        if std::mem::replace(&mut self.is_paused, is_paused) != is_paused {
            let mut work = self.pool.lock();
            work.is_paused = is_paused;
            let wanted = work.waiting.len();
            self.start_threads(&mut work, wanted);
        }
    }

    /// Starts this many threads, as far as there may be more. When there can be none at all, all that
    /// waits has failed.
    fn start_threads(&self, work: &mut Work, wanted: usize) {
        let allowed = if work.is_paused { 0 } else { THREADS_MAX.saturating_sub(work.threads) };
        for _ in 0..wanted.min(allowed) {
            match start(&self.pool) {
                Ok(()) => work.threads += 1,
                Err(_) if work.threads > 0 => return,
                Err(error) => {
                    let failure =
                        Failure(format!("can't start a thread: {}", explain_thread(&error)));
                    let calls = work.waiting.drain(..).map(|job| job.call());
                    work.done.extend(calls.map(|call| (call, Err(failure.clone()))));
                    self.pool.is_done.store(true, Ordering::Release);
                    return self.pool.waker.wake();
                }
            }
        }
    }

    /// What has been done since this was last called.
    pub fn take_done(&self) -> Vec<Done> {
        if !self.pool.is_done.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        let mut work = self.pool.lock();
        std::mem::take(&mut work.done)
    }
}

fn start(pool: &Arc<Pool>) -> io::Result<()> {
    let pool = Arc::clone(pool);
    named("work").spawn(move || pool.run_jobs()).map(drop)
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what there is, and returns when nothing waits.
    fn run_jobs(&self) {
        if let Err(error) = rustix::process::nice(NICENESS) {
            log::debug!("work has the node's own priority: {error}");
        }
        while let Some(job) = self.next() {
            let call = job.call();
            let outcome = guard(|| job.run(thread::yield_now))
                .unwrap_or_else(|_| Err(Failure::from("the work has panicked")));
            let mut work = self.lock();
            work.done.push((call, outcome));
            drop(work);
            self.is_done.store(true, Ordering::Release);
            self.waker.wake();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut work = self.lock();
        let job = if work.is_paused { None } else { work.waiting.pop_front() };
        if job.is_none() {
            work.threads -= 1;
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn job(call: u64, work: impl FnOnce() -> Result<String, Failure> + Send + 'static) -> Job {
        Job::new(RequestId(call), move |_| work())
    }

    #[test]
    fn jobs_are_done_beside_each_other_and_no_thread_stays() {
        let (woken, wakes) = mpsc::channel();
        let offload = Offload::new(Waker::new(move || woken.send(()).unwrap()));
        let (release, released) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        offload.begin(job(0, move || {
            begun.send(()).unwrap();
            released.recv().unwrap();
            Ok("released".to_owned())
        }));
        begins.recv().unwrap();
        for call in 1..50 {
            offload.begin(job(call, move || Ok(call.to_string())));
        }
        release.send(()).unwrap();
        let mut done = Vec::new();
        while done.len() < 50 {
            wakes.recv_timeout(Duration::from_secs(60)).unwrap();
            done.extend(offload.take_done());
        }
        done.sort();
        assert_eq!(done[0], (RequestId(0), Ok("released".to_owned())));
        assert_eq!(done[49], (RequestId(49), Ok("49".to_owned())));
        while offload.pool.work.lock().unwrap().threads > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn work_that_panics_is_answered() {
        let (woken, wakes) = mpsc::channel();
        let offload = Offload::new(Waker::new(move || woken.send(()).unwrap()));
        offload.begin(job(1, || panic!("on purpose")));
        wakes.recv_timeout(Duration::from_secs(60)).unwrap();
        let failure = Failure::from("the work has panicked");
        assert_eq!(offload.take_done(), [(RequestId(1), Err(failure))]);
    }

    #[test]
    fn a_pause_holds_back_what_has_not_begun() {
        let (woken, wakes) = mpsc::channel();
        let mut offload = Offload::new(Waker::new(move || woken.send(()).unwrap()));
        offload.pause(true);
        for call in 0..10 {
            offload.begin(job(call, move || Ok(call.to_string())));
        }
        assert_eq!(offload.pool.lock().threads, 0);
        offload.pause(false);
        let mut done = Vec::new();
        while done.len() < 10 {
            wakes.recv_timeout(Duration::from_secs(60)).unwrap();
            done.extend(offload.take_done());
        }
    }
}
