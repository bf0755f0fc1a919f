//! Memory for what is long, asked for before it is taken: a process that gets none is ended.

use std::hint::black_box;

/// What is no longer than this is not asked about. There is little of it at a time, and that is left
/// alone when processes are started.
const SHORT_BYTES_MAX: usize = 128 * 1024;

/// How often a process has what is long at a time at most, from taking it in to handing it on.
const COPIES: usize = 4;

/// Whether there is memory for a line or an answer of this many bytes, and all that is done with it.
pub(crate) fn has_room_for(bytes: usize) -> bool {
    if bytes <= SHORT_BYTES_MAX {
        return true;
    }
    let mut probe = Vec::<u8>::new();
    let has_room = probe.try_reserve_exact(COPIES.saturating_mul(bytes)).is_ok();
    // Or else the compiler sees that nobody uses it, and asks for none.
    black_box(probe);
    has_room
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_a_value_and_not_for_more_than_any_machine_has() {
        assert!(has_room_for(crate::VALUE_BYTES_MAX));
        assert!(!has_room_for(usize::MAX / 8));
    }
}
