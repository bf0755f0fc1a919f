//! `remove`: a node and all below it are ended.

use std::time::Duration;

use super::desk::Desk;
use super::desk::pending::{Operation, Pending, RemoveStage};
use super::desk::reply::{NOT_FOUND, Reply, UNAVAILABLE};
use super::desk::tree::{Record, State};
use crate::children::{END_GRACE, END_GRACE_STEP};
use crate::wire::{self, Kind, Status};
use crate::{Change, Life, NodeId, RequestId, Time};

/// Takes in the command. It waits for its turn of every node that it ends.
pub(crate) fn begin(desk: &mut Desk, node: NodeId) {
    let request = desk.open(Operation::Remove { node, stage: RemoveStage::Waiting });
    if desk.tree.record(node).is_none() {
        return desk.reply(request, Reply::Error(NOT_FOUND));
    }
    for node in desk.subtree_and_coming(node) {
        desk.enqueue(node, request);
    }
    desk.turns.wake(node);
}

/// Asks the node whether it lives, or replies why not. False when it must wait.
pub(crate) fn advance(desk: &mut Desk, now: Time, request: RequestId, node: NodeId) -> bool {
    // The tree below it may have changed since the command was typed.
    let nodes = desk.subtree_and_coming(node);
    let mut moved = desk.concerned_by(request);
    moved.retain(|node| !nodes.contains(node));
    desk.turns.release(request, moved);
    let mut is_turn = true;
    for node in &nodes {
        if !desk.turns.is_turn_of(*node, request) {
            desk.enqueue(*node, request);
            is_turn = desk.turns.is_turn_of(*node, request) && is_turn;
        }
    }
    if !is_turn {
        return false;
    }
    desk.turns.release(request, nodes.iter().copied());
    if desk.tree.is_dead(node) {
        bury(desk, node);
        desk.reply(request, Reply::Ok(""));
        return true;
    }
    let refused = match desk.tree.record(node) {
        None | Some(Record { state: State::Absent, .. }) => NOT_FOUND,
        Some(record) if !record.reachable => UNAVAILABLE,
        Some(_) => {
            for node in nodes {
                desk.hold(node, request);
            }
            set_stage(desk, request, RemoveStage::Asking);
            desk.ask(now, node, request);
            return true;
        }
    };
    desk.reply(request, Reply::Error(refused));
    true
}

fn set_stage(desk: &mut Desk, request: RequestId, new_stage: RemoveStage) {
    let pending = desk.replies.pending_mut(request);
    if let Some(Pending { operation: Operation::Remove { stage, .. }, .. }) = pending {
        *stage = new_stage;
    }
}

/// Frees the ids of a node that is known to have ended, and of those below it that are. Other
/// nodes below them are considered to hang from the nodes above, until they are heard of.
fn bury(desk: &mut Desk, node: NodeId) {
    let mut dead = desk.tree.subtree(node);
    dead.retain(|node| desk.tree.is_dead(*node));
    for node in dead {
        if let Some(life) = desk.tree.life(node) {
            desk.deferred.forget(life);
        }
        desk.tree.bury(node);
        desk.forget_if_unused(node);
        desk.changes.push((node, Change::Ended));
    }
}

/// The node was asked whether it lives: one that can't be reached is not changed.
pub(crate) fn probed(desk: &mut Desk, now: Time, request: RequestId, life: Life, lives: bool) {
    if !lives {
        return fail(desk, request, UNAVAILABLE);
    }
    set_stage(desk, request, RemoveStage::Ending);
    let to = desk.tree.parent(life.node);
    let body = wire::body(&(life, end_grace(desk, life.node)));
    desk.outbox.post(Kind::Remove, to, request, body);
    desk.wake_by(now + desk.timeout / 2);
}

/// How long the process of a node has to end when it is asked to.
pub(crate) fn end_grace(desk: &Desk, node: NodeId) -> Duration {
    END_GRACE + END_GRACE_STEP * desk.tree.height(node)
}

/// The parent has ended the node, or has not. In that case, `text` says why not.
pub(crate) fn answered(
    desk: &mut Desk,
    request: RequestId,
    node: NodeId,
    status: Status,
    text: &str,
) {
    match status {
        Status::Ok => {
            free(desk, request, node);
            desk.reply(request, Reply::Ok(""));
        }
        Status::Failed => {
            let process = desk.tree.record(node).map(|record| record.process).unwrap_or_default();
            fail(desk, request, &format!("node {node}, process {process}, {text}"));
        }
        Status::Unavailable => fail(desk, request, UNAVAILABLE),
    }
}

/// The node has ended after all, though the command has its reply.
pub(crate) fn ended_late(desk: &mut Desk, request: RequestId, node: NodeId) {
    free(desk, request, node);
}

/// There is no answer. Returns the life that its parent was told to end, if it was: that may still
/// happen.
pub(crate) fn gave_up(
    desk: &mut Desk,
    request: RequestId,
    node: NodeId,
    stage: RemoveStage,
) -> Option<Life> {
    let ending = desk.tree.life(node).filter(|_| stage == RemoveStage::Ending);
    fail(desk, request, UNAVAILABLE);
    ending
}

fn fail(desk: &mut Desk, request: RequestId, text: &str) {
    if desk.replies.reply(request, Reply::Error(text)).is_some() {
        let nodes = desk.concerned_by(request);
        desk.turns.release(request, nodes);
    }
}

/// A node and all below it have ended; their ids are free.
fn free(desk: &mut Desk, request: RequestId, node: NodeId) {
    let nodes = desk.concerned_by(request);
    for node in desk.tree.subtree(node).into_iter().rev() {
        desk.changes.push((node, Change::Ended));
        desk.tree.remove(node);
        desk.forget_if_unused(node);
    }
    desk.turns.release(request, nodes);
}
