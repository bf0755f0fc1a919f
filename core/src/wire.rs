//! What travels: frames of messages, and their codec.
//!
//! A frame is a cumulative acknowledgement (4 bytes, how many frames of the peer have been
//! received) and any number of messages. A message is its length (4 bytes, of what follows), kind,
//! flags, life (8 bytes), request (8 bytes), and a body. All numbers are little-endian. Whoever only
//! passes a message on reads its header and copies its body. Bodies that are not text are postcard.

mod bodies;
mod detailed;
mod fan;
mod reduced;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use bodies::{
    ANCESTORS_MAX, Create, Hello, Joined, Moved, Published, Settled, Terms, Welcome,
};
pub(crate) use detailed::{DETAILED_BYTES_MAX, Detailed};
pub(crate) use fan::{FAN_BODY_BYTES_MAX, Fan};
pub(crate) use reduced::{NUMBERS_MAX, REDUCED_BYTES_MAX, Reduced, Value};

use crate::{Incarnation, Life, NodeId, RequestId, Stream};

/// Changes with every change of what travels; two ends with different versions do not talk.
pub(crate) const VERSION: u16 = 8;

/// What a user is told when a node can't be reached, or what it has answered is lost.
pub(crate) const UNAVAILABLE: &str = "Node is unavailable";

/// The acknowledgement that every frame begins with, in bytes.
pub(crate) const FRAME_HEADER_BYTES: usize = 4;

/// What a message has in front of its body, in bytes.
pub(crate) const HEADER_BYTES: usize = 22;

/// The longest body of one message, in bytes; longer ones travel in pieces of this size. Half a
/// frame, so that a piece and what waits beside it share one.
pub(crate) const PIECE_BYTES_MAX: usize = 16 * 1024;

/// What a message is about, and with it which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Up, one hop, first on a link: [`Hello`].
    Hello = 1,
    /// Down, one hop: the hello is accepted, or what it said then has changed: [`Welcome`].
    Welcome,
    /// Either way, one hop: a sign of life.
    Beat,
    /// Down, one hop: end yourself and all below you, leaves first; your children have this `Duration`.
    Shutdown,
    /// Down, to everyone: [`Published`].
    Publish,
    /// Down: the line of an exec, for a node.
    Exec,
    /// Down: answer if you live.
    Ping,
    /// Down, to the parent: start a life, [`Create`].
    Create,
    /// Down, to the parent: end this [`Life`] and all below it, leaves first, within a `Duration`.
    Remove,
    /// Down, to the parent: this [`Life`] is over, whatever it still does.
    Discard,
    /// Up: the answer to a request; `life` is who answers.
    Answer,
    /// Up: the answer to a create that succeeded: [`Joined`]. Relays learn the route from it.
    Joined,
    /// Up: the link to the life at this [`crate::Place`] is gone.
    Lost,
    /// Up: nothing has been heard of the life at this [`crate::Place`] for too long.
    Silent,
    /// Up: the life at this [`crate::Place`], which was silent, has spoken.
    Heard,
    /// Up, one hop: this is now my parent: [`Settled`].
    Settled,
    /// Up: a life has moved to another parent: [`Moved`]. Relays learn the route from it.
    Moved,
    /// Up: these hang below one that has moved, a `Vec<Proved>`. Relays learn the routes from it.
    Below,
    /// Up: the process of a [`Life`] has ended, and [`Exit`] says how.
    Ended,
    /// Up: to these lives, a `Vec<Life>`, there is no route any more.
    Forget,
    /// Down: a question to a module, for a node: [`Published`], answered like an exec.
    Ask,
    /// Down: one request for each of several nodes: [`Fan`].
    Fan,
    /// Up: the answer to a request is there, and is longer than may be sent unasked: its length in
    /// bytes, a `u64`. Repeated until it is taken.
    Offer,
    /// Down: whether the node must send the answer that it has offered, a `bool`; else it is thrown away, and
    /// a short one takes its place.
    Take,
    /// Up: some bytes of a request's output, before its answer. Nothing, to ask whether the answer is
    /// still waited for.
    Output,
    /// Down: how many bytes of output a request may have sent in all, a `u64`.
    Grant,
    /// Down: nobody waits for the answer to a request any more: stop what it does, and answer.
    Cancel,
    /// Up, one hop: the node that must end needs a `Duration` to stop what its modules run.
    Delay,
    /// Up: several requests of the command in the header are answered alike: [`Reduced`].
    Reduced,
}

