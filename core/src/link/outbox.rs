//! What waits to leave on a link, and in which order it leaves.

use std::collections::VecDeque;

use super::control_queue::{ControlQueue, Merge};
use super::in_flight::InFlight;
use crate::wire::{FRAME_HEADER_BYTES, Fan, HEADER_BYTES, Kind, Message, PIECE_BYTES_MAX};
use crate::{FRAME_BYTES_MAX, Life, RequestId};

// A piece, its frame's header, and some control messages beside it must fit in one frame.
const _: () = assert!(FRAME_HEADER_BYTES + HEADER_BYTES + PIECE_BYTES_MAX <= FRAME_BYTES_MAX);

/// What waits to leave: data, which keep their order within each [`Stream`], and control messages,
/// which pass data.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    control: ControlQueue,
    /// Whole messages that wait, as the frames that they will leave in. Bounded by the control
    /// node's windows.
    frames: VecDeque<Vec<u8>>,
    /// Long messages that wait, a lane for each stream, in turn. Bounded likewise.
    lanes: VecDeque<Lane>,
    /// How many frames were queued, and how many of them have left.
    frames_queued: u64,
    frames_sent: u64,
    /// How many must leave before all output, and all that is reduced, has that was queued.
    frames_to_output: u64,
    data_bytes: usize,
    /// Whether it is the turn of a piece of a long message.
    lane_next: bool,
}

/// Which messages keep their order: those to one life on the way down, and the output of one request
/// and the pieces of its answer on the way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    To(Life),
    Answer(RequestId),
    /// Of all commands: so one of them at a time comes in pieces.
    Reduced,
}

impl Stream {
    fn of(message: &Message<'_>) -> Stream {
        match message.kind {
            Kind::Answer | Kind::Output => Stream::Answer(message.request),
            Kind::Reduced => Stream::Reduced,
            _ => Stream::To(message.life),
        }
    }
}

/// A long message in pieces, and what must not overtake it.
#[derive(Debug)]
struct Lane {
    stream: Stream,
    /// How many frames must leave before it, since they may hold earlier messages of its stream.
    frames_before: u64,
    messages: VecDeque<Vec<u8>>,
}

impl Outbox {
    /// How many bytes of data wait.
    pub fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// How many bytes wait, of data and of control messages.
    pub fn bytes(&self) -> usize {
        self.data_bytes + self.control.bytes()
    }

    /// Whether a beat that was queued now would leave at once.
    pub fn is_open_for_beats(&self, in_flight: &InFlight) -> bool {
        self.control.is_open(in_flight)
    }

    /// Queues data, in pieces when it is long.
    pub fn push(&mut self, message: &Message<'_>) {
        if message.body.len() <= PIECE_BYTES_MAX {
            return self.push_piece(message);
        }
        let pieces = message.body.chunks(PIECE_BYTES_MAX);
        let last = pieces.len() - 1;
        for (index, body) in pieces.enumerate() {
            let flags = message.flags.piece(index == 0, index == last);
            self.push_piece(&Message { flags, body, ..*message });
        }
    }

    /// Queues data ahead of all that waits. Never long.
    pub fn push_first(&mut self, message: &Message<'_>) {
        let mut frame = empty_frame(message.wire_bytes());
        message.encode(&mut frame);
        self.data_bytes += frame.len();
        self.frames.push_front(frame);
        self.frames_queued += 1;
        self.frames_to_output += 1;
        self.lanes.iter_mut().for_each(|lane| lane.frames_before += 1);
        self.lane_next = false;
    }

    /// Queues one request for each of several nodes, as one message. Those for whom something
    /// waits in pieces go behind that, each by itself.
    pub fn push_fan(&mut self, mut fan: Fan<'_>) {
        if !self.lanes.is_empty() {
            let parts = std::mem::take(&mut fan.parts).into_iter();
            for (life, request) in parts {
                if self.lanes.iter().any(|lane| lane.stream == Stream::To(life)) {
                    self.push_piece(&fan.part(life, request));
                } else {
                    fan.parts.push((life, request));
                }
            }
        }
        if !fan.parts.is_empty() {
            let body = fan.encode();
            self.push_whole(&fan.message(&body));
        }
    }

    /// Queues a control message.
    pub fn push_control(&mut self, merge: Merge, message: &Message<'_>) {
        self.control.push(merge, message);
    }

    /// The next frame to leave, if there is one and credit for it. Its acknowledgement is still to
    /// be written.
    pub fn pop(&mut self, in_flight: &InFlight) -> Option<Vec<u8>> {
        let mut frame = match self.pop_data(in_flight) {
            Some(frame) => frame,
            None => empty_frame(self.control.next_bytes(in_flight)?),
        };
        self.control.fill(&mut frame, in_flight);
        Some(frame)
    }

