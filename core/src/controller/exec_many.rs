//! `exec` for many nodes, and what a module asks of all of them: each node is asked by a part of
//! the command, which has its reply as an `exec` for one node has.

use std::collections::BTreeSet;

use super::desk::Desk;
use super::desk::adrift::Waiting;
use super::desk::gather::{Gather, Gathered, ModuleAnswers};
use super::desk::outbox::Part;
use super::desk::pending::{Operation, Options, Pending};
use super::desk::reply::Reply;
use super::exec::{self, Turn, Wanted};
use super::node_set::NodeSet;
use super::selection;
use crate::children::Children;
use crate::wire::{self, Kind, Published};
use crate::{NodeId, RequestId, Time};

/// Takes in the command.
pub(crate) fn begin(
    desk: &mut Desk,
    children: &Children,
    now: Time,
    set: &NodeSet<'_>,
    line: &str,
    options: Options,
) {
    let nodes = match selection::select(desk, set) {
        Ok(nodes) => nodes,
        Err(wrong) => {
            let request = desk.replies.open(Pending::verb(now));
            return desk.reply(request, Reply::Error(&format!("exec: {wrong}")));
        }
    };
    let gather = if options.is_folded { Gather::folded(&nodes) } else { Gather::lines(&nodes) };
    let command = desk.open(Operation::Many(Box::new(gather)));
    let body = exec::with_terms(options.terms(desk.timeout, command), line.as_bytes()).into();
    let part = Part { command, kind: Kind::Exec, body };
    fan_out(desk, children, now, nodes, &part, options);
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
    let nodes: BTreeSet<_> = desk.staying().collect();
    let pending = desk.replies.pending_mut(call)?;
    let mut gather = Gather::module(module, &nodes);
    if let Some(Gathered::Module(..)) = gather.take() {
        return Some(ModuleAnswers { call, module, answers: Vec::new() });
    }
    // Each node has a deadline of its own.
    (pending.operation, pending.sent) = (Operation::Many(Box::new(gather)), None);
    let body = wire::body(&Published { module: module.to_owned(), value: question });
    let part = Part { command: call, kind: Kind::Ask, body: body.into() };
    fan_out(desk, children, now, nodes, &part, Options::default());
    None
}

/// Asks the same of many nodes: each has its turn among the commands that name it, and those whose
/// turn it is have the request in common on the way.
fn fan_out(
    desk: &mut Desk,
    children: &Children,
    now: Time,
    nodes: BTreeSet<NodeId>,
    part: &Part,
    options: Options,
) {
    for node in nodes {
        let Part { command, kind, body } = part.clone();
        let operation = Operation::Part { command, node, kind, body };
        let request = desk.replies.open_part(Pending { options, ..Pending::new(operation) });
        if part.kind == Kind::Exec {
            desk.records.open(request, node);
        }
        let is_free = desk.turns.is_free(node);
        if !(is_free && advance(desk, children, now, request, node, part.clone())) {
            desk.enqueue(node, request);
        }
    }
}

/// Sends a part to its node, or replies why not. False when it must wait.
pub(crate) fn advance(
    desk: &mut Desk,
    children: &Children,
    now: Time,
    request: RequestId,
    node: NodeId,
    part: Part,
) -> bool {
    let (bytes, command) = (part.body.len(), Some(part.command));
    let waiting = desk.adrift.get(node, request);
    if let Some(Waiting { life, .. }) = waiting {
        if desk.tree.life(node) != Some(life) {
            desk.reply(request, Reply::UnavailableOf(node));
            return true;
        }
        if !desk.tree.is_reachable(node) {
            // It waits on, but not for its turn.
            return true;
        }
    }
    match exec::admit(desk, children, now, Wanted { request, node, bytes, command }) {
        Turn::Wait => return false,
        Turn::Replied => {}
        Turn::Send(admitted) => {
            if let Some(Waiting { sent, .. }) = desk.adrift.take(node, request) {
                desk.sent_since(request, sent);
            }
            let link = children.link_to(admitted.life);
            desk.outbox.part(admitted.life, request, link, admitted.flags(), part);
        }
    }
    true
}
