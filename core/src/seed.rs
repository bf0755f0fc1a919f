//! How a life proves where it hangs: each new place needs a secret that only the life itself can tell.
//!
//! It is a hash chain (Lamport, "Password authentication with insecure communication", 1981; S/KEY,
//! RFC 1760). The control node gives each life a seed, and tells all on the way the mark, which is the seed
//! hashed so often that nobody finds back. With each place the life shows what was hashed once less. Who
//! knows what it has shown before finds that again by hashing, and can't find what it will show next.

use std::fmt;

use blake2::Blake2s256;
use blake2::digest::{FixedOutput, Update};
use serde::{Deserialize, Serialize};

use crate::{KEY_BYTES, Life, Secret};

/// How often a life can move. The control node hashes once for each at a create, which takes some 35
/// microseconds in all.
pub(crate) const MOVES_MAX: u32 = 255;

const BYTES: usize = 16;

/// What the proofs of one life are made from. Whoever has it can speak for the life.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    root: Proof,
    /// The proof of the first place, for which a new process need not hash.
    birth: Proof,
}

/// That a life hangs where it says, as it shows it; or its mark, which it has in common with those that
/// have yet to be shown.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof([u8; BYTES]);

impl Seed {
    /// The seed of a life, from a secret that never leaves the control node.
    #[must_use]
    pub fn of(secret: Secret, Life { node, incarnation }: Life) -> Seed {
        let numbers = [node.to_wire().to_le_bytes(), incarnation.0.to_le_bytes()];
        let root = Proof(first(&secret.key("seed", numbers.as_flattened())));
        Seed { root, birth: root.hashed(MOVES_MAX.into()) }
    }

    /// What everyone may know of a life that has hung nowhere.
    #[must_use]
    pub fn mark(&self) -> Proof {
        self.birth.hashed(1)
    }

    /// What proves the place of a life that has moved so often, unless it was too often.
    #[must_use]
    pub fn proof(&self, moves: u32) -> Option<Proof> {
        match moves {
            0 => Some(self.birth),
            _ => Some(self.root.hashed(MOVES_MAX.checked_sub(moves)?.into())),
        }
    }
}

impl Proof {
    /// Whether this is `steps` newer than another proof of the same life, one or more.
    pub(crate) fn is_newer(self, steps: u64, than: Proof) -> bool {
        (1..=u64::from(MOVES_MAX) + 1).contains(&steps) && self.hashed(steps) == than
    }

    fn hashed(self, times: u64) -> Proof {
        (0..times).fold(self, |Proof(bytes), _| {
            let mut hasher = Blake2s256::default();
            Update::update(&mut hasher, &bytes);
            let hash: [u8; KEY_BYTES] = hasher.finalize_fixed().into();
            Proof(first(&hash))
        })
    }
}

fn first(hash: &[u8; KEY_BYTES]) -> [u8; BYTES] {
    *hash.first_chunk().expect("a hash is longer")
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId};

    const SECRET: Secret = Secret::new(&[7; KEY_BYTES]);

    fn seed(id: u32) -> Seed {
        let node = NodeId::compute(id).unwrap();
        Seed::of(SECRET, Life { node, incarnation: Incarnation(1) })
    }

    #[test]
    fn each_place_is_proved_from_any_before_it() {
        let (seed, mark) = (seed(1), seed(1).mark());
        let proofs: Vec<_> = (0..=MOVES_MAX).map(|moves| seed.proof(moves).unwrap()).collect();
        for (places, proof) in (1..).zip(&proofs) {
            assert!(proof.is_newer(places, mark));
            assert!(!proof.is_newer(places + 1, mark) && !proof.is_newer(places - 1, mark));
        }
        assert!(proofs[200].is_newer(150, proofs[50]) && !proofs[50].is_newer(150, proofs[200]));
        assert!(!proofs[9].is_newer(0, proofs[9]) && !proofs[9].is_newer(u64::MAX, mark));
        assert_eq!(seed.proof(MOVES_MAX + 1), None);
    }

    #[test]
    fn each_life_and_key_has_a_seed_of_its_own() {
        let other = Seed::of(Secret::new(&[8; KEY_BYTES]), Life::CONTROL);
        let lives = [seed(1), seed(2), Seed::of(SECRET, Life::CONTROL), other];
        for (index, one) in lives.iter().enumerate() {
            assert!(lives[..index].iter().all(|other| other.mark() != one.mark()));
        }
        assert!(!seed(1).proof(0).unwrap().is_newer(1, seed(2).mark()));
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?} {:?}", seed(1), seed(1).mark()), "Seed(..) Proof(..)");
    }
}
