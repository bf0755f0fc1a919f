//! What ends a wait from another thread.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use hoptree_core::Waker;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};

/// An eventfd. Its counter remembers a ring that nobody waited for, and however many rings are
/// one event to the waiting side.
pub(crate) struct Doorbell(Arc<OwnedFd>);

impl Doorbell {
    pub(crate) fn new() -> rustix::io::Result<Doorbell> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Doorbell(Arc::new(fd)))
    }

    /// Shares the descriptor, so that a late ring never reaches a descriptor that was reused.
    pub(crate) fn waker(&self) -> Waker {
        let fd = Arc::clone(&self.0);
        // A write fails only when the counter is full, and then the wait ends anyway.
        Waker::new(move || {
            let _ = rustix::io::write(&*fd, &1u64.to_ne_bytes());
        })
    }

    pub(crate) fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(&*self.0, PollFlags::IN)
    }

    /// Takes notice of all rings so far.
    pub(crate) fn quiet(&self) {
        // There is nothing to do about a failure: the next wait would return early once more.
        let _ = rustix::io::read(&*self.0, &mut [0u8; 8]);
    }
}
