//! From the end of a process to the answer of what it owes, and until the tree has healed.

use std::time::Duration;

use hoptree_host::Failure;
use hoptree_host::process::ChildProcesses;

use super::crew::Crew;
use super::figure::{Figure, Found, Subject, Unit};
use super::healing;
use super::measure::Rig;
use super::raw::Raw;
use super::setting::{Setting, TEXT};
use super::shape::{BINARY, CHAIN, Shape};
use super::socket::Socket;
use super::tree::Tree;

/// Trees that lose an inner node: their shape, and its number. What is below it is taken in by the
/// node above it.
const WOUNDS: [Wound; 2] =
    [Wound { shape: CHAIN, nodes: 16, lost: 8 }, Wound { shape: BINARY, nodes: 30, lost: 3 }];

/// What happens to a tree.
struct Wound {
    shape: Shape,
    nodes: usize,
    /// Its node that is killed.
    lost: usize,
}

/// All that processes are lost from.
pub struct Failures {
    tree: Tree,
    raw: Raw,
    socket: Socket,
    children: ChildProcesses,
    /// What raw sends: as much as hoptree does.
    frame: Vec<u8>,
    /// Keeps the processes alive.
    _crew: Crew,
}

/// Who loses a process.
const SUBJECTS: [Subject; 3] = [Subject::Hoptree, Subject::Raw, Subject::EndOfFile];

impl Failures {
    /// Starts all of it.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(setting: &Setting<'_>) -> Result<Failures, Failure> {
        let crew = setting.crew()?;
        let children = crew.children();
        Ok(Failures {
            tree: Tree::open(setting, &crew, &[])?,
            raw: Raw::open(setting.spec, &children, &[])?,
            socket: Socket::tcp()?,
            children,
            frame: setting.frames(TEXT)?.concat(),
            _crew: crew,
        })
    }

    fn lose(&mut self, subject: Subject) -> Result<Duration, Failure> {
        match subject {
            Subject::Hoptree => self.tree.lose_a_node(),
            Subject::EndOfFile => self.socket.lose_a_peer(&self.children),
            _ => self.raw.lose_a_relay(&self.children, &self.frame),
        }
    }
}

impl Rig for Failures {
    fn turns(&self) -> usize {
        SUBJECTS.len() + WOUNDS.len()
    }

    fn turn(&mut self, turn: usize) -> Result<Vec<Found>, Failure> {
        let Some(subject) = SUBJECTS.get(turn) else {
            let wound = &WOUNDS[turn - SUBJECTS.len()];
            let took =
                healing::heal(&mut self.tree, &(wound.shape.parents)(wound.nodes), wound.lost)?;
            return Ok(vec![wound.figure().took(Subject::Hoptree, took)]);
        };
        let took = self.lose(*subject)?;
        let mut found = vec![Figure::new("kill to answer", Unit::Us).took(*subject, took)];
        if *subject == Subject::EndOfFile {
            found.extend(WOUNDS.iter().map(|wound| wound.figure().took(*subject, took)));
        }
        Ok(found)
    }
}

impl Wound {
    fn figure(&self) -> Figure {
        Figure::new("kill to healed", Unit::Us).with_shape(self.shape.name).with_nodes(self.nodes)
    }
}
