//! The links of those who connected to this process: one ROUTER socket.

use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use hoptree_core::{Address, LinkId, LinkIds};
use hoptree_system::{explain, explain_listen, require_loopback};
use hoptree_zmtp::{Place, SocketFile};
use rustc_hash::FxHashMap;
use zeromq::util::PeerIdentity;
use zeromq::{RouterSocket, Socket, SocketEvent, SocketRecv, SocketSend, ZmqError, ZmqMessage};

use crate::inbox::{Inbox, Received};
use crate::reason;
use crate::window::Window;

/// How many reports of the library wait to be read. It throws away those for which there is no
/// room, and when all peers die at once it makes one for each before any can be read, so this is
/// more than a process may have peers.
const REPORTS_MAX: usize = 1 << 20;

/// The length of the name that a ROUTER gives a peer which has given itself none.
const IDENTITY_BYTES: usize = 16;

/// All who connected to the one address of this process.
pub(crate) struct Listener {
    socket: RouterSocket,
    reports: mpsc::Receiver<SocketEvent>,
    address: Address,
    /// All that are connected; no link before the first frame.
    peers: HashMap<PeerIdentity, Option<LinkId>>,
    /// Whether a peer was hung up on that the library has yet to close.
    is_closing: bool,
    links: FxHashMap<LinkId, Peer>,
    /// Removed when the listener is.
    _file: Option<SocketFile>,
}

struct Peer {
    id: PeerIdentity,
    window: Window,
}

impl Listener {
    /// A text says why not.
    pub(crate) async fn bind(place: &Place) -> Result<Listener, String> {
        match place {
            Place::Loopback => {
                require_loopback()?;
                Listener::tcp().await.map_err(|error| reason(&error, explain_listen))
            }
            Place::Directory(directory) => {
                Listener::ipc(directory).await.map_err(|error| reason(&error, explain))
            }
        }
    }

    async fn tcp() -> Result<Listener, ZmqError> {
        let mut socket = RouterSocket::new();
        let endpoint = socket.bind("tcp://127.0.0.1:0").await?;
        Ok(Listener::new(socket, Address(endpoint.to_string()), None))
    }

    async fn ipc(directory: &Path) -> Result<Listener, ZmqError> {
        let file = SocketFile::unused_in(directory)?;
        let mut socket = RouterSocket::new();
        socket.bind_listener(UnixListener::bind(file.path())?).await?;
        Ok(Listener::new(socket, file.address(), Some(file)))
    }

    fn new(socket: RouterSocket, address: Address, file: Option<SocketFile>) -> Listener {
        let (sender, reports) = mpsc::channel(REPORTS_MAX);
        socket.backend().monitor().lock().replace(sender);
        let (peers, links) = Default::default();
        Listener { socket, reports, address, peers, is_closing: false, links, _file: file }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// How many peers are connected, silent ones too.
    pub(crate) fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Takes at most one frame into the inbox, and all that became known. Says whether to look
    /// again.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        ids: &mut LinkIds,
        inbox: &mut Inbox,
    ) -> bool {
        let received = self.socket.recv().as_mut().poll(cx);
        let more = match received {
            Poll::Ready(Ok(message)) => {
                self.receive(message, ids, inbox);
                true
            }
            // A ROUTER has no errors of its own.
            Poll::Ready(Err(_)) | Poll::Pending => false,
        };
        // The library reports an end only after all frames before it have been received.
        while let Poll::Ready(Some(report)) = self.reports.poll_next_unpin(cx) {
            match report {
                SocketEvent::Accepted(_, id) => {
                    self.peers.entry(id).or_default();
                }
                SocketEvent::Disconnected(id) => {
                    if let Some(link) = self.peers.remove(&id).flatten() {
                        self.links.remove(&link);
                        inbox.down(link);
                    }
                }
                SocketEvent::AcceptFailed(error) => log::debug!("nobody was let in: {error}"),
                _ => {}
            }
        }
        more
    }

    /// Whether the library has to have its turn for a peer to notice that it was hung up on.
    pub(crate) fn take_closing(&mut self) -> bool {
        std::mem::take(&mut self.is_closing)
    }

    /// What counts the frames that the library holds for a peer, if there is one.
    pub(crate) fn window(&self, link: LinkId) -> Option<&Window> {
        self.links.get(&link).map(|peer| &peer.window)
    }

    /// Has a frame written, as soon as the library comes to it. Leaves an error alone: when the peer
    /// is gone, that is reported, and there is room for all that a window holds.
    pub(crate) fn post(&mut self, link: LinkId, frame: Bytes) {
        let Some(peer) = self.links.get(&link) else { return };
        let mut message = ZmqMessage::from(Bytes::from(peer.id.clone()));
        message.push_back(frame);
        let _ = self.socket.send(message).now_or_never();
    }

    /// Lets a peer go once all is sent that it was sent, and says whether there is one.
    pub(crate) fn close(&mut self, link: LinkId) -> bool {
        let Some(peer) = self.links.remove(&link) else { return false };
        self.peers.remove(&peer.id);
        hang_up(&self.socket, &peer.id);
        true
    }

    /// Ends all links like [`Listener::close`].
    pub(crate) fn close_all(&mut self) {
        self.links.clear();
        for (id, _) in self.peers.drain() {
            hang_up(&self.socket, &id);
        }
    }

    fn receive(&mut self, message: ZmqMessage, ids: &mut LinkIds, inbox: &mut Inbox) {
        let Some(name) = message.get(0).filter(|name| name.len() == IDENTITY_BYTES) else { return };
        let Ok(id) = PeerIdentity::try_from(name.clone()) else { return };
        match Received::from_message(message, 1) {
            Received::Frame(frame) => {
                let link = *self.peers.entry(id.clone()).or_default().get_or_insert_with(|| {
                    let link = ids.next_id();
                    self.links.insert(link, Peer { id, window: Window::default() });
                    inbox.up(link);
                    link
                });
                inbox.frame(link, frame);
            }
            Received::Foreign => {}
            // The end is reported like any other.
            Received::TooLong => {
                hang_up(&self.socket, &id);
                self.is_closing = true;
            }
        }
    }

    /// Whether nobody is connected.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.links.is_empty()
    }
}

/// Ends the connection to one peer: it is not read any more, what it was sent is still written,
/// and then it is closed.
fn hang_up(socket: &RouterSocket, id: &PeerIdentity) {
    socket.backend().peer_disconnected(id);
}
