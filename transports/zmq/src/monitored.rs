//! A libzmq socket together with the monitor that reports on its connections.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hoptree_core::SEALED_BYTES_MAX;
use rustix::event::PollFd;
use zmq::SocketEvent;

use crate::poll::{Ready, milliseconds};
use crate::socket::Socket;

/// How many frames libzmq holds for one peer, in each direction: 8 MiB at the very most. It learns
/// only after every half of that what the other side has read, so half is what a peer may have
/// under way without ever being held up, which is just what a link allows itself.
const FRAMES_QUEUED_MAX: i32 = 256;

/// How many reports wait to be read, besides libzmq's own 1,000. When both are full libzmq's
/// thread stops until some are read, so memory stays bounded when strangers connect in a loop.
const REPORTS_QUEUED_MAX: i32 = 1_000;

/// A socket that closes in an order that leaves libzmq's thread unharmed.
pub(crate) struct Monitored {
    socket: Socket,
    monitor: Socket,
}

/// What became of a connection. Descriptors name it, and are reused once it has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The socket listens, by this descriptor.
    Listening(RawFd),
    /// Somebody has connected; nothing is known of them yet.
    Accepted(RawFd),
    /// A connection that was begun here can carry frames.
    Ready,
    /// A connection has ended.
    Ended(RawFd),
    /// A connection that was begun here has failed or ended.
    Failed,
}

/// What one look for a frame found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Nothing,
    Frame,
    /// Something that no hoptree sends: nothing at all, or a message of several parts.
    Foreign,
}

impl Monitored {
    /// A socket with the options that both ends need. It is the caller's to bind or to connect.
    pub(crate) fn new(
        context: &zmq::Context,
        kind: zmq::SocketType,
    ) -> Result<Monitored, zmq::Error> {
        let socket = Socket::new(context, kind)?;
        socket.raw().set_maxmsgsize(SEALED_BYTES_MAX as i64)?;
        socket.raw().set_sndhwm(FRAMES_QUEUED_MAX)?;
        socket.raw().set_rcvhwm(FRAMES_QUEUED_MAX)?;
        socket.raw().set_linger(0)?;
        let monitor = Socket::new(context, zmq::PAIR)?;
        monitor.raw().set_rcvhwm(REPORTS_QUEUED_MAX)?;
        monitor.raw().set_linger(0)?;
        // Only what is read here: a listener without descriptors would report that in a busy loop.
        let wanted = [
            SocketEvent::LISTENING,
            SocketEvent::ACCEPTED,
            SocketEvent::HANDSHAKE_SUCCEEDED,
            SocketEvent::DISCONNECTED,
            SocketEvent::CONNECT_RETRIED,
        ];
        let endpoint = monitor_endpoint();
        let wanted = wanted.iter().fold(0, |mask, event| mask | i32::from(event.to_raw()));
        socket.raw().monitor(&endpoint, wanted)?;
        monitor.raw().connect(&endpoint)?;
        Ok(Monitored { socket, monitor })
    }

    /// The socket itself, for what is not done here.
    pub(crate) fn raw(&self) -> &zmq::Socket {
        self.socket.raw()
    }

    /// What there is to read already, without a look at the descriptors.
    pub(crate) fn ready(&self) -> Result<Ready, zmq::Error> {
        Ok(Ready { frames: self.socket.is_readable()?, reports: self.monitor.is_readable()? })
    }

    /// What becomes readable with frames, and what with reports.
    pub(crate) fn poll_fds(&self) -> [PollFd<'_>; 2] {
        [self.socket.poll_fd(), self.monitor.poll_fd()]
    }

    /// The next report, when there is one.
    pub(crate) fn report(&self) -> Result<Option<Report>, zmq::Error> {
        let mut message = zmq::Message::new();
        while self.monitor.receive(&mut message)? {
            let report = Report::decode(&message);
            // The second part is the address, which is ours or known.
            self.monitor.receive(&mut message)?;
            if report.is_some() {
                return Ok(report);
            }
        }
        Ok(None)
    }

    /// Takes one part of a message without waiting; false when there is none.
    pub(crate) fn receive_part(&self, part: &mut zmq::Message) -> Result<bool, zmq::Error> {
        self.socket.receive(part)
    }

    /// Takes one message without waiting, or what is left of it.
    pub(crate) fn receive(&self, frame: &mut zmq::Message) -> Result<Received, zmq::Error> {
        if !self.socket.receive(frame)? {
            return Ok(Received::Nothing);
        }
        if !frame.get_more() {
            return Ok(if frame.is_empty() { Received::Foreign } else { Received::Frame });
        }
        while frame.get_more() && self.socket.receive(frame)? {}
        Ok(Received::Foreign)
    }

    /// Hands over one part of a message without waiting.
    pub(crate) fn send(&self, part: &[u8], flags: i32) -> Result<(), zmq::Error> {
        let send = || retry(|| self.raw().send(part, flags | zmq::DONTWAIT));
        match send() {
            // When it sends, libzmq looks only every millisecond whether the peer has read
            // something. Asking for events makes it look now.
            Err(zmq::Error::EAGAIN) => retry(|| self.raw().get_events()).and_then(|_| send()),
            done => done,
        }
    }

    /// Lets frames that were sent leave for at most so long after the socket was dropped.
    pub(crate) fn linger(&self, within: Duration) {
        let within = i32::try_from(milliseconds(within)).unwrap_or(i32::MAX);
        if let Err(error) = self.raw().set_linger(within) {
            log::warn!("the last frames may be lost, libzmq can't linger: {error}");
        }
    }
}

impl Drop for Monitored {
    /// A report that nobody can receive blocks libzmq's thread, and with it all sockets, until the
    /// context ends; and a full queue of them blocks whoever silences the monitor. So the queue is
    /// emptied first, then the monitor is silenced, by putting one that reports nothing in its
    /// place, and only then may the fields go.
    fn drop(&mut self) {
        while let Ok(Some(_)) = self.report() {}
        // The old monitor has stopped even if the new one could not begin.
        let _ = self.raw().monitor("inproc://silent", 0);
    }
}

impl Report {
    /// A report is a 16-bit event and a 32-bit value in the machine's own order.
    fn decode(message: &[u8]) -> Option<Report> {
        let (event, value) = message.split_first_chunk::<2>()?;
        let value = i32::from_ne_bytes(value.try_into().ok()?);
        let event = u16::from_ne_bytes(*event);
        [
            (SocketEvent::LISTENING, Report::Listening(value)),
            (SocketEvent::ACCEPTED, Report::Accepted(value)),
            (SocketEvent::HANDSHAKE_SUCCEEDED, Report::Ready),
            (SocketEvent::DISCONNECTED, Report::Ended(value)),
            (SocketEvent::CONNECT_RETRIED, Report::Failed),
        ]
        .into_iter()
        .find_map(|(known, report)| (known.to_raw() == event).then_some(report))
    }
}

/// A name that no other monitor of this process has.
fn monitor_endpoint() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("inproc://monitor-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Repeats a call that a signal has interrupted, which also happens to calls that do not wait.
pub(crate) fn retry<T>(mut call: impl FnMut() -> Result<T, zmq::Error>) -> Result<T, zmq::Error> {
    loop {
        match call() {
            Err(zmq::Error::EINTR) => {}
            done => return done,
        }
    }
}
