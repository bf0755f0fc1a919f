//! Deadlines: a node that does not answer is asked whether it lives, then given up.

use std::time::Duration;

use super::desk::Desk;
use super::desk::pending::GiveUpReason;
use super::{adrift, outcomes};
use crate::time::earliest;
use crate::{NodeId, RequestId, Time};

/// When [`timeout`] has something to do; may be earlier than there is need.
pub(crate) fn next(desk: &Desk) -> Option<Time> {
    earliest(desk.wake, desk.windows.deadline())
}

/// Does what is due: asks after nodes that have not answered for half of the deadline, gives up at
/// the deadline, and loses patience with those whose windows stay full.
pub(crate) fn timeout(desk: &mut Desk, now: Time) {
    if desk.intake.has_offers() {
        // Who has offered its answer answers nothing else before that is taken.
        desk.windows.be_patient(now);
    }
    desk.windows.timeout(now, &mut desk.turns);
    if desk.wake.is_none_or(|wake| now < wake) {
        return;
    }
    desk.wake = None;
    adrift::timeout(desk, now);
    let pending = desk.replies.all_pending();
    let mut waiting: Vec<_> = pending
        .filter_map(|(request, pending)| {
            let limit = pending.options.limit(desk.timeout)?;
            Some((request, pending.sent?, limit, pending.asked()))
        })
        .collect();
    waiting.sort_unstable();
    for (request, sent, limit, asked) in waiting {
        check(desk, now, request, (sent, limit), asked);
    }
}

fn check(
    desk: &mut Desk,
    now: Time,
    request: RequestId,
    (sent, limit): (Time, Duration),
    asked: Option<NodeId>,
) {
    if desk.intake.is_offered(request) {
        // It has answered, and waits for the control node.
        return;
    }
    let (half, end) = (sent + limit / 2, sent + limit);
    // The control node itself lives, or nobody would ask.
    let heard = asked.and_then(|node| desk.tree.record(node)).map_or(now, |node| node.heard);
    if now >= end {
        let why = if heard >= half { GiveUpReason::Slow } else { GiveUpReason::Silent };
        return outcomes::give_up(desk, request, why);
    }
    if now >= half
        && heard < half
        && let Some(node) = asked
    {
        desk.probe(node);
    }
    desk.wake_by(if now >= half { end } else { half });
}
