//! The start of nodes: from the first line to the reply of the last, when all take commands.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hoptree_core::Order;
use hoptree_host::Failure;
use hoptree_host::process::NODE_WORD;

use super::figure::{Figure, Found, Subject, Unit};
use super::measure::Rig;
use super::setting::Setting;
use super::shape;
use super::tree::Tree;

/// How many nodes are started at once, all of them children of the control node.
const NODES: [usize; 4] = [1, 8, 64, 256];

/// Starts nodes, and processes that are none.
pub struct Create<'a> {
    setting: &'a Setting<'a>,
}

impl<'a> Create<'a> {
    /// Has nothing to start beforehand.
    pub fn new(setting: &'a Setting<'a>) -> Create<'a> {
        Create { setting }
    }

    /// A new control node starts a number of nodes.
    fn create(&self, nodes: usize) -> Result<Duration, Failure> {
        self.setting.with_crew(|crew| {
            let mut tree = Tree::found(self.setting, crew, Order::Input)?;
            tree.grow_all(&shape::flat(nodes))
        })
    }
}

impl Rig for Create<'_> {
    fn turns(&self) -> usize {
        2 * NODES.len()
    }

    fn turn(&mut self, turn: usize) -> Result<Vec<Found>, Failure> {
        let nodes = NODES[turn / 2];
        let figure = Figure::new("until ready", Unit::Ms).with_nodes(nodes);
        let found = if turn.is_multiple_of(2) {
            figure.took(Subject::Hoptree, self.create(nodes)?)
        } else {
            let took = spawn(nodes).map_err(Failure::doing("start a process"))?;
            figure.took(Subject::BareSpawn, took)
        };
        Ok(vec![found])
    }
}

/// Starts a number of processes of this program, which end at once, and waits for all of them.
fn spawn(processes: usize) -> io::Result<Duration> {
    let start = Instant::now();
    let mut children = Vec::with_capacity(processes);
    for _ in 0..processes {
        // A node whose standard input has ended before it was told anything.
        let mut command = Command::new("/proc/self/exe");
        command.arg(NODE_WORD).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn()?;
        drop(child.stdin.take());
        children.push(child);
    }
    for mut child in children {
        child.wait()?;
    }
    Ok(start.elapsed())
}
