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

#[cfg(test)]
mod tests {
    use super::*;

    /// Or else the fuzzer would have to find out by itself what a body is.
    #[test]
    fn a_seed_has_a_body_of_each_kind() {
        assert_eq!(read_frame(include_bytes!("../seeds/frame/every-kind")), 24);
    }
}
