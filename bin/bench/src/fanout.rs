//! A command for many nodes, from the line that is read to the last reply that can be printed.

use std::fmt::Write;
use std::time::{Duration, Instant};

use hoptree_host::Failure;

use super::crew::Crew;
use super::figure::{Figure, Found, Subject, Unit};
use super::measure::Rig;
use super::raw::Raw;
use super::setting::{Setting, TEXT};
use super::shape::{BINARY, FLAT, Shape};
use super::tree::{Ask, Tree};

/// How many nodes there are.
const NODES: [usize; 2] = [8, 64];

/// How they hang together.
const SHAPES: [Shape; 2] = [FLAT, BINARY];

/// How long one goes on before it is the next one's turn.
const TURN_TIME: Duration = Duration::from_millis(10);

/// Commands at the beginning of a turn that do not count.
const COLD_COMMANDS: usize = 1;

/// How many commands of a turn count at least, however long they take.
const COMMANDS_MIN: usize = 3;

/// All that commands and frames are sent with.
pub struct Fanout {
    /// One for each shape of each number of nodes.
    trees: Vec<(Figure, Tree, Ask)>,
    /// With as many relays as there are nodes at most, all of them next to this process.
    raw: Raw,
    /// What raw sends to each of them: as much as hoptree does for one node.
    frame: Vec<u8>,
    /// Keeps the processes alive.
    _crew: Crew,
}

impl Fanout {
    /// Starts all of it.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(setting: &Setting<'_>) -> Result<Fanout, Failure> {
        let crew = setting.crew()?;
        let mut trees = Vec::new();
        for nodes in NODES {
            for Shape { name, parents } in SHAPES {
                let tree = Tree::open(setting, &crew, &parents(nodes))?;
                let figure = Figure::new("exec *", Unit::Us).with_nodes(nodes).with_shape(name);
                trees.push((figure, tree, ask_all(nodes)));
            }
        }
        let raw = Raw::open(setting.spec, &crew.children(), &[1; NODES[NODES.len() - 1]])?;
        let frame = setting.frames(TEXT)?.concat();
        Ok(Fanout { trees, raw, frame, _crew: crew })
    }

    fn take(&mut self, turn: usize) -> Result<Duration, Failure> {
        if let Some((_, tree, ask)) = self.trees.get_mut(turn) {
            return tree.ask(ask);
        }
        self.raw.fan_out(NODES[turn - self.trees.len()], &self.frame)
    }
}

impl Rig for Fanout {
    /// Those of the trees come first.
    fn turns(&self) -> usize {
        self.trees.len() + NODES.len()
    }

    fn turn(&mut self, turn: usize) -> Result<Vec<Found>, Failure> {
        for _ in 0..COLD_COMMANDS {
            self.take(turn)?;
        }
        let mut values = Vec::new();
        let start = Instant::now();
        while values.len() < COMMANDS_MIN || start.elapsed() < TURN_TIME {
            values.push(Unit::Us.of(self.take(turn)?));
        }
        if let Some((figure, ..)) = self.trees.get(turn) {
            return Ok(vec![figure.found(Subject::Hoptree, values)]);
        }
        // It has one shape, which every tree of as many nodes is held against.
        let nodes = NODES[turn - self.trees.len()];
        let figure = |shape| Figure::new("exec *", Unit::Us).with_nodes(nodes).with_shape(shape);
        let found = |shape: Shape| figure(shape.name).found(Subject::RawFanout, values.clone());
        Ok(SHAPES.map(found).into())
    }
}

/// A command for all nodes, and how many they are.
fn ask_all(nodes: usize) -> Ask {
    let mut reply = String::new();
    for node in 1..=nodes {
        let _ = writeln!(reply, "Ok:{node}: {TEXT}");
    }
    Ask { line: format!("exec * echo {TEXT}"), reply }
}
