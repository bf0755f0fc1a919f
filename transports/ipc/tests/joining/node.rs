//! A transport that is used from the thread of its test.

use std::time::{Duration, Instant};

use hoptree_core::{Address, Event, LinkId, Transport};
use hoptree_ipc::Ipc;
use tempfile::TempDir;

/// How long anything may take that has to happen at all.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long nothing must happen before it is taken not to happen.
pub const SILENCE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
}

pub use Seen::{Down, Frame, Up};

/// A transport and all that it has told.
pub struct Node {
    pub ipc: Box<Ipc>,
    pub seen: Vec<Seen>,
}

impl Node {
    pub fn new(place: &TempDir) -> Node {
        Node { ipc: Box::new(Ipc::open(place.path()).unwrap()), seen: Vec::new() }
    }

    /// Waits once, and says how many frames that gave.
    pub fn wait(&mut self, until: Option<Instant>) -> usize {
        let before = self.seen.len();
        let seen = &mut self.seen;
        self.ipc
            .wait(until, &mut |event| {
                seen.push(match event {
                    Event::Up(link) => Up(link),
                    Event::Frame(link, bytes) => Frame(link, bytes.to_vec()),
                    Event::Down(link) => Down(link),
                });
            })
            .unwrap();
        self.seen[before..].iter().filter(|seen| matches!(seen, Frame(..))).count()
    }

    #[track_caller]
    pub fn until_events(&mut self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen.len() < count {
            assert!(Instant::now() < deadline, "{:?}", self.seen.last());
            self.wait(Some(deadline));
        }
        assert_eq!(self.seen.len(), count, "{:?}", self.seen.last());
    }

    #[track_caller]
    pub fn stays_silent(&mut self) {
        let before = self.seen.len();
        let end = Instant::now() + SILENCE;
        while Instant::now() < end {
            self.wait(Some(end));
        }
        assert_eq!(self.seen[before..], []);
    }

    /// Connects and says hello, without a wait.
    pub fn join(&mut self, address: &Address) -> LinkId {
        let link = self.ipc.connect(address);
        self.ipc.send(link, b"hello").unwrap();
        link
    }

    pub fn ups(&self) -> Vec<LinkId> {
        let up = |seen: &Seen| if let Up(link) = seen { Some(*link) } else { None };
        self.seen.iter().filter_map(up).collect()
    }

    /// Waits until nothing has happened for a while.
    #[track_caller]
    pub fn until_rest(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let mut before = usize::MAX;
        while before != self.seen.len() {
            assert!(Instant::now() < deadline);
            before = self.seen.len();
            let end = Instant::now() + SILENCE;
            while Instant::now() < end {
                self.wait(Some(end));
            }
        }
    }
}
