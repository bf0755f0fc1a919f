//! Answers to one command, of which equal ones are told once.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::reply::Reply;
use crate::controller::node_set;
use crate::wire::Detailed;
use crate::{Exit, NodeId};

/// The answers so far, and who has given each. They are compared in full.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    groups: Vec<(Answer, BTreeSet<NodeId>)>,
    /// Where those are that nodes have numbered.
    by_number: FxHashMap<u32, usize>,
    bytes: usize,
}

/// What some nodes have answered alike.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    is_error: bool,
    text: Vec<u8>,
    exit: Option<Exit>,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Fold {
    /// How many bytes of different answers there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// An answer has this number from now on.
    pub fn number(&mut self, number: u32, reply: Reply<'_>) {
        let group = self.group(reply);
        self.by_number.insert(number, group);
    }

    /// The answer with this number, if there is one, and whether it is an error.
    pub fn numbered(&self, number: u32) -> Option<(bool, Detailed<'_>)> {
        let Answer { is_error, text, exit, out, err } =
            &self.groups[*self.by_number.get(&number)?].0;
        Some((*is_error, Detailed { text, exit: *exit, out, err }))
    }

    /// Takes in the answer of one node.
    pub fn add(&mut self, node: NodeId, reply: Reply<'_>) {
        let group = match reply {
            Reply::NumberedOf(_, _, number) => self.by_number.get(&number).copied(),
            _ => None,
        };
        let group = group.unwrap_or_else(|| self.group(reply));
        self.groups[group].1.insert(node);
    }

    /// Where the group is of an answer.
    fn group(&mut self, reply: Reply<'_>) -> usize {
        let (exit, out, err) = match reply {
            Reply::DetailedOf(_, _, Detailed { exit, out, err, .. }) => {
                (exit, out.to_vec(), err.to_vec())
            }
            _ => (None, Vec::new(), Vec::new()),
        };
        let (is_error, text) = (reply.is_error(), reply.text().into_owned());
        let answer = Answer { is_error, text, exit, out, err };
        if let Some(group) = self.groups.iter().position(|(other, _)| *other == answer) {
            return group;
        }
        self.bytes += answer.text.len() + answer.out.len() + answer.err.len();
        self.groups.push((answer, BTreeSet::new()));
        self.groups.len() - 1
    }

    /// What is printed: the largest group first, and of equal ones that of the least node.
    pub fn lines(&self) -> Vec<u8> {
        let mut groups: Vec<_> =
            self.groups.iter().filter(|(_, nodes)| !nodes.is_empty()).collect();
        groups.sort_by_key(|(_, nodes)| (usize::MAX - nodes.len(), nodes.first().copied()));
        let mut lines = Vec::new();
        groups.into_iter().for_each(|(answer, nodes)| answer.write(nodes, &mut lines));
        lines
    }
}

impl Answer {
    fn write(&self, nodes: &BTreeSet<NodeId>, to: &mut Vec<u8>) {
        let status = if self.is_error { "Error" } else { "Ok" };
        to.extend_from_slice(format!("{status}:{}", node_set::folded(nodes)).as_bytes());
        super::reply::write_text(&self.text, to);
        if nodes.len() > 1 {
            to.extend_from_slice(format!(" ({} nodes)", nodes.len()).as_bytes());
        }
        to.push(b'\n');
        for stream in [&self.out, &self.err] {
            let lines = stream.split_inclusive(|byte| *byte == b'\n');
            for line in lines {
                to.extend_from_slice(b"  ");
                to.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
                to.push(b'\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers_are_told_once_the_largest_group_first() {
        let node = |id| NodeId::compute(id).unwrap();
        let mut fold = Fold::default();
        let detailed = |text, out| {
            let [text, out] = [text, out].map(str::as_bytes);
            Detailed { text, exit: None, out, err: b"" }
        };
        let failed = Detailed { err: b"uname: no\nsuch", ..detailed("exit 1", "") };
        fold.add(node(8), Reply::DetailedOf(node(8), true, failed));
        fold.add(node(2), Reply::UnavailableOf(node(2)));
        for id in [9, 1, 3, 4] {
            fold.add(node(id), Reply::DetailedOf(node(id), false, detailed("exit 0", "6.18\n")));
        }
        fold.add(node(11), Reply::UnavailableOf(node(11)));
        fold.add(node(12), Reply::DetailedOf(node(12), false, detailed("", "")));
        let lines = String::from_utf8(fold.lines()).unwrap();
        assert_eq!(
            lines,
            "Ok:1,3-4,9: exit 0 (4 nodes)\n  6.18\n\
             Error:2,11: Node is unavailable (2 nodes)\n\
             Error:8: exit 1\n  uname: no\n  such\n\
             Ok:12\n"
        );
        assert_eq!(fold.bytes(), 11 + 19 + 6 + 14);
    }

    /// Or the record of one would tell how the other has ended.
    #[test]
    fn programs_that_have_ended_otherwise_are_told_apart() {
        let node = |id| NodeId::compute(id).unwrap();
        let mut fold = Fold::default();
        let ends = [Some(Exit::Status(9)), Some(Exit::Signal(9)), None];
        for (number, exit) in (0..).zip(ends) {
            let ended = Detailed { text: b"it failed", exit, out: b"", err: b"" };
            fold.number(number, Reply::DetailedOf(NodeId::CONTROL, true, ended));
            fold.add(node(number), Reply::NumberedOf(node(number), true, number));
        }
        for (number, exit) in (0..).zip(ends) {
            assert_eq!(fold.numbered(number).unwrap().1.exit, exit);
        }
        let lines = String::from_utf8(fold.lines()).unwrap();
        assert_eq!(lines, "Error:0: it failed\nError:1: it failed\nError:2: it failed\n");
    }
}
