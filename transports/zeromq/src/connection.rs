//! A link that was begun here: one DEALER socket.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use hoptree_core::LinkId;
use hoptree_zmtp::Endpoint;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zeromq::{DealerSocket, Socket, SocketEvent, SocketRecv, SocketSend, ZmqError, ZmqMessage};

use crate::deserted::is_deserted;
use crate::inbox::{Inbox, Received};
use crate::window::Window;

/// How long a listener that takes connections but does not speak is waited for.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// When the library has not connected by now, it has perhaps been refused, which it does not tell:
/// its first retry is due after 50 ms. A listener's process that is just dying may refuse what it
/// has not refused a moment ago. To ask a socket file again harms nobody, so it is done soon; a TCP
/// listener sees one more connection come and go.
const REFUSAL_SUSPECTED_IPC: Duration = Duration::from_millis(2);
const REFUSAL_SUSPECTED_TCP: Duration = Duration::from_millis(30);

/// How long to wait before a listener is tried again that has too many to accept.
const CROWDED_PAUSE: Duration = Duration::from_millis(5);

/// How long frames that were sent before a link is closed may wait for it to come up.
const CLOSE_LINGER: Duration = Duration::from_millis(100);

/// A connection to a listener, from its first attempt to its end.
pub(crate) struct Connection {
    link: LinkId,
    to: Endpoint,
    window: Window,
    state: State,
}

enum State {
    Connecting {
        attempt: JoinHandle<Result<Joined, ZmqError>>,
        /// What was sent so far.
        unsent: Vec<Bytes>,
    },
    Up(Joined),
}

struct Joined {
    socket: DealerSocket,
    reports: mpsc::Receiver<SocketEvent>,
}

/// What to do with a connection after it was polled.
#[derive(PartialEq, Eq)]
pub(crate) enum Polled {
    More,
    /// It came up, and what was sent before now waits to be written.
    Risen,
    Nothing,
    /// `Down` was told; drop it.
    Over,
}

impl Connection {
    pub(crate) fn open(runtime: &Handle, link: LinkId, to: Endpoint) -> Connection {
        let place = to.clone();
        let attempt = runtime.spawn(async move {
            timeout(CONNECT_PATIENCE, join(&place)).await.unwrap_or(Err(ZmqError::Other("timeout")))
        });
        let state = State::Connecting { attempt, unsent: Vec::new() };
        Connection { link, to, window: Window::default(), state }
    }

    pub(crate) fn link(&self) -> LinkId {
        self.link
    }

    /// Takes at most one frame into the inbox, and all that became known.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox) -> Polled {
        match &mut self.state {
            State::Connecting { attempt, unsent } => {
                let joined = match Pin::new(attempt).poll(cx) {
                    Poll::Pending => return Polled::Nothing,
                    Poll::Ready(Ok(Ok(joined))) => Some(joined),
                    Poll::Ready(Ok(Err(error))) => {
                        log::debug!("can't connect: {error}");
                        None
                    }
                    Poll::Ready(Err(_)) => None,
                };
                let Some(mut joined) = joined else {
                    inbox.down(self.link);
                    return Polled::Over;
                };
                inbox.up(self.link);
                unsent.drain(..).for_each(|frame| joined.post(frame));
                self.state = State::Up(joined);
                Polled::Risen
            }
            State::Up(joined) => {
                let polled = joined.poll(cx, self.link, inbox);
                if polled == Polled::Over {
                    inbox.down(self.link);
                }
                polled
            }
        }
    }

    /// Why it did not come up, if it did not, as far as that can be found out.
    pub(crate) fn refusal(&self) -> Option<String> {
        // The library often doesn't say.
        matches!(self.state, State::Connecting { .. }).then(|| self.to.refusal()).flatten()
    }

    /// What counts the frames that this connection holds.
    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// Has a frame written, as soon as the library comes to it.
    pub(crate) fn post(&mut self, frame: Bytes) {
        match &mut self.state {
            State::Connecting { unsent, .. } => unsent.push(frame),
            State::Up(joined) => joined.post(frame),
        }
    }

    /// Ends the connection; frames that were sent still go out.
    pub(crate) fn close(self, runtime: &Handle) {
        match self.state {
            State::Connecting { attempt, unsent } if unsent.is_empty() => attempt.abort(),
            State::Connecting { mut attempt, unsent } => {
                runtime.spawn(async move {
                    match timeout(CLOSE_LINGER, &mut attempt).await {
                        Ok(Ok(Ok(mut joined))) => {
                            unsent.into_iter().for_each(|frame| joined.post(frame));
                        }
                        _ => attempt.abort(),
                    }
                });
            }
            // The library still writes what it holds.
            State::Up(_) => {}
        }
    }
}

impl Joined {
    fn poll(&mut self, cx: &mut Context<'_>, link: LinkId, inbox: &mut Inbox) -> Polled {
        let received = self.socket.recv().as_mut().poll(cx);
        match received {
            Poll::Ready(Ok(message)) => match Received::from_message(message, 0) {
                Received::Frame(frame) => {
                    inbox.frame(link, frame);
                    Polled::More
                }
                Received::Foreign => Polled::More,
                Received::TooLong => Polled::Over,
            },
            // The library would say the same for ever.
            Poll::Ready(Err(_)) => Polled::Over,
            Poll::Pending => self.poll_reports(cx),
        }
    }

    fn poll_reports(&mut self, cx: &mut Context<'_>) -> Polled {
        while let Poll::Ready(Some(report)) = self.reports.poll_next_unpin(cx) {
            if matches!(report, SocketEvent::Disconnected(_)) {
                return Polled::Over;
            }
        }
        Polled::Nothing
    }

    /// Leaves an error alone: when the peer is gone, that is reported, and there is room for all
    /// that a window holds.
    fn post(&mut self, frame: Bytes) {
        let _ = self.socket.send(ZmqMessage::from(frame)).now_or_never();
    }
}

/// Connects, unless nobody listens.
async fn join(to: &Endpoint) -> Result<Joined, ZmqError> {
    const REFUSED: ZmqError = ZmqError::Other("nobody listens there");
    let suspected = match to {
        Endpoint::Ipc(_) if is_deserted(to).await => return Err(REFUSED),
        Endpoint::Ipc(_) => REFUSAL_SUSPECTED_IPC,
        Endpoint::Tcp(_) => REFUSAL_SUSPECTED_TCP,
    };
    let mut socket = DealerSocket::new();
    let reports = socket.monitor();
    let place = to.to_string();
    loop {
        let connected = {
            let mut connecting = pin!(socket.connect(&place));
            match timeout(suspected, &mut connecting).await {
                Ok(connected) => connected,
                Err(_) if is_deserted(to).await => return Err(REFUSED),
                Err(_) => connecting.await,
            }
        };
        match connected {
            Ok(()) => return Ok(Joined { socket, reports }),
            Err(ZmqError::Network(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                sleep(CROWDED_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}
