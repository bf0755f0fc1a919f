//! What ends a wait for one transport when there is something for another one.
//!
//! A thread waits for the descriptor of that one, and wakes the node. It passes nothing on: what has come is
//! read by the node's own thread.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use hoptree_core::Waker;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::threads::named;

/// Virtual memory; pages that the thread does not touch cost nothing.
const STACK_BYTES: usize = 64 * 1024;

const READABLE: u64 = 0;
const END: u64 = 1;

/// Wakes a node once for each time that it is armed.
pub(super) struct Bell(Arc<Watched>);

/// What the thread and the node have in common.
struct Watched {
    epoll: OwnedFd,
    readable: OwnedFd,
    end: OwnedFd,
}

impl Bell {
    /// One that uses `waker` when `readable` is.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor or thread for it.
    pub fn new(readable: OwnedFd, waker: Waker) -> io::Result<Bell> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &readable, EventData::new_u64(READABLE), EventFlags::ONESHOT)?;
        epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN)?;
        let watched = Arc::new(Watched { epoll, readable, end });
        let bell = Bell(Arc::clone(&watched));
        let run = move || watched.watch(&waker);
        named("gateway").stack_size(STACK_BYTES).spawn(run)?;
        Ok(bell)
    }

    /// Has the node woken when the descriptor is readable, or if it is already.
    pub fn arm(&self) {
        let Watched { epoll, readable, .. } = &*self.0;
        let (data, flags) = (EventData::new_u64(READABLE), EventFlags::IN | EventFlags::ONESHOT);
        if let Err(error) = epoll::modify(epoll, readable.as_fd(), data, flags) {
            log::error!("can't wait for links to other machines: {error}");
        }
    }
}

impl Watched {
    fn watch(&self, waker: &Waker) {
        let mut events = Vec::with_capacity(2);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Err(Errno::INTR) => {}
                Err(error) => return log::error!("can't wait for other machines: {error}"),
                Ok(_) if events.iter().any(|event| event.data.u64() == END) => return,
                Ok(_) => waker.wake(),
            }
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // It can't be full: this is the one number that is ever written to it.
        let _ = rustix::io::write(&self.0.end, &1_u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_rings_once_for_each_time_that_it_is_armed() {
        let readable = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let (rang, rings) = channel();
        let waker = Waker::new(move || rang.send(()).unwrap_or_default());
        let bell = Bell::new(readable.try_clone().unwrap(), waker).unwrap();
        let nothing = |rings: &std::sync::mpsc::Receiver<()>| {
            assert_eq!(
                rings.recv_timeout(Duration::from_millis(30)),
                Err(RecvTimeoutError::Timeout)
            );
        };
        bell.arm();
        nothing(&rings);
        rustix::io::write(&readable, &1_u64.to_ne_bytes()).unwrap();
        rings.recv_timeout(Duration::from_secs(10)).unwrap();
        nothing(&rings);
        bell.arm();
        rings.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(bell);
        // The thread has ended, and its waker with it.
        let ended = rings.recv_timeout(Duration::from_secs(10));
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected));
    }
}
