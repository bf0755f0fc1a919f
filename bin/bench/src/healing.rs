//! The time that a tree takes to heal.

use std::collections::VecDeque;
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::Input;
use hoptree_host::{Failure, Patience};

use super::setting::TEXT;
use super::tree::{Ask, Tree};

/// How soon one that is unavailable is asked again: much sooner than a tree heals, and late enough
/// to leave the cores to those who heal it.
const PAUSE: Duration = Duration::from_micros(100);

/// Starts more nodes with these parents, as if the first were node 1, kills one of them, and says
/// how long it takes from the kill until every other one has answered a command. Then it removes
/// them.
///
/// # Errors
///
/// When a survivor does not answer.
pub fn heal(tree: &mut Tree, parents: &[i32], lost: usize) -> Result<Duration, Failure> {
    let before = tree.processes().len();
    let shift = i32::try_from(before).expect("a machine has fewer processes");
    let shifted = parents.iter().map(|parent| if *parent > 0 { parent + shift } else { *parent });
    tree.grow_all(&shifted.collect::<Vec<_>>())?;

    let nodes = (1..).take(parents.len());
    let survivors = nodes.filter(|node| *node != lost as i32).map(|node| node + shift);
    let start = Instant::now();
    tree.processes()[before + lost - 1].kill()?;
    Roll::of(survivors).call(tree)?;
    let took = start.elapsed();

    for (node, parent) in (shift + 1..).zip(parents) {
        if *parent == -1 {
            tree.ask(&Ask { line: format!("remove {node}"), reply: "Ok\n".to_owned() })?;
        }
    }
    Ok(took)
}

/// Nodes that are to answer.
struct Roll {
    /// Those to be asked, at first or once more.
    unasked: Vec<i32>,
    /// Those that were asked, in order, and have not answered.
    asked: VecDeque<i32>,
}

impl Roll {
    fn of(nodes: impl Iterator<Item = i32>) -> Roll {
        Roll { unasked: nodes.collect(), asked: VecDeque::new() }
    }

    /// Asks each node, again and again, until it has answered.
    fn call(mut self, tree: &mut Tree) -> Result<(), Failure> {
        tree.driver().printed().clear();
        while !self.unasked.is_empty() || !self.asked.is_empty() {
            tree.turn(Patience::Look, None)?;
            for node in mem::take(&mut self.unasked) {
                let line = Ask::echo(node, TEXT).line;
                tree.driver().feed(Input::Line(line.as_bytes()));
                self.asked.push_back(node);
            }
            tree.driver().end_turn();
            let printed = mem::take(tree.driver().printed());
            for reply in String::from_utf8_lossy(&printed).lines() {
                self.take(reply)?;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Takes a reply; they come in the order in which nodes were asked.
    fn take(&mut self, reply: &str) -> Result<(), Failure> {
        let node = self.asked.pop_front();
        let node = node.ok_or_else(|| Failure::Runtime(format!("nobody asked for '{reply}'")))?;
        if reply == format!("Error:{node}: Node is unavailable") {
            self.unasked.push(node);
        } else if reply != format!("Ok:{node}: {TEXT}") {
            return Err(Failure::Runtime(format!("node {node} answered with '{reply}'")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_unavailable_is_asked_again() {
        let mut roll = Roll::of([].into_iter());
        roll.asked.extend([1, 2, 3]);
        roll.take(&format!("Ok:1: {TEXT}")).unwrap();
        roll.take("Error:2: Node is unavailable").unwrap();
        assert_eq!((&roll.unasked[..], roll.asked.len()), (&[2][..], 1));
        assert!(roll.take("Error:3: Not found").is_err());
        assert!(roll.take("Ok").is_err());
    }
}