impl Kind {
    pub const ALL: [Kind; 29] = [
        Kind::Hello,
        Kind::Welcome,
        Kind::Beat,
        Kind::Shutdown,
        Kind::Publish,
        Kind::Exec,
        Kind::Ping,
        Kind::Create,
        Kind::Remove,
        Kind::Discard,
        Kind::Answer,
        Kind::Joined,
        Kind::Lost,
        Kind::Silent,
        Kind::Heard,
        Kind::Settled,
        Kind::Moved,
        Kind::Below,
        Kind::Ended,
        Kind::Forget,
        Kind::Ask,
        Kind::Fan,
        Kind::Offer,
        Kind::Take,
        Kind::Output,
        Kind::Grant,
        Kind::Cancel,
        Kind::Delay,
        Kind::Reduced,
    ];

    /// Whether a body may be so long that it travels in pieces.
    fn may_be_long(self) -> bool {
        matches!(self, Kind::Exec | Kind::Answer | Kind::Reduced)
    }

    /// Whether it belongs to a request that was sent before, and goes where that went or nowhere.
    pub fn follows_request(self) -> bool {
        matches!(self, Kind::Take | Kind::Grant | Kind::Cancel)
    }

    fn from_wire(byte: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// The body is the result.
    Ok = 0,
    /// The body says what was wrong.
    Failed = 1,
    /// The node can't be reached.
    Unavailable = 2,
}

/// How long the answer to an Exec or an Ask may be to be sent unasked. A longer one is offered: so the
/// control node has room for all that may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Allowance {
    /// As long as few answers are under way.
    Large = 0,
    Medium = 1,
    /// When there are many thousands of them.
    Small = 2,
}

impl Allowance {
    /// In bytes.
    pub fn bytes(self) -> usize {
        match self {
            Allowance::Large => 64 * 1024,
            Allowance::Medium => 4 * 1024,
            Allowance::Small => 256,
        }
    }
}

/// The flags of a message: whether it is the first and the last piece of its body; the status of an
/// answer, the stream of output, or what the answer to a request is allowed; whether the line of a
/// request has its [`Terms`] in front; and whether the body of an answer is a [`Detailed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    const FIRST: u8 = 1;
    const LAST: u8 = 2;
    const STATUS_SHIFT: u8 = 2;
    const STATUS_MASK: u8 = 3;
    const TERMS: u8 = 16;
    const DETAILED: u8 = 32;

    pub fn new(status: Status) -> Flags {
        Flags(Self::FIRST | Self::LAST | ((status as u8) << Self::STATUS_SHIFT))
    }

    /// The flags of a request.
    pub fn request(allowance: Allowance) -> Flags {
        Flags(Self::FIRST | Self::LAST | ((allowance as u8) << Self::STATUS_SHIFT))
    }

    /// The flags of output.
    pub fn output(stream: Stream) -> Flags {
        Flags(Self::FIRST | Self::LAST | ((stream as u8) << Self::STATUS_SHIFT))
    }

    /// These, of a line that has its [`Terms`] in front if `has_terms`.
    pub fn with_terms(self, has_terms: bool) -> Flags {
        Flags(if has_terms { self.0 | Self::TERMS } else { self.0 })
    }

    /// These, of an answer whose body is a [`Detailed`].
    pub fn detailed(self) -> Flags {
        Flags(self.0 | Self::DETAILED)
    }

    /// The flags of a piece of a message that has these.
    pub fn piece(self, first: bool, last: bool) -> Flags {
        let mut flags = self.0 & !(Self::FIRST | Self::LAST);
        if first {
            flags |= Self::FIRST;
        }
        if last {
            flags |= Self::LAST;
        }
        Flags(flags)
    }

    pub fn is_first(self) -> bool {
        self.0 & Self::FIRST != 0
    }

    pub fn is_last(self) -> bool {
        self.0 & Self::LAST != 0
    }

    pub fn is_whole(self) -> bool {
        self.is_first() && self.is_last()
    }

    pub fn allowance(self) -> Allowance {
        match self.status_bits() {
            0 => Allowance::Large,
            1 => Allowance::Medium,
            _ => Allowance::Small,
        }
    }

    pub fn status(self) -> Status {
        match self.status_bits() {
            0 => Status::Ok,
            1 => Status::Failed,
            _ => Status::Unavailable,
        }
    }

    pub fn stream(self) -> Stream {
        match self.status_bits() {
            0 => Stream::Out,
            _ => Stream::Err,
        }
    }

    pub fn is_detailed(self) -> bool {
        self.0 & Self::DETAILED != 0
    }

    pub fn has_terms(self) -> bool {
        self.0 & Self::TERMS != 0
    }

    fn status_bits(self) -> u8 {
        (self.0 >> Self::STATUS_SHIFT) & Self::STATUS_MASK
    }
}

