//! The contract between a node's driver and a message library.
//!
//! A transport knows links and opaque frames. It has never heard of node ids, requests or
//! commands, and it does not retry, reorder or merge anything.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{LinkId, Secret};

/// The longest frame that a node ever sends, in bytes.
pub const FRAME_BYTES_MAX: usize = 32 * 1024;

/// How much longer the seal makes a frame, in bytes.
pub const SEAL_BYTES: usize = 16;

/// The longest frame that a transport carries, in bytes: one that is sealed. It refuses longer ones on
/// receive.
pub const SEALED_BYTES_MAX: usize = FRAME_BYTES_MAX + SEAL_BYTES;

/// How many frames [`Transport::wait`] delivers before it returns, so that one busy neighbour
/// can't keep the loop from everything else.
pub const FRAMES_PER_WAIT_MAX: usize = 64;

/// Where a peer may connect. Only the transport that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address(pub String);

/// What happened on a link, as [`Transport::wait`] tells it.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The link can carry frames: an accepted peer has sent its first one, or a connect succeeded.
    /// Comes once, before anything else of that link.
    Up(LinkId),
    /// A whole frame, in the order in which the peer sent it.
    Frame(LinkId, &'a [u8]),
    /// The peer is gone or was never there. Comes exactly once, after every frame that arrived
    /// before the end, and nothing of that link follows. Does not come for a link that
    /// [`Transport::close`] was called on.
    Down(LinkId),
}

/// Hands out the names of links, each once, from 1 on. For those who write a transport.
#[derive(Debug, Default)]
pub struct LinkIds(u64);

impl LinkIds {
    /// The name of one more link.
    #[must_use]
    pub fn next_id(&mut self) -> LinkId {
        self.0 += 1;
        LinkId(self.0)
    }
}

/// Why [`Transport::send`] did not take a frame. Nothing of the frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The peer does not read and the library holds no more for it. The link still stands.
    Full,
    /// The link is down, or was closed; when it was not closed, `Down` has been or will be told.
    Gone,
}

/// Why a transport can't do what it was asked to, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError(pub String);

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TransportError {}

/// Ends a [`Transport::wait`] from any thread.
///
/// A wake is never lost: when nobody waits, the next wait returns at once. Several wakes may be
/// seen as one. Calling it never blocks, and does nothing once the transport is gone.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that calls `wake`, which must not block.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker(Arc::new(wake))
    }

    /// Ends the current wait, or the next one.
    pub fn wake(&self) {
        (self.0)();
    }
}

/// A message library, as one process uses it. Used from one thread.
///
/// No method blocks, except [`Transport::wait`] until its deadline and [`Transport::finish`] until
/// its own.
pub trait Transport {
    /// Listens for peers on this machine, and says where. The address is the same each time, and is good
    /// for as long as the transport lives: for any number of peers, who come when they like, also
    /// many at once and long after others have gone.
    ///
    /// # Errors
    ///
    /// When the system refuses, for instance for want of descriptors. The links that stand are
    /// not harmed, and the call may be repeated.
    fn listen(&mut self) -> Result<Address, TransportError>;

    /// Listens for peers on other machines as well, and says where: from then on that is what
    /// [`Transport::listen`] says.
    ///
    /// # Errors
    ///
    /// As [`Transport::listen`], and when the transport does not leave the machine.
    fn listen_beyond(&mut self) -> Result<Address, TransportError> {
        let why = "this tree stays on one machine: start hoptree with the option --listen ADDRESS, \
                   or --listen auto";
        Err(TransportError(why.to_owned()))
    }

    /// Begins to connect. `Up` or `Down` follows from [`Transport::wait`], also for an address
    /// that nobody listens at or that makes no sense. There is no retry, and no reconnection after
    /// `Down`.
    fn connect(&mut self, to: &Address) -> LinkId;

    /// Hands over one frame, which leaves no later than at the beginning of the next wait, or with
    /// the end of the link or the transport. Frames of one link arrive in the order of their sending,
    /// whole and once, as long as the link stands.
    ///
    /// A peer that reads nothing at all still takes 128 frames of 128 KiB in all without
    /// [`SendError::Full`]; no link of hoptree has more unacknowledged. A transport may hold more, up
    /// to a bound of its own.
    ///
    /// A frame has 1 to [`SEALED_BYTES_MAX`] bytes. Any other length is an error of the caller: where
    /// debug assertions are on it panics, and elsewhere the frame is never delivered and may cost the
    /// link, but nothing else.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError>;

    /// Waits until something happens, a waker is used, or `until` has come (rounded up to whole
    /// milliseconds; `None` is for ever), then delivers what is there, at most
    /// [`FRAMES_PER_WAIT_MAX`] frames, and returns. What it leaves, the next wait delivers at once.
    /// It may return early with nothing. A deadline that has passed makes it look without waiting.
    ///
    /// # Errors
    ///
    /// Only when the library can't go on at all; no peer can bring that about.
    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError>;

    /// Has what was sent leave now, also what the transport itself has sent in a wait: for whoever waits for
    /// something else before the next wait for this one.
    fn flush(&mut self) {}

    /// Why the last connect that has failed did, in words for the user, if that is known.
    fn refusal(&self) -> Option<String> {
        None
    }

    /// How long a frame and its acknowledgement take on a link at present, if that is known.
    fn round_trip(&self, link: LinkId) -> Option<Duration> {
        let _ = link;
        None
    }

    /// A handle that ends a wait.
    fn waker(&self) -> Waker;

    /// Gives a link up: nothing more of it is delivered, and sending on it is `Gone`. Frames sent
    /// before still go out. A library that can't close a single peer drops what comes from it, with
    /// bounded memory, so a peer that is to know of it must be told in a frame.
    fn close(&mut self, link: LinkId);

    /// Ends the transport: gives frames that were sent up to `within` to leave, then closes
    /// everything.
    fn finish(self: Box<Self>, within: Duration);
}

/// What a transport is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The tree's: the same for all its processes, known to nobody else, and removed with all that is
    /// in it when the tree has ended. Nobody but this user may enter it (mode 0700). It exists only
    /// for a transport that [has socket files](TransportSpec::has_socket_files).
    pub directory: &'a Path,
    /// What peers of the same tree know, and no stranger.
    pub secret: Secret,
}

/// Who can connect to a process that listens, by what the system lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only processes of the user who has started the tree.
    ThisUser,
    /// Any process on this machine.
    ThisMachine,
}

/// A linked transport, as it registers itself with `inventory::submit!`.
#[derive(Debug)]
pub struct TransportSpec {
    /// What `--transport` calls it.
    pub name: &'static str,
    /// The package that brings it.
    pub package: &'static str,
    /// The library underneath and its version.
    pub library: fn() -> String,
    /// What its bytes travel over.
    pub runs_over: &'static str,
    /// What its links speak. Transports that speak the same can be mixed in one tree: each connects
    /// to the addresses of the other.
    pub speaks: &'static str,
    /// Whether it puts sockets into the directory that it is opened with, which then must be there.
    pub has_socket_files: bool,
    /// Who can connect to its listeners. Where that is anybody but this user, the program seals the
    /// links.
    pub reach: Reach,
    /// What a stranger who can connect may do to a process all the same, in words for the user; none
    /// for a transport that keeps strangers off. With one, it is used only when the user insists.
    pub flaw: Option<&'static str>,
    /// Opens it, once a process.
    ///
    /// # Errors
    ///
    /// When the system refuses what every node needs.
    pub open: fn(Opening<'_>) -> Result<Box<dyn Transport>, TransportError>,
}

inventory::collect!(TransportSpec);
