//! `exec ID`: a line for one node.

use super::desk::pending::{GiveUpReason, Operation};
use super::desk::reply::{OUT_OF_MEMORY, Reply};
use super::desk::windows::Admission;
use super::desk::{Desk, towards};
use crate::children::Children;
use crate::memory;
use crate::wire::{Allowance, Flags, Kind, Message, Status};
use crate::{Life, NodeId, RequestId, Time};

/// What becomes of a request for a node whose turn it is.
pub(crate) enum Turn {
    /// Send it.
    Send(Admitted),
    /// A window is full, but the node answers.
    Wait,
    /// It can't be sent, and the reply to its command says so.
    Replied,
}

/// A request for a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub request: RequestId,
    pub node: NodeId,
    pub bytes: usize,
    /// The command that it is a part of.
    pub command: Option<RequestId>,
}

/// A request that has its share of the windows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    pub request: RequestId,
    pub life: Life,
    pub allowance: Allowance,
}

impl Admitted {
    /// The message with a line for its node.
    pub fn message<'a>(&self, line: &'a [u8]) -> Message<'a> {
        let flags = Flags::request(self.allowance);
        Message { flags, ..Message::new(Kind::Exec, self.life, self.request, line) }
    }
}

/// Takes in the command. Returns what to send of it at once; otherwise it waits for its turn, or
/// has its reply.
pub(crate) fn begin(
    desk: &mut Desk,
    children: &Children,
    now: Time,
    node: NodeId,
    line: &[u8],
) -> Option<Admitted> {
    let request = desk.open(Operation::Exec { node, line: Vec::new() });
    if desk.tree.record(node).is_none() {
        desk.reply(request, Reply::NotFoundOf(node));
        return None;
    }
    if desk.turns.is_free(node) {
        match advance(desk, children, now, request, node, line.len()) {
            Turn::Send(admitted) => return Some(admitted),
            Turn::Replied => return None,
            Turn::Wait => {}
        }
    }
    desk.replies.keep_line(request, line);
    desk.turns.enqueue(node, request);
    None
}

/// Admits a line of this many bytes for its node, or replies why not.
pub(crate) fn advance(
    desk: &mut Desk,
    children: &Children,
    now: Time,
    request: RequestId,
    node: NodeId,
    bytes: usize,
) -> Turn {
    admit(desk, children, now, Wanted { request, node, bytes, command: None })
}

/// Admits a request to a node and records it as sent, to a life with an allowance; or leaves it
/// queued; or replies with the reason.
pub(crate) fn admit(desk: &mut Desk, children: &Children, now: Time, wanted: Wanted) -> Turn {
    let Wanted { request, node, bytes, command } = wanted;
    let life = desk.tree.record(node).and_then(|record| Some((record.life(node)?, record)));
    let refused = match life {
        None => Reply::NotFoundOf(node),
        Some((_, record)) if !record.reachable => Reply::UnavailableOf(node),
        Some(_) if !memory::has_room_for(bytes) => Reply::ErrorOf(node, OUT_OF_MEMORY),
        Some((life, _)) => {
            match desk.admit(now, request, towards(children, life), bytes, command) {
                Some(Admission::Wait) => return Turn::Wait,
                Some(Admission::Refused) => Reply::RefusedOf(node),
                Some(Admission::Granted(mut charge)) => {
                    let allowance = desk.intake.allow();
                    charge.allowance = Some(allowance);
                    desk.sent_with(now, request, Some(charge));
                    return Turn::Send(Admitted { request, life, allowance });
                }
                None => {
                    // There is no route any more, which will be its answer.
                    desk.sent_with(now, request, None);
                    return Turn::Send(Admitted { request, life, allowance: Allowance::Small });
                }
            }
        }
    };
    desk.reply(request, refused);
    Turn::Replied
}

/// The node has answered, or a node above it has.
pub(crate) fn answered(
    desk: &mut Desk,
    request: RequestId,
    node: NodeId,
    status: Status,
    text: &str,
) {
    let reply = match status {
        Status::Ok => Reply::OkOf(node, text.as_bytes()),
        Status::Failed => Reply::ErrorOf(node, text.as_bytes()),
        Status::Unavailable => Reply::UnavailableOf(node),
    };
    desk.reply(request, reply);
}

/// There is no answer.
pub(crate) fn gave_up(desk: &mut Desk, request: RequestId, node: NodeId, why: GiveUpReason) {
    let reply = match why {
        GiveUpReason::Slow => Reply::LateOf(node, desk.timeout),
        GiveUpReason::Lost | GiveUpReason::Silent => Reply::UnavailableOf(node),
    };
    desk.reply(request, reply);
}
