//! Output of commands: it is printed as it comes, and more may come once that is read.

use super::desk::Desk;
use super::desk::pending::GiveUpReason;
use super::desk::streams::Excess;
use super::outcomes;
use crate::Time;
use crate::wire::{self, Kind, Message};

/// Some output of a command has arrived. A node that only asks whether its answer is still waited for
/// sends none.
pub(crate) fn arrived(desk: &mut Desk, now: Time, message: &Message<'_>) {
    let Message { life, request, body, .. } = *message;
    let Some(pending) = desk.replies.pending(request) else { return };
    let Some(link) = pending.charge.as_ref().map(|charge| charge.link) else { return };
    desk.heard(now, life, Some(link));
    desk.records.received(request, body.len());
    if !body.is_empty()
        && let Err(Excess) = desk.replies.output(request, message.flags.stream(), body)
    {
        outcomes::give_up(desk, request, GiveUpReason::Excess);
    }
}

/// The console has read what was printed: more may come.
pub(crate) fn grant(desk: &mut Desk) {
    for (request, granted) in desk.replies.take_grants() {
        let pending = desk.replies.pending(request);
        if let Some(life) = pending.and_then(|pending| Some(pending.charge.as_ref()?.target)) {
            desk.outbox.post(Kind::Grant, life, request, wire::body(&granted));
        }
    }
}
