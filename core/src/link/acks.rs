//! The acknowledgements that are owed to the peer of a link.

use super::in_flight::{CREDIT_BYTES_CONTROL, CREDIT_FRAMES_CONTROL};
use crate::FRAME_BYTES_MAX;
use crate::wire::{FRAME_HEADER_BYTES, Malformed};

/// After how many frames, or bytes of them, an acknowledgement leaves that found no frame to travel
/// with. A sender out of credit has at least one of them out, so it is never stuck.
pub(crate) const ACK_FRAMES: u32 = 16;
pub(crate) const ACK_BYTES: usize = 16 * 1024;

const _: () = assert!(ACK_BYTES <= FRAME_BYTES_MAX);

/// What has come from the peer, and how much of it is acknowledged.
#[derive(Debug, Default)]
pub(super) struct OwedAcks {
    /// How many frames have come, modulo 2^32, and how many of them are acknowledged.
    received: u32,
    acknowledged: u32,
    /// The bytes of those that are not.
    bytes: usize,
}

impl OwedAcks {
    /// A frame of this length has come. A peer that sends more than it has credit for does not wait
    /// until there is room, and would fill any memory.
    pub fn receive(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.received = self.received.wrapping_add(1);
        self.bytes += bytes;
        if self.frames() as usize > CREDIT_FRAMES_CONTROL || self.bytes > CREDIT_BYTES_CONTROL {
            return Err(Malformed("more than it has credit for"));
        }
        Ok(())
    }

    /// Whether an acknowledgement must leave, in a frame of its own if there is no other.
    pub fn are_due(&self) -> bool {
        self.frames() >= ACK_FRAMES || self.bytes >= ACK_BYTES
    }

    /// Writes an acknowledgement into a frame that leaves: of all that has come, or only that of
    /// the last frame again, which gives the peer no new credit.
    pub fn stamp(&mut self, frame: &mut [u8], acknowledge: bool) {
        if acknowledge {
            self.acknowledged = self.received;
            self.bytes = 0;
        }
        frame[..FRAME_HEADER_BYTES].copy_from_slice(&self.acknowledged.to_le_bytes());
    }

    fn frames(&self) -> u32 {
        self.received.wrapping_sub(self.acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_due_after_some_frames_or_bytes() {
        for (bytes, frames) in [(1, ACK_FRAMES), (10_000, 2), (ACK_BYTES, 1)] {
            let mut acks = OwedAcks { received: u32::MAX, ..OwedAcks::default() };
            acks.stamp(&mut [0; FRAME_HEADER_BYTES], true);
            let mut received = 0;
            while !acks.are_due() {
                acks.receive(bytes).unwrap();
                received += 1;
            }
            assert_eq!(received, frames);
        }
    }

    #[test]
    fn a_frame_says_what_has_come_or_what_the_last_one_said() {
        let mut acks = OwedAcks::default();
        let mut frame = [0; FRAME_HEADER_BYTES + 1];
        acks.receive(ACK_BYTES).unwrap();
        acks.stamp(&mut frame, false);
        assert_eq!((frame, acks.are_due()), ([0, 0, 0, 0, 0], true));
        acks.stamp(&mut frame, true);
        assert_eq!((frame, acks.are_due()), ([1, 0, 0, 0, 0], false));
        acks.receive(1).unwrap();
        acks.stamp(&mut frame, false);
        assert_eq!(frame, [1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_peer_can_only_send_what_it_has_credit_for() {
        for (bytes, fit) in [(1, CREDIT_FRAMES_CONTROL), (10_000, 13)] {
            let mut acks = OwedAcks::default();
            assert_eq!((0..).take_while(|_| acks.receive(bytes).is_ok()).count(), fit);
        }
    }
}
