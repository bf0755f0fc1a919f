//! The signals of a whole benchmark.

use std::sync::{Arc, Mutex, PoisonError};

use hoptree_core::Waker;

use crate::failure::Failure;
use crate::signals::Signals;

/// The signals that come to this process, from its first measure to its last. One thread waits for
/// them, whichever tree is up, so that none is missed between two trees and the end of a process
/// wakes no more threads than it does in a console.
pub struct Alarm {
    signals: Signals,
    /// That of the tree that is up, or was up last.
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Alarm {
    /// Watches from now on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn new() -> Result<Alarm, Failure> {
        let waker = Arc::new(Mutex::new(None::<Waker>));
        let current = Arc::clone(&waker);
        let wake = move || {
            if let Some(waker) = &*current.lock().unwrap_or_else(PoisonError::into_inner) {
                waker.wake();
            }
        };
        let signals =
            Signals::of_control_node(Waker::new(wake)).map_err(Failure::doing("handle signals"))?;
        Ok(Alarm { signals, waker })
    }

    /// The signals, for a driver whose transport has this waker. It takes over from the one before.
    pub fn hand_over(&self, waker: Waker) -> Signals {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
        self.signals.clone()
    }

    /// The signal that has asked for an end, if one has.
    pub fn interrupt(&self) -> Option<i32> {
        self.signals.interrupt()
    }
}
