//! hoptree itself, as a console drives it: a control node in this process, and chains of nodes.

use std::time::{Duration, Instant};

use hoptree_core::{Controller, ControllerConfig, Input, Order, Registry, TransportSpec};

use super::PATIENCE;
use super::crew::Crew;
use crate::driver::{Driver, Patience};
use crate::failure::Failure;
use crate::signals::Signals;

/// A control node with chains of nodes below it.
pub struct Tree {
    driver: Driver<Controller>,
    signals: Signals,
    chains: Vec<Chain>,
}

/// What is asked of the node at the end of a chain, and what it is to say.
struct Chain {
    line: String,
    reply: String,
}

impl Tree {
    /// Starts a chain of each of these lengths. The node at its end will be told to echo `text`.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(
        spec: &TransportSpec,
        commands: &Registry,
        crew: &Crew,
        lengths: &[usize],
        text: &str,
    ) -> Result<Tree, Failure> {
        let transport =
            (spec.open)(crew.directory()).map_err(Failure::doing("open the transport"))?;
        let signals = Signals::of_control_node(transport.waker())
            .map_err(Failure::doing("handle signals"))?;
        let controller = Controller::new(ControllerConfig {
            token: crew.token(),
            timeout: PATIENCE,
            order: Order::Input,
            commands: commands.clone(),
        });
        let driver = Driver::new(controller, transport, crew.children(), signals.clone());
        let mut tree = Tree { driver, signals, chains: Vec::new() };
        let mut node = 0;
        for length in lengths {
            for level in 0..*length {
                let parent = if level == 0 { -1 } else { node };
                node += 1;
                tree.create(node, parent)?;
            }
            tree.chains.push(Chain {
                line: format!("exec {node} echo {text}"),
                reply: format!("Ok:{node}: {text}\n"),
            });
        }
        Ok(tree)
    }

    /// The signal that has asked for an end, if one has.
    pub fn interrupt(&self) -> Option<i32> {
        self.signals.interrupt()
    }

    /// Has the node at the end of a chain echo, and says how long it takes, from the line that is
    /// read to the reply that can be printed.
    ///
    /// # Errors
    ///
    /// When it does not answer, or something else.
    pub fn trip(&mut self, chain: usize) -> Result<Duration, Failure> {
        let Chain { line, reply } = &self.chains[chain];
        let took = answer(&mut self.driver, line)?;
        if self.driver.printed() == reply.as_bytes() {
            return Ok(took);
        }
        let line = line.clone();
        Err(self.unexpected(&line))
    }

    fn create(&mut self, node: i32, parent: i32) -> Result<(), Failure> {
        let line = format!("create {node} {parent}");
        answer(&mut self.driver, &line)?;
        if self.driver.printed().starts_with(b"Ok: ") {
            return Ok(());
        }
        Err(self.unexpected(&line))
    }

    fn unexpected(&mut self, line: &str) -> Failure {
        let reply = String::from_utf8_lossy(self.driver.printed()).trim_end().to_owned();
        Failure::Runtime(format!("'{line}' was answered with '{reply}'"))
    }
}

/// Feeds a line, and says how long it takes until its answer is printed.
fn answer(driver: &mut Driver<Controller>, line: &str) -> Result<Duration, Failure> {
    driver.printed().clear();
    // The console, too, begins a turn with a look around, and then feeds the line.
    driver.wait(Patience::Look).map_err(Failure::doing("go on"))?;
    let start = Instant::now();
    driver.feed(Input::Line(line.as_bytes()));
    driver.settle();
    while driver.printed().is_empty() {
        driver.wait(Patience::Wait).map_err(Failure::doing("go on"))?;
        driver.settle();
    }
    Ok(start.elapsed())
}
