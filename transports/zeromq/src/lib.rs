//! The transport of hoptree over the `zeromq` crate, which speaks the protocol of libzmq and is
//! all Rust: one ROUTER for all who connect to this process, one DEALER for each peer that this
//! process connects to.
//!
//! It has no thread of its own: the library's tasks run in the thread of the node, while it waits.
//! So a peer that connects comes up no sooner than the listening side waits, and what is sent leaves
//! at the beginning of the next wait.
//!
//! The library ends the process when a peer announces a frame of enormous length. Therefore
//! it listens on a socket file where no other user comes; [`Place::Loopback`], where every user of
//! this machine can connect, is only for comparisons. Start reading at [`Zeromq`].

mod connection;
mod deserted;
#[cfg(feature = "floor")]
pub mod floor;
mod inbox;
mod listener;
mod window;

use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hoptree_core::{
    Address, Event, FRAMES_PER_WAIT_MAX, LinkId, LinkIds, Reach, SEALED_BYTES_MAX, SendError,
    Transport, TransportError, TransportSpec, Waker,
};
use hoptree_system::{explain, keep_spare};
use hoptree_zmtp::Endpoint;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{unconstrained, yield_now};
use tokio::time::{Sleep, sleep, sleep_until, timeout};
use zeromq::ZmqError;

pub use hoptree_zmtp::Place;

use connection::{Connection, Polled};
use inbox::Inbox;
use listener::Listener;

inventory::submit! {
    TransportSpec {
        name: "zeromq",
        package: env!("CARGO_PKG_NAME"),
        library,
        runs_over: "Unix sockets in a private directory",
        speaks: PROTOCOL,
        has_socket_files: true,
        reach: Reach::ThisUser,
        flaw: None,
        open: |opening| Ok(Box::new(Zeromq::open(Place::in_directory(opening.directory)?)?)),
    }
}

inventory::submit! {
    TransportSpec {
        name: "zeromq:tcp",
        package: env!("CARGO_PKG_NAME"),
        library,
        runs_over: "TCP on the loopback interface",
        speaks: PROTOCOL,
        has_socket_files: false,
        reach: Reach::ThisMachine,
        flaw: Some("a frame that announces an enormous length ends the process"),
        open: |_| Ok(Box::new(Zeromq::open(Place::Loopback)?)),
    }
}

/// What both speak. libzmq speaks it too, but asks for a password over TCP by a mechanism that this
/// library does not have.
const PROTOCOL: &str = "ZMTP 3";

/// How many frames are received before they are asked for, when frames wait to be sent and so much
/// is there: 32 MiB at the very most.
const FRAMES_AHEAD_MAX: usize = 1_024;

/// How often [`Transport::finish`] looks whether all has been written.
const FINISH_PAUSE: Duration = Duration::from_millis(1);

/// The sockets of one process.
pub struct Zeromq {
    sockets: Sockets,
    inbox: Inbox,
    doorbell: Arc<Notify>,
    place: Place,
    /// How many links were closed with frames that may not have been written yet.
    closing: usize,
    runtime: Runtime,
}

/// Everything that is polled.
#[derive(Default)]
struct Sockets {
    listener: Option<Listener>,
    connections: Vec<Connection>,
    link_ids: LinkIds,
    /// What was sent and the library does not have yet.
    outbox: Vec<(LinkId, Bytes)>,
    /// Ends a wait at its deadline, or before. To tell the runtime of an earlier alarm costs it a
    /// round of its loop, and most deadlines are later than the one before: so it is left alone
    /// until it has rung or would ring too late.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Why the last connection that has failed did.
    refusal: Option<String>,
    /// Whether the library has something to write or to close that nobody else will see to.
    is_restless: bool,
}

impl Zeromq {
    /// A transport without any socket yet, which will listen at `place`.
    ///
    /// # Errors
    ///
    /// When the process may open no more descriptors.
    pub fn open(place: Place) -> Result<Zeromq, TransportError> {
        keep_spare().map_err(|why| cannot("start", &why))?;
        Ok(Zeromq {
            sockets: Sockets::default(),
            inbox: Inbox::default(),
            doorbell: Arc::new(Notify::new()),
            place,
            closing: 0,
            runtime: runtime()?,
        })
    }

    /// How many tasks of the library are certainly not writers: it has one that accepts, and one
    /// for each peer that has not spoken the protocol yet.
    fn idle_tasks(&self) -> usize {
        let listener = &self.sockets.listener;
        let writers = listener.as_ref().map_or(0, Listener::peers)
            + self.sockets.connections.len()
            + self.closing;
        self.tasks().saturating_sub(writers).max(usize::from(listener.is_some()))
    }

    fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }

    /// Writes what was sent, as far as the peers take it now.
    fn write(&mut self) {
        let Zeromq { runtime, sockets, inbox, .. } = self;
        if !sockets.outbox.is_empty() {
            runtime.block_on(async {
                sockets.exchange(inbox).await;
                yield_now().await;
            });
        }
    }

    /// Notes that a link was closed, unless all that was sent on it is written already.
    fn note_closed(&mut self) {
        let before = self.tasks();
        self.runtime.block_on(yield_now());
        self.closing += usize::from(self.tasks() >= before);
    }
}

impl Sockets {
    /// Receives until nothing is left or the inbox has about `frames_max` frames, a frame from each
    /// socket in turn. Does not wait. Who calls it must be unconstrained: a socket that is out of
    /// tokio's budget is woken only if the runtime goes on, and here it often stops.
    fn receive(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox, frames_max: usize) {
        let mut more = true;
        while more && inbox.frames() < frames_max {
            more = false;
            if let Some(listener) = &mut self.listener {
                more |= listener.poll(cx, &mut self.link_ids, inbox);
                self.is_restless |= listener.take_closing();
            }
            self.connections.retain_mut(|connection| {
                let polled = connection.poll(cx, inbox);
                more |= matches!(polled, Polled::More | Polled::Risen);
                self.is_restless |= matches!(polled, Polled::Risen | Polled::Over);
                if polled == Polled::Over {
                    self.refusal = connection.refusal().or(self.refusal.take());
                }
                polled != Polled::Over
            });
        }
    }

    async fn look(&mut self, inbox: &mut Inbox, frames_max: usize) {
        unconstrained(poll_fn(|cx| {
            self.receive(cx, inbox, frames_max);
            Poll::Ready(())
        }))
        .await;
    }

    /// Waits until the inbox has something, the doorbell rings or `until` has come.
    async fn wait(&mut self, inbox: &mut Inbox, doorbell: &Notify, until: Option<Instant>) {
        let mut ring = pin!(doorbell.notified());
        if let Some(until) = until {
            self.set_alarm(until);
        }
        unconstrained(poll_fn(|cx| {
            self.receive(cx, inbox, FRAMES_PER_WAIT_MAX);
            let is_over = !inbox.is_empty()
                || ring.as_mut().poll(cx).is_ready()
                || (until.is_some() && self.rings(cx));
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        }))
        .await;
    }

    fn set_alarm(&mut self, until: Instant) {
        let until = until.into();
        match &mut self.alarm {
            Some(alarm) if alarm.is_elapsed() || alarm.deadline() > until => {
                alarm.as_mut().reset(until);
            }
            Some(_) => {}
            none => *none = Some(Box::pin(sleep_until(until))),
        }
    }

    fn rings(&mut self, cx: &mut Context<'_>) -> bool {
        self.alarm.as_mut().is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready())
    }

    fn hold(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        let connection = self.connections.iter().find(|one| one.link() == link);
        let window = match (connection, &self.listener) {
            (Some(connection), _) => connection.window(),
            (None, Some(listener)) => listener.window(link).ok_or(SendError::Gone)?,
            (None, None) => return Err(SendError::Gone),
        };
        self.outbox.push((link, window.hold(frame)?));
        Ok(())
    }

    /// Receives what is there, and gives the library what was sent; its tasks write it when they
    /// have their turn.
    async fn exchange(&mut self, inbox: &mut Inbox) {
        if self.outbox.is_empty() {
            return self.look(inbox, FRAMES_PER_WAIT_MAX).await;
        }
        // When a write fails the library throws away what has come from that peer and was not
        // received. So all that is there is received first.
        yield_now().await;
        self.look(inbox, FRAMES_AHEAD_MAX).await;
        for (link, frame) in self.outbox.drain(..) {
            if let Some(connection) = self.connections.iter_mut().find(|one| one.link() == link) {
                connection.post(frame);
            } else if let Some(listener) = &mut self.listener {
                listener.post(link, frame);
            }
        }
    }
}

impl Transport for Zeromq {
    fn listen(&mut self) -> Result<Address, TransportError> {
        if let Some(listener) = &self.sockets.listener {
            return Ok(listener.address().clone());
        }
        let bound = self.runtime.block_on(Listener::bind(&self.place));
        let listener = bound.map_err(|why| cannot("listen", &why))?;
        Ok(self.sockets.listener.insert(listener).address().clone())
    }

