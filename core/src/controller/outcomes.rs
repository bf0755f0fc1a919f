//! How requests end: which command learns of an answer, of one that came too late, or that none
//! will come.

use super::desk::Desk;
use super::desk::abandoned::Leftover;
use super::desk::pending::{CreateStage, GiveUpReason, Operation, Pending, RemoveStage};
use super::desk::probes::Probe;
use super::desk::reply::{Reply, no_answer};
use super::{adrift, create, exec, ping, remove};
use crate::wire::{Flags, Kind, Status};
use crate::{Change, NodeId, RequestId, Time};

/// The answer to a request is there.
pub(crate) fn answered(desk: &mut Desk, now: Time, request: RequestId, flags: Flags, body: &[u8]) {
    let status = flags.status();
    if let Some(probe) = desk.probes.take(request) {
        return probed(desk, now, probe, status);
    }
    if desk.replies.pending(request).is_none() {
        return answered_late(desk, now, request, status);
    }
    if status == Status::Unavailable
        && let Some(Leftover { charge, .. }) = adrift::begin(desk, now, request)
    {
        desk.intake.forget(request);
        return desk.give_back(now, charge, status);
    }
    let charge = desk.replies.pending_mut(request).and_then(|pending| pending.charge.take());
    desk.intake.forget(request);
    desk.give_back(now, charge, status);
    // Only an honest node sends nothing else.
    let text = || String::from_utf8_lossy(body);
    match desk.operation(request) {
        Some(Operation::Exec { node, .. } | Operation::Part { node, .. }) => {
            let node = *node;
            exec::answered(desk, request, node, flags, body);
        }
        Some(Operation::Create { .. }) => create::answered(desk, request, status, &text()),
        Some(Operation::Remove { node, .. }) => {
            let node = *node;
            if status == Status::Failed {
                // Its process has not ended, but its link is gone all the same.
                lost(desk, now, node);
            }
            remove::answered(desk, request, node, status, &text());
        }
        Some(Operation::Ping { .. } | Operation::Verb | Operation::Many(_)) | None => {}
    }
}

fn probed(desk: &mut Desk, now: Time, Probe { life, asker }: Probe, status: Status) {
    let lives = status == Status::Ok;
    if lives {
        desk.heard(now, life, None);
    }
    let Some(request) = asker else { return };
    match desk.operation(request) {
        Some(Operation::Ping { .. }) => ping::probed(desk, request, lives),
        Some(Operation::Create { stage: CreateStage::Asking, .. }) => {
            create::probed(desk, request, lives);
        }
        Some(Operation::Remove { stage: RemoveStage::Asking, .. }) => {
            remove::probed(desk, now, request, life, lives);
        }
        _ => {}
    }
}

pub(crate) fn answered_late(desk: &mut Desk, now: Time, request: RequestId, status: Status) {
    let Leftover { charge, removed } = desk.abandoned.drop_answer(request);
    desk.give_back(now, charge, status);
    let removed = removed.filter(|life| desk.tree.life(life.node) == Some(*life));
    match (removed, status) {
        (Some(life), Status::Ok) => remove::ended_late(desk, request, life.node),
        (Some(life), Status::Failed) => lost(desk, now, life.node),
        _ => {}
    }
}

/// Replies to the command of a request whose node does not answer.
pub(crate) fn give_up(desk: &mut Desk, request: RequestId, why: GiveUpReason) {
    let Some(pending) = desk.replies.pending_mut(request) else { return };
    let mut leftover = Leftover { charge: pending.charge.take(), removed: None };
    desk.intake.forget_pieces(request);
    let limit = pending.options.limit(desk.timeout).unwrap_or(desk.timeout);
    match pending.operation {
        Operation::Exec { node, .. } | Operation::Part { node, .. } => {
            // It goes nowhere when the route is gone; a node that was only silent hears it later.
            if let Some(charge) = &leftover.charge {
                desk.outbox.post(Kind::Cancel, charge.target, request, Vec::new());
            }
            exec::gave_up(desk, request, node, why, limit);
        }
        Operation::Ping { .. } => ping::probed(desk, request, false),
        Operation::Create { stage, .. } => create::gave_up(desk, request, stage, why),
        Operation::Remove { node, stage } => {
            leftover.removed = remove::gave_up(desk, request, node, stage);
        }
        Operation::Verb | Operation::Many(_) => {
            desk.reply(request, Reply::Error(&no_answer(desk.timeout)));
        }
    }
    desk.abandon(request, leftover);
}

/// The link to a node is gone.
pub(crate) fn lost(desk: &mut Desk, now: Time, node: NodeId) {
    if desk.tree.lost(node, now) {
        lose(desk, now, node, Change::Lost);
    }
}

/// A node can't be reached any more, nor can those below it: gives up what is under way to them.
pub(crate) fn lose(desk: &mut Desk, now: Time, root: NodeId, change: Change) {
    let lost = desk.cut_off(now, root, change);
    let concerned = |pending: &Pending| match pending.operation {
        Operation::Remove { node, stage: RemoveStage::Ending } => {
            let parent = desk.tree.record(node).map(|record| record.parent);
            parent.is_some_and(|parent| lost.binary_search(&parent).is_ok())
        }
        _ => pending.asked().is_some_and(|node| lost.binary_search(&node).is_ok()),
    };
    let pending = desk
        .replies
        .all_pending()
        .filter(|(_, pending)| pending.sent.is_some() && concerned(pending));
    let mut requests: Vec<_> = pending.map(|(request, _)| request).collect();
    requests.sort_unstable();
    for request in requests {
        let adrift = if change == Change::Lost { adrift::begin(desk, now, request) } else { None };
        match adrift {
            Some(leftover) => desk.abandon(request, leftover),
            None => give_up(desk, request, GiveUpReason::Lost),
        }
    }
    desk.turns.extend(lost);
}
