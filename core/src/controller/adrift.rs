//! What becomes of a part of a folded command when the route to its node breaks: the node is asked again once
//! it has found another parent, and answers what it has made of the first request.

use super::desk::Desk;
use super::desk::pending::{GiveUpReason, Operation, Pending};
use super::outcomes;
use crate::wire::Kind;
use crate::{Life, NodeId, RequestId, Time};

/// How often one part is asked for again.
const REPEATS_MAX: u32 = 16;

/// The route to `asked`, or to the life that its node has now, has broken. Says whether the part waits for
/// it, as another request; else there will be no answer.
pub(crate) fn begin(desk: &mut Desk, now: Time, request: RequestId, asked: Option<Life>) -> bool {
    let Some(Pending { operation, sent: Some(sent), options, repeats, .. }) =
        desk.replies.pending(request)
    else {
        return false;
    };
    let Operation::Part { node, kind: Kind::Exec, .. } = *operation else { return false };
    let (sent, known) = (*sent, desk.tree.life(node));
    let can_be_saved = options.is_folded && *repeats < REPEATS_MAX;
    // What has come as lines of its own can't be told again.
    if !can_be_saved || desk.replies.has_output(request) || desk.tree.is_dead(node) {
        return false;
    }
    let Some(life) = asked.or(known).filter(|life| Some(*life) == known) else { return false };
    let Some(again) = desk.replies.reopen_part(request) else { return false };
    desk.records.rename(request, again);
    let until = desk.adrift.add(now, (node, again), life, sent);
    desk.wake_by(until);
    if desk.tree.is_reachable(node) {
        desk.ask_again(now, life);
    }
    true
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
