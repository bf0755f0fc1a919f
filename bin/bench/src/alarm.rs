//! The signals that come to the processes of a benchmark.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hoptree_core::Waker;
use hoptree_host::{Failure, Signals};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::PATIENCE;

/// How long another process may take for anything that it is waited for: it may wait for several
/// things itself.
const SILENCE_MAX: Duration = PATIENCE.saturating_mul(6);

/// The user's wish to end, as it comes to the process that the user has started.
pub struct Alarm {
    signals: Signals,
    /// Has something to read once a signal has come.
    rung: Arc<OwnedFd>,
}

/// Why something was not waited for to the end.
#[derive(Debug)]
pub enum Stop {
    /// A signal has asked for an end.
    Interrupted,
    /// It can't go on.
    Failed(Failure),
}

impl Alarm {
    /// Watches from now on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn new() -> Result<Alarm, Failure> {
        let cannot = "handle signals";
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let rung = Arc::new(eventfd(0, flags).map_err(Failure::doing(cannot))?);
        let ring = Arc::clone(&rung);
        let waker = Waker::new(move || {
            // It is full when it has long been rung.
            let _ = rustix::io::write(&ring, &1_u64.to_ne_bytes());
        });
        let signals = Signals::of_control_node(waker, || ()).map_err(Failure::doing(cannot))?;
        Ok(Alarm { signals, rung })
    }

    /// The signal that has asked for an end, if one has.
    pub fn interrupt(&self) -> Option<i32> {
        self.signals.interrupt()
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    ///
    /// When a signal has asked for an end, or nothing comes.
    pub fn wait_for(&self, source: &impl AsFd) -> Result<(), Stop> {
        let until = Instant::now() + SILENCE_MAX;
        loop {
            if self.interrupt().is_some() {
                return Err(Stop::Interrupted);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Stop::Failed(Failure::Runtime("no answer".to_owned())));
            }
            let time = Timespec::try_from(left).expect("it is a matter of seconds");
            let mut fds =
                [PollFd::new(source, PollFlags::IN), PollFd::new(&*self.rung, PollFlags::IN)];
            // Interrupted by a signal, it looks again.
            let _ = poll(&mut fds, Some(&time));
            if !fds[0].revents().is_empty() {
                return Ok(());
            }
            // The end of a child rings it as well.
            let _ = rustix::io::read(&self.rung, &mut [0_u8; 8]);
        }
    }
}

/// The signals of a process that has trees, one after the other or at the same time. One thread
/// waits for them, so that the end of a process wakes no more threads than it does in a console.
pub struct TreeSignals {
    signals: Signals,
    /// That of the tree that was opened last.
    waker: Arc<Mutex<Option<Waker>>>,
}

impl TreeSignals {
    /// Watches from now on, for the end of children, and for that of the benchmark, which ends this
    /// process at once, with this directory.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn new(lifeline: OwnedFd, directory: PathBuf) -> Result<TreeSignals, Failure> {
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let current = Arc::clone(&waker);
        let wake = move || {
            if let Some(waker) = &*current.lock().unwrap_or_else(PoisonError::into_inner) {
                waker.wake();
            }
        };
        let signals = Signals::of_compute_node(lifeline, directory, Waker::new(wake))
            .map_err(Failure::doing("handle signals"))?;
        Ok(TreeSignals { signals, waker })
    }

    /// The signals, for a driver whose transport has this waker. It takes over from the one before.
    pub fn hand_over(&self, waker: Waker) -> Signals {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
        self.signals.clone()
    }
}
