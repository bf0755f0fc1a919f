//! How answers come in: whole, in pieces, or, when they are long, offered and then taken.

use super::desk::Desk;
use super::desk::abandoned::Leftover;
use super::desk::gather::TOO_LONG;
use super::desk::intake::{Offer, Pieces};
use super::desk::pending::Operation;
use super::desk::reply::{OUT_OF_MEMORY, Reply};
use super::desk::windows::Charge;
use super::outcomes;
use crate::memory;
use crate::wire::{self, Allowance, Flags, Kind, Message, Status};
use crate::{Life, RequestId, Time, VALUE_BYTES_MAX};

/// An answer has arrived, or a piece of one.
pub(crate) fn arrived(desk: &mut Desk, now: Time, message: &Message<'_>) {
    let (request, flags) = (message.request, message.flags);
    if flags.is_whole() {
        // A route that broke cuts an answer off: the pieces that came are worth nothing.
        desk.intake.forget_pieces(request);
        if message.body.len() > bytes_max(desk, request) {
            return too_long(desk, now, request);
        }
        return outcomes::answered(desk, now, request, flags, message.body);
    }
    let Some(pending) = desk.replies.pending(request) else {
        // Nobody waits for it any more, but its end gives back what it took of the windows.
        if flags.is_last() {
            outcomes::answered(desk, now, request, flags, &[]);
        }
        return;
    };
    if let Some(Charge { target, link, .. }) = &pending.charge {
        let (target, link) = (*target, *link);
        desk.heard(now, target, Some(link));
    }
    let bytes_max = bytes_max(desk, request);
    match desk.intake.piece(now, request, flags, message.body, bytes_max) {
        Pieces::Partial => {
            // As long as it is coming, and not slowly, it is not late.
            if let Some(pending) = desk.replies.pending_mut(request) {
                pending.sent = Some(now);
            }
        }
        Pieces::Slow | Pieces::Headless => {}
        Pieces::Whole(body) => outcomes::answered(desk, now, request, flags, &body),
        Pieces::TooLong => too_long(desk, now, request),
        Pieces::BegunAgain => begun_again(desk, now, request),
    }
}

/// How long the answer to a request may be, in bytes: what it may have unasked, or what was taken.
fn bytes_max(desk: &Desk, request: RequestId) -> usize {
    let charge = desk.replies.pending(request).and_then(|pending| pending.charge.as_ref());
    let allowance = charge.and_then(|charge| charge.allowance).unwrap_or(Allowance::Large);
    allowance.bytes().max(desk.intake.taken(request))
}

/// An answer is longer than it may be, which would fill the memory. Its rest is worth nothing.
fn too_long(desk: &mut Desk, now: Time, request: RequestId) {
    let text = b"the answer is longer than its node may send";
    outcomes::answered(desk, now, request, Flags::new(Status::Failed), text);
}

/// An answer has begun again. If it could, it might do so for ever, and never be late.
fn begun_again(desk: &mut Desk, now: Time, request: RequestId) {
    let text = b"its node has begun the answer a second time";
    outcomes::answered(desk, now, request, Flags::new(Status::Failed), text);
}

/// A node offers a long answer.
pub(crate) fn offered(desk: &mut Desk, message: &Message<'_>, bytes: u64) {
    let (life, request) = (message.life, message.request);
    let Some(pending) = desk.replies.pending(request) else {
        return take(desk, life, request, false);
    };
    let bytes = usize::try_from(bytes).map_or(VALUE_BYTES_MAX, |bytes| bytes.min(VALUE_BYTES_MAX));
    if pending.charge.is_some() {
        desk.intake.offer(request, Offer { life, bytes });
    }
}

/// Takes in the long answers that there is room for.
pub(crate) fn take_offers(desk: &mut Desk, now: Time) {
    while desk.intake.has_offers() {
        let replies = &desk.replies;
        let next = desk.intake.take_next(|| replies.first_awaited(), replies.held_bytes());
        let Some((request, offer)) = next else { return };
        if !desk.replies.has_room_for(request, offer.bytes) {
            decline(desk, request, TOO_LONG);
        } else if !memory::has_room_for(offer.bytes) {
            decline(desk, request, OUT_OF_MEMORY);
        } else {
            take(desk, offer.life, request, true);
            desk.sent(now, request);
        }
    }
}

fn take(desk: &mut Desk, from: Life, request: RequestId, is_wanted: bool) {
    desk.outbox.post(Kind::Take, from, request, wire::body(&is_wanted));
}

/// An answer is not taken, for the reason in `why`.
fn decline(desk: &mut Desk, request: RequestId, why: &[u8]) {
    let Some(pending) = desk.replies.pending_mut(request) else { return };
    let (Operation::Exec { node, .. } | Operation::Part { node, .. }) = pending.operation else {
        return;
    };
    let charge = pending.charge.take();
    if let Some(charge) = charge {
        take(desk, charge.target, request, false);
        desk.abandon(request, Leftover { charge: Some(charge), removed: None });
    }
    desk.reply(request, Reply::ErrorOf(node, why));
}
