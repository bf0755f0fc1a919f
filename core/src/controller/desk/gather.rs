//! One command for many nodes: their answers until all are there.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::Fold;
use super::reply::Reply;
use crate::wire::Detailed;
use crate::{Answer, Failure, NodeId, RequestId};

/// How many bytes of answers may be gathered for a module, or of different ones to be folded. Those that do
/// not fit are left out, each with an error in its place. Lines for the console have no such bound: they are printed as they
/// come when they are many.
const GATHERED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// When the lines that could be printed have this many bytes, they do not wait for the other
/// answers.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// What takes the place of an answer that does not fit.
pub(crate) const TOO_LONG: &[u8] = b"The answers to this command are too long together";

/// The answers to a command for many nodes, as far as they are there.
#[derive(Debug)]
pub(crate) struct Gather {
    /// Whose are still to come, with their requests once these are made.
    awaited: BTreeMap<NodeId, Option<RequestId>>,
    bytes: usize,
    answers: Answers,
}

/// By nodes, since they are printed, or handed to the module, in ascending order.
#[derive(Debug)]
enum Answers {
    /// As lines for the console.
    Lines(BTreeMap<NodeId, Vec<u8>>),
    /// As lines for the console, one for all that are equal.
    Folded(Fold),
    /// For the module of this name.
    Module(&'static str, BTreeMap<NodeId, Answer>),
}

/// What a module has asked on behalf of a call is answered.
#[derive(Debug)]
pub(crate) struct ModuleAnswers {
    pub call: RequestId,
    pub module: &'static str,
    pub answers: Vec<(NodeId, Answer)>,
}

/// All answers.
pub(crate) enum Gathered {
    Lines(Vec<u8>),
    Module(&'static str, Vec<(NodeId, Answer)>),
}

impl Gather {
    /// What is printed for each of these nodes.
    pub fn lines(nodes: &BTreeSet<NodeId>) -> Gather {
        Gather { awaited: unasked(nodes), bytes: 0, answers: Answers::Lines(BTreeMap::new()) }
    }

    /// What is printed for all of these nodes, with equal answers told once.
    pub fn folded(nodes: &BTreeSet<NodeId>) -> Gather {
        Gather { awaited: unasked(nodes), bytes: 0, answers: Answers::Folded(Fold::default()) }
    }

    /// What these nodes answer a module.
    pub fn module(name: &'static str, nodes: &BTreeSet<NodeId>) -> Gather {
        let answers = Answers::Module(name, BTreeMap::new());
        Gather { awaited: unasked(nodes), bytes: 0, answers }
    }

    /// How many bytes of answers there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes the request to one of the nodes.
    pub fn ask(&mut self, node: NodeId, request: RequestId) {
        if let Some(awaited) = self.awaited.get_mut(&node) {
            *awaited = Some(request);
        }
    }

    /// The request whose answer is still to come before those of others can be printed.
    pub fn first_awaited(&self) -> Option<RequestId> {
        *self.awaited.first_key_value()?.1
    }

    /// Whether the answers of others wait for that of this node.
    pub fn is_first(&self, node: NodeId) -> bool {
        self.awaited.first_key_value().is_some_and(|(first, _)| *first == node)
    }

    /// Whether there is room for an answer of this many bytes.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        match self.answers {
            Answers::Lines(_) => true,
            Answers::Folded(_) | Answers::Module(..) => self.bytes + bytes <= GATHERED_BYTES_MAX,
        }
    }

    /// An answer to a command that is folded has this number from now on.
    pub fn number(&mut self, number: u32, mut reply: Reply<'_>) {
        if !self.has_room_for(reply.text_bytes()) {
            reply = Reply::ErrorOf(NodeId::CONTROL, TOO_LONG);
        }
        if let Answers::Folded(fold) = &mut self.answers {
            fold.number(number, reply);
            self.bytes = fold.bytes();
        }
    }

    /// As [`Fold::numbered`], for a command that is folded.
    pub fn numbered(&self, number: u32) -> Option<(bool, Detailed<'_>)> {
        match &self.answers {
            Answers::Folded(fold) => fold.numbered(number),
            _ => None,
        }
    }

    /// Takes in the answer of one node.
    pub fn add(&mut self, node: NodeId, mut reply: Reply<'_>) {
        self.awaited.remove(&node);
        if !self.has_room_for(reply.text_bytes()) {
            reply = Reply::ErrorOf(node, TOO_LONG);
        }
        self.bytes += reply.text_bytes();
        match &mut self.answers {
            Answers::Lines(lines) => {
                let mut line = Vec::new();
                reply.write(&mut line);
                lines.insert(node, line);
            }
            Answers::Folded(fold) => {
                fold.add(node, reply);
                self.bytes = fold.bytes();
            }
            Answers::Module(_, answers) => {
                answers.insert(node, module_answer(reply));
            }
        }
    }

