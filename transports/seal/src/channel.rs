//! A sealed link after its handshake.

use hoptree_core::{SEAL_BYTES, SendError};
use snow::StatelessTransportState;

/// After how many frames of one direction its key is replaced by the next one. AES-GCM wears a key
/// out after some 2^24 records of 16 KiB (RFC 8446, section 5.5), and a frame has up to 32 KiB.
const FRAMES_PER_KEY: u64 = 1 << 23;

/// Both directions of a sealed link.
///
/// A frame's nonce is its number, which both ends count and nobody sends. So a frame that is
/// changed, left out, repeated or out of its turn does not open.
pub(crate) struct Channel {
    noise: StatelessTransportState,
    sent: u64,
    received: u64,
    frames_per_key: u64,
}

impl Channel {
    pub(crate) fn new(noise: StatelessTransportState) -> Channel {
        Channel { noise, sent: 0, received: 0, frames_per_key: FRAMES_PER_KEY }
    }

    /// Seals a frame and has it sent. One that is refused was never sent, so the next one has its
    /// number.
    pub(crate) fn send(
        &mut self,
        frame: &[u8],
        buffer: &mut [u8],
        send: impl FnOnce(&[u8]) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let sealed = self
            .noise
            .write_message(self.sent, frame, buffer)
            .expect("the buffer has room, and nobody sends 2^64 frames");
        send(&buffer[..sealed])?;
        self.sent += 1;
        if self.sent.is_multiple_of(self.frames_per_key) {
            self.noise.rekey_outgoing();
        }
        Ok(())
    }

    /// What is in a sealed frame, if it is the one whose turn it is.
    pub(crate) fn open<'a>(&mut self, sealed: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        // There are no empty frames. With a shorter buffer than this snow would allocate.
        if !(SEAL_BYTES + 1..=buffer.len()).contains(&sealed.len()) {
            return None;
        }
        let opened = self.noise.read_message(self.received, sealed, buffer).ok()?;
        self.received += 1;
        if self.received.is_multiple_of(self.frames_per_key) {
            self.noise.rekey_incoming();
        }
        Some(&buffer[..opened])
    }
}

#[cfg(test)]
mod tests {
    use hoptree_core::{FRAME_BYTES_MAX, SEALED_BYTES_MAX, Secret};

    use super::*;
    use crate::handshake::{Asking, answer};
    use crate::listener::Listener;

    fn pair() -> (Channel, Channel) {
        let secret = Secret::new(&[7; 32]);
        let below = hoptree_core::Address("memory:1".to_owned());
        let listener = Listener::above(&below).unwrap();
        let (asking, greeting) = Asking::begin(&listener, secret).unwrap();
        let (far, reply) = answer(&listener, secret, &greeting).unwrap();
        (asking.finish(&reply).unwrap(), far)
    }

    fn sealed(channel: &mut Channel, frame: &[u8]) -> Vec<u8> {
        let mut taken = Vec::new();
        let mut take = |sealed: &[u8]| {
            taken = sealed.to_vec();
            Ok(())
        };
        channel.send(frame, &mut [0; SEALED_BYTES_MAX], &mut take).unwrap();
        taken
    }

    fn opened(channel: &mut Channel, sealed: &[u8]) -> Option<Vec<u8>> {
        channel.open(sealed, &mut [0; SEALED_BYTES_MAX]).map(<[u8]>::to_vec)
    }

    #[test]
    fn frames_of_every_length_pass_both_ways() {
        let (mut near, mut far) = pair();
        let lengths = (1..300).chain((300..FRAME_BYTES_MAX).step_by(997));
        for length in lengths.chain([FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX]) {
            let frame: Vec<_> = (0..length).map(|at| (at * 31 + length) as u8).collect();
            let down = sealed(&mut near, &frame);
            assert_eq!(down.len(), length + SEAL_BYTES);
            assert_eq!(opened(&mut far, &down).as_ref(), Some(&frame), "{length} bytes");
            let up = sealed(&mut far, &frame);
            assert_ne!(up, down);
            assert_eq!(opened(&mut near, &up).as_ref(), Some(&frame), "{length} bytes");
        }
    }

    #[test]
    fn only_the_frame_whose_turn_it_is_opens() {
        let (mut near, mut far) = pair();
        let frames = [b"one", b"two", b"six"].map(|frame| sealed(&mut near, frame));
        assert_eq!(opened(&mut far, &frames[1]), None, "left out");
        assert_eq!(opened(&mut near, &frames[0]), None, "sent back");
        assert_eq!(opened(&mut far, &frames[0]).as_deref(), Some(&b"one"[..]));
        assert_eq!(opened(&mut far, &frames[0]), None, "repeated");
        for bit in 0..8 * frames[1].len() {
            let mut changed = frames[1].clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opened(&mut far, &changed), None, "bit {bit} changed");
        }
        for length in 0..frames[1].len() {
            assert_eq!(opened(&mut far, &frames[1][..length]), None, "cut to {length} bytes");
        }
        assert_eq!(opened(&mut far, &vec![0; SEALED_BYTES_MAX + 1]), None);
        assert_eq!(opened(&mut far, &frames[1]).as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn a_frame_that_was_refused_does_not_count() {
        let (mut near, mut far) = pair();
        let buffer = &mut [0; SEALED_BYTES_MAX];
        for error in [SendError::Full, SendError::Gone] {
            assert_eq!(near.send(b"refused", buffer, |_| Err(error)), Err(error));
        }
        let sent = sealed(&mut near, b"sent");
        assert_eq!(opened(&mut far, &sent).as_deref(), Some(&b"sent"[..]));
    }

    #[test]
    fn both_ends_change_a_key_at_the_same_frame() {
        let (mut near, mut far) = pair();
        (near.frames_per_key, far.frames_per_key) = (3, 3);
        for number in 0..20u8 {
            let sealed = sealed(&mut near, &[number]);
            assert_eq!(opened(&mut far, &sealed), Some(vec![number]));
            if number % 2 == 0 {
                let back = self::sealed(&mut far, &[number]);
                assert_eq!(opened(&mut near, &back), Some(vec![number]));
            }
        }

        far.frames_per_key = u64::MAX;
        let opens = (20..30u8).take_while(|number| {
            let sealed = sealed(&mut near, &[*number]);
            opened(&mut far, &sealed).is_some()
        });
        assert_eq!(opens.count(), 1, "the 21st is the last before a new key");
    }
}
