//! Scenarios: on a calm network, a user types what a test says, and reads the replies. What must always
//! hold is checked here as well, apart from the replies, which each scenario knows itself.

mod commands;
mod emitter;
mod folds;
mod healing;
mod limits;
mod many;
mod module;
mod removal;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hoptree_core::{Exit, Life, NodeId, Order, Registry, Time};

use crate::network::{self, Moment, Network, Settings};
use crate::process::{CONTROL, Pid, Process, Role};

const MS: Duration = Duration::from_millis(1);

/// The deadline of a request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a condition may take to come about.
const PATIENCE: Moment = 60_000 * network::MS;

/// Who a process is; the control node has no life.
type Who = Option<Life>;

/// A tree with its console.
struct Tree(Network);

impl Tree {
    fn new(order: Order) -> Tree {
        Tree::limited(order, usize::MAX)
    }

    /// One of at most this many nodes.
    fn limited(order: Order, nodes_max: usize) -> Tree {
        let commands = Registry::new([&module::PROBE, &emitter::EMITTER]).unwrap();
        let settings = Settings { timeout: TIMEOUT, order, nodes_max, is_calm: true };
        Tree(Network::with(settings, 0, commands))
    }

    /// A chain of nodes 1 to `depth`.
    fn chain(depth: u32) -> Tree {
        let mut tree = Tree::new(Order::Input);
        tree.enter("create 1");
        for node in 2..=depth {
            tree.enter(&format!("create {node} {}", node - 1));
        }
        tree.replies("");
        tree
    }

    fn now(&self) -> Time {
        Time::ZERO + Duration::from_nanos(self.0.now)
    }

    /// Types lines, each as soon as the console reads on.
    fn enter(&mut self, lines: &str) {
        for line in lines.lines() {
            self.run_until(Tree::reads);
            self.0.enter(line.to_owned());
        }
    }

    /// Types lines in one turn until the console does not read on, and says how many of them.
    fn enter_in_one_turn(&mut self, lines: &str) -> usize {
        self.0.enter_in_one_turn(lines.lines())
    }

    /// Whether the console reads the next line.
    fn reads(&self) -> bool {
        matches!(&self.0.processes[CONTROL].role, Role::Control(node) if node.wants_line())
    }

    /// What is printed for these lines when there is nothing more to wait for.
    fn replies(&mut self, lines: &str) -> Vec<String> {
        self.printed();
        self.enter(lines);
        self.enter("wait");
        self.run_until(Tree::reads);
        self.printed()
    }

    /// What was printed since the last call.
    fn printed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0.record.printed)
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        self.0.run_for(time.as_nanos() as Moment);
        self.check();
    }

    fn run_until(&mut self, condition: impl Fn(&Tree) -> bool) {
        let end = self.0.now + PATIENCE;
        while !condition(self) {
            let went_on = self.0.step(end);
            self.check();
            assert!(went_on, "it does not come about: {:?}", self.0.record.printed);
        }
    }

    /// What must always hold, holds.
    fn check(&self) {
        assert_eq!(self.0.checks.violation(), None);
    }

    /// Ends the input, and waits for the end of the control node.
    fn finish(&mut self) {
        self.0.end_input();
        self.run_until(|tree| !tree.0.is_alive(CONTROL));
    }

    fn living(&self) -> impl Iterator<Item = Life> {
        self.0.living.iter().map(|pid| self.0.processes[*pid].life)
    }

    /// The life of a node that has a process.
    fn life(&self, id: u32) -> Life {
        let node = NodeId::compute(id).unwrap();
        let life = self.living().filter(|life| life.node == node).max();
        life.unwrap_or_else(|| panic!("node {id} has no process"))
    }

    /// Every node that has a process.
    fn alive(&self) -> BTreeSet<u32> {
        self.living().map(|life| number(life.node)).collect()
    }

    /// How many frames came to each process.
    fn frames(&self) -> BTreeMap<Who, usize> {
        let who = |pid: Pid| Some(self.0.processes[pid].life).filter(|life| *life != Life::CONTROL);
        self.0.record.frames.iter().map(|(pid, frames)| (who(*pid), *frames)).collect()
    }

    /// The nodes that were ended by those above them.
    fn killed(&self) -> Vec<u32> {
        self.0.record.killed.iter().copied().map(number).collect()
    }

    /// Ends a process as kill -9 does.
    fn kill(&mut self, life: Life) {
        self.0.end(self.pid(Some(life)), Exit::Signal(9));
    }

    fn stop(&mut self, who: Who) {
        self.0.stop(self.pid(who));
    }

    fn go_on(&mut self, who: Who) {
        self.0.go_on(self.pid(who));
    }

    /// Breaks the links between two processes, and leaves both alive.
    fn cut(&mut self, one: Who, other: Who) {
        let (one, other) = (self.pid(one), self.pid(other));
        for link in self.0.processes[one].links.clone() {
            if self.0.ends.peer_of(link).owner == other {
                self.0.cut(link, 0);
            }
        }
    }

    fn pid(&self, who: Who) -> Pid {
        let life = who.unwrap_or(Life::CONTROL);
        let is_it = |process: &Process| process.life == life;
        self.0.processes.iter().position(is_it).unwrap()
    }
}

fn number(node: NodeId) -> u32 {
    node.to_string().parse().unwrap()
}
