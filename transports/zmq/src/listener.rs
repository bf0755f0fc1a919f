//! The links of those who connected to this process: one ROUTER socket.

use std::os::fd::RawFd;
use std::time::Instant;

use hoptree_core::{
    Address, Event, LinkId, LinkIds, Recurrence, Secret, SendError, TransportError,
};
use hoptree_system::{Unauthenticated, explain, explain_listen, require_loopback};
use hoptree_zmtp::{Endpoint, Place, SocketFile};

use crate::authenticator::Authenticator;
use crate::cannot;
use crate::listener_address::{ListenerAddress, draw, password};
use crate::monitored::{Monitored, Received, Report, retry};
use crate::poll::Ready;
use crate::roster::{Roster, RoutingId, Standing};

/// A port that the system chooses.
const LOOPBACK: &str = "tcp://127.0.0.1:*";

/// How long a peer that connects by TCP may take to show that it belongs to the tree.
const HANDSHAKE_MS_MAX: i32 = 1_000;

/// How many connections wait to be accepted. When there are more, the last wait a whole second.
const BACKLOG: i32 = 1_024;

/// All who connected to the one address of this process.
pub(crate) struct Listener {
    socket: Monitored,
    /// None for a Unix socket.
    guard: Option<Guard>,
    address: Address,
    roster: Roster,
    strangers: Recurrence<Instant>,
    /// Removed when the listener is, which libzmq leaves to others.
    _file: Option<SocketFile>,
}

/// What keeps strangers off.
struct Guard {
    authenticator: Authenticator,
    unauthenticated: Unauthenticated,
}

impl Listener {
    pub(crate) fn bind(
        context: &zmq::Context,
        place: &Place,
        secret: Secret,
    ) -> Result<Listener, TransportError> {
        shuffle_routing_ids().map_err(|error| cannot("listen", &error.to_string()))?;
        match place {
            Place::Loopback => Listener::tcp(context, secret),
            Place::Directory(directory) => {
                let file = SocketFile::unused_in(directory);
                Listener::ipc(context, file.map_err(|error| cannot("listen", &explain(&error)))?)
            }
        }
    }

    fn tcp(context: &zmq::Context, secret: Secret) -> Result<Listener, TransportError> {
        require_loopback().map_err(|why| cannot("listen", &why))?;
        let nonce = draw().map_err(|error| cannot("listen", &error.to_string()))?;
        // It is asked by the first who connects, so it comes first.
        let authenticator =
            Authenticator::new(context, password(nonce, secret)).map_err(cannot_listen)?;
        let bound = retry(|| {
            let socket = router(context)?;
            socket.raw().set_plain_server(true)?;
            socket.raw().set_handshake_ivl(HANDSHAKE_MS_MAX)?;
            bound(socket, LOOPBACK)
        });
        let (socket, descriptor, endpoint) = bound.map_err(cannot_listen)?;
        let endpoint = Endpoint::from_address(&Address(endpoint))
            .expect("libzmq listens where it was told to");
        let guard = Guard { authenticator, unauthenticated: Unauthenticated::of(descriptor) };
        let address = ListenerAddress::guarded(endpoint, nonce).address();
        Ok(Listener::new(socket, Some(guard), address, None))
    }

    fn ipc(context: &zmq::Context, file: SocketFile) -> Result<Listener, TransportError> {
        let address = file.address();
        let bound = retry(|| bound(router(context)?, &address.0));
        let (socket, ..) = bound.map_err(cannot_listen)?;
        Ok(Listener::new(socket, None, address, Some(file)))
    }

