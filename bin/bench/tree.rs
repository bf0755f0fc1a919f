//! hoptree itself, as a console drives it: a control node in this process, and chains of nodes.

use std::time::{Duration, Instant};

use hoptree_core::{Controller, ControllerConfig, Input, Order, Time};

use super::PATIENCE;
use super::crew::Crew;
use super::setting::{Setting, TEXT};
use super::victim::{Victim, let_arrive};
use crate::driver::{Driver, Patience};
use crate::failure::Failure;
use crate::plugins;

/// A control node with chains of nodes below it.
pub struct Tree {
    driver: Driver<Controller>,
    chains: Vec<Chain>,
    /// The process of each node; node 1 is the first.
    processes: Vec<Victim>,
}

/// What is asked of the node at the end of a chain, and what it is to say.
pub struct Chain {
    /// The line, without its line end.
    pub line: String,
    /// The reply, with it.
    pub reply: String,
}

impl Tree {
    /// A control node alone, which prints its replies in this order.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn found(setting: &Setting<'_>, crew: &Crew, order: Order) -> Result<Tree, Failure> {
        let transport = plugins::open(setting.spec, crew.directory())?;
        let signals = setting.alarm.hand_over(transport.waker());
        let controller = Controller::new(
            Time::ZERO,
            ControllerConfig {
                token: crew.token(),
                pid: std::process::id(),
                transport: setting.spec.name,
                timeout: PATIENCE,
                order,
                commands: setting.commands.clone(),
            },
        );
        let driver = Driver::new(controller, transport, crew.children(), signals);
        Ok(Tree { driver, chains: Vec::new(), processes: Vec::new() })
    }

    /// Starts a chain of each of these lengths.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(setting: &Setting<'_>, crew: &Crew, lengths: &[usize]) -> Result<Tree, Failure> {
        let mut tree = Tree::found(setting, crew, Order::Input)?;
        for length in lengths {
            let mut end = -1;
            for _ in 0..*length {
                end = tree.grow(end)?;
            }
            tree.chains.push(Chain {
                line: format!("exec {end} echo {TEXT}"),
                reply: format!("Ok:{end}: {TEXT}\n"),
            });
        }
        Ok(tree)
    }

    /// What surrounds its control node.
    pub fn driver(&mut self) -> &mut Driver<Controller> {
        &mut self.driver
    }

    /// Its chains, in the order in which they were asked for.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The processes of its compute nodes.
    pub fn processes(&self) -> &[Victim] {
        &self.processes
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

    /// Types a line that is to be answered with `reply`, a line with its end.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn ask(&mut self, line: &str, reply: &str) -> Result<(), Failure> {
        answer(&mut self.driver, line)?;
        if self.driver.printed() != reply.as_bytes() {
            return Err(self.unexpected(line));
        }
        self.driver.printed().clear();
        Ok(())
    }

    /// Starts one more node below the control node, kills it while it owes an answer, and says how long it
    /// takes from the kill to the error that can be printed in place of that answer.
    ///
    /// # Errors
    ///
    /// When anything else happens.
    pub fn lose_a_node(&mut self) -> Result<Duration, Failure> {
        let node = self.grow(-1)?;
        let victim = self.processes[self.processes.len() - 1];
        victim.stop()?;
        let line = format!("exec {node} echo {TEXT}");
        self.driver.printed().clear();
        self.turn(Patience::Look, Some(&line))?;
        let_arrive()?;
        self.turn(Patience::Look, None)?;
        if !self.driver.printed().is_empty() {
            return Err(self.unexpected(&line));
        }
        let start = Instant::now();
        victim.kill()?;
        while self.driver.printed().is_empty() {
            self.turn(Patience::Wait, None)?;
        }
        let took = start.elapsed();
        if self.driver.printed() == format!("Error:{node}: Node is unavailable\n").as_bytes() {
            return Ok(took);
        }
        Err(self.unexpected(&line))
    }

    fn turn(&mut self, patience: Patience, line: Option<&str>) -> Result<(), Failure> {
        self.driver.wait(patience).map_err(Failure::doing("go on"))?;
        if let Some(line) = line {
            self.driver.feed(Input::Line(line.as_bytes()));
        }
        self.driver.settle();
        Ok(())
    }

    /// Starts the next node below `parent`, and says which it is.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn grow(&mut self, parent: i32) -> Result<i32, Failure> {
        let node = i32::try_from(self.processes.len() + 1).expect("a machine has fewer processes");
        let line = format!("create {node} {parent}");
        answer(&mut self.driver, &line)?;
        let reply = String::from_utf8_lossy(self.driver.printed());
        match reply.strip_prefix("Ok: ").and_then(|pid| Victim::parse(pid.trim_end())) {
            Some(process) => self.processes.push(process),
            None => return Err(self.unexpected(&line)),
        }
        Ok(node)
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
