//! One connection.

use std::io::{ErrorKind, Read};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use hoptree_core::{LinkId, SendError};
use hoptree_system::{Interest, Watch, explain};

use crate::inbox::{Inbox, WrongLength};
use crate::outbox::Outbox;
use crate::socket::has_delivered;

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Begun here; it is not known yet whether somebody is there.
    Connecting,
    /// Accepted; no event has named it.
    Accepted,
    Up,
    /// Given up here. What was sent before still leaves.
    Closed,
}

/// A socket, what has come from it and what is to leave by it.
pub(crate) struct Link {
    id: LinkId,
    socket: TcpStream,
    peer: SocketAddr,
    pub(crate) stage: Stage,
    /// By when it must be in another stage.
    pub(crate) until: Option<Instant>,
    inbox: Inbox,
    outbox: Outbox,
    /// Whether the system takes no more, so that the link is watched for room.
    is_blocked: bool,
    /// Whether nothing can be sent any more.
    is_deaf: bool,
    /// Whether nothing more will come.
    has_ended: bool,
}

/// What a link has to deliver.
pub(crate) enum Next<'a> {
    Frame(&'a [u8]),
    Nothing,
    /// Nothing more will come.
    End,
    /// What has come is no frame.
    Garbage(WrongLength),
}

impl Link {
    pub(crate) fn new(id: LinkId, socket: TcpStream, peer: SocketAddr, stage: Stage) -> Link {
        Link {
            id,
            socket,
            peer,
            stage,
            until: None,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            is_blocked: false,
            is_deaf: false,
            has_ended: false,
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether there is something to deliver.
    pub(crate) fn is_due(&self) -> bool {
        self.stage != Stage::Closed && (self.has_ended || self.inbox.is_ready())
    }

    /// Whether that is a whole frame.
    pub(crate) fn has_frame(&self) -> bool {
        self.inbox.has_frame()
    }

    pub(crate) fn next(&mut self) -> Next<'_> {
        let has_ended = self.has_ended;
        match self.inbox.next_frame() {
            Ok(Some(frame)) => Next::Frame(frame),
            Ok(None) if has_ended => Next::End,
            Ok(None) => Next::Nothing,
            Err(wrong) => Next::Garbage(wrong),
        }
    }

    /// Takes a frame, and says whether it is the first that waits.
    pub(crate) fn send(&mut self, frame: &[u8], watch: &Watch) -> Result<bool, SendError> {
        if self.stage == Stage::Closed || self.is_deaf {
            return Err(SendError::Gone);
        }
        if !self.outbox.has_room(frame.len()) {
            self.write(watch);
        }
        if !self.outbox.has_room(frame.len()) {
            return Err(SendError::Full);
        }
        let is_first = self.outbox.is_empty();
        self.outbox.push(frame);
        Ok(is_first)
    }

    /// Writes what waits, unless the system has said that it takes no more.
    pub(crate) fn write(&mut self, watch: &Watch) {
        if self.stage != Stage::Connecting && !self.is_blocked {
            self.write_once(watch);
        }
    }

    /// The same when the system may take more.
    pub(crate) fn write_again(&mut self, watch: &Watch) {
        if self.is_blocked {
            self.write_once(watch);
        }
    }

    fn write_once(&mut self, watch: &Watch) {
        if !self.outbox.is_empty()
            && let Err(error) = self.outbox.write_to(&mut &self.socket)
            && !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        {
            // What has come before the end can still be read, and then the end.
            log::debug!("nothing can be sent on link {} any more: {error}", self.id.0);
            self.is_deaf = true;
            self.outbox.clear();
        }
        let is_blocked = !self.outbox.is_empty();
        if is_blocked != mem::replace(&mut self.is_blocked, is_blocked) {
            self.watch(watch, if is_blocked { Interest::Both } else { Interest::Read });
        }
        if !is_blocked && self.stage == Stage::Closed {
            // If it has ended, there is nobody to tell.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }

    /// Reads once. What it leaves the watch tells of again.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) {
        match (&self.socket).read(buffer) {
            Ok(0) => self.has_ended = true,
            Ok(_) if self.stage == Stage::Closed => {}
            Ok(bytes) => self.inbox.take_in(&buffer[..bytes]),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => {
                log::info!("link {} to {}: {}", self.id.0, self.peer, explain(&error));
                self.has_ended = true;
            }
        }
    }

    /// What has become of connecting; none when that is not known yet.
    pub(crate) fn connected(&mut self, watch: &Watch) -> Option<Result<(), std::io::Error>> {
        if let Some(error) = self.socket.take_error().unwrap_or_else(Some) {
            return Some(Err(error));
        }
        match (self.socket.peer_addr(), self.socket.local_addr()) {
            // By chance the system has chosen the port that nobody listens at for this end.
            (Ok(peer), Ok(own)) if peer == own => Some(Err(ErrorKind::ConnectionRefused.into())),
            (Ok(_), _) => {
                self.stage = Stage::Up;
                self.watch(watch, Interest::Read);
                self.write(watch);
                Some(Ok(()))
            }
            (Err(error), _) if error.kind() == ErrorKind::NotConnected => None,
            (Err(error), _) => Some(Err(error)),
        }
    }

    /// Gives it up, and says whether it is still needed for what has not left.
    pub(crate) fn close(&mut self, watch: &Watch) -> bool {
        let is_up = self.stage == Stage::Up;
        self.stage = Stage::Closed;
        self.inbox = Inbox::default();
        self.write(watch);
        is_up && !self.is_over()
    }

    /// Whether a closed link is not needed any more: its peer has hung up, or its peer's machine has all.
    /// To close a socket earlier would be to lose what has not arrived, as soon as the peer sends more.
    pub(crate) fn is_over(&self) -> bool {
        self.has_ended || self.is_deaf || (self.outbox.is_empty() && has_delivered(&self.socket))
    }

    fn watch(&self, watch: &Watch, interest: Interest) {
        let changed = watch.change(&self.socket, self.id.0, interest);
        debug_assert!(changed.is_ok(), "every link is watched");
    }
}
