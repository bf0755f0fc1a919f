//! The greetings that a listener has answered.

use std::mem;

use rustc_hash::FxHashSet;

/// How many greetings are remembered at least, in 16 bytes each; at most twice as many are.
const GREETINGS_KEPT: usize = 32 * 1024;

/// Remembers greetings, so that a repeated one gets no answer.
///
/// A greeting has a fresh public key of its sender in it, of which half is enough to know it again.
#[derive(Default)]
pub(crate) struct Greetings {
    recent: FxHashSet<u128>,
    older: FxHashSet<u128>,
}

impl Greetings {
    /// Whether it was answered before. Those of very long ago are forgotten.
    pub(crate) fn has(&self, greeting: &[u8]) -> bool {
        name(greeting).is_some_and(|name| self.recent.contains(&name) || self.older.contains(&name))
    }

    /// Remembers one that was answered. Strangers can't make such a thing, so they can't fill this.
    pub(crate) fn keep(&mut self, greeting: &[u8]) {
        if self.recent.len() == GREETINGS_KEPT {
            self.older = mem::take(&mut self.recent);
        }
        self.recent.extend(name(greeting));
    }
}

fn name(greeting: &[u8]) -> Option<u128> {
    greeting.first_chunk().map(|half| u128::from_ne_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{MESSAGE_BYTES, Message};

    fn greeting(number: usize) -> Message {
        let mut greeting = [0; MESSAGE_BYTES];
        greeting[..8].copy_from_slice(&number.to_le_bytes());
        greeting
    }

    #[test]
    fn the_latest_are_remembered_and_no_more_than_there_is_room_for() {
        let mut greetings = Greetings::default();
        for number in 0..3 * GREETINGS_KEPT {
            assert!(!greetings.has(&greeting(number)));
            greetings.keep(&greeting(number));
            let oldest = number.saturating_sub(GREETINGS_KEPT - 1);
            assert!(greetings.has(&greeting(number)) && greetings.has(&greeting(oldest)));
        }
        assert_eq!(greetings.recent.len() + greetings.older.len(), 2 * GREETINGS_KEPT);
        assert!(!greetings.has(&greeting(0)) && !greetings.has(b"short"));
    }
}
