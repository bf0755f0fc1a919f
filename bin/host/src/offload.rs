//! Work of command modules, done beside the node in threads of less priority than its own.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use hoptree_core::{BLOCKING_JOBS_MAX, Failure, Job, JobKind, RequestId, Stop, Stream, Waker};
use hoptree_system::{explain_thread, require_memory};

use crate::panic::guard;
use crate::threads::named;

/// How much memory is left alone by those who begin a blocking job, in bytes: it takes some hundred KiB,
/// and the node must not run out of it.
const JOB_BYTES: usize = 4 * 1024 * 1024;

/// Virtual memory; pages that the thread does not touch cost nothing.
const JOB_STACK_BYTES: usize = 512 * 1024;

/// How long a thread waits for another blocking job when it has done one. To start one takes longer than many
/// a job.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// How much output of jobs may wait for the node to take it, in bytes. It takes none while its own way up
/// is full.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// By how much a thread is nicer than the node, which has to relay and to beat meanwhile. That is
/// about shares of time; how soon the node has a core again is a matter of giving way.
const NICENESS: i32 = 10;

/// The work of one node. There are no threads when there has been nothing to do for a while.
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
    /// A blocking job waits for an idle thread.
    handed: Condvar,
    /// How long a thread waits for one.
    idle_time: Duration,
    /// There is room for output again, or nobody wants some of it any more, or a blocking job has ended.
    changed: Condvar,
    /// Whether anything has come of jobs that was not taken.
    has_news: AtomicBool,
    waker: Waker,
}

#[derive(Default)]
struct Work {
    /// Computing jobs that no thread has taken. Bounded by the control node's windows.
    waiting: VecDeque<Job>,
    threads: usize,
    /// What tells each blocking job to stop.
    blocking: Vec<(RequestId, Stop)>,
    /// Blocking jobs that an idle thread will take: never more than there are.
    handed: VecDeque<Job>,
    /// How many threads wait for a blocking job.
    idle: usize,
    /// No job is begun for now.
    is_paused: bool,
    /// What has come of jobs, for the node to take, and how many bytes of it are output.
    news: Vec<News>,
    output_bytes: usize,
}

/// What comes of a job.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Output of its call.
    Output(RequestId, Stream, Vec<u8>),
    /// The outcome of its call, after all its output.
    Done(RequestId, JobKind, Result<String, Failure>),
}

impl Offload {
    /// No work yet. The waker is used whenever some is done.
    pub fn new(waker: Waker) -> Offload {
        Offload::keeping(IDLE_TIME, waker)
    }

    /// As [`Offload::new`], with threads that wait for this long.
    fn keeping(idle_time: Duration, waker: Waker) -> Offload {
        let (work, has_news) = (Mutex::default(), AtomicBool::new(false));
        let (handed, changed) = (Condvar::new(), Condvar::new());
        let pool = Pool { work, handed, idle_time, changed, has_news, waker };
        Offload { pool: Arc::new(pool), is_paused: false }
    }

    /// Has a job done, now or when a thread is free.
    pub fn begin(&self, job: Job) {
        let mut work = self.pool.lock();
        match job.kind() {
            JobKind::Blocking => {
                self.begin_blocking(&mut work, job);
                // Whoever wakes up needs the lock.
                drop(work);
                self.pool.handed.notify_one();
            }
            JobKind::Computing => {
                work.waiting.push_back(job);
                self.start_threads(&mut work, 1);
            }
        }
    }

    fn begin_blocking(&self, work: &mut Work, job: Job) {
        let (call, stop) = (job.call(), job.stop().clone());
        if work.blocking.len() >= BLOCKING_JOBS_MAX {
            let why = Failure::from(format!(
                "this node runs {BLOCKING_JOBS_MAX} of these already, which is the most"
            ));
            return self.pool.tell(work, News::Done(call, JobKind::Blocking, Err(why)));
        }
        let given = require_memory(JOB_BYTES).map_err(cant_start).and_then(|()| {
            if work.idle > work.handed.len() {
                work.handed.push_back(job);
                return Ok(());
            }
            let (pool, thread) = (Arc::clone(&self.pool), named("job").stack_size(JOB_STACK_BYTES));
            let started = thread.spawn(move || pool.run_blocking(job));
            started.map(drop).map_err(|error| cant_start(explain_thread(&error)))
        });
        match given {
            Ok(()) => work.blocking.push((call, stop)),
            Err(failure) => {
                let failure = Err(failure);
                self.pool.tell(work, News::Done(call, JobKind::Blocking, failure));
            }
        }
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
                    let failure = cant_start(explain_thread(&error));
                    for job in std::mem::take(&mut work.waiting) {
                        let (call, failure) = (job.call(), Err(failure.clone()));
                        self.pool.tell(work, News::Done(call, JobKind::Computing, failure));
                    }
                    return;
                }
            }
        }
    }

    /// What stops all blocking jobs, from another thread, and waits until they have returned or this
    /// long has passed.
    pub fn stopper(&self) -> impl Fn(Duration) + Send + 'static {
        let pool = Arc::clone(&self.pool);
        move |at_most| pool.stop_blocking(at_most)
    }

    /// Whether there is anything for [`Offload::take_news`].
    pub fn has_news(&self) -> bool {
        self.pool.has_news.load(Ordering::Acquire)
    }

    /// What has come of jobs since this was last called.
    pub fn take_news(&self) -> Vec<News> {
        if !self.pool.has_news.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        let mut work = self.pool.lock();
        work.output_bytes = 0;
        self.pool.changed.notify_all();
        std::mem::take(&mut work.news)
    }
}

