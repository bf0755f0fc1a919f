//! Commands per second, with some under way at the same time.

use std::time::Duration;

use hoptree_host::Failure;

use super::crew::Crew;
use super::figure::{Figure, Found, Subject, Unit};
use super::measure::Rig;
use super::raw::Raw;
use super::setting::{Setting, TEXT};
use super::shape;
use super::stream::Stream;
use super::tree::{Ask, Tree};

/// How many may be unanswered.
const WINDOWS: [usize; 4] = [1, 16, 256, 1_000];

/// How many nodes, all of them children of the control node, are asked in turn.
const NODES: [usize; 2] = [1, 8];

/// How long one goes on before it is the next one's turn.
const TURN_TIME: Duration = Duration::from_millis(20);

/// All that commands and frames are sent with.
pub struct Throughput {
    tree: Tree,
    /// One for each of [`NODES`].
    streams: Vec<Stream>,
    raw: Raw,
    /// What raw sends: as much as hoptree does for one command.
    frame: Vec<u8>,
    turns: Vec<Turn>,
    /// Keeps the processes alive.
    _crew: Crew,
}

/// Whose turn it is.
#[derive(Clone, Copy)]
struct Turn {
    subject: Subject,
    window: usize,
    /// Which of [`NODES`].
    nodes: usize,
}

impl Throughput {
    /// Starts all of it.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(setting: &Setting<'_>) -> Result<Throughput, Failure> {
        let crew = setting.crew()?;
        let lengths = [1; NODES[NODES.len() - 1]];
        let tree = Tree::open(setting, &crew, &shape::flat(lengths.len()))?;
        let raw = Raw::open(setting.spec, &crew.children(), &lengths)?;
        let asks: Vec<_> = (1..).map(|node| Ask::echo(node, TEXT)).take(lengths.len()).collect();
        let streams = NODES.map(|nodes| Stream::of(&asks[..nodes])).into();
        let frame = setting.frames(TEXT)?.concat();
        Ok(Throughput { tree, streams, raw, frame, turns: turns(), _crew: crew })
    }
}

impl Rig for Throughput {
    fn turns(&self) -> usize {
        self.turns.len()
    }

    fn turn(&mut self, turn: usize) -> Result<Vec<Found>, Failure> {
        let Turn { subject, window, nodes } = self.turns[turn];
        let flow = if subject == Subject::Hoptree {
            self.streams[nodes].flow(&mut self.tree, window, TURN_TIME)?
        } else {
            self.raw.flow(NODES[nodes], &self.frame, window, TURN_TIME)?
        };
        let figure =
            Figure::new("echo", Unit::PerSecond).with_nodes(NODES[nodes]).with_window(window);
        Ok(vec![figure.found(subject, vec![flow.per_second()])])
    }
}

fn turns() -> Vec<Turn> {
    let mut turns = Vec::new();
    for nodes in 0..NODES.len() {
        for window in WINDOWS {
            let subjects = [Subject::Hoptree, Subject::Raw];
            turns.extend(subjects.map(|subject| Turn { subject, window, nodes }));
        }
    }
    turns
}