/// One message, or one piece of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub kind: Kind,
    pub flags: Flags,
    /// Down: who it is for. Up: who it is about or from.
    pub life: Life,
    pub request: RequestId,
    pub body: &'a [u8],
}

/// Where messages go that are on their way up: to the parent, or to the control node itself.
pub(crate) type Up<'a> = dyn FnMut(Message<'_>) + 'a;

/// The request of messages that are not part of one.
pub(crate) const NO_REQUEST: RequestId = RequestId(0);

impl<'a> Message<'a> {
    pub fn new(kind: Kind, life: Life, request: RequestId, body: &'a [u8]) -> Message<'a> {
        Message { kind, flags: Flags::new(Status::Ok), life, request, body }
    }

    pub fn answer(life: Life, request: RequestId, status: Status, body: &'a [u8]) -> Message<'a> {
        Message { kind: Kind::Answer, flags: Flags::new(status), life, request, body }
    }

    /// Some output of a request that `life` runs.
    pub fn output(life: Life, request: RequestId, stream: Stream, body: &'a [u8]) -> Message<'a> {
        Message { kind: Kind::Output, flags: Flags::output(stream), life, request, body }
    }

    /// A message between neighbours that concerns nobody else.
    pub fn neighbour(kind: Kind, body: &'a [u8]) -> Message<'a> {
        Message::new(kind, Life::CONTROL, NO_REQUEST, body)
    }

    /// How many bytes it takes in a frame.
    pub fn wire_bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    pub fn encode(&self, frame: &mut Vec<u8>) {
        let length = u32::try_from(self.wire_bytes() - 4).expect("a body fits in a frame");
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4] = self.kind as u8;
        header[5] = self.flags.0;
        header[6..10].copy_from_slice(&self.life.node.to_wire().to_le_bytes());
        header[10..14].copy_from_slice(&self.life.incarnation.0.to_le_bytes());
        header[14..].copy_from_slice(&self.request.0.to_le_bytes());
        frame.extend_from_slice(&header);
        frame.extend_from_slice(self.body);
    }

    /// The body as a `T`, or `None` when it is none.
    pub fn decode<T: DeserializeOwned>(&self) -> Option<T> {
        postcard::from_bytes(self.body).ok()
    }

    /// As [`Message::decode`], for a body that a neighbour must have got right.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        self.decode().ok_or(Malformed("a body that is not what its kind says"))
    }

    /// As [`Message::read`], for a message about one life, which its body names as well.
    pub fn read_about<T: DeserializeOwned>(
        &self,
        life: impl Fn(&T) -> Life,
    ) -> Result<T, Malformed> {
        let body = self.read::<T>()?;
        if life(&body) != self.life {
            return Err(Malformed("a header about another life than the body"));
        }
        Ok(body)
    }

    fn parse(bytes: &'a [u8]) -> Option<(Message<'a>, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let number = |at: usize| {
            u32::from_le_bytes(header[at..at + 4].try_into().expect("the range is 4 long"))
        };
        let body_bytes = (number(0) as usize).checked_sub(HEADER_BYTES - 4)?;
        let (body, rest) = rest.split_at_checked(body_bytes)?;
        let request = u64::from_le_bytes(header[14..].try_into().expect("the range is 8 long"));
        let (kind, flags) = (Kind::from_wire(header[4])?, Flags(header[5]));
        if !flags.is_whole() && !kind.may_be_long() {
            return None;
        }
        // An answer is not late while it is coming, so pieces that bring hardly anything could go on for ever.
        if !flags.is_last() && body.len() != PIECE_BYTES_MAX {
            return None;
        }
        let message = Message {
            kind,
            flags,
            life: Life { node: NodeId::from_wire(number(6)), incarnation: Incarnation(number(10)) },
            request: RequestId(request),
            body,
        };
        Some((message, rest))
    }
}

/// The postcard form of a body.
pub(crate) fn body<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain values in memory can be serialised")
}

/// What was wrong with a frame; its sender speaks another language and is not listened to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub &'static str);

/// The acknowledgement and the messages of a frame.
pub(crate) fn open(frame: &[u8]) -> Result<(u32, Messages<'_>), Malformed> {
    let (ack, rest) = frame
        .split_first_chunk::<FRAME_HEADER_BYTES>()
        .ok_or(Malformed("a frame without its header"))?;
    Ok((u32::from_le_bytes(*ack), Messages { rest }))
}

/// The messages of a frame, one after the other; ends after the first that is malformed.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
}

