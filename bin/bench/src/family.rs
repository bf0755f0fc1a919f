//! A node with two children: one that is flooded, and its sibling, which is asked meanwhile.

use std::time::{Duration, Instant};

use hoptree_core::{Input, Order};
use hoptree_host::{Failure, Patience};

use super::crew::Crew;
use super::setting::{Setting, TEXT};
use super::tree::{Ask, Tree};
use super::victim::Victim;

/// The tree, as a console drives it, and what is asked of it. Replies come as they complete, so that
/// those of the sibling do not wait for those of the flooded node.
pub struct Family {
    tree: Tree,
    flood: Flood,
    line: String,
    reply: String,
}

/// What the flooded node is told, again and again.
struct Flood {
    line: String,
    reply: String,
    refusal: String,
    /// How many lines have had no reply yet. The node's window bounds it.
    unanswered: usize,
    /// How many were refused.
    refused: usize,
}

/// What came of a line for the sibling.
#[derive(Clone, Copy, Debug)]
pub struct Trip {
    /// For how long the console read no lines before it.
    pub held: Duration,
    /// From the line that is read to the reply that can be printed.
    pub took: Duration,
}

impl Family {
    /// Starts it. The lines of the flood carry a text of this many bytes.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(
        setting: &Setting<'_>,
        crew: &Crew,
        flood_text_bytes: usize,
    ) -> Result<Family, Failure> {
        let mut tree = Tree::found(setting, crew, Order::Completion)?;
        let parent = tree.grow(-1)?;
        let (flooded, sibling) = (tree.grow(parent)?, tree.grow(parent)?);
        let text = "x".repeat(flood_text_bytes);
        let flood = Flood {
            line: format!("exec {flooded} echo {text}"),
            reply: format!("Ok:{flooded}: {text}\n"),
            refusal: format!("Error:{flooded}: Too many requests are waiting\n"),
            unanswered: 0,
            refused: 0,
        };
        let Ask { line, reply } = Ask::echo(sibling, TEXT);
        let mut family = Family { tree, flood, line, reply };
        family.tree.driver().printed().clear();
        crew.continue_at_the_end(family.flooded().pid())?;
        Ok(family)
    }

    /// The node above the two.
    pub fn parent(&self) -> Victim {
        self.tree.processes()[0]
    }

    /// The node that is flooded.
    pub fn flooded(&self) -> Victim {
        self.tree.processes()[1]
    }

    /// Feeds this many lines of the flood, one for the sibling right behind them, and waits until the
    /// sibling has answered. The console feeds more than that in one turn.
    ///
    /// # Errors
    ///
    /// When anybody answers what they should not.
    pub fn trip(&mut self, flood_lines: usize) -> Result<Trip, Failure> {
        let mut left = flood_lines;
        let mut held = Duration::ZERO;
        let read = loop {
            let start = Instant::now();
            let reading = self.tree.driver().node().wants_line();
            self.wait(if reading { Patience::Look } else { Patience::Wait })?;
            let read = if reading { self.feed(&mut left) } else { None };
            self.tree.driver().end_turn();
            if let Some(read) = read {
                break read;
            }
            self.take_replies()?;
            if !reading {
                held += start.elapsed();
            }
        };
        loop {
            let took = read.elapsed();
            if self.take_replies()? {
                return Ok(Trip { held, took });
            }
            self.wait(Patience::Wait)?;
            self.tree.driver().end_turn();
        }
    }

    /// Waits until every line of the flood is answered, and says how many were refused since it last
    /// did.
    ///
    /// # Errors
    ///
    /// When anybody answers what they should not.
    pub fn catch_up(&mut self) -> Result<usize, Failure> {
        while self.flood.unanswered > 0 {
            self.wait(Patience::Wait)?;
            self.tree.driver().end_turn();
            self.take_replies()?;
        }
        Ok(std::mem::take(&mut self.flood.refused))
    }

    fn wait(&mut self, patience: Patience) -> Result<(), Failure> {
        self.tree.driver().wait(patience).map_err(Failure::doing("go on"))
    }

    /// Feeds what is left of the flood and then the sibling's line, as far as lines are wanted, and
    /// says when it fed the latter.
    fn feed(&mut self, left: &mut usize) -> Option<Instant> {
        let driver = self.tree.driver();
        while *left > 0 && driver.node().wants_line() {
            driver.feed(Input::Line(self.flood.line.as_bytes()));
            self.flood.unanswered += 1;
            *left -= 1;
        }
        if *left > 0 || !driver.node().wants_line() {
            return None;
        }
        let read = Instant::now();
        driver.feed(Input::Line(self.line.as_bytes()));
        Some(read)
    }

    /// Takes what was printed, and says whether the sibling's reply is there.
    fn take_replies(&mut self) -> Result<bool, Failure> {
        let Family { tree, flood, reply, .. } = self;
        let printed = tree.driver().printed();
        let mut rest = &printed[..];
        let mut answered = false;
        while !rest.is_empty() {
            rest = if let Some(rest) = flood.take_reply(rest) {
                rest
            } else if let Some(rest) = rest.strip_prefix(reply.as_bytes()) {
                answered = true;
                rest
            } else {
                let text = String::from_utf8_lossy(rest);
                let line = text.lines().next().unwrap_or_default();
                return Err(Failure::Runtime(format!("a command was answered with '{line}'")));
            };
        }
        printed.clear();
        Ok(answered)
    }
}

impl Flood {
    /// What is behind the next line of `printed`, if that is a reply to one of the flood's.
    fn take_reply<'a>(&mut self, printed: &'a [u8]) -> Option<&'a [u8]> {
        let refused = printed.strip_prefix(self.refusal.as_bytes());
        self.refused += usize::from(refused.is_some());
        let rest = refused.or_else(|| printed.strip_prefix(self.reply.as_bytes()))?;
        self.unanswered -= 1;
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replies_to_a_flood_are_counted() {
        let [line, reply, refusal] =
            ["exec 2 echo x", "Ok:2: x\n", "Error:2: no\n"].map(str::to_owned);
        let mut flood = Flood { line, reply, refusal, unanswered: 3, refused: 0 };
        let rest = flood.take_reply(b"Ok:2: x\nError:2: no\nOk:3: x\n").unwrap();
        let rest = flood.take_reply(rest).unwrap();
        assert_eq!((rest, flood.take_reply(rest)), (&b"Ok:3: x\n"[..], None));
        assert_eq!((flood.unanswered, flood.refused), (1, 1));
    }
}
