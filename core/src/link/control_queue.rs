//! The control messages that wait to leave on a link: those between neighbours, and news of the
//! tree.

use std::collections::VecDeque;

use super::in_flight::InFlight;
use crate::wire::{FRAME_HEADER_BYTES, HEADER_BYTES, Message, PIECE_BYTES_MAX};
use crate::{FRAME_BYTES_MAX, Life, RequestId};

/// Which control messages replace one another while they wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// It stands for itself.
    Never,
    /// Only the newest counts.
    Beat,
    /// Only the newest counts.
    Place,
    /// Only the newest of this module counts.
    Published(String),
    /// Only the newest about this life's silence counts.
    Silence(Life),
    /// Only the newest for this request counts.
    Offer(RequestId),
}

/// Control messages that wait, encoded. Bounded: see [`Merge`]; what does not merge comes once for
/// each node below or each request.
#[derive(Debug, Default)]
pub(super) struct ControlQueue {
    messages: VecDeque<(Merge, Vec<u8>)>,
    bytes: usize,
}

impl ControlQueue {
    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Queues a message, in the place of one that it replaces.
    pub fn push(&mut self, merge: Merge, message: &Message<'_>) {
        debug_assert!(message.body.len() <= PIECE_BYTES_MAX);
        let mut bytes = Vec::with_capacity(message.wire_bytes());
        message.encode(&mut bytes);
        let waiting = match merge {
            Merge::Never => None,
            _ => self.messages.iter_mut().find(|(other, _)| *other == merge),
        };
        self.bytes += bytes.len();
        match waiting {
            Some((_, old)) => self.bytes -= std::mem::replace(old, bytes).len(),
            None => self.messages.push_back((merge, bytes)),
        }
    }

    /// The length of the next message, if it may leave in a frame of its own.
    pub fn next_bytes(&self, in_flight: &InFlight) -> Option<usize> {
        let bytes = self.messages.front().map(|(_, message)| message.len())?;
        in_flight.has_control_credit(FRAME_HEADER_BYTES + bytes).then_some(bytes)
    }

    /// Whether a message without a body that was queued now would leave at once.
    pub fn is_open(&self, in_flight: &InFlight) -> bool {
        let next = self.messages.front().map_or(HEADER_BYTES, |(_, message)| message.len());
        in_flight.has_control_credit(FRAME_HEADER_BYTES + next)
    }

    /// Moves messages into a frame, as long as there is room and credit.
    pub fn fill(&mut self, frame: &mut Vec<u8>, in_flight: &InFlight) {
        while let Some((_, message)) = self.messages.front()
            && frame.len() + message.len() <= FRAME_BYTES_MAX
            && in_flight.has_control_credit(frame.len() + message.len())
        {
            frame.extend_from_slice(message);
            self.bytes -= message.len();
            self.messages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;

    fn published(body: &[u8]) -> Message<'_> {
        Message::neighbour(Kind::Publish, body)
    }

    #[test]
    fn the_newest_takes_the_place_of_the_one_that_it_replaces() {
        let mut queue = ControlQueue::default();
        let merge = |module: &str| Merge::Published(module.to_owned());
        queue.push(merge("one"), &published(b"old"));
        queue.push(Merge::Never, &published(b"12"));
        queue.push(merge("two"), &published(b"1234"));
        queue.push(Merge::Never, &published(b"12"));
        queue.push(merge("one"), &published(b"n"));
        let lengths: Vec<_> = queue.messages.iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(lengths, [1, 2, 4, 2].map(|body| HEADER_BYTES + body));
        assert_eq!(queue.bytes(), lengths.iter().sum::<usize>());
    }

    #[test]
    fn a_frame_is_filled_as_far_as_there_is_room() {
        let (mut queue, in_flight) = (ControlQueue::default(), InFlight::default());
        let body = vec![0; PIECE_BYTES_MAX];
        for _ in 0..3 {
            queue.push(Merge::Never, &published(&body));
        }
        let message = HEADER_BYTES + PIECE_BYTES_MAX;
        assert_eq!(queue.next_bytes(&in_flight), Some(message));
        let mut frame = vec![0; FRAME_HEADER_BYTES];
        queue.fill(&mut frame, &in_flight);
        let fit = (FRAME_BYTES_MAX - FRAME_HEADER_BYTES) / message;
        assert_eq!(frame.len(), FRAME_HEADER_BYTES + fit * message);
        assert_eq!(queue.bytes(), (3 - fit) * message);
    }

    #[test]
    fn nothing_leaves_without_credit() {
        let (mut queue, mut in_flight) = (ControlQueue::default(), InFlight::default());
        assert_eq!((queue.is_open(&in_flight), queue.next_bytes(&in_flight)), (true, None));
        queue.push(Merge::Beat, &Message::neighbour(Kind::Beat, &[]));
        while in_flight.has_control_credit(FRAME_BYTES_MAX) {
            in_flight.sent(FRAME_BYTES_MAX);
        }
        assert_eq!((queue.is_open(&in_flight), queue.next_bytes(&in_flight)), (false, None));
        let mut frame = vec![0; FRAME_HEADER_BYTES];
        queue.fill(&mut frame, &in_flight);
        assert_eq!(frame.len(), FRAME_HEADER_BYTES);
    }
}
