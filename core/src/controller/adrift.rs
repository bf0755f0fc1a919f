//! What becomes of a part of a folded command when the route to its node breaks: the node is asked again once
//! it has found another parent, and answers what it has made of the first request.

use super::desk::Desk;
use super::desk::abandoned::Leftover;
use super::desk::pending::{GiveUpReason, Operation, Pending};
use super::outcomes;
use crate::wire::Kind;
use crate::{NodeId, RequestId, Time};

/// How often one part is asked for again.
const REPEATS_MAX: u32 = 16;

/// The route of a request has broken. If it is a part whose node may still answer, that waits for the node as
/// another request, and what is left of this one is returned; else there will be no answer.
pub(crate) fn begin(desk: &mut Desk, now: Time, request: RequestId) -> Option<Leftover> {
    let Pending { operation, sent, options, repeats, charge } = desk.replies.pending(request)?;
    let Operation::Part { node, kind: Kind::Exec, .. } = *operation else { return None };
    let (sent, life) = ((*sent)?, desk.tree.life(node)?);
    let was_asked = charge.as_ref().is_none_or(|charge| charge.target == life);
    let can_be_saved = options.is_folded && was_asked && *repeats < REPEATS_MAX;
    // What has come as lines of its own can't be told again.
    if !can_be_saved || desk.replies.has_output(request) || desk.tree.is_dead(node) {
        return None;
    }
    let (again, charge) = desk.replies.reopen_part(request)?;
    desk.records.rename(request, again);
    let until = desk.adrift.add(now, (node, again), life, sent);
    desk.wake_by(until);
    if desk.tree.is_reachable(node) {
        desk.ask_again(now, life);
    }
    Some(Leftover { charge, removed: None })
}

/// Gives up the parts that have waited for too long.
pub(crate) fn timeout(desk: &mut Desk, now: Time) {
    for request in desk.adrift.due(now) {
        outcomes::give_up(desk, request, GiveUpReason::Lost);
    }
    if let Some(deadline) = desk.adrift.deadline() {
        desk.wake_by(deadline);
    }
}

/// The process of a node may have ended: if so, nobody waits for it.
pub(crate) fn ended(desk: &mut Desk, node: NodeId) {
    if !desk.tree.is_dead(node) {
        return;
    }
    for request in desk.adrift.requests_of(node) {
        outcomes::give_up(desk, request, GiveUpReason::Lost);
    }
}
