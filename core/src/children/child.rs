//! One child, and the link to it.

use std::borrow::Cow;

use super::turn::Turn;
use crate::link::Link;
use crate::wire::{Malformed, Message, Messages, REDUCED_BYTES_MAX};
use crate::{Life, Output, Place, ProcessId, Time};

/// When this much waits for a child, it is not told any more that what it says leads nowhere.
pub(super) const OBJECTIONS_BYTES_MAX: usize = 64 * 1024;

/// The longest thing that is put together from pieces, in bytes: a value, and the requests of all nodes of
/// a tree of any size.
const ASSEMBLED_BYTES_MAX: usize = REDUCED_BYTES_MAX + 1024 * 1024;

/// A child, or an orphan that may become one.
#[derive(Debug)]
pub(super) struct Child {
    place: Place,
    process: ProcessId,
    link: Link,
    /// Its link is among those that this turn has touched.
    is_touched: bool,
    /// What this turn has queued for it, in bytes of requests.
    turn_bytes: usize,
    /// The pieces that have come of something reduced, of which others are still to come.
    pieces: Option<Vec<u8>>,
}

impl Child {
    pub fn new(place: Place, process: ProcessId, link: Link) -> Child {
        Child { place, process, link, is_touched: false, turn_bytes: 0, pieces: None }
    }

    /// Takes in something reduced, or a piece of it. Returns it when it is whole.
    pub fn assemble<'m>(
        &mut self,
        message: &Message<'m>,
    ) -> Result<Option<Cow<'m, [u8]>>, Malformed> {
        let flags = message.flags;
        if flags.is_whole() {
            return Ok(Some(Cow::Borrowed(message.body)));
        }
        let pieces = match flags.is_first() {
            true => self.pieces.insert(Vec::new()),
            false => self.pieces.as_mut().ok_or(Malformed("a piece of nothing that has begun"))?,
        };
        pieces.extend_from_slice(message.body);
        if pieces.len() > ASSEMBLED_BYTES_MAX {
            return Err(Malformed("more in pieces than may be reduced"));
        }
        Ok(if flags.is_last() { self.pieces.take().map(Cow::Owned) } else { None })
    }

    /// Who it is and where it hangs.
    pub fn place(&self) -> Place {
        self.place
    }

    pub fn life(&self) -> Life {
        self.place.life
    }

    /// Its process, as it says.
    pub fn process(&self) -> ProcessId {
        self.process
    }

    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The link; what is sent on it leaves only if it is [touched](Child::touch) in this turn.
    pub fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }

    /// It has moved here, which was its latest move of this many.
    pub fn moved(&mut self, moves: u32) {
        self.place.moves = moves;
    }

    /// The link, which is flushed at the end of the turn.
    pub fn touch(&mut self, turn: &mut Turn) -> &mut Link {
        if !std::mem::replace(&mut self.is_touched, true) {
            turn.touch(self.link.id());
        }
        &mut self.link
    }

    /// Queues a request for it or for a node below it.
    // Not inlined, it costs a relay 3 % of its instructions for each request.
    #[inline]
    pub fn request(&mut self, message: &Message<'_>, turn: &mut Turn) {
        self.touch(turn).send(message);
        self.turn_bytes += message.wire_bytes();
        turn.queued(self.turn_bytes);
    }

    /// Tells it that what it has just said leads nowhere. One that keeps saying such things, and
    /// does not take the answers, gets no more of them.
    pub fn object(&mut self, message: &Message<'_>) {
        if self.link.queued_bytes() <= OBJECTIONS_BYTES_MAX {
            self.link.send(message);
        }
    }

    /// Takes in a frame of it.
    pub fn receive<'f>(
        &mut self,
        now: Time,
        frame: &'f [u8],
        turn: &mut Turn,
    ) -> Result<Messages<'f>, Malformed> {
        let messages = self.link.receive(now, frame)?;
        self.touch(turn);
        Ok(messages)
    }

    /// Sends what waits for it. With `acknowledge` unset it gets no new credit, and remains
    /// touched.
    pub fn flush(&mut self, now: Time, acknowledge: bool, out: &mut Vec<Output>) {
        self.is_touched = !acknowledge;
        self.turn_bytes = 0;
        self.link.flush(now, acknowledge, out);
    }

    /// Its link is gone: it is not touched any more.
    pub fn forget_in(&self, turn: &mut Turn) {
        if self.is_touched {
            turn.forget(self.link.id());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;
    use crate::{FRAME_BYTES_MAX, Incarnation, LinkId, NodeId, RequestId};

    fn child() -> Child {
        let life = Life { node: NodeId::compute(1).unwrap(), incarnation: Incarnation(1) };
        let place = Place { life, parent: Life::CONTROL, moves: 0 };
        Child::new(place, ProcessId::of(9), Link::new(LinkId(5), Time::ZERO))
    }

    #[test]
    fn it_is_touched_once_until_it_is_flushed_with_an_acknowledgement() {
        let (mut child, mut turn) = (child(), Turn::default());
        for acknowledge in [false, true] {
            child.touch(&mut turn);
            child.touch(&mut turn);
            assert_eq!(turn.links(), [LinkId(5)]);
            child.flush(Time::ZERO, acknowledge, &mut Vec::new());
            turn.end(acknowledge);
        }
        assert_eq!(turn.links(), []);
        child.touch(&mut turn);
        child.forget_in(&mut turn);
        assert_eq!(turn.links(), []);
    }

    #[test]
    fn what_a_turn_queues_for_it_is_counted_until_it_leaves() {
        let (mut child, mut turn) = (child(), Turn::default());
        let body = vec![0; FRAME_BYTES_MAX / 4];
        let request = Message::new(Kind::Exec, child.life(), RequestId(1), &body);
        child.request(&request, &mut turn);
        assert!(!turn.has_enough());
        child.request(&request, &mut turn);
        assert!(turn.has_enough());
        child.flush(Time::ZERO, true, &mut Vec::new());
        turn.end(true);
        child.request(&request, &mut turn);
        assert!(!turn.has_enough());
    }
}
