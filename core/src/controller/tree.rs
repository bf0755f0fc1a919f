//! `tree`: every node as it is now.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::desk::Desk;
use super::desk::pending::Operation;
use super::desk::tree::{Record, State};
use crate::{NodeId, Time};

/// How deep nodes are drawn further to the right than their parents. Below that their depth is
/// written, so that the lines of a long chain are no longer than others.
const DRAWN_DEPTH_MAX: usize = 32;

/// Every node on a line of its own, below its parent and further to the right.
pub(crate) fn text(desk: &Desk, now: Time) -> String {
    let mut below: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    let mut nodes: Vec<_> = desk.tree.nodes().collect();
    nodes.sort_unstable();
    for node in nodes {
        if let Some(parent) = parent_to_be(desk, node) {
            below.entry(parent).or_default().push(node);
        }
    }
    let mut picture = String::new();
    let mut path = vec![below.remove(&NodeId::CONTROL).unwrap_or_default().into_iter()];
    while let Some(siblings) = path.last_mut() {
        let Some(node) = siblings.next() else {
            path.pop();
            continue;
        };
        let line = desk.tree.record(node).map(|record| line(desk, now, record));
        write_indent(path.len(), &mut picture);
        writeln!(picture, "{node}: {}", line.unwrap_or_default()).expect("a String takes all");
        path.push(below.remove(&node).unwrap_or_default().into_iter());
    }
    if picture.is_empty() {
        picture.push_str("there are no nodes\n");
    }
    picture
}

/// The node above a node, also of one that is still to be created.
fn parent_to_be(desk: &Desk, node: NodeId) -> Option<NodeId> {
    let record = desk.tree.record(node)?;
    if record.state != State::Absent {
        return Some(record.parent);
    }
    let requests = desk.turns.commands(node);
    let mut works = requests.filter_map(|request| desk.operation(request));
    works.find_map(|operation| match operation {
        Operation::Create { node: other, parent, .. } if *other == node => Some(*parent),
        _ => None,
    })
}

fn line(desk: &Desk, now: Time, record: &Record) -> String {
    if record.state == State::Absent {
        return "starting".to_owned();
    }
    let (pid, time) = (record.process, shown(now.since(record.since)));
    let birthplace = record.birthplace;
    let moved = match record.moves {
        0 => String::new(),
        1 => format!(", created below {birthplace}, moved once"),
        moves => format!(", created below {birthplace}, moved {moves} times"),
    };
    if record.reachable {
        return format!("pid {pid}, available for {time}{moved}");
    }
    format!("pid {pid}, unavailable for {time}: {}{moved}", reason(desk, record))
}

fn reason(desk: &Desk, record: &Record) -> String {
    match record.exit {
        Some(exit) => return exit.to_string(),
        None if record.state == State::Lost => return "its link is gone".to_owned(),
        None if record.silent => return "silent".to_owned(),
        None => {}
    }
    let mut above = std::iter::successors(Some(record.parent), |node| {
        desk.tree.record(*node).map(|record| record.parent)
    });
    let stands = |node: &NodeId| {
        let record = desk.tree.record(*node);
        record.is_none_or(Record::stands)
    };
    match above.find(|node| node.is_control() || !stands(node)) {
        Some(node) if !node.is_control() => format!("below node {node}"),
        _ => "it has not answered yet".to_owned(),
    }
}

/// Begins the line of a node at this depth, the number of links to the control node.
fn write_indent(depth: usize, picture: &mut String) {
    let indent = 2 * (depth.min(DRAWN_DEPTH_MAX) - 1);
    picture.extend(std::iter::repeat_n(' ', indent));
    if depth > DRAWN_DEPTH_MAX {
        write!(picture, "(depth {depth}) ").expect("a String takes all");
    }
}

/// A time as people read it.
fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
