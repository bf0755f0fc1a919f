//! A frame from anybody, down to the bodies of its messages.

use hoptree_core::fuzzing::read_frame;

/// Reads the input as a frame.
///
/// # Panics
///
/// When what was read becomes something else once it has been written again.
pub fn run(input: &[u8]) {
    let _ = read_frame(input);
}