fn cant_start(why: impl Display) -> Failure {
    Failure::from(format!("can't start a thread: {why}"))
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
    fn run_jobs(self: &Arc<Self>) {
        if let Err(error) = rustix::process::nice(NICENESS) {
            log::debug!("work has the node's own priority: {error}");
        }
        while let Some(job) = self.next() {
            self.run(job);
        }
    }

    /// Does this job, and those that come soon after.
    fn run_blocking(self: &Arc<Self>, job: Job) {
        let mut next = Some(job);
        while let Some(job) = next {
            let call = job.call();
            self.run(job);
            self.lock().blocking.retain(|(other, _)| *other != call);
            self.changed.notify_all();
            next = self.wait_for_blocking();
        }
    }

    /// The next blocking job for the thread that asks, unless none comes for long.
    fn wait_for_blocking(&self) -> Option<Job> {
        let mut work = self.lock();
        work.idle += 1;
        let is_none = |work: &mut Work| work.handed.is_empty();
        let waited = self.handed.wait_timeout_while(work, self.idle_time, is_none);
        let (mut work, _) = waited.unwrap_or_else(PoisonError::into_inner);
        work.idle -= 1;
        work.handed.pop_front()
    }

    fn run(self: &Arc<Self>, job: Job) {
        let (call, kind, stop) = (job.call(), job.kind(), job.stop().clone());
        let pool = Arc::clone(self);
        stop.notify(move || pool.wake_blocked());
        let deliver = |stream, bytes: &[u8]| self.deliver(call, &stop, stream, bytes);
        let outcome = guard(|| job.run(thread::yield_now, &deliver))
            .unwrap_or_else(|_| Err(Failure::from("the work has panicked")));
        self.tell(&mut self.lock(), News::Done(call, kind, outcome));
    }

    /// Has those look again who wait for room.
    fn wake_blocked(&self) {
        // Whoever looks has the lock, and so does not miss this.
        let _work = self.lock();
        self.changed.notify_all();
    }

    fn stop_blocking(&self, at_most: Duration) {
        let stops: Vec<_> = self.lock().blocking.iter().map(|(_, stop)| stop.clone()).collect();
        stops.iter().for_each(Stop::want);
        self.changed.notify_all();
        let is_any = |work: &mut Work| !work.blocking.is_empty();
        drop(self.changed.wait_timeout_while(self.lock(), at_most, is_any));
    }

    /// Hands output to the node, once it has taken what came before.
    fn deliver(&self, call: RequestId, stop: &Stop, stream: Stream, bytes: &[u8]) {
        let is_full = |work: &mut Work| work.output_bytes >= OUTPUT_BYTES_MAX && !stop.is_wanted();
        let waited = self.changed.wait_while(self.lock(), is_full);
        let mut work = waited.unwrap_or_else(PoisonError::into_inner);
        work.output_bytes += bytes.len();
        self.tell(&mut work, News::Output(call, stream, bytes.to_vec()));
    }

    fn tell(&self, work: &mut Work, news: News) {
        work.news.push(news);
        if !self.has_news.swap(true, Ordering::Release) {
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
    use std::time::{Duration, Instant};

    use super::*;

    fn job(call: u64, work: impl FnOnce() -> Result<String, Failure> + Send + 'static) -> Job {
        Job::new(RequestId(call), JobKind::Computing, move |_| work())
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
            done.extend(offload.take_news());
        }
        let call = |news: &News| match news {
            News::Output(call, ..) | News::Done(call, ..) => *call,
        };
        done.sort_by_key(call);
        assert_eq!(
            done[0],
            News::Done(RequestId(0), JobKind::Computing, Ok("released".to_owned()))
        );
        assert_eq!(done[49], News::Done(RequestId(49), JobKind::Computing, Ok("49".to_owned())));
        while offload.pool.work.lock().unwrap().threads > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_does_one_blocking_job_after_another_and_more_have_threads_of_their_own() {
        let offload = Offload::keeping(Duration::MAX, Waker::new(|| ()));
        let begin = |call, work: Box<dyn FnOnce() + Send>| {
            let (done, threads) = mpsc::channel();
            offload.begin(Job::new(RequestId(call), JobKind::Blocking, move |_| {
                work();
                done.send(thread::current().id()).unwrap();
                Ok(String::new())
            }));
            threads
        };
        let wait_idle = |count| {
            let until = Instant::now() + Duration::from_secs(60);
            while offload.pool.lock().idle != count {
                assert!(Instant::now() < until, "{count} idle threads");
                thread::yield_now();
            }
        };
        let first = begin(0, Box::new(|| ())).recv().unwrap();
        wait_idle(1);
        let (release, released) = mpsc::channel::<()>();
        let held_up = begin(1, Box::new(move || released.recv().unwrap()));
        let other = begin(2, Box::new(|| ())).recv().unwrap();
        release.send(()).unwrap();
        assert_eq!(held_up.recv().unwrap(), first);
        assert_ne!(other, first);
        wait_idle(2);
        assert!(offload.pool.lock().blocking.is_empty());
    }

    #[test]
    fn a_thread_that_has_nothing_to_do_for_long_ends() {
        let offload = Offload::keeping(Duration::ZERO, Waker::new(|| ()));
        offload.begin(Job::new(RequestId(0), JobKind::Blocking, |_| Ok(String::new())));
        let until = Instant::now() + Duration::from_secs(60);
        while Arc::strong_count(&offload.pool) > 1 {
            assert!(Instant::now() < until, "the thread is left");
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
        assert_eq!(
            offload.take_news(),
            [News::Done(RequestId(1), JobKind::Computing, Err(failure))]
        );
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
            done.extend(offload.take_news());
        }
    }
}
