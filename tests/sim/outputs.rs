//! What must hold of the output of tasks: what is printed is what its node has emitted, without a gap, in
//! order, once and before the answer; and no more of it is on its way than the control node has granted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hoptree_core::{NodeId, Stream};

use crate::checks::node_called;
use crate::flow::{Flow, STREAMS};
use crate::frame::Header;
use crate::probe;
use crate::process::{CONTROL, Pid, public};
use crate::trace::cut;

/// How much of one stream may be on its way before the control node has read any of it, and at the most, in
/// bytes.
const GRANTED_AT_FIRST: u64 = 64 * 1024;
const ON_ITS_WAY_MAX: u64 = 1024 * 1024;

#[derive(Default)]
pub struct Outputs {
    /// The tasks with output that are not answered, as they were typed.
    flows: Vec<Printed>,
    /// By request: how much output may have been sent, was sent by its node, and has come to the control
    /// node, in bytes.
    granted: HashMap<u64, u64>,
    emitted: HashMap<u64, u64>,
    received: HashMap<u64, u64>,
    /// Which requests were answered by whom, or by those below.
    answered: HashSet<(u64, Pid)>,
}

/// What was printed of a task's output.
struct Printed {
    flow: Flow,
    /// The node that runs it, unless that is each.
    node: Option<NodeId>,
    by_node: BTreeMap<NodeId, [Lines; 2]>,
    /// The nodes that have answered.
    done: BTreeSet<NodeId>,
}

/// What was printed of one stream.
#[derive(Default)]
struct Lines {
    /// The number of the line that comes next, or a later one.
    next: usize,
    /// The last one was not whole.
    is_cut: bool,
}

impl Lines {
    /// Takes in a line that was printed, and says whether it is what must come next: a line, or the
    /// beginning of the last one.
    fn take(&mut self, flow: Flow, stream: Stream, pid: u32, text: &str) -> bool {
        let Some(next) = flow.next_on(stream, self.next).filter(|_| !self.is_cut) else {
            return false;
        };
        let line = flow.line(pid, next);
        if line == text {
            self.next = next + 1;
        } else if line.starts_with(text) {
            self.is_cut = true;
        }
        line.starts_with(text)
    }
}

impl Outputs {
    /// A task was typed, for a node or for all.
    pub fn entered(&mut self, flow: Flow, node: Option<NodeId>) {
        let (by_node, done) = (BTreeMap::new(), BTreeSet::new());
        self.flows.push(Printed { flow, node, by_node, done });
    }

    /// A line of output was printed.
    pub fn printed(&mut self, node: NodeId, stream: Stream, text: &str) -> Result<(), String> {
        for printed in &mut self.flows {
            let is_awaited = printed.node.is_none_or(|other| other == node);
            if !is_awaited || printed.done.contains(&node) {
                continue;
            }
            let runs = probe::runs(printed.flow.task);
            let Some(run) = runs.iter().find(|run| run.node == node) else { continue };
            let lines = &mut printed.by_node.entry(node).or_default()[stream as usize];
            if lines.take(printed.flow, stream, run.pid, text) {
                return Ok(());
            }
        }
        Err(format!("node {node} has not emitted what is printed now: {}", cut(text)))
    }

    /// A node has answered a task: no more output may come, and all of it has come if the task was done.
    pub fn answered(&mut self, task: usize, node: NodeId, is_ok: bool) -> Result<(), String> {
        let at = self.flows.iter().position(|printed| printed.flow.task == task);
        let Some(at) = at else { return Ok(()) };
        let printed = &mut self.flows[at];
        printed.done.insert(node);
        let lines = printed.by_node.remove(&node).unwrap_or_default();
        let flow = printed.flow;
        if printed.node.is_some() {
            self.flows.swap_remove(at);
        }
        let missing = STREAMS.iter().zip(&lines).find_map(|(stream, lines)| {
            let next = flow.next_on(*stream, lines.next)?;
            Some(format!("line {next} is missing on {stream:?}"))
        });
        missing.filter(|_| is_ok).map_or(Ok(()), Err)
    }

    /// All nodes have answered a task.
    pub fn all_answered(&mut self, task: usize) {
        self.flows.retain(|printed| printed.flow.task != task);
    }

    /// A process that nobody has under suspicion sends a message, about itself or about others.
    /// What a compromised node says of its own request may be passed on in any order.
    pub fn sent(
        &mut self,
        by: Pid,
        is_own: bool,
        is_honest: bool,
        header: &Header<'_>,
    ) -> Result<(), String> {
        let request = header.request;
        if header.begins_answer() {
            self.answered.insert((request, by));
        }
        let is_late = header.name() == "Output" && self.answered.contains(&(request, by));
        if is_late && (is_own || is_honest) {
            return Err(format!("process {} emits after its answer to {request:x}", public(by)));
        }
        let (received, granted) = (self.received.get(&request), self.granted.get(&request));
        let granted = granted.copied().unwrap_or(GRANTED_AT_FIRST);
        if by == CONTROL
            && let Some(more) = header.granted()
        {
            self.granted.insert(request, granted.max(more));
            if more > received.copied().unwrap_or_default() + ON_ITS_WAY_MAX {
                return Err(format!(
                    "{more} bytes of {request:x} are granted, and {received:?} come"
                ));
            }
        }
        if is_own && header.name() == "Output" {
            let emitted = self.emitted.entry(request).or_default();
            *emitted += header.body.len() as u64;
            if *emitted > granted {
                return Err(format!(
                    "{emitted} bytes of {request:x} are sent, and {granted} granted"
                ));
            }
        }
        Ok(())
    }

    /// Something has come to the control node.
    pub fn received(&mut self, header: &Header<'_>) {
        if header.name() == "Output" {
            *self.received.entry(header.request).or_default() += header.body.len() as u64;
        }
    }

    /// As [`crate::checks::Checks::forget_requests`]. What may still be sent is not forgotten.
    pub fn forget_requests(&mut self) {
        self.answered = HashSet::new();
    }
}

/// The node, the stream and the text of a line of output, when it is one.
pub fn parse(line: &str) -> Option<(NodeId, Stream, &str)> {
    let end = line.find(|c: char| !c.is_ascii_digit())?;
    let node = node_called(&line[..end])?;
    let rest = &line[end..];
    let out = rest.strip_prefix(": ").map(|text| (Stream::Out, text));
    let (stream, text) = out.or_else(|| rest.strip_prefix("! ").map(|text| (Stream::Err, text)))?;
    Some((node, stream, text))
}
