//! How answers come in that several nodes have given alike.

use super::desk::Desk;
use super::desk::pending::Operation;
use super::desk::reply::Reply;
use super::outcomes;
use crate::wire::{Detailed, Reduced, Status, Value};
use crate::{NodeId, RequestId, Time};

/// These requests of a command are answered alike.
pub(crate) fn arrived(desk: &mut Desk, now: Time, command: RequestId, reduced: Reduced<'_>) {
    let Reduced { members, value } = reduced;
    let number = match value {
        Value::Known(number) => number,
        Value::New(number, bytes) => {
            let nobody = NodeId::CONTROL;
            let reply = match Detailed::from_value(bytes) {
                Some((is_error, detailed)) => Reply::DetailedOf(nobody, is_error, detailed),
                None => Reply::ErrorOf(nobody, b"its node has sent an answer that can't be read"),
            };
            desk.replies.number(command, number, reply);
            number
        }
    };
    for request in members {
        answered(desk, now, command, request, number);
    }
}

fn answered(desk: &mut Desk, now: Time, command: RequestId, request: RequestId, number: u32) {
    let Some(pending) = desk.replies.pending_mut(request) else {
        return outcomes::answered_late(desk, now, request, Status::Ok);
    };
    let charge = pending.charge.take();
    let part_of = match pending.operation {
        Operation::Part { command, node, .. } => Some((command, node)),
        _ => None,
    };
    desk.intake.forget(request);
    desk.give_back(now, charge, Status::Ok);
    let Some((part_of, node)) = part_of else { return };
    let numbered = desk.replies.numbered(command, number).filter(|_| part_of == command);
    let reply = match numbered {
        None => Reply::ErrorOf(node, b"its node has answered another command"),
        Some((is_error, detailed)) => {
            // The text is known by its number alone from here on.
            desk.records.end(request, &Reply::DetailedOf(node, is_error, detailed));
            Reply::NumberedOf(node, is_error, number)
        }
    };
    desk.reply(request, reply);
}
