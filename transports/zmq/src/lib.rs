//! The transport of hoptree over libzmq: one ROUTER for all who connect to this process, one
//! DEALER for each peer that this process connects to, TCP on the loopback interface or Unix sockets
//! between them.
//!
//! It has no thread of its own besides libzmq's, never reconnects, and sends no heartbeats of
//! ZMTP: the life of a link is judged above.
//!
//! Anybody on the machine can connect to a TCP port. Who does so comes in with a password only
//! (`authenticator`), and so no sooner than the listening side waits. Who does not show it within a
//! second, or is the oldest of too many, is hung up on. Start reading at [`Zmq`].

mod authenticator;
mod connection;
mod doorbell;
#[cfg(feature = "floor")]
pub mod floor;
mod listener;
mod listener_address;
mod monitored;
mod poll;
mod roster;
mod socket;

use std::io;
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, FRAMES_PER_WAIT_MAX, LinkId, LinkIds, Reach, SEALED_BYTES_MAX, Secret,
    SendError, Transport, TransportError, TransportSpec, Waker,
};

use hoptree_system::{explain, keep_spare, require_descriptors, require_threads};
pub use hoptree_zmtp::Place;

use connection::Connection;
use doorbell::Doorbell;
use listener::Listener;
use monitored::Monitored;
use poll::Poll;

inventory::submit! {
    TransportSpec {
        name: "zmq",
        package: env!("CARGO_PKG_NAME"),
        library,
        runs_over: "TCP on the loopback interface",
        speaks: PROTOCOL,
        has_socket_files: false,
        reach: Reach::ThisMachine,
        flaw: None,
        open: |opening| Ok(Box::new(Zmq::open(Place::Loopback, opening.secret)?)),
    }
}

inventory::submit! {
    TransportSpec {
        name: "zmq:ipc",
        package: env!("CARGO_PKG_NAME"),
        library,
        runs_over: "Unix sockets in a private directory",
        speaks: PROTOCOL,
        has_socket_files: true,
        reach: Reach::ThisUser,
        flaw: None,
        open: |opening| {
            let place = Place::in_directory(opening.directory)?;
            Ok(Box::new(Zmq::open(place, opening.secret)?))
        },
    }
}

/// What both speak, and nobody else: over TCP a peer has to show a password first, with a mechanism of
/// ZMTP that not every library has.
const PROTOCOL: &str = "ZMTP 3 of libzmq";

/// How many descriptors libzmq needs to start (10), and then for a connection or a listener (8), with
/// a few more.
const DESCRIPTORS_TO_START: usize = 24;

/// How many threads libzmq starts.
const THREADS: usize = 2;

/// What libzmq calls errors of its own begins here; what is below are the system's.
const OWN_ERRORS_FROM: i32 = 156_384_712;

/// The sockets of one process.
pub struct Zmq {
    doorbell: Doorbell,
    place: Place,
    secret: Secret,
    listener: Option<Listener>,
    connections: Vec<Connection>,
    /// Links that could not even begin to connect; the next wait tells. At most one for each call
    /// of connect since the last wait.
    refused: Vec<LinkId>,
    /// Why the last connection that has failed did.
    refusal: Option<String>,
    poll: Poll,
    frame: zmq::Message,
    link_ids: LinkIds,
    context: zmq::Context,
}

impl Zmq {
    /// A transport without any socket yet, its library's threads running; it will listen at `place`.
    /// Over TCP it lets in, and can connect to, only who knows the secret.
    ///
    /// # Errors
    ///
    /// When the system has no room for its descriptors and threads.
    pub fn open(place: Place, secret: Secret) -> Result<Zmq, TransportError> {
        // The first socket starts libzmq's threads. The process is aborted when one can't be started
        // or finds no descriptor. So there must be room, and they start now, not once there are
        // many links.
        keep_spare()
            .and_then(|()| require_descriptors(DESCRIPTORS_TO_START))
            .and_then(|()| require_threads(THREADS))
            .map_err(|why| cannot("start", &why))?;
        let doorbell = Doorbell::new().map_err(|error| cannot("start", &explain(&error.into())))?;
        let context = zmq::Context::new();
        context.socket(zmq::PAIR).map_err(|error| cannot("start", &reason(error)))?;
        Ok(Zmq {
            doorbell,
            place,
            secret,
            listener: None,
            connections: Vec::new(),
            refused: Vec::new(),
            refusal: None,
            poll: Poll::default(),
            frame: zmq::Message::new(),
            link_ids: LinkIds::default(),
            context,
        })
    }