    fn connect(&mut self, to: &Address) -> LinkId {
        let link = self.sockets.link_ids.next_id();
        match Endpoint::from_address(to) {
            Some(endpoint) => {
                let connection = Connection::open(self.runtime.handle(), link, endpoint);
                self.sockets.connections.push(connection);
            }
            None => {
                let why = format!("can't connect to {:?}: no listener says that", to.0);
                log::warn!("{why}");
                self.sockets.refusal = Some(why);
                self.inbox.down(link);
            }
        }
        link
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        debug_assert!((1..=SEALED_BYTES_MAX).contains(&frame.len()), "{} bytes", frame.len());
        self.sockets.hold(link, frame)
    }

    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        let Zeromq { runtime, sockets, inbox, doorbell, .. } = self;
        runtime.block_on(async {
            sockets.exchange(inbox).await;
            if !inbox.is_empty() || until.is_some_and(|until| until <= Instant::now()) {
                // The library's tasks and the system's news get their turn however busy we are.
                yield_now().await;
                sockets.look(inbox, FRAMES_PER_WAIT_MAX).await;
            } else {
                sockets.wait(inbox, doorbell, until).await;
            }
            if mem::take(&mut sockets.is_restless) {
                yield_now().await;
            }
        });
        inbox.deliver(deliver);
        Ok(())
    }

    fn refusal(&self) -> Option<String> {
        self.sockets.refusal.clone()
    }

    fn waker(&self) -> Waker {
        let doorbell = Arc::clone(&self.doorbell);
        Waker::new(move || doorbell.notify_one())
    }

    fn close(&mut self, link: LinkId) {
        self.write();
        self.inbox.forget(link);
        let sockets = &mut self.sockets;
        if let Some(at) = sockets.connections.iter().position(|one| one.link() == link) {
            let _entered = self.runtime.enter();
            sockets.connections.swap_remove(at).close(self.runtime.handle());
        } else if !sockets.listener.as_mut().is_some_and(|listener| listener.close(link)) {
            return;
        }
        self.note_closed();
    }

    fn finish(mut self: Box<Self>, within: Duration) {
        {
            // Who has gone meanwhile is not waited for.
            let Zeromq { runtime, sockets, inbox, .. } = &mut *self;
            runtime.block_on(async {
                sockets.exchange(inbox).await;
                yield_now().await;
                sockets.look(inbox, FRAMES_AHEAD_MAX).await;
            });
        }
        let idle = self.idle_tasks();
        for connection in mem::take(&mut self.sockets.connections) {
            connection.close(self.runtime.handle());
        }
        // Its socket lives on until the runtime goes: closing it would take the library a thread.
        if let Some(listener) = &mut self.sockets.listener {
            listener.close_all();
        }
        let metrics = self.runtime.metrics();
        self.runtime.block_on(async {
            let written = async {
                yield_now().await;
                while metrics.num_alive_tasks() > idle {
                    sleep(FINISH_PAUSE).await;
                }
            };
            if timeout(within, written).await.is_err() {
                log::debug!("not all that was sent has left within {within:?}");
            }
        });
    }
}

/// A runtime that lives in the thread that waits.
fn runtime() -> Result<Runtime, TransportError> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| cannot("start", &explain(&error)))
}

/// The crate does not say its version.
fn library() -> String {
    "zeromq 0.7".to_owned()
}

fn cannot(what: &str, why: &str) -> TransportError {
    TransportError(format!("zeromq can't {what}: {why}"))
}

/// What an error means to a user, with `explain` for those of the system.
fn reason(error: &ZmqError, explain: fn(&io::Error) -> String) -> String {
    match error {
        ZmqError::Network(error) => explain(error),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits once, briefly, and says how many links came up and went down.
    fn turn(zeromq: &mut Zeromq) -> (usize, usize) {
        let (mut ups, mut downs) = (0, 0);
        let until = Instant::now() + Duration::from_millis(1);
        zeromq
            .wait(Some(until), &mut |event| match event {
                Event::Up(_) => ups += 1,
                Event::Frame(..) => {}
                Event::Down(_) => downs += 1,
            })
            .unwrap();
        (ups, downs)
    }

    #[test]
    fn the_library_says_its_version() {
        let manifest = include_str!("../../../Cargo.lock");
        let version = library().replace(' ', "\"\nversion = \"");
        assert!(manifest.contains(&format!("name = \"{version}.")), "{}", library());
    }

    /// Each peer is gone before its frame is read.
    #[test]
    fn five_hundred_comings_and_goings_leave_nothing_behind() {
        const ROUNDS: usize = 500;
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut parent = Zeromq::open(Place::Loopback).unwrap();
        let address = parent.listen().unwrap();
        let mut child = Zeromq::open(Place::Loopback).unwrap();
        let (mut ups, mut downs) = (0, 0);
        let mut count = |(more_ups, more_downs): (usize, usize)| {
            ups += more_ups;
            downs += more_downs;
            (ups, downs)
        };
        for round in 0..ROUNDS {
            let link = child.connect(&address);
            while turn(&mut child) == (0, 0) {
                count(turn(&mut parent));
                assert!(Instant::now() < deadline, "round {round} does not come up");
            }
            child.send(link, b"hello").unwrap();
            child.close(link);
        }
        while count(turn(&mut parent)) != (ROUNDS, ROUNDS) {
            assert!(Instant::now() < deadline, "not every end was told");
        }
        assert!(parent.sockets.listener.as_ref().is_some_and(Listener::is_empty));
        assert!(child.sockets.connections.is_empty() && child.sockets.listener.is_none());
        turn(&mut parent);
        assert_eq!((parent.tasks(), child.tasks()), (1, 0));
    }
}
