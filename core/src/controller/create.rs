//! `create`: a node has a new life, started by its parent.

use super::desk::pending::{CreateStage, GiveUpReason, Operation, Pending};
use super::desk::reply::{Reply, TOO_MANY, no_answer};
use super::desk::windows::{Admission, Charge};
use super::desk::{Desk, towards};
use crate::children::Children;
use crate::wire::{self, Allowance, Create, Joined, Kind, Status};
use crate::{Change, Life, NodeId, Place, Proved, RequestId, Seed, Start, Time};

const ALREADY_EXISTS: &str = "Already exists";
const PARENT_NOT_FOUND: &str = "Parent not found";
const PARENT_UNAVAILABLE: &str = "Parent is unavailable";

/// Takes in the command. It waits for its turn, both of the node and of its parent.
pub(crate) fn begin(desk: &mut Desk, node: NodeId, parent: NodeId, start: Start) {
    let request = desk.open(Operation::Create { node, parent, start, stage: CreateStage::Waiting });
    if is_coming(desk, node) {
        return desk.reply(request, Reply::Error(ALREADY_EXISTS));
    }
    if !parent.is_control() && desk.tree.record(parent).is_some() {
        desk.turns.enqueue(parent, request);
        desk.turns.expect(parent, request, node);
    } else if !parent.is_control() && desk.tree.record(node).is_none() {
        return desk.reply(request, Reply::Error(PARENT_NOT_FOUND));
    }
    desk.enqueue(node, request);
    desk.turns.wake(node);
}

/// Whether a node is on its way, and nothing typed so far is about to end it.
fn is_coming(desk: &Desk, node: NodeId) -> bool {
    matches!(desk.last_change(node), Some(Operation::Create { stage, .. })
        if *stage != CreateStage::Asking)
}

/// Has the node started by its parent, or replies why not. False when it must wait.
pub(crate) fn advance(
    desk: &mut Desk,
    children: &Children,
    now: Time,
    request: RequestId,
    (node, parent): (NodeId, NodeId),
) -> bool {
    // A parent that was not there when the command was typed may have come to be since, by a later
    // command, for which this one does not wait.
    let turns = &desk.turns;
    let must_wait = |node| turns.is_queued(node, request) && !turns.is_turn_of(node, request);
    if [node, parent].into_iter().any(must_wait) {
        return false;
    }
    if desk.tree.is_reachable(node) && !is_cleared(desk, request) {
        // It may just have died.
        hold(desk, request, (node, parent), CreateStage::Asking);
        desk.ask(now, node, request);
        return true;
    }
    let (tree, nodes_max) = (&desk.tree, desk.nodes_max);
    let too_many;
    let refused = match tree.life(parent) {
        None => PARENT_NOT_FOUND,
        // A command makes it its own parent, and it has just turned out not to live.
        Some(_) if node == parent || !tree.is_reachable(parent) => PARENT_UNAVAILABLE,
        Some(_) if !tree.has_room_for(node, nodes_max, |node| turns.is_held(node)) => {
            too_many = format!("too many nodes: the limit is {nodes_max} (--max-nodes raises it)");
            &too_many
        }
        Some(parent) => {
            let to = towards(children, parent);
            match desk.admit(now, request, to, wire::HEADER_BYTES, None) {
                Some(Admission::Wait) => return false,
                Some(Admission::Refused) => TOO_MANY,
                Some(Admission::Granted(charge)) => {
                    start(desk, now, request, (node, parent), Some(charge));
                    return true;
                }
                None => {
                    start(desk, now, request, (node, parent), None);
                    return true;
                }
            }
        }
    };
    desk.reply(request, Reply::Error(refused));
    end(desk, request, (node, parent));
    true
}

/// Whether the node is known not to live.
fn is_cleared(desk: &Desk, request: RequestId) -> bool {
    matches!(desk.operation(request), Some(Operation::Create { stage: CreateStage::Cleared, .. }))
}

fn start(
    desk: &mut Desk,
    now: Time,
    request: RequestId,
    (node, parent): (NodeId, Life),
    charge: Option<Charge>,
) {
    let life = desk.tree.new_life(node);
    hold(desk, request, (node, parent.node), CreateStage::Starting { life, parent });
    desk.sent_with(now, request, charge);
    let start = match desk.operation(request) {
        Some(Operation::Create { start, .. }) => start.clone(),
        _ => Start::default(),
    };
    let seed = Seed::of(desk.own_secret, life);
    let body = wire::body(&Create { life, seed, start });
    desk.outbox.request(Kind::Create, parent, request, Allowance::Large, body);
}

