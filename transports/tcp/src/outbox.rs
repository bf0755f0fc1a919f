//! What waits to leave on a link.

use std::io::{self, Write};

use crate::inbox::LENGTH_BYTES;

/// How many bytes may wait, lengths included. A link of hoptree has at most 128 frames of 128 KiB in
/// all under way, and a seal of 16 bytes on each.
const BYTES_MAX: usize = 192 * 1024;

/// How much memory a link keeps that has nothing to send.
const KEPT_BYTES: usize = 4 * 1024;

/// Frames as they stand on the wire, so that all of them leave with one write.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// How many of the bytes were written.
    written: usize,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Whether there is room for one more frame of this length.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        self.bytes.len() - self.written + LENGTH_BYTES + length <= BYTES_MAX
    }

    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.bytes.drain(..self.written);
        self.written = 0;
        let length = u32::try_from(frame.len()).expect("a frame has at most SEALED_BYTES_MAX");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(frame);
    }

    /// Writes once, as much as the system takes; `WouldBlock` when that is nothing.
    pub(crate) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<()> {
        self.written += socket.write(&self.bytes[self.written..])?;
        if self.is_empty() {
            self.clear();
        }
        Ok(())
    }

    /// Drops what has not left.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use hoptree_core::{SEAL_BYTES, SEALED_BYTES_MAX};

    use super::*;

    const WINDOW_FRAMES: usize = 128;
    const WINDOW_BYTES: usize = 128 * 1024;

    #[test]
    fn it_has_room_for_all_that_a_link_may_have_under_way() {
        for frames in [1, 4, 5, 64, WINDOW_FRAMES] {
            let mut outbox = Outbox::default();
            let frame = vec![7; (WINDOW_BYTES / frames + SEAL_BYTES).min(SEALED_BYTES_MAX)];
            for number in 0..frames {
                assert!(outbox.has_room(frame.len()), "frame {number} of {frames}");
                outbox.push(&frame);
            }
        }
    }

    #[test]
    fn it_has_a_bound() {
        let mut outbox = Outbox::default();
        while outbox.has_room(1) {
            outbox.push(b"x");
        }
        assert!((BYTES_MAX - LENGTH_BYTES..=BYTES_MAX).contains(&outbox.bytes.len()));
    }

    /// Takes only so much at a time.
    struct Narrow(Vec<u8>, usize);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.1);
            self.0.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_written_in_parts_is_written_once() {
        let mut outbox = Outbox::default();
        let mut wire = Narrow(Vec::new(), 5);
        for frame in [&b"one"[..], b"three", b"seventeen"] {
            outbox.push(frame);
            outbox.write_to(&mut wire).unwrap();
        }
        while !outbox.is_empty() {
            outbox.write_to(&mut wire).unwrap();
        }
        assert_eq!(wire.0, b"\x03\0\0\0one\x05\0\0\0three\x09\0\0\0seventeen");
        assert!(outbox.bytes.capacity() <= KEPT_BYTES);
    }
}
