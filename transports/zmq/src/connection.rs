//! A link that was begun here: one DEALER socket.

use std::time::Duration;

use hoptree_core::{Address, Event, LinkId, Secret, SendError};
use hoptree_zmtp::Endpoint;

use crate::authenticator::USERNAME;
use crate::listener_address::ListenerAddress;
use crate::monitored::{Monitored, Received, Report, retry};
use crate::poll::Ready;
use crate::reason;

/// How long frames that were sent before [`Connection::close`] may take to leave.
const CLOSE_LINGER: Duration = Duration::from_millis(100);

/// How long a listener that takes connections but does not speak is waited for.
const CONNECT_MS_MAX: i32 = 30_000;

/// A connection to a listener, from its first attempt to its end.
pub(crate) struct Connection {
    link: LinkId,
    to: Endpoint,
    socket: Monitored,
    state: State,
    was_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Up,
    /// The peer is gone; what it sent before has not all been delivered.
    Ended,
    /// `Down` has been told.
    Over,
}

impl Connection {
    pub(crate) fn open(
        context: &zmq::Context,
        link: LinkId,
        to: &Address,
        secret: Secret,
    ) -> Result<Connection, OpenError> {
        let listener = ListenerAddress::parse(to).ok_or(OpenError::NotAnAddress)?;
        let password = listener.password(secret);
        let socket = retry(|| {
            let socket = Monitored::new(context, zmq::DEALER)?;
            let dealer = socket.raw();
            // A reconnection that never comes: with none at all libzmq throws away what the peer
            // had sent, and is silent about connections that fail for want of descriptors.
            dealer.set_reconnect_ivl(i32::MAX)?;
            dealer.set_connect_timeout(CONNECT_MS_MAX)?;
            dealer.set_handshake_ivl(CONNECT_MS_MAX)?;
            if let Some(password) = &password {
                dealer.set_plain_username(Some(USERNAME))?;
                dealer.set_plain_password(Some(password))?;
            }
            dealer.connect(&listener.endpoint().to_string())?;
            Ok(socket)
        });
        let socket = socket.map_err(OpenError::Refused)?;
        Ok(Connection {
            link,
            to: listener.into_endpoint(),
            socket,
            state: State::Connecting,
            was_up: false,
        })
    }

    pub(crate) fn link(&self) -> LinkId {
        self.link
    }

    pub(crate) fn socket(&self) -> &Monitored {
        &self.socket
    }

    /// Whether `Down` is due as soon as no more frames are found.
    pub(crate) fn is_due(&self) -> bool {
        self.state == State::Ended
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Why it never came up, as far as that can be found out.
    pub(crate) fn refusal(&self) -> Option<String> {
        // libzmq doesn't say.
        (!self.was_up).then(|| self.to.refusal()).flatten()
    }

    pub(crate) fn send(&self, frame: &[u8]) -> Result<(), SendError> {
        if self.state == State::Ended {
            return Err(SendError::Gone);
        }
        self.socket.send(frame, 0).map_err(|error| match error {
            zmq::Error::EAGAIN => SendError::Full,
            _ => SendError::Gone,
        })
    }

    /// Delivers what has happened, at most `frames_max` frames, and says how many it took.
    pub(crate) fn deliver(
        &mut self,
        ready: Ready,
        frames_max: usize,
        frame: &mut zmq::Message,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, zmq::Error> {
        if ready.reports {
            self.read_reports(deliver)?;
        }
        for taken in 0..frames_max {
            match self.socket.receive(frame)? {
                Received::Frame => {
                    // Its report may have come just after the reports were read.
                    self.rise(deliver);
                    deliver(Event::Frame(self.link, frame));
                }
                Received::Foreign => {}
                Received::Nothing => {
                    if self.state == State::Ended {
                        self.state = State::Over;
                        deliver(Event::Down(self.link));
                    }
                    return Ok(taken);
                }
            }
        }
        Ok(frames_max)
    }

    /// Ends the connection; frames that were sent still go out.
    pub(crate) fn close(self) {
        self.socket.linger(CLOSE_LINGER);
    }

    fn read_reports(&mut self, deliver: &mut dyn FnMut(Event<'_>)) -> Result<(), zmq::Error> {
        while let Some(report) = self.socket.report()? {
            match report {
                Report::Ready => self.rise(deliver),
                Report::Ended(_) | Report::Failed => self.state = State::Ended,
                Report::Listening(_) | Report::Accepted(_) => {}
            }
        }
        Ok(())
    }

    fn rise(&mut self, deliver: &mut dyn FnMut(Event<'_>)) {
        if self.state == State::Connecting {
            self.state = State::Up;
            self.was_up = true;
            deliver(Event::Up(self.link));
        }
    }
}

/// Why a connection could not even begin.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The address was not made by a listener of this transport.
    NotAnAddress,
    /// libzmq or the system refused.
    Refused(zmq::Error),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::NotAnAddress => f.write_str(
                "it is neither tcp://127.0.0.1:PORT/NONCE nor ipc:///PATH, as a listener says it",
            ),
            OpenError::Refused(error) => write!(f, "libzmq refused: {}", reason(*error)),
        }
    }
}
