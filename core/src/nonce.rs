//! What tells one listener from all others, now and later.

use std::fmt;

/// How many bytes a nonce has.
pub const NONCE_BYTES: usize = 16;

/// How many hexadecimal digits it is written with.
const DIGITS: usize = 2 * NONCE_BYTES;

/// What a listener has drawn at random when it began to listen, and tells in its address. A key that is
/// bound to it is good for this listener alone: whoever listens at the same place later, and is shown
/// what belongs to it by one who comes too late, can begin nothing with that elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    /// The nonce of these bytes, which must be random.
    #[must_use]
    pub fn new(bytes: [u8; NONCE_BYTES]) -> Nonce {
        Nonce(bytes)
    }

    /// The nonce that is written so; none when none is.
    #[must_use]
    pub fn from_digits(digits: &str) -> Option<Nonce> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != DIGITS || !digits.bytes().all(is_digit) {
            return None;
        }
        u128::from_str_radix(digits, 16).ok().map(|number| Nonce(number.to_be_bytes()))
    }

    /// Its bytes, to bind a key to.
    #[must_use]
    pub fn bytes(&self) -> &[u8; NONCE_BYTES] {
        &self.0
    }
}

/// In hexadecimal digits.
impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for byte in [0, 1, 0xfe] {
            let nonce = Nonce::new([byte; NONCE_BYTES]);
            assert_eq!(nonce.to_string().len(), DIGITS);
            assert_eq!(Nonce::from_digits(&nonce.to_string()), Some(nonce));
        }
    }

    #[test]
    fn nothing_else_is_read() {
        let zeros = |count| "0".repeat(count);
        let signed = format!("+{}", zeros(DIGITS - 1));
        for digits in ["", &zeros(DIGITS - 1), &zeros(DIGITS + 1), &signed, &"A".repeat(DIGITS)] {
            assert_eq!(Nonce::from_digits(digits), None, "{digits:?}");
        }
        assert_eq!(Nonce::from_digits(&"\u{e9}".repeat(DIGITS / 2)), None);
    }
}