    /// Everything that is polled, the listener first.
    fn sockets(&self) -> impl Iterator<Item = &Monitored> {
        let listener = self.listener.iter().map(Listener::socket);
        listener.chain(self.connections.iter().map(Connection::socket))
    }

    /// Whether a `Down` is due that no socket will wake us for.
    fn is_due(&self) -> bool {
        !self.refused.is_empty()
            || self.listener.as_ref().is_some_and(Listener::is_due)
            || self.connections.iter().any(Connection::is_due)
    }

    fn deliver(&mut self, deliver: &mut dyn FnMut(Event<'_>)) -> Result<(), zmq::Error> {
        for link in self.refused.drain(..) {
            deliver(Event::Down(link));
        }
        let mut shares = Shares::new(self.poll.ready().filter(|ready| ready.any()).count());
        let mut ready = self.poll.ready();
        if let Some(listener) = &mut self.listener {
            let ready = ready.next().unwrap_or_default();
            if ready.any() || self.poll.is_asked() || listener.is_due() {
                let frames_max = shares.next();
                let frame = &mut self.frame;
                let ids = &mut self.link_ids;
                shares.spend(listener.deliver(ready, frames_max, frame, ids, deliver)?);
            }
        }
        for connection in &mut self.connections {
            let ready = ready.next().unwrap_or_default();
            if ready.any() || connection.is_due() {
                let frames_max = shares.next();
                shares.spend(connection.deliver(ready, frames_max, &mut self.frame, deliver)?);
            }
        }
        for failed in self.connections.extract_if(.., |connection| connection.is_over()) {
            self.refusal = failed.refusal().or(self.refusal.take());
        }
        Ok(())
    }
}

impl Transport for Zmq {
    fn listen(&mut self) -> Result<Address, TransportError> {
        if let Some(listener) = &self.listener {
            return Ok(listener.address().clone());
        }
        let listener = Listener::bind(&self.context, &self.place, self.secret)?;
        Ok(self.listener.insert(listener).address().clone())
    }

    fn connect(&mut self, to: &Address) -> LinkId {
        let link = self.link_ids.next_id();
        match Connection::open(&self.context, link, to, self.secret) {
            Ok(connection) => self.connections.push(connection),
            Err(error) => {
                log::warn!("can't connect to {:?}: {error}", to.0);
                self.refused.push(link);
                self.refusal = Some(error.to_string());
            }
        }
        link
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        debug_assert!((1..=SEALED_BYTES_MAX).contains(&frame.len()), "{} bytes", frame.len());
        if let Some(connection) = self.connections.iter().find(|one| one.link() == link) {
            return connection.send(frame);
        }
        self.listener.as_mut().map_or(Err(SendError::Gone), |listener| listener.send(link, frame))
    }

    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        let until = if self.is_due() { Some(Instant::now()) } else { until };
        let mut poll = std::mem::take(&mut self.poll);
        let authenticator = self.listener.as_ref().and_then(Listener::authenticator);
        let waited = poll.wait(&self.doorbell, authenticator, self.sockets(), until);
        self.poll = poll;
        waited
            .and_then(|()| self.deliver(deliver))
            .map_err(|error| cannot("wait for its sockets", &reason(error)))
    }

    fn refusal(&self) -> Option<String> {
        self.refusal.clone()
    }

    fn waker(&self) -> Waker {
        self.doorbell.waker()
    }

    fn close(&mut self, link: LinkId) {
        self.refused.retain(|&refused| refused != link);
        if let Some(at) = self.connections.iter().position(|one| one.link() == link) {
            self.connections.swap_remove(at).close();
        } else if let Some(listener) = &mut self.listener {
            listener.close(link);
        }
    }

