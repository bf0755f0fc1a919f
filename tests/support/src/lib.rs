//! What the tests of several packages have in common: a transport that is used from the thread of its
//! test, and what it tells.

#![allow(clippy::unwrap_used, reason = "it is a part of tests")]

use std::time::{Duration, Instant};

use hoptree_core::{Event, FRAMES_PER_WAIT_MAX, LinkId, Transport};

/// How long anything may take that has to happen at all; how soon is not the subject.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long nothing must happen before it is taken not to happen.
pub const SILENCE: Duration = Duration::from_millis(100);

/// How long one node waits before others have their turn.
const TURN: Duration = Duration::from_millis(1);

/// An event, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are those of the event")]
pub enum Seen {
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
}

pub use Seen::{Down, Frame, Up};

impl Seen {
    /// The link that it happened to.
    #[must_use]
    pub fn link(&self) -> LinkId {
        match self {
            Up(link) | Frame(link, _) | Down(link) => *link,
        }
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Seen {
        match event {
            Event::Up(link) => Up(link),
            Event::Frame(link, bytes) => Frame(link, bytes.to_vec()),
            Event::Down(link) => Down(link),
        }
    }
}

/// Waits once.
///
/// # Panics
///
/// When the transport can't go on, or delivers more frames at a time than the contract says.
pub fn wait(transport: &mut dyn Transport, until: Option<Instant>) -> Vec<Seen> {
    let mut seen = Vec::new();
    transport.wait(until, &mut |event| seen.push(Seen::from(event))).unwrap();
    let frames = seen.iter().filter(|seen| matches!(seen, Frame(..))).count();
    assert!(frames <= FRAMES_PER_WAIT_MAX, "{frames} frames in one wait");
    seen
}

/// A transport and all that it has told.
pub struct Node<T> {
    /// The transport.
    pub transport: Box<T>,
    /// What it has told.
    pub seen: Vec<Seen>,
}

#[allow(clippy::missing_panics_doc, reason = "whatever does not hold ends a test")]
impl<T: Transport> Node<T> {
    /// One that has told nothing yet.
    pub fn new(transport: T) -> Node<T> {
        Node { transport: Box::new(transport), seen: Vec::new() }
    }

    /// Waits once, and says how many frames that gave.
    pub fn wait(&mut self, until: Option<Instant>) -> usize {
        let seen = wait(&mut *self.transport, until);
        let frames = seen.iter().filter(|seen| matches!(seen, Frame(..))).count();
        self.seen.extend(seen);
        frames
    }

    /// Waits until what it has told fits.
    #[track_caller]
    pub fn until(&mut self, is_done: impl Fn(&[Seen]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(&self.seen) {
            let last: Vec<_> = self.seen.iter().rev().take(3).collect();
            assert!(Instant::now() < deadline, "{} events, last {last:?}", self.seen.len());
            self.wait(Some(deadline));
        }
    }

    /// Waits until it has told this.
    #[track_caller]
    pub fn until_seen(&mut self, event: &Seen) {
        self.until(|seen| seen.contains(event));
    }

    /// Waits until it has told so much, and no more.
    #[track_caller]
    pub fn until_events(&mut self, count: usize) {
        self.until(|seen| seen.len() >= count);
        assert_eq!(self.seen.len(), count, "{:?}", self.seen.last());
    }

    /// Waits while another node does, too: some listeners let nobody in unless they wait.
    #[track_caller]
    pub fn until_with(&mut self, other: &mut Node<T>, is_done: impl Fn(&[Seen]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(&self.seen) {
            assert!(Instant::now() < deadline, "{} events", self.seen.len());
            self.wait(Some(Instant::now() + TURN));
            other.wait(Some(Instant::now()));
        }
    }

    /// Watches for a while that nothing happens.
    #[track_caller]
    pub fn stays_silent(&mut self) {
        let before = self.seen.len();
        self.wait_for(SILENCE);
        assert_eq!(self.seen[before..], []);
    }

    /// Waits until nothing has happened for a while.
    #[track_caller]
    pub fn until_rest(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let mut before = usize::MAX;
        while before != self.seen.len() {
            assert!(Instant::now() < deadline, "it never comes to rest");
            before = self.seen.len();
            self.wait_for(SILENCE);
        }
    }

    fn wait_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.wait(Some(end));
        }
    }

    /// The links that came up, in that order.
    #[must_use]
    pub fn ups(&self) -> Vec<LinkId> {
        let up = |seen: &Seen| if let Up(link) = seen { Some(*link) } else { None };
        self.seen.iter().filter_map(up).collect()
    }
}
