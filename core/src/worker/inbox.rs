//! Requests for this node that it has not run yet: one that is half received, and those that wait.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::memory;
use crate::wire::{Flags, Kind, Message};
use crate::{LINE_BYTES_MAX, RequestId};

/// An Exec or an Ask for this node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub kind: Kind,
    pub id: RequestId,
    pub flags: Flags,
    pub body: Vec<u8>,
}

impl Request {
    /// What a message asks, whose body is whole.
    pub fn new(message: &Message<'_>) -> Request {
        let Message { kind, request: id, flags, body, .. } = *message;
        Request { kind, id, flags, body: body.to_vec() }
    }
}

/// There is no memory for a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfMemory;

/// What has come for this node and is not run yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The request of which some pieces are still to come. There is one at most, since pieces for
    /// one life keep their order; when another begins, the route of the rest has broken.
    partial: Option<(RequestId, Vec<u8>)>,
    /// Requests that wait until there is room for answers. Bounded by the control node's window.
    waiting: VecDeque<Request>,
}

impl Inbox {
    /// Takes in an exec, or a piece of one, and returns the line when it is complete.
    ///
    /// # Errors
    ///
    /// When there is no memory for the line. What there was of it is dropped.
    pub fn line<'m>(
        &mut self,
        message: &Message<'m>,
    ) -> Result<Option<Cow<'m, [u8]>>, OutOfMemory> {
        let (id, flags) = (message.request, message.flags);
        if flags.is_first() {
            self.partial = None;
        }
        if flags.is_whole() {
            return Ok(Some(Cow::Borrowed(message.body)));
        }
        if flags.is_first() {
            self.partial = Some((id, message.body.to_vec()));
            return Ok(None);
        }
        let Some((_, mut line)) = self.partial.take_if(|(begun, _)| *begun == id) else {
            return Ok(None);
        };
        let bytes = line.len() + message.body.len();
        if bytes > line.capacity() && !memory::has_room_for(bytes) {
            return Err(OutOfMemory);
        }
        line.extend_from_slice(message.body);
        if flags.is_last() {
            return Ok(Some(Cow::Owned(line)));
        }
        if line.len() <= LINE_BYTES_MAX {
            self.partial = Some((id, line));
        }
        Ok(None)
    }

    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Has a request wait behind all others.
    pub fn push(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// The request that has waited for the longest.
    pub fn pop(&mut self) -> Option<Request> {
        self.waiting.pop_front()
    }

    /// Takes out a request for which nobody waits any more, with what it may answer; none when it is not
    /// here.
    pub fn cancel(&mut self, id: RequestId) -> Option<Request> {
        let at = self.waiting.iter().position(|request| request.id == id)?;
        self.waiting.remove(at)
    }

    /// Throws all away.
    pub fn clear(&mut self) {
        self.partial = None;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Life;
    use crate::wire::{Allowance, Status};

    fn piece(request: u64, body: &[u8], first: bool, last: bool) -> Message<'_> {
        let flags = Flags::new(Status::Ok).piece(first, last);
        let message = Message::new(Kind::Exec, Life::CONTROL, RequestId(request), body);
        Message { flags, ..message }
    }

    fn whole(line: &[u8]) -> Result<Option<Cow<'_, [u8]>>, OutOfMemory> {
        Ok(Some(Cow::Borrowed(line)))
    }

    #[test]
    fn a_line_is_put_together_from_its_pieces() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.line(&piece(1, b"whole", true, true)), whole(&b"whole"[..]));
        assert_eq!(inbox.line(&piece(2, b"one ", true, false)), Ok(None));
        assert_eq!(inbox.line(&piece(2, b"two ", false, false)), Ok(None));
        assert_eq!(inbox.line(&piece(2, b"three", false, true)), whole(b"one two three"));
        assert_eq!(inbox.line(&piece(2, b"four", false, true)), Ok(None), "it is over");
    }

    #[test]
    fn a_line_is_dropped_when_another_begins_or_it_is_too_long() {
        let mut inbox = Inbox::default();
        inbox.line(&piece(1, b"beginning", true, false)).unwrap();
        inbox.line(&piece(2, b"other", true, true)).unwrap();
        assert_eq!(inbox.line(&piece(1, b"end", false, true)), Ok(None));

        let half = vec![b'x'; LINE_BYTES_MAX / 2 + 1];
        inbox.line(&piece(3, &half, true, false)).unwrap();
        inbox.line(&piece(3, &half, false, false)).unwrap();
        assert_eq!(inbox.line(&piece(3, b"end", false, true)), Ok(None));
    }

    #[test]
    fn requests_wait_in_the_order_in_which_they_came() {
        let mut inbox = Inbox::default();
        let request = |id| {
            let flags = Flags::request(Allowance::Large);
            Request { kind: Kind::Exec, id: RequestId(id), flags, body: Vec::new() }
        };
        (1..=3).for_each(|id| inbox.push(request(id)));
        assert_eq!(inbox.cancel(RequestId(2)), Some(request(2)));
        assert_eq!(inbox.cancel(RequestId(2)), None);
        assert_eq!([inbox.pop(), inbox.pop()], [Some(request(1)), Some(request(3))]);
        inbox.push(request(4));
        inbox.clear();
        assert!(inbox.is_empty() && inbox.pop().is_none());
    }
}