/// The command takes effect: whatever else names the node waits for it.
fn hold(
    desk: &mut Desk,
    request: RequestId,
    (node, parent): (NodeId, NodeId),
    new_stage: CreateStage,
) {
    let pending = desk.replies.pending_mut(request);
    if let Some(Pending { operation: Operation::Create { stage, .. }, .. }) = pending {
        *stage = new_stage;
    }
    desk.turns.release(request, [node, parent]);
    desk.hold(node, request);
}

/// The node that seemed to exist was asked whether it does.
pub(crate) fn probed(desk: &mut Desk, request: RequestId, lives: bool) {
    if lives { fail(desk, request, ALREADY_EXISTS) } else { resume(desk, request) }
}

/// The node that seemed to exist is gone, so its id may have a new life after all: the command
/// waits for its turn again.
fn resume(desk: &mut Desk, request: RequestId) {
    let pending = desk.replies.pending_mut(request);
    let Some(Pending { operation: Operation::Create { node, parent, stage, .. }, sent, .. }) =
        pending
    else {
        return;
    };
    (*stage, *sent) = (CreateStage::Cleared, None);
    let (node, parent) = (*node, *parent);
    desk.turns.release(request, [node]);
    for node in [node, parent] {
        if desk.tree.record(node).is_some() {
            desk.turns.enqueue(node, request);
        }
    }
}

/// The new life has joined the tree.
pub(crate) fn joined(desk: &mut Desk, now: Time, request: RequestId, joined: Joined) {
    let Joined { at: Proved { place, .. }, process } = joined;
    let life = place.life;
    let parent = match desk.operation(request) {
        Some(Operation::Create {
            parent,
            stage: CreateStage::Starting { life: awaited, .. },
            ..
        }) if *awaited == life => *parent,
        _ => return joined_late(desk, now, request, place),
    };
    let charge = desk.replies.pending_mut(request).and_then(|pending| pending.charge.take());
    desk.give_back(now, charge, Status::Ok);
    end_earlier_life(desk, life.node);
    desk.tree.join(place, process, now);
    end(desk, request, (life.node, parent));
    desk.reply(request, Reply::Ok(&process.to_string()));
}

/// A life has joined that nobody waits for any more. Its create may be long forgotten: when the
/// route to its parent broke, that was answered for it, and is made again by the parent itself.
fn joined_late(desk: &mut Desk, now: Time, request: RequestId, place: Place) {
    if let Some(leftover) = desk.abandoned.take(request) {
        desk.give_back(now, leftover.charge, Status::Ok);
    }
    desk.discard(place.life, place.parent);
}

/// An earlier life of a node is not wanted any more. What is below it finds another parent.
fn end_earlier_life(desk: &mut Desk, node: NodeId) {
    let Some(earlier) = desk.tree.life(node) else { return };
    desk.changes.push((node, Change::Ended));
    desk.deferred.forget(earlier);
    let parent = desk.tree.parent(node);
    if desk.tree.is_reachable(parent.node) {
        desk.discard(earlier, parent);
    } else {
        desk.deferred.add(parent, earlier);
    }
}

/// The parent could not start the node.
pub(crate) fn answered(desk: &mut Desk, request: RequestId, status: Status, text: &str) {
    fail(desk, request, if status == Status::Unavailable { PARENT_UNAVAILABLE } else { text });
}

/// There is no answer from the node that seemed to exist, or from the parent.
pub(crate) fn gave_up(desk: &mut Desk, request: RequestId, stage: CreateStage, why: GiveUpReason) {
    match stage {
        CreateStage::Asking if why == GiveUpReason::Lost => return resume(desk, request),
        CreateStage::Asking => return fail(desk, request, ALREADY_EXISTS),
        CreateStage::Starting { life, parent } => desk.discard(life, parent),
        CreateStage::Waiting | CreateStage::Cleared => {}
    }
    match why {
        GiveUpReason::Slow => fail(desk, request, &no_answer(desk.timeout)),
        // Nobody cancels a create, and it has no output.
        _ => fail(desk, request, PARENT_UNAVAILABLE),
    }
}

fn fail(desk: &mut Desk, request: RequestId, text: &str) {
    if let Some(pending) = desk.replies.reply(request, Reply::Error(text))
        && let Operation::Create { node, parent, .. } = pending.operation
    {
        end(desk, request, (node, parent));
    }
}

/// The command has its reply; what waited for it may go on.
fn end(desk: &mut Desk, request: RequestId, (node, parent): (NodeId, NodeId)) {
    desk.turns.expect_no_more(parent, request);
    desk.turns.release(request, [node, parent]);
}
