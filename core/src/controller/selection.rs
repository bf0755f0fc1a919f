//! Which nodes a set means, as the tree is when the command is taken in.

use std::collections::BTreeSet;

use super::desk::Desk;
use super::desk::tree::State;
use super::node_set::{NodeSet, Term};
use crate::{NodeId, shown};

/// The nodes that are meant: those that are just being created included, and of those that are just
/// being removed only the ones that are named.
///
/// # Errors
///
/// What the user is told: a node that is named does not exist, or no node is meant.
pub(crate) fn select(desk: &Desk, set: &NodeSet<'_>) -> Result<BTreeSet<NodeId>, String> {
    let mut nodes = BTreeSet::new();
    for term in &set.included {
        if let Some(unknown) = unknown(desk, *term) {
            return Err(format!("there is no node {unknown}"));
        }
        nodes.extend(meant(desk, *term));
    }
    for term in &set.excluded {
        for node in meant(desk, *term) {
            nodes.remove(&node);
        }
    }
    if !nodes.is_empty() {
        return Ok(nodes);
    }
    Err(match desk.tree.nodes().next() {
        None => "there is no node".to_owned(),
        Some(_) => format!("the set '{}' is empty: no node is in it now", shown(set.text)),
    })
}

/// The first of the nodes that a term names and that does not exist.
fn unknown(desk: &Desk, term: Term) -> Option<u32> {
    let (first, last) = match term {
        Term::One(node) | Term::Below(node) => (node, node),
        Term::Range(first, last) => (first, last),
        Term::All | Term::Up | Term::Down | Term::Depth(_) => return None,
    };
    (first.to_wire()..=last.to_wire())
        .find(|id| NodeId::compute(*id).is_none_or(|node| desk.tree.record(node).is_none()))
}

/// The nodes that a term means. Those that it names need not exist.
fn meant(desk: &Desk, term: Term) -> BTreeSet<NodeId> {
    let is_staying = |node: &NodeId| !desk.is_ending(*node);
    match term {
        Term::One(node) => BTreeSet::from([node]),
        Term::Range(first, last) => {
            desk.tree.nodes().filter(|node| (first..=last).contains(node)).collect()
        }
        Term::Below(node) => {
            let mut nodes = desk.subtree_and_coming(node);
            nodes.retain(|below| *below == node || is_staying(below));
            nodes
        }
        Term::All => desk.staying().collect(),
        Term::Up => desk.staying().filter(|node| !is_down(desk, *node)).collect(),
        Term::Down => desk.staying().filter(|node| is_down(desk, *node)).collect(),
        Term::Depth(depth) => level(desk, depth).into_iter().filter(is_staying).collect(),
    }
}

/// Whether a node has joined, and can't be reached.
fn is_down(desk: &Desk, node: NodeId) -> bool {
    let record = desk.tree.record(node);
    record.is_some_and(|record| record.state != State::Absent && !record.reachable)
}

/// The nodes with this many links between them and the control node, which is none of them.
fn level(desk: &Desk, depth: u32) -> BTreeSet<NodeId> {
    let mut level = BTreeSet::from([NodeId::CONTROL]);
    for _ in 0..depth {
        level = level.into_iter().flat_map(|node| desk.children_and_coming(node)).collect();
        if level.is_empty() {
            break;
        }
    }
    level.remove(&NodeId::CONTROL);
    level
}
