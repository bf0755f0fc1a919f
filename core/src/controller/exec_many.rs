//! `exec` for many nodes, and what a module asks of all of them: each node is asked by a part of
//! the command, which is answered as an `exec` for one node is.

use std::collections::BTreeSet;

use super::desk::Desk;
use super::desk::gather::{Gather, Gathered, ModuleAnswers};
use super::desk::outbox::Part;
use super::desk::pending::{Operation, Pending};
use super::desk::reply::Reply;
use super::exec::{self, Admitted, Turn, Wanted};
use super::language::Target;
use crate::children::Children;
use crate::wire::{self, Kind, Published};
use crate::{NodeId, RequestId, Time};

/// Takes in the command. None of the nodes may be unknown.
pub(crate) fn begin(
    desk: &mut Desk,
    children: &Children,
    now: Time,
    targets: &[Target],
    line: &str,
) {
    let nodes = match nodes_of(desk, targets) {
        Ok(nodes) => nodes,
        Err(unknown) => {
            let wrong = match unknown {
                Some(node) => format!("exec: there is no node {node}"),
                None => "exec: there is no node yet".to_owned(),
            };
            let request = desk.replies.open(Pending::verb(now));
            return desk.answer(request, Reply::Error(&wrong));
        }
    };
    let command = desk.open(Operation::Many(Box::new(Gather::lines(&nodes))));
    let part = Part { command, kind: Kind::Exec, body: line.as_bytes().into() };
    fan_out(desk, children, now, nodes, &part);
}

/// The nodes that are meant, those that are just being created included; or the one that does not
/// exist, if it was named.
fn nodes_of(desk: &Desk, targets: &[Target]) -> Result<BTreeSet<NodeId>, Option<NodeId>> {
    let tree = &desk.tree;
    let mut nodes = BTreeSet::new();
    for target in targets {
        match *target {
            Target::All => nodes.extend(tree.nodes().filter(|node| !desk.is_ending(*node))),
            Target::One(node) | Target::Below(node) if tree.record(node).is_none() => {
                return Err(Some(node));
            }
            Target::One(node) => {
                nodes.insert(node);
            }
            Target::Below(node) => {
                let below = desk.subtree_and_coming(node).into_iter();
                nodes.extend(below.filter(|below| *below == node || !desk.is_ending(*below)));
            }
        }
    }
    if nodes.is_empty() { Err(None) } else { Ok(nodes) }
}

/// Takes in what a module asks of all nodes, on behalf of a call of one of its verbs. Returns the
/// answers when there is nobody to ask.
pub(crate) fn ask_all(
    desk: &mut Desk,
    children: &Children,
    now: Time,
    call: RequestId,
    module: &'static str,
    question: Vec<u8>,
) -> Option<ModuleAnswers> {
    let nodes: BTreeSet<_> = desk.tree.nodes().filter(|node| !desk.is_ending(*node)).collect();
    let pending = desk.replies.pending_mut(call)?;
    let mut gather = Gather::module(module, &nodes);
    if let Some(Gathered::Module(..)) = gather.take() {
        return Some(ModuleAnswers { call, module, answers: Vec::new() });
    }
    // Each node has a deadline of its own.
    (pending.operation, pending.sent) = (Operation::Many(Box::new(gather)), None);
    let body = wire::body(&Published { module: module.to_owned(), value: question });
    let part = Part { command: call, kind: Kind::Ask, body: body.into() };
    fan_out(desk, children, now, nodes, &part);
    None
}

/// Asks the same of many nodes: each has its turn among the commands that name it, and those whose
/// turn it is have the request in common on the way.
fn fan_out(desk: &mut Desk, children: &Children, now: Time, nodes: BTreeSet<NodeId>, part: &Part) {
    for node in nodes {
        let Part { command, kind, body } = part.clone();
        let request =
            desk.replies.open_part(Pending::new(Operation::Part { command, node, kind, body }));
        let is_free = desk.turns.is_free(node);
        if !(is_free && advance(desk, children, now, request, node, part.clone())) {
            desk.enqueue(node, request);
        }
    }
}

/// Sends a part to its node, or answers why not. False when it must wait.
pub(crate) fn advance(
    desk: &mut Desk,
    children: &Children,
    now: Time,
    request: RequestId,
    node: NodeId,
    part: Part,
) -> bool {
    let (bytes, command) = (part.body.len(), Some(part.command));
    match exec::admit(desk, children, now, Wanted { request, node, bytes, command }) {
        Turn::Wait => return false,
        Turn::Answered => {}
        Turn::Send(Admitted { life, allowance, .. }) => {
            let link = children.link_to(life);
            desk.outbox.part(life, request, link, allowance, part);
        }
    }
    true
}
