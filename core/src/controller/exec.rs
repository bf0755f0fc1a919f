//! `exec ID`: a line for one node.

use std::borrow::Cow;
use std::time::Duration;

use super::desk::pending::{GiveUpReason, Operation, Options, Pending};
use super::desk::reply::{OUT_OF_MEMORY, Reply};
use super::desk::windows::Admission;
use super::desk::{Desk, towards};
use crate::children::Children;
use crate::memory;
use crate::wire::{self, Allowance, Detailed, Flags, Kind, Message, Status, Terms};
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
    pub has_terms: bool,
}

impl Admitted {
    /// The message with a line for its node.
    pub fn message<'a>(&self, line: &'a [u8]) -> Message<'a> {
        let flags = self.flags();
        Message { flags, ..Message::new(Kind::Exec, self.life, self.request, line) }
    }

    /// What its message says beside its body.
    pub fn flags(&self) -> Flags {
        Flags::request(self.allowance).with_terms(self.has_terms)
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
    options: Options,
) -> Option<Admitted> {
    let operation = Operation::Exec { node, line: Vec::new() };
    let request = desk.replies.open(Pending { options, ..Pending::new(operation) });
    desk.records.open(request, node);
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

/// A line with what its node must be told beside it in front, as it travels.
pub(crate) fn with_terms(terms: Option<Terms>, line: &[u8]) -> Cow<'_, [u8]> {
    match terms {
        None => Cow::Borrowed(line),
        Some(terms) => Cow::Owned([&wire::body(&terms), line].concat()),
    }
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
    let options = desk.replies.pending(request).map(|pending| pending.options);
    let has_terms = options.is_some_and(|options| options != Options::default());
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
                    return Turn::Send(Admitted { request, life, allowance, has_terms });
                }
                None => {
                    // There is no route any more, which will be its answer.
                    desk.sent_with(now, request, None);
                    let allowance = Allowance::Small;
                    return Turn::Send(Admitted { request, life, allowance, has_terms });
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
    flags: Flags,
    body: &[u8],
) {
    if flags.is_detailed() {
        let reply = match Detailed::decode(body) {
            Some(detailed) => Reply::DetailedOf(node, flags.status() != Status::Ok, detailed),
            None => Reply::ErrorOf(node, b"its node has sent an answer that can't be read"),
        };
        return desk.reply(request, reply);
    }
    // Only an honest node sends nothing else.
    let text = String::from_utf8_lossy(body);
    let reply = match flags.status() {
        Status::Ok => Reply::OkOf(node, text.as_bytes()),
        Status::Failed => Reply::ErrorOf(node, text.as_bytes()),
        Status::Unavailable => Reply::UnavailableOf(node),
    };
    desk.reply(request, reply);
}

/// There is no answer, within `limit` if that is the reason.
pub(crate) fn gave_up(
    desk: &mut Desk,
    request: RequestId,
    node: NodeId,
    why: GiveUpReason,
    limit: Duration,
) {
    let reply = match why {
        GiveUpReason::Slow => Reply::LateOf(node, limit),
        GiveUpReason::Cancelled => Reply::ErrorOf(node, b"cancelled"),
        GiveUpReason::Excess => Reply::ErrorOf(node, b"its node sends more output than it may"),
        GiveUpReason::Lost | GiveUpReason::Silent => Reply::UnavailableOf(node),
    };
    desk.reply(request, reply);
}
