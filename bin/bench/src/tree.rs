//! hoptree itself, as a console drives it: a control node in this process, and nodes below it.

use std::time::{Duration, Instant};

use hoptree_core::{Controller, ControllerConfig, Input, Order, Time};
use hoptree_host::process::{DirectoryLock, random_secret, this_process};
use hoptree_host::{Driver, Failure, Patience, transports};

use super::PATIENCE;
use super::crew::Crew;
use super::setting::{Setting, TEXT};
use super::victim::{Victim, let_arrive};

/// A control node with nodes below it.
pub struct Tree {
    driver: Driver<Controller>,
    _lock: Option<DirectoryLock>,
    /// The process of each node; node 1 is the first.
    processes: Vec<Victim>,
}

/// What is asked, and what must be answered.
pub struct Ask {
    /// The line, without its line end.
    pub line: String,
    /// The reply, all of it.
    pub reply: String,
}

impl Ask {
    /// Has a node echo a text.
    pub fn echo(node: i32, text: &str) -> Ask {
        Ask { line: format!("exec {node} echo {text}"), reply: format!("Ok:{node}: {text}\n") }
    }
}

impl Tree {
    /// A control node alone, which prints its replies in this order.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn found(setting: &Setting<'_>, crew: &Crew, order: Order) -> Result<Tree, Failure> {
        let (transport, lock) = transports::open(setting.spec, crew.opening())?;
        let signals = setting.signals.hand_over(transport.waker());
        let controller = Controller::new(
            Time::ZERO,
            ControllerConfig {
                token: crew.token(),
                own_secret: random_secret()?,
                process: this_process(),
                transport: setting.spec.name,
                timeout: PATIENCE,
                order,
                nodes_max: usize::MAX,
                records: false,
                commands: setting.commands.clone(),
            },
        );
        let driver = Driver::new(controller, transport, crew.children(), signals);
        Ok(Tree { driver, _lock: lock, processes: Vec::new() })
    }

    /// A control node with nodes below these parents, the first of which is that of node 1.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(setting: &Setting<'_>, crew: &Crew, parents: &[i32]) -> Result<Tree, Failure> {
        let mut tree = Tree::found(setting, crew, Order::Input)?;
        tree.grow_all(parents)?;
        Ok(tree)
    }

    /// What surrounds its control node.
    pub fn driver(&mut self) -> &mut Driver<Controller> {
        &mut self.driver
    }

    /// The processes of its compute nodes.
    pub fn processes(&self) -> &[Victim] {
        &self.processes
    }

    /// Types a line, and says how long it takes, from the line that is read to the reply that can
    /// be printed.
    ///
    /// # Errors
    ///
    /// When there is no reply, or another one.
    pub fn ask(&mut self, ask: &Ask) -> Result<Duration, Failure> {
        self.driver.printed().clear();
        // The console, too, begins a turn with a look around, and then feeds the line.
        self.driver.wait(Patience::Look).map_err(Failure::doing("go on"))?;
        let start = Instant::now();
        self.driver.feed(Input::Line(ask.line.as_bytes()));
        self.driver.end_turn();
        while is_part(self.driver.printed(), ask.reply.as_bytes()) {
            self.driver.wait(Patience::Wait).map_err(Failure::doing("go on"))?;
            self.driver.end_turn();
        }
        let took = start.elapsed();
        if self.driver.printed() != ask.reply.as_bytes() {
            return Err(self.unexpected(&ask.line));
        }
        self.driver.printed().clear();
        Ok(took)
    }

    /// Starts one more node below the control node, kills it while it owes an answer, and says how
    /// long it takes from the kill to the error that can be printed in place of that answer.
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

    /// A turn of the console, with at most one line.
    ///
    /// # Errors
    ///
    /// When the transport can't go on.
    pub fn turn(&mut self, patience: Patience, line: Option<&str>) -> Result<(), Failure> {
        self.driver.wait(patience).map_err(Failure::doing("go on"))?;
        if let Some(line) = line {
            self.driver.feed(Input::Line(line.as_bytes()));
        }
        self.driver.end_turn();
        Ok(())
    }

    /// Starts the next node below `parent`, and says which it is.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn grow(&mut self, parent: i32) -> Result<i32, Failure> {
        let node = self.next();
        self.grow_all(&[parent])?;
        Ok(node)
    }

    /// Starts the next nodes below these parents, all at once, and says how long it takes from the
    /// first line to the last reply. With more than one, replies are to come in the order of the
    /// lines.
    ///
    /// # Errors
    ///
    /// When a node is not started.
    pub fn grow_all(&mut self, parents: &[i32]) -> Result<Duration, Failure> {
        let lines: Vec<_> = (self.next()..)
            .zip(parents)
            .map(|(node, parent)| format!("create {node} {parent}"))
            .collect();
        self.driver.printed().clear();
        self.driver.wait(Patience::Look).map_err(Failure::doing("go on"))?;
        let start = Instant::now();
        let (mut fed, mut started) = (0, 0);
        while started < lines.len() {
            while fed < lines.len() && self.driver.node().wants_line() {
                self.driver.feed(Input::Line(lines[fed].as_bytes()));
                fed += 1;
            }
            self.driver.end_turn();
            started += self.take_processes(&lines[started..])?;
            if started < lines.len() {
                self.driver.wait(Patience::Wait).map_err(Failure::doing("go on"))?;
            }
        }
        Ok(start.elapsed())
    }

    /// The node that is started next.
    fn next(&self) -> i32 {
        i32::try_from(self.processes.len() + 1).expect("a machine has fewer processes")
    }

    /// Takes the replies to the first of these lines, and says how many there are.
    fn take_processes(&mut self, lines: &[String]) -> Result<usize, Failure> {
        let replies = String::from_utf8_lossy(self.driver.printed()).into_owned();
        let mut taken = 0;
        for reply in replies.lines() {
            match reply.strip_prefix("Ok: ").and_then(Victim::parse) {
                Some(process) => self.processes.push(process),
                None => return Err(unexpected(&lines[taken], reply)),
            }
            taken += 1;
        }
        self.driver.printed().clear();
        Ok(taken)
    }

    fn unexpected(&mut self, line: &str) -> Failure {
        unexpected(line, &String::from_utf8_lossy(self.driver.printed()))
    }
}

/// Whether the rest of `reply` may come yet.
fn is_part(printed: &[u8], reply: &[u8]) -> bool {
    printed.len() < reply.len() && reply.starts_with(printed)
}

fn unexpected(line: &str, reply: &str) -> Failure {
    // Both may be long, and the end of a long text tells little.
    let short = |text: &str| text.trim_end().chars().take(80).collect::<String>();
    Failure::Runtime(format!("'{}' was answered with '{}'", short(line), short(reply)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_waited_for_as_long_as_it_may_come() {
        let Ask { line, reply } = Ask::echo(2, "a b");
        assert_eq!((&*line, &*reply), ("exec 2 echo a b", "Ok:2: a b\n"));
        assert!(is_part(b"", reply.as_bytes()) && is_part(b"Ok:2", reply.as_bytes()));
        assert!(!is_part(reply.as_bytes(), reply.as_bytes()));
        assert!(!is_part(b"Error:2: no\n", reply.as_bytes()));
    }
}