impl Messages<'_> {
    /// Whether the frame has no messages: it only acknowledges.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Message::parse(self.rest) {
            Some((message, rest)) => {
                self.rest = rest;
                Some(Ok(message))
            }
            None => {
                self.rest = &[];
                Some(Err(Malformed("a message that is cut short, or of no known kind")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(messages: &[Message<'_>]) -> Vec<u8> {
        let mut frame = 7u32.to_le_bytes().to_vec();
        for message in messages {
            message.encode(&mut frame);
        }
        frame
    }

    fn sample(kind: Kind) -> Message<'static> {
        let life = Life { node: NodeId::compute(12).unwrap(), incarnation: Incarnation(7) };
        Message::new(kind, life, RequestId(u64::MAX - 3), b"a body")
    }

    #[test]
    fn every_kind_survives_the_journey() {
        for kind in Kind::ALL {
            let sent = [sample(kind), Message::neighbour(kind, b"")];
            let frame = frame(&sent);
            let (ack, messages) = open(&frame).unwrap();
            assert_eq!(ack, 7);
            assert_eq!(messages.collect::<Result<Vec<_>, _>>().unwrap(), sent);
        }
    }

    #[test]
    fn flags_keep_status_terms_and_piece_apart() {
        for (status, has_terms) in [
            (Status::Ok, true),
            (Status::Failed, false),
            (Status::Failed, true),
            (Status::Unavailable, true),
        ] {
            let whole = Flags::new(status).with_terms(has_terms);
            assert!(whole.is_whole());
            for (first, last) in [(true, false), (false, false), (false, true)] {
                let piece = whole.piece(first, last);
                assert_eq!((piece.is_first(), piece.is_last()), (first, last));
                assert_eq!((piece.status(), piece.has_terms()), (status, has_terms));
            }
        }
        for stream in [Stream::Out, Stream::Err] {
            assert_eq!(Flags::output(stream).stream(), stream);
        }
    }

    /// Each piece of a question would be run as one.
    #[test]
    fn only_what_may_be_long_comes_in_pieces() {
        for kind in Kind::ALL {
            let flags = Flags::new(Status::Ok).piece(true, false);
            let message = Message { flags, body: &[b'x'; PIECE_BYTES_MAX], ..sample(kind) };
            assert_eq!(is_taken(&message), kind.may_be_long(), "{kind:?}");
        }
    }

    /// Or an answer could be drawn out for ever.
    #[test]
    fn only_the_last_piece_is_shorter_than_the_others() {
        for kind in [Kind::Exec, Kind::Answer] {
            for body in [&[][..], b"short", &[b'x'; PIECE_BYTES_MAX], &[b'x'; PIECE_BYTES_MAX + 1]]
            {
                for (first, last) in [(true, false), (false, false), (false, true), (true, true)] {
                    let flags = Flags::new(Status::Ok).piece(first, last);
                    let is_full = body.len() == PIECE_BYTES_MAX;
                    let message = Message { flags, body, ..sample(kind) };
                    assert_eq!(is_taken(&message), last || is_full, "{first} {last}");
                }
            }
        }
    }

    fn is_taken(message: &Message<'_>) -> bool {
        let frame = frame(&[*message]);
        let (_, mut messages) = open(&frame).unwrap();
        messages.next().is_some_and(|message| message.is_ok())
    }

    #[test]
    fn whatever_is_cut_off_is_malformed() {
        let whole = frame(&[sample(Kind::Exec)]);
        for end in 0..FRAME_HEADER_BYTES {
            assert!(open(&whole[..end]).is_err());
        }
        for end in FRAME_HEADER_BYTES + 1..whole.len() {
            let (_, mut messages) = open(&whole[..end]).unwrap();
            assert!(messages.next().is_some_and(|message| message.is_err()), "cut at {end}");
            assert_eq!(messages.next(), None);
        }
    }

    #[test]
    fn a_length_or_kind_that_makes_no_sense_is_malformed() {
        for (at, value) in [(4, 0), (7, 255), (8, 0), (8, 200)] {
            let mut bytes = frame(&[sample(Kind::Exec)]);
            bytes[at] = value;
            let (_, mut messages) = open(&bytes).unwrap();
            assert_eq!(
                messages.next(),
                Some(Err(Malformed("a message that is cut short, or of no known kind"))),
                "byte {at}"
            );
        }
    }
}