    fn new(
        socket: Monitored,
        guard: Option<Guard>,
        address: Address,
        file: Option<SocketFile>,
    ) -> Listener {
        Listener {
            socket,
            guard,
            address,
            roster: Roster::default(),
            strangers: Recurrence::default(),
            _file: file,
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn socket(&self) -> &Monitored {
        &self.socket
    }

    /// What has to be waited for, if anybody may have to be authenticated.
    pub(crate) fn authenticator(&self) -> Option<&Authenticator> {
        self.guard.as_ref().map(|guard| &guard.authenticator).filter(|_| self.roster.has_unheard())
    }

    /// Whether a `Down` is due as soon as no more frames are found.
    pub(crate) fn is_due(&self) -> bool {
        self.roster.has_ended()
    }

    pub(crate) fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        let id = self.roster.routing_id(link).ok_or(SendError::Gone)?;
        let named = self.socket.send(&id.to_bytes(), zmq::SNDMORE);
        match named.and_then(|()| self.socket.send(frame, 0)) {
            Ok(()) => Ok(()),
            Err(zmq::Error::EAGAIN) => Err(SendError::Full),
            Err(_) => {
                self.roster.end(id);
                Err(SendError::Gone)
            }
        }
    }

    pub(crate) fn close(&mut self, link: LinkId) {
        self.roster.close(link);
    }

    /// Delivers what has happened, at most `frames_max` frames, and says how many it took.
    pub(crate) fn deliver(
        &mut self,
        ready: Ready,
        frames_max: usize,
        frame: &mut zmq::Message,
        link_ids: &mut LinkIds,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<usize, zmq::Error> {
        if ready.reports {
            self.read_reports()?;
        }
        if self.roster.has_unheard()
            && let Some(guard) = &mut self.guard
        {
            guard.authenticator.answer()?;
        }
        for taken in 0..frames_max {
            if !self.socket.receive_part(frame)? {
                // libzmq hands frames over before it reports an end, so now they are all read.
                self.roster.bury_all(|link| deliver(Event::Down(link)));
                return Ok(taken);
            }
            let id = RoutingId::from_bytes(frame);
            let received = self.socket.receive(frame)?;
            self.roster.hear(id);
            let (Some(id), Received::Frame) = (id, received) else { continue };
            match self.roster.standing(id) {
                Standing::Linked(link) => deliver(Event::Frame(link, frame)),
                Standing::Unwanted => {}
                Standing::Unknown => self.meet(id, frame, link_ids.next_id(), deliver)?,
            }
        }
        self.roster.bury_silent(|link| deliver(Event::Down(link)));
        Ok(frames_max)
    }

    fn read_reports(&mut self) -> Result<(), zmq::Error> {
        while let Some(report) = self.socket.report()? {
            match report {
                Report::Accepted(fd) => self.roster.accept(fd),
                Report::Ended(fd) => {
                    if !self.roster.disconnect(fd) {
                        self.tell_of_stranger();
                    }
                }
                Report::Listening(_) | Report::Ready | Report::Failed => {}
            }
        }
        Ok(())
    }

    fn tell_of_stranger(&mut self) {
        if let Some(times) = self.strangers.happened(Instant::now()) {
            log::info!("a connection has ended before anything came on it (times: {times})");
        }
    }

    /// Delivers a first frame, unless no report could ever tell of its sender's end.
    fn meet(
        &mut self,
        id: RoutingId,
        frame: &mut zmq::Message,
        link: LinkId,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), zmq::Error> {
        let Some(fd) = frame.gets("__fd").and_then(|fd| fd.parse().ok()) else { return Ok(()) };
        self.read_reports()?;
        self.roster.meet(id, link, fd);
        if let Some(guard) = &self.guard {
            guard.unauthenticated.admit(fd);
        }
        deliver(Event::Up(link));
        deliver(Event::Frame(link, frame));
        Ok(())
    }

    /// Whether nobody is connected and nothing is left to tell.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.roster.is_empty()
    }
}

/// Has libzmq begin to count at random what it calls its peers. It would begin with the same number in
/// every process, and ends the process when a peer calls itself what the next one will be called: any
/// member of the tree that has gone wrong could then bring that about. Strangers do not get that far
/// where they can connect at all, see [`Authenticator`].
fn shuffle_routing_ids() -> Result<(), getrandom::Error> {
    let seed = getrandom::u32()?;
    // SAFETY: no memory is handed over, and the C library guards what it keeps.
    unsafe { libc::srand(seed) };
    Ok(())
}

fn router(context: &zmq::Context) -> Result<Monitored, zmq::Error> {
    let socket = Monitored::new(context, zmq::ROUTER)?;
    socket.raw().set_router_mandatory(true)?;
    socket.raw().set_backlog(BACKLOG)?;
    Ok(socket)
}

/// Lets a socket listen, and says by which descriptor and where.
fn bound(socket: Monitored, endpoint: &str) -> Result<(Monitored, RawFd, String), zmq::Error> {
    socket.raw().bind(endpoint)?;
    // It is reported before anybody has connected.
    let Some(Report::Listening(descriptor)) = socket.report()? else {
        return Err(zmq::Error::EFAULT);
    };
    let endpoint = socket.raw().get_last_endpoint()?;
    Ok((socket, descriptor, endpoint.expect("an endpoint of libzmq is ASCII")))
}

fn cannot_listen(error: zmq::Error) -> TransportError {
    let error = std::io::Error::from_raw_os_error(error.to_raw());
    cannot("listen", &explain_listen(&error))
}