    fn finish(self: Box<Self>, within: Duration) {
        for socket in self.sockets() {
            socket.linger(within);
        }
        // The last owner of the context waits in its destructor until the sockets have sent what
        // they hold, each at most as long as it lingers.
        drop(self);
    }
}

/// Divides [`FRAMES_PER_WAIT_MAX`] among the sockets that have something; what one leaves goes to
/// those after it.
struct Shares {
    frames_left: usize,
    sockets_left: usize,
}

impl Shares {
    fn new(sockets: usize) -> Shares {
        Shares { frames_left: FRAMES_PER_WAIT_MAX, sockets_left: sockets }
    }

    fn next(&mut self) -> usize {
        let share = self.frames_left.div_ceil(self.sockets_left.max(1));
        self.sockets_left = self.sockets_left.saturating_sub(1);
        share
    }

    fn spend(&mut self, frames: usize) {
        self.frames_left -= frames;
    }
}

fn library() -> String {
    let (major, minor, patch) = zmq::version();
    format!("libzmq {major}.{minor}.{patch}")
}

fn cannot(what: &str, why: &str) -> TransportError {
    TransportError(format!("libzmq can't {what}: {why}"))
}

/// What an error means to a user.
fn reason(error: zmq::Error) -> String {
    match error.to_raw() {
        system if system < OWN_ERRORS_FROM => explain(&io::Error::from_raw_os_error(system)),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = Secret::new(&[7; 32]);

    /// Waits once, briefly, and says how many links came up and went down.
    fn turn(zmq: &mut Zmq) -> (usize, usize) {
        let (mut ups, mut downs) = (0, 0);
        let until = Instant::now() + Duration::from_millis(20);
        zmq.wait(Some(until), &mut |event| match event {
            Event::Up(_) => ups += 1,
            Event::Frame(..) => {}
            Event::Down(_) => downs += 1,
        })
        .unwrap();
        (ups, downs)
    }

    #[test]
    fn the_library_says_its_version() {
        assert!(library().starts_with("libzmq 4."), "{}", library());
    }

    #[test]
    fn shares_are_equal_and_what_is_left_goes_to_the_later_ones() {
        let mut shares = Shares::new(2);
        assert_eq!(shares.next(), FRAMES_PER_WAIT_MAX / 2);
        shares.spend(1);
        assert_eq!(shares.next(), FRAMES_PER_WAIT_MAX - 1);
        assert_eq!(Shares::new(0).next(), FRAMES_PER_WAIT_MAX);
    }

    /// Descriptors are reused all the time here, and the listener looks only now and then, so that
    /// most peers are gone before their frame is read.
    #[test]
    fn five_hundred_comings_and_goings_leave_nothing_behind() {
        const ROUNDS: usize = 500;
        let deadline = Instant::now() + Duration::from_secs(60);
        // Over TCP nobody would come up before the listener looks.
        let directory = tempfile::tempdir().unwrap();
        let place = Place::in_directory(directory.path()).unwrap();
        let mut parent = Zmq::open(place.clone(), SECRET).unwrap();
        let address = parent.listen().unwrap();
        let mut child = Zmq::open(place, SECRET).unwrap();
        let (mut ups, mut downs) = (0, 0);
        let mut count = |(more_ups, more_downs): (usize, usize)| {
            ups += more_ups;
            downs += more_downs;
            (ups, downs)
        };
        for round in 0..ROUNDS {
            let link = child.connect(&address);
            while turn(&mut child) == (0, 0) {
                assert!(Instant::now() < deadline, "round {round} does not come up");
            }
            child.send(link, b"hello").unwrap();
            child.close(link);
            if round % 7 == 0 {
                count(turn(&mut parent));
            }
        }
        while count(turn(&mut parent)) != (ROUNDS, ROUNDS) {
            assert!(Instant::now() < deadline, "not every end was told");
        }
        assert!(parent.listener.as_ref().is_some_and(Listener::is_empty));
        assert!(child.connections.is_empty() && child.listener.is_none());
    }
}
