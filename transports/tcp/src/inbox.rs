//! What has come on a link and was not delivered.

use std::fmt;

use hoptree_core::SEALED_BYTES_MAX;

/// How many bytes say how long the frame behind them is, the lowest first.
pub(crate) const LENGTH_BYTES: usize = size_of::<u32>();

/// Bytes that have come, out of which frames are made. It takes memory for what has come and not for
/// what is announced, and holds at most one read and the beginning of one frame.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// How many of the bytes were delivered.
    delivered: usize,
}

/// The length of what is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongLength(u32);

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WrongLength(length) = self;
        write!(f, "it sent a length of {length}, and a frame has 1 to {SEALED_BYTES_MAX} bytes")
    }
}

impl Inbox {
    /// Takes in what was read. Do so when all frames before it have been delivered.
    pub(crate) fn take_in(&mut self, read: &[u8]) {
        self.bytes.drain(..self.delivered);
        self.delivered = 0;
        self.bytes.extend_from_slice(read);
    }

    /// Whether there is something to deliver: a whole frame, or what is none.
    pub(crate) fn is_ready(&self) -> bool {
        !matches!(self.whole(), Ok(None))
    }

    /// Whether a whole frame is there.
    pub(crate) fn has_frame(&self) -> bool {
        matches!(self.whole(), Ok(Some(_)))
    }

    /// The next frame, if it has come as a whole.
    pub(crate) fn next_frame(&mut self) -> Result<Option<&[u8]>, WrongLength> {
        let Some(length) = self.whole()? else {
            if self.delivered == self.bytes.len() {
                *self = Inbox::default();
            }
            return Ok(None);
        };
        let begin = self.delivered + LENGTH_BYTES;
        self.delivered = begin + length;
        Ok(Some(&self.bytes[begin..self.delivered]))
    }

    /// The length of the next frame, if it has come as a whole.
    fn whole(&self) -> Result<Option<usize>, WrongLength> {
        let left = &self.bytes[self.delivered..];
        let Some((length, behind)) = left.split_first_chunk() else { return Ok(None) };
        let wrong = WrongLength(u32::from_le_bytes(*length));
        let length = usize::try_from(wrong.0).map_err(|_| wrong)?;
        if !(1..=SEALED_BYTES_MAX).contains(&length) {
            return Err(wrong);
        }
        Ok((length <= behind.len()).then_some(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let frames = [1, 2, 255, 256, SEALED_BYTES_MAX].map(|length| vec![length as u8; length]);
        let mut stream = Vec::new();
        for frame in &frames {
            stream.extend((frame.len() as u32).to_le_bytes());
            stream.extend(frame);
        }
        for cut in [1, 3, 7, 64, 4096, stream.len()] {
            let mut inbox = Inbox::default();
            let mut found = Vec::new();
            for piece in stream.chunks(cut) {
                inbox.take_in(piece);
                while let Some(frame) = inbox.next_frame().unwrap() {
                    found.push(frame.to_vec());
                }
                assert!(!inbox.is_ready());
            }
            assert_eq!(found, frames, "in pieces of {cut}");
            assert_eq!(inbox.bytes.capacity(), 0, "nothing is kept for nothing");
        }
    }

    #[test]
    fn a_length_out_of_bounds_is_no_frame() {
        let too_long = SEALED_BYTES_MAX as u32 + 1;
        for length in [0, too_long, 1 << 31, u32::MAX] {
            let mut inbox = Inbox::default();
            inbox.take_in(&length.to_le_bytes()[..3]);
            assert!(!inbox.is_ready());
            inbox.take_in(&length.to_le_bytes()[3..]);
            assert!(inbox.is_ready());
            assert_eq!(inbox.next_frame(), Err(WrongLength(length)));
        }
    }

    #[test]
    fn a_length_alone_takes_no_memory() {
        let mut inbox = Inbox::default();
        inbox.take_in(&(SEALED_BYTES_MAX as u32).to_le_bytes());
        assert_eq!(inbox.next_frame(), Ok(None));
        assert!(inbox.bytes.capacity() < 64);
    }
}