    fn pop_data(&mut self, in_flight: &InFlight) -> Option<Vec<u8>> {
        let lane = self.next_lane();
        let bytes = match lane {
            Some(lane) => self.lanes[lane].messages.front().map(Vec::len)?,
            None => self.frames.front().map(Vec::len)?,
        };
        if !in_flight.has_credit(bytes) {
            return None;
        }
        self.lane_next = lane.is_none();
        self.data_bytes -= bytes;
        match lane {
            Some(lane) => self.pop_lane(lane),
            None => {
                self.frames_sent += 1;
                self.frames.pop_front()
            }
        }
    }

    /// The lane whose turn it is, if it is that of a lane.
    fn next_lane(&self) -> Option<usize> {
        if !self.lane_next && !self.frames.is_empty() {
            return None;
        }
        self.lanes.iter().position(|lane| lane.frames_before <= self.frames_sent)
    }

    fn pop_lane(&mut self, lane: usize) -> Option<Vec<u8>> {
        let mut lane = self.lanes.remove(lane)?;
        let frame = lane.messages.pop_front();
        if !lane.messages.is_empty() {
            self.lanes.push_back(lane);
        }
        frame
    }

    fn push_piece(&mut self, message: &Message<'_>) {
        let stream = Stream::of(message);
        let lane = match self.lanes.iter().position(|lane| lane.stream == stream) {
            Some(lane) => Some(lane),
            None if message.flags.is_whole() => None,
            None => {
                let frames_before = match stream {
                    Stream::To(_) => self.frames_queued,
                    Stream::Answer(_) | Stream::Reduced => {
                        self.frames_sent.max(self.frames_to_output)
                    }
                };
                self.lanes.push_back(Lane { stream, frames_before, messages: VecDeque::new() });
                Some(self.lanes.len() - 1)
            }
        };
        let Some(lane) = lane else { return self.push_whole(message) };
        let mut frame = empty_frame(message.wire_bytes());
        message.encode(&mut frame);
        self.data_bytes += frame.len();
        self.lanes[lane].messages.push_back(frame);
    }

    fn push_whole(&mut self, message: &Message<'_>) {
        let fits = |frame: &Vec<u8>| frame.len() + message.wire_bytes() <= FRAME_BYTES_MAX;
        if !self.frames.back().is_some_and(fits) {
            self.frames.push_back(empty_frame(message.wire_bytes()));
            self.frames_queued += 1;
            self.data_bytes += FRAME_HEADER_BYTES;
        }
        if matches!(message.kind, Kind::Output | Kind::Reduced) {
            self.frames_to_output = self.frames_queued;
        }
        let frame = self.frames.back_mut().expect("one was pushed if there was none");
        message.encode(frame);
        self.data_bytes += message.wire_bytes();
    }
}

/// A frame with room for its acknowledgement, and for this many bytes of messages before it grows.
pub(super) fn empty_frame(message_bytes: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + message_bytes);
    frame.resize(FRAME_HEADER_BYTES, 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId};

    fn life(id: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
    }

    fn exec(to: u32, body: &[u8]) -> Message<'_> {
        Message::new(Kind::Exec, life(to), RequestId(7), body)
    }

    /// The next frame, without regard to credit.
    fn pop(outbox: &mut Outbox) -> Option<Vec<u8>> {
        outbox.pop(&InFlight::default())
    }

    #[test]
    fn long_messages_and_whole_ones_take_turns() {
        let mut outbox = Outbox::default();
        let long = vec![0; 2 * PIECE_BYTES_MAX];
        outbox.push(&exec(1, &long));
        outbox.push(&exec(2, &long));
        let whole = vec![0; PIECE_BYTES_MAX - 1];
        (0..2).for_each(|_| outbox.push(&exec(3, &whole)));
        let mut order = Vec::new();
        while let Some(frame) = pop(&mut outbox) {
            let message = crate::wire::open(&frame).unwrap().1.next().unwrap().unwrap();
            order.push(message.life.incarnation.0);
        }
        assert_eq!(order[..2], [3, 1]);
        assert_eq!(order.iter().filter(|node| **node != 3).count(), 4);
        assert_eq!((outbox.data_bytes(), outbox.bytes()), (0, 0));
    }

    #[test]
    fn control_messages_leave_without_credit_for_data_and_beside_it() {
        let beat = Message::neighbour(Kind::Beat, &[]);
        let mut outbox = Outbox::default();
        outbox.push(&exec(1, b"data"));
        outbox.push_control(Merge::Beat, &beat);
        let data_bytes = HEADER_BYTES + 4;
        let frame = pop(&mut outbox).unwrap();
        assert_eq!(frame.len(), FRAME_HEADER_BYTES + data_bytes + HEADER_BYTES);

        outbox.push(&exec(1, b"data"));
        outbox.push_control(Merge::Beat, &beat);
        let mut in_flight = InFlight::default();
        while in_flight.has_credit(1) {
            in_flight.sent(1);
        }
        assert_eq!(outbox.pop(&in_flight).unwrap().len(), FRAME_HEADER_BYTES + HEADER_BYTES);
        assert_eq!(outbox.pop(&in_flight), None);
        assert_eq!(outbox.bytes(), FRAME_HEADER_BYTES + data_bytes);
    }
}