    /// The lines that can be printed already, if they are too many to be kept.
    pub fn take_ready(&mut self) -> Option<Vec<u8>> {
        let Answers::Lines(lines) = &mut self.answers else { return None };
        let (first, _) = self.awaited.first_key_value()?;
        if self.bytes < KEPT_BYTES_MAX {
            return None;
        }
        let later = lines.split_off(first);
        let ready = concatenated(std::mem::replace(lines, later));
        self.bytes = lines.values().map(Vec::len).sum();
        Some(ready).filter(|ready| !ready.is_empty())
    }

    /// All answers, when there is none to come any more.
    pub fn take(&mut self) -> Option<Gathered> {
        self.awaited.is_empty().then(|| match &mut self.answers {
            Answers::Lines(lines) => Gathered::Lines(concatenated(std::mem::take(lines))),
            Answers::Folded(fold) => Gathered::Lines(fold.lines()),
            Answers::Module(name, answers) => {
                Gathered::Module(name, std::mem::take(answers).into_iter().collect())
            }
        })
    }
}

fn unasked(nodes: &BTreeSet<NodeId>) -> BTreeMap<NodeId, Option<RequestId>> {
    nodes.iter().map(|node| (*node, None)).collect()
}

/// All lines, one after the other. A single one is not copied, and each is given back when it has
/// been: they may be long.
fn concatenated(lines: BTreeMap<NodeId, Vec<u8>>) -> Vec<u8> {
    let bytes: usize = lines.values().map(Vec::len).sum();
    let mut lines = lines.into_values();
    let mut all = lines.next().unwrap_or_default();
    all.reserve_exact(bytes - all.len());
    lines.for_each(|line| all.extend_from_slice(&line));
    all
}

/// What a module learns of a reply.
fn module_answer(reply: Reply<'_>) -> Answer {
    let owned = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    match reply {
        Reply::OkOf(_, text) => Answer::Given(Ok(owned(text))),
        Reply::ErrorOf(_, text) => Answer::Given(Err(Failure::from(owned(text)))),
        Reply::NumberedOf(..) => Answer::NotFound,
        Reply::DetailedOf(_, false, detailed) => Answer::Given(Ok(owned(detailed.text))),
        Reply::DetailedOf(_, true, detailed) => {
            Answer::Given(Err(Failure { text: owned(detailed.text), exit: detailed.exit }))
        }
        Reply::UnavailableOf(_) => Answer::Unavailable,
        Reply::LateOf(..) => Answer::Late,
        Reply::RefusedOf(_) => Answer::Refused,
        Reply::NotFoundOf(_) => Answer::NotFound,
        Reply::Ok(text) | Reply::Lines(text) => Answer::Given(Ok(text.to_owned())),
        Reply::Error(text) => Answer::Given(Err(Failure::from(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32) -> NodeId {
        NodeId::compute(id).unwrap()
    }

    fn nodes<const N: usize>(ids: [u32; N]) -> BTreeSet<NodeId> {
        ids.into_iter().map(node).collect()
    }

    #[test]
    fn lines_come_in_the_order_of_nodes_when_all_are_there() {
        let mut gather = Gather::lines(&nodes([2, 9, 10]));
        gather.add(node(10), Reply::OkOf(node(10), b"ten"));
        gather.add(node(2), Reply::UnavailableOf(node(2)));
        assert!(gather.take().is_none());
        gather.add(node(9), Reply::OkOf(node(9), b""));
        let Some(Gathered::Lines(lines)) = gather.take() else { panic!() };
        let lines = String::from_utf8(lines).unwrap();
        assert_eq!(lines, "Error:2: Node is unavailable\nOk:9\nOk:10: ten\n");
    }

    #[test]
    fn answers_that_are_too_long_together_are_left_out() {
        let long = vec![b'x'; GATHERED_BYTES_MAX / 2];
        let mut gather = Gather::module("test", &nodes([1, 2, 3]));
        for id in [1, 2, 3] {
            gather.add(node(id), Reply::OkOf(node(id), &long));
        }
        let Some(Gathered::Module("test", answers)) = gather.take() else { panic!() };
        let given = answers.iter().map(|(_, answer)| matches!(answer, Answer::Given(Ok(_))));
        assert_eq!(given.collect::<Vec<_>>(), [true, true, false]);
    }

    /// Or the answers of many nodes would all have to be in memory.
    #[test]
    fn many_bytes_of_lines_are_printed_as_they_come() {
        let long = vec![b'x'; KEPT_BYTES_MAX / 2];
        let mut gather = Gather::lines(&nodes([1, 2, 3, 4]));
        for id in [3, 2] {
            gather.add(node(id), Reply::OkOf(node(id), &long));
        }
        gather.ask(node(1), RequestId(7));
        assert_eq!((gather.take_ready(), gather.first_awaited()), (None, Some(RequestId(7))));
        gather.add(node(1), Reply::OkOf(node(1), b"first"));
        let ready = gather.take_ready().unwrap();
        assert!(ready.starts_with(b"Ok:1: first\nOk:2: xx"));
        assert_eq!((ready.len(), gather.bytes()), (12 + 2 * 7 + KEPT_BYTES_MAX, 0));
        gather.add(node(4), Reply::OkOf(node(4), b"last"));
        let Some(Gathered::Lines(rest)) = gather.take() else { panic!() };
        assert_eq!(rest, b"Ok:4: last\n");
    }
}
