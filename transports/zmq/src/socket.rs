//! A libzmq socket that can be waited for by its descriptor.

use std::cell::Cell;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::event::{PollFd, PollFlags};

use crate::monitored::retry;

/// A libzmq socket, and whether it is enough to wait at its descriptor.
///
/// The descriptor becomes readable when libzmq has news for the socket, such as a frame in a queue
/// that was found empty before, and stays so until the next call on the socket. Any call may take
/// the news in, not only one that receives: a send takes in that a frame has come, and then the
/// descriptor does not show the frame. Nor does it when the frame's queue had never been found empty.
///
/// So before anybody blocks, the socket has to have answered that there is nothing to read, and
/// nothing else may have been done with it since; otherwise it is asked once more. With that answer
/// libzmq has taken in all its news and found all its queues empty, so whatever comes later makes
/// the descriptor readable.
pub(crate) struct Socket {
    socket: zmq::Socket,
    /// The same as long as the socket lives.
    descriptor: RawFd,
    /// Whether the last call on the socket found nothing to read.
    is_empty: Cell<bool>,
}

impl Socket {
    pub(crate) fn new(context: &zmq::Context, kind: zmq::SocketType) -> Result<Socket, zmq::Error> {
        let socket = context.socket(kind)?;
        let descriptor = socket.get_fd()?;
        Ok(Socket { socket, descriptor, is_empty: Cell::new(false) })
    }

    /// For everything but receiving and waiting.
    pub(crate) fn raw(&self) -> &zmq::Socket {
        self.is_empty.set(false);
        &self.socket
    }

    /// Takes one part of a message without waiting; false when there is none.
    pub(crate) fn receive(&self, part: &mut zmq::Message) -> Result<bool, zmq::Error> {
        match retry(|| self.raw().recv(part, zmq::DONTWAIT)) {
            Ok(()) => Ok(true),
            // Before it says so, libzmq takes in all the news and looks into all its queues.
            Err(zmq::Error::EAGAIN) => {
                self.is_empty.set(true);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether there is something to read for which the descriptor may not become readable. Costs
    /// nothing when the last call was a receive that found nothing.
    pub(crate) fn is_readable(&self) -> Result<bool, zmq::Error> {
        if !self.is_empty.get() {
            let events = retry(|| self.socket.get_events())?;
            self.is_empty.set(!events.contains(zmq::POLLIN));
        }
        Ok(!self.is_empty.get())
    }

    /// What a wait looks at, right after [`Socket::is_readable`] has said no.
    pub(crate) fn poll_fd(&self) -> PollFd<'_> {
        // SAFETY: the descriptor is libzmq's, which keeps it open until the socket is closed. Only
        // dropping it does that, and the result does not outlive the borrow.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
        PollFd::from_borrowed_fd(descriptor, PollFlags::IN)
    }
}
