//! What has left on a link and is not acknowledged, and so how much more may leave.

use std::collections::VecDeque;

use crate::FRAME_BYTES_MAX;
use crate::wire::Malformed;

/// How many frames may be unacknowledged before data waits. Together with the next bound it keeps
/// every library from the point where its send blocks or its queue grows.
pub(crate) const CREDIT_FRAMES: usize = 64;

/// How many bytes of frames may be unacknowledged before data waits.
pub(crate) const CREDIT_BYTES: usize = 96 * 1024;

/// How many frames, and bytes of them, may be unacknowledged before control messages wait as well.
/// They pass waiting data, and are few, since those that wait are merged.
pub(crate) const CREDIT_FRAMES_CONTROL: usize = 128;
pub(crate) const CREDIT_BYTES_CONTROL: usize = 128 * 1024;

const _: () = assert!(CREDIT_BYTES >= 2 * FRAME_BYTES_MAX);

/// The frames that the peer has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// The length of each, the oldest first.
    frames: VecDeque<usize>,
    bytes: usize,
    /// How many frames the peer has acknowledged, modulo 2^32.
    acknowledged: u32,
}

impl InFlight {
    /// Whether there is credit for a frame of data of this length.
    pub fn has_credit(&self, bytes: usize) -> bool {
        self.frames.len() < CREDIT_FRAMES && self.bytes + bytes <= CREDIT_BYTES
    }

    /// Whether there is credit for a frame of this length that has control messages in it.
    pub fn has_control_credit(&self, bytes: usize) -> bool {
        self.frames.len() < CREDIT_FRAMES_CONTROL && self.bytes + bytes <= CREDIT_BYTES_CONTROL
    }

    /// A frame of this length leaves.
    pub fn sent(&mut self, bytes: usize) {
        self.frames.push_back(bytes);
        self.bytes += bytes;
    }

    /// The peer says how many frames it has received so far, modulo 2^32.
    pub fn acknowledge(&mut self, received: u32) -> Result<(), Malformed> {
        let newly = received.wrapping_sub(self.acknowledged) as usize;
        if newly > self.frames.len() {
            return Err(Malformed("an acknowledgement of what was never sent"));
        }
        self.acknowledged = received;
        self.bytes -= self.frames.drain(..newly).sum::<usize>();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_ends_by_frames_and_by_bytes_and_comes_back_with_acknowledgements() {
        for (bytes, data, control) in [(1, CREDIT_FRAMES, CREDIT_FRAMES_CONTROL), (10_000, 9, 13)] {
            let mut in_flight = InFlight::default();
            let mut sent = 0;
            while in_flight.has_credit(bytes) {
                in_flight.sent(bytes);
                sent += 1;
            }
            assert_eq!(sent, data);
            while in_flight.has_control_credit(bytes) {
                in_flight.sent(bytes);
                sent += 1;
            }
            assert_eq!(sent, control);
            let all = u32::try_from(sent).unwrap();
            in_flight.acknowledge(all - 1).unwrap();
            assert!(in_flight.has_credit(bytes));
            in_flight.acknowledge(all).unwrap();
            assert_eq!((in_flight.frames.len(), in_flight.bytes), (0, 0));
        }
    }

    #[test]
    fn what_was_never_sent_cant_be_acknowledged() {
        let mut in_flight = InFlight { acknowledged: u32::MAX, ..InFlight::default() };
        in_flight.sent(1);
        let wrong = Err(Malformed("an acknowledgement of what was never sent"));
        assert_eq!(in_flight.acknowledge(1), wrong);
        assert_eq!(in_flight.acknowledge(0), Ok(()), "the count wraps around");
        assert_eq!(in_flight.acknowledge(u32::MAX), wrong);
    }
}
