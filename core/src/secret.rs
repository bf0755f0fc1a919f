//! What all processes of a tree know, and nobody else.

use std::fmt;

use blake2::digest::{FixedOutput, KeyInit, Update};
use blake2::{Blake2s256, Blake2sMac256};

use crate::Token;

/// How many bytes a secret has, and a key that is made from it.
pub const KEY_BYTES: usize = 32;

/// The secret of a tree: 256 random bits, made by the control node and handed from parent to child
/// through the child's standard input. It is never sent over a link: what is used there are keys made
/// from it, each for one purpose.
///
/// It only refers to the bytes, so that they are in memory once, where no core dump has them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(&'static [u8; KEY_BYTES]);

impl Secret {
    /// The secret that is kept here.
    #[must_use]
    pub const fn new(bytes: &'static [u8; KEY_BYTES]) -> Secret {
        Secret(bytes)
    }

    /// For whoever hands it on to a child.
    pub fn bytes(self) -> &'static [u8; KEY_BYTES] {
        self.0
    }

    /// The key for one purpose, and for whatever else it is bound to. Neither the secret nor another
    /// key can be found from it: a pseudorandom function, BLAKE2s with the secret as its key
    /// (RFC 7693).
    ///
    /// Nobody may use a purpose that another one uses.
    pub fn key(self, purpose: &str, bound_to: &[u8]) -> [u8; KEY_BYTES] {
        let mut mac = <Blake2sMac256 as KeyInit>::new_from_slice(self.0)
            .expect("BLAKE2s takes keys of 32 bytes");
        // With a hash in its place a purpose of any length ends where what it is bound to begins.
        Update::update(&mut mac, &hash(purpose.as_bytes()));
        Update::update(&mut mac, bound_to);
        mac.finalize_fixed().into()
    }

    /// What a peer shows in its hello.
    pub fn token(self) -> Token {
        let key = self.key("token", &[]);
        Token(*key.first_chunk().expect("a key is longer than a token"))
    }
}

fn hash(bytes: &[u8]) -> [u8; KEY_BYTES] {
    let mut hasher = Blake2s256::default();
    Update::update(&mut hasher, bytes);
    hasher.finalize_fixed().into()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_binding_and_secret_has_a_key_of_its_own() {
        let secrets = [Secret::new(&[1; 32]), Secret::new(&[2; 32])];
        let mut keys: Vec<_> = secrets
            .iter()
            .flat_map(|secret| {
                [("a", &b"bc"[..]), ("ab", b"c"), ("abc", b""), ("a", b"")]
                    .map(|(purpose, bound_to)| secret.key(purpose, bound_to))
            })
            .collect();
        assert_eq!(keys[0], secrets[0].key("a", b"bc"));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 8);
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new(&[7; 32])), "Secret(..)");
    }
}
