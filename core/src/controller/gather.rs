//! One command for many nodes: their answers until all are there.

use std::collections::BTreeMap;

use super::replies::Reply;
use crate::{Answer, Failure, NodeId, RequestId};

/// How many bytes of answers one command may gather. Those that do not fit are left out, each with
/// an error in its place.
const GATHERED_BYTES_MAX: usize = 64 * 1024 * 1024;

const TOO_LONG: &[u8] = b"The answers to this command are too long together";

/// The answers to a command for many nodes, as far as they are there.
#[derive(Debug)]
pub(crate) struct Gather {
    /// How many are to come.
    waiting: usize,
    bytes: usize,
    answers: Answers,
}

/// By nodes, since they are told in ascending order.
#[derive(Debug)]
enum Answers {
    /// As lines for the console.
    Lines(BTreeMap<NodeId, Vec<u8>>),
    /// For the module of this name.
    Module(&'static str, BTreeMap<NodeId, Answer>),
}

/// What a module has asked on behalf of a call is answered.
#[derive(Debug)]
pub(crate) struct Told {
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
    /// What is printed for each of so many nodes.
    pub fn lines(nodes: usize) -> Gather {
        Gather { waiting: nodes, bytes: 0, answers: Answers::Lines(BTreeMap::new()) }
    }

    /// What so many nodes answer a module.
    pub fn module(name: &'static str, nodes: usize) -> Gather {
        Gather { waiting: nodes, bytes: 0, answers: Answers::Module(name, BTreeMap::new()) }
    }

    /// Takes in the answer of one node.
    pub fn add(&mut self, node: NodeId, mut reply: Reply<'_>) {
        self.waiting -= 1;
        self.bytes += reply.text_bytes();
        if self.bytes > GATHERED_BYTES_MAX {
            self.bytes -= reply.text_bytes();
            reply = Reply::ErrorOf(node, TOO_LONG);
        }
        match &mut self.answers {
            Answers::Lines(lines) => {
                let mut line = Vec::new();
                reply.write(&mut line);
                lines.insert(node, line);
            }
            Answers::Module(_, answers) => {
                answers.insert(node, answer(reply));
            }
        }
    }

    /// All answers, when there is none to come any more.
    pub fn take(&mut self) -> Option<Gathered> {
        (self.waiting == 0).then(|| match &mut self.answers {
            Answers::Lines(lines) => {
                Gathered::Lines(std::mem::take(lines).into_values().flatten().collect())
            }
            Answers::Module(name, answers) => {
                Gathered::Module(name, std::mem::take(answers).into_iter().collect())
            }
        })
    }
}

fn answer(reply: Reply<'_>) -> Answer {
    let owned = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    match reply {
        Reply::OkOf(_, text) => Answer::Given(Ok(owned(text))),
        Reply::ErrorOf(_, text) => Answer::Given(Err(Failure(owned(text)))),
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

    #[test]
    fn lines_are_told_in_the_order_of_nodes_when_all_are_there() {
        let mut gather = Gather::lines(3);
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
        let mut gather = Gather::module("test", 3);
        for id in [1, 2, 3] {
            gather.add(node(id), Reply::OkOf(node(id), &long));
        }
        let Some(Gathered::Module("test", answers)) = gather.take() else { panic!() };
        let given = answers.iter().map(|(_, answer)| matches!(answer, Answer::Given(Ok(_))));
        assert_eq!(given.collect::<Vec<_>>(), [true, true, false]);
    }
}
