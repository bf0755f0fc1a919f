//! `ping`: whether a node can be reached.

use super::desk::Desk;
use super::desk::pending::Operation;
use super::desk::reply::{NOT_FOUND, Reply};
use super::desk::tree::State;
use crate::{NodeId, RequestId, Time};

/// Takes in the command, which takes effect when it is its turn.
pub(crate) fn begin(desk: &mut Desk, now: Time, node: NodeId) {
    let request = desk.open(Operation::Ping { node });
    if desk.tree.record(node).is_none() {
        desk.reply(request, Reply::Error(NOT_FOUND));
    } else if desk.turns.is_free(node) {
        advance(desk, now, request, node);
    } else {
        desk.turns.enqueue(node, request);
    }
}

/// Asks the node, unless it is known not to be reachable.
pub(crate) fn advance(desk: &mut Desk, now: Time, request: RequestId, node: NodeId) {
    match desk.tree.record(node) {
        Some(record) if record.reachable => desk.ask(now, node, request),
        Some(record) if record.state != State::Absent => probed(desk, request, false),
        _ => desk.reply(request, Reply::Error(NOT_FOUND)),
    }
}

/// The node has answered, or a node above it has, or nobody did in time.
pub(crate) fn probed(desk: &mut Desk, request: RequestId, lives: bool) {
    desk.reply(request, Reply::Ok(if lives { "1" } else { "0" }));
}
