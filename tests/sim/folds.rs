//! What must hold of answers that are folded: each node is in one group, what is said of a group is what
//! each of its nodes has made of the command, and the largest group comes first.

use std::collections::{BTreeSet, HashMap};

use hoptree_core::{NodeId, Stream};

use crate::alike::{self, Alike};
use crate::checks::node_called;
use crate::flow::STREAMS;
use crate::trace::cut;

#[derive(Default)]
pub struct Folds {
    /// The commands that are not answered.
    open: Vec<Alike>,
    /// What is printed of the answers to the first of them.
    groups: Vec<Group>,
    /// What has come as lines of its own, by task, node and stream.
    streamed: HashMap<(usize, NodeId, Stream), Vec<String>>,
}

/// What is printed of nodes that have answered alike.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    pub is_ok: bool,
    pub text: String,
    output: Vec<String>,
    pub nodes: BTreeSet<NodeId>,
}

impl Folds {
    pub fn entered(&mut self, alike: Alike) {
        self.open.push(alike);
    }

    /// A line of output was printed that is not in a group.
    pub fn streamed(&mut self, node: NodeId, stream: Stream, line: &str) -> Result<(), String> {
        let of_task = |alike: &&Alike| Some(alike.task) == alike::task_of(line);
        let alike = self.open.iter().find(of_task).filter(|alike| alike.is_streamed(node));
        let alike = *alike.ok_or_else(|| format!("'{}' of node {node} comes late", cut(line)))?;
        let lines = self.streamed.entry((alike.task, node, stream)).or_default();
        let whole = alike.output(node, stream);
        let right = whole.lines().nth(lines.len()).is_some_and(|right| right.starts_with(line));
        lines.push(line.to_owned());
        right.then_some(()).ok_or_else(|| format!("'{}' is not of node {node}", cut(line)))
    }

    /// The first line of a group was printed.
    pub fn begins(&mut self, line: &str) -> Result<(), String> {
        let wrong = || format!("'{}' is no group", cut(line));
        let (status, rest) = line.split_once(':').ok_or_else(wrong)?;
        let (ids, text) = rest.split_once(": ").unwrap_or((rest, ""));
        let nodes = nodes_of(ids).ok_or_else(wrong)?;
        let text = match nodes.len() {
            1 => text,
            count => text.strip_suffix(&format!(" ({count} nodes)")).ok_or_else(wrong)?,
        };
        if self.groups.iter().any(|group| !group.nodes.is_disjoint(&nodes)) {
            return Err(format!("a node is in two groups: {}", cut(line)));
        }
        let order = |nodes: &BTreeSet<NodeId>| (usize::MAX - nodes.len(), nodes.first().copied());
        if self.groups.last().is_some_and(|last| order(&last.nodes) > order(&nodes)) {
            return Err(format!("'{}' is out of order", cut(line)));
        }
        let (is_ok, text) = (status == "Ok", text.to_owned());
        self.groups.push(Group { is_ok, text, output: Vec::new(), nodes });
        Ok(())
    }

    /// A line of the output of a group was printed.
    pub fn goes_on(&mut self, line: &str) {
        if let Some(group) = self.groups.last_mut() {
            group.output.push(line.to_owned());
        }
    }

    /// All groups of the answers to a command were printed.
    pub fn end(&mut self, alike: Alike) -> Result<Vec<Group>, String> {
        self.open.retain(|other| *other != alike);
        let groups = std::mem::take(&mut self.groups);
        let is_double = |at: usize| {
            let said = |group: &Group| (group.is_ok, group.text.clone(), group.output.clone());
            groups[..at].iter().any(|other| said(other) == said(&groups[at]))
        };
        match (0..groups.len()).find(|at| is_double(*at)) {
            Some(at) => Err(format!("two groups are alike: {}", cut(&groups[at].text))),
            None => Ok(groups),
        }
    }

    /// Checks the output of a node: all of it is there when the answer `is_own`, and none of it in the
    /// group otherwise.
    pub fn check(
        &mut self,
        alike: Alike,
        node: NodeId,
        group: &Group,
        is_own: bool,
    ) -> Result<(), String> {
        let mut streamed = STREAMS
            .map(|stream| self.streamed.remove(&(alike.task, node, stream)).unwrap_or_default());
        let whole = STREAMS.map(|stream| alike.output(node, stream));
        let whole =
            whole.each_ref().map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        let right = match (is_own, alike.is_streamed(node)) {
            (true, true) => streamed == whole && group.output.is_empty(),
            (true, false) => group.output == whole.concat(),
            (false, _) => {
                streamed.iter_mut().for_each(Vec::clear);
                group.output.is_empty()
            }
        };
        right.then_some(()).ok_or_else(|| format!("that is not the output of node {node}"))
    }
}

/// The nodes of a set as it is printed.
fn nodes_of(ids: &str) -> Option<BTreeSet<NodeId>> {
    let mut nodes = BTreeSet::new();
    for range in ids.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (node_called(first)?, node_called(last)?);
        nodes.extend(
            (alike::id(first)..=alike::id(last)).filter_map(|id| node_called(&id.to_string())),
        );
    }
    Some(nodes)
}
