//! The links of those who connected to this process: one ROUTER socket.

use hoptree_core::{Address, Event, LinkId, LinkIds, SendError, TransportError};
use hoptree_system::{explain, explain_listen, require_loopback};
use hoptree_zmtp::{Place, SocketFile};

use crate::cannot;
use crate::monitored::{Monitored, Received, Report, retry};
use crate::poll::Ready;
use crate::roster::{Roster, RoutingId, Standing};

/// A port that the system chooses.
const LOOPBACK: &str = "tcp://127.0.0.1:*";

/// How many connections wait to be accepted. When there are more, the last wait a whole second.
const BACKLOG: i32 = 1_024;

/// All who connected to the one address of this process.
pub(crate) struct Listener {
    socket: Monitored,
    address: Address,
    roster: Roster,
    /// Removed when the listener is, which libzmq leaves to others.
    _file: Option<SocketFile>,
}

impl Listener {
    pub(crate) fn bind(context: &zmq::Context, place: &Place) -> Result<Listener, TransportError> {
        let file = match place {
            Place::Loopback => {
                require_loopback().map_err(|why| cannot("listen", &why))?;
                None
            }
            Place::Directory(directory) => {
                let file = SocketFile::unused_in(directory);
                Some(file.map_err(|error| cannot("listen", &explain(&error)))?)
            }
        };
        let endpoint = file.as_ref().map_or(LOOPBACK.to_owned(), |file| file.address().0);
        let socket = retry(|| bound(context, &endpoint));
        let (socket, address) = socket.map_err(|error| {
            let error = std::io::Error::from_raw_os_error(error.to_raw());
            cannot("listen", &explain_listen(&error))
        })?;
        Ok(Listener { socket, address, roster: Roster::default(), _file: file })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn socket(&self) -> &Monitored {
        &self.socket
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
        for taken in 0..frames_max {
            if !self.socket.receive_part(frame)? {
                // libzmq hands frames over before it reports an end, so now they are all read.
                self.roster.bury(|link| deliver(Event::Down(link)));
                return Ok(taken);
            }
            let id = RoutingId::from_bytes(frame);
            let received = self.socket.receive(frame)?;
            let (Some(id), Received::Frame) = (id, received) else { continue };
            match self.roster.standing(id) {
                Standing::Linked(link) => deliver(Event::Frame(link, frame)),
                Standing::Unwanted => {}
                Standing::Unknown => self.meet(id, frame, link_ids.next_id(), deliver)?,
            }
        }
        Ok(frames_max)
    }

    fn read_reports(&mut self) -> Result<(), zmq::Error> {
        while let Some(report) = self.socket.report()? {
            match report {
                Report::Accepted(fd) => self.roster.accept(fd),
                Report::Ended(fd) => self.roster.disconnect(fd),
                Report::Ready | Report::Failed => {}
            }
        }
        Ok(())
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

/// A socket that listens at `endpoint`, and where that is.
fn bound(context: &zmq::Context, endpoint: &str) -> Result<(Monitored, Address), zmq::Error> {
    let socket = Monitored::new(context, zmq::ROUTER)?;
    let router = socket.raw();
    router.set_router_mandatory(true)?;
    router.set_backlog(BACKLOG)?;
    router.bind(endpoint)?;
    let endpoint = router.get_last_endpoint()?;
    Ok((socket, Address(endpoint.expect("an endpoint of libzmq is ASCII"))))
}
