//! How much waits for one peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hoptree_core::SendError;

/// How many frames wait for one peer, here and in the library's queue, besides the 128 KiB that it has
/// encoded: 8 MiB at the very most. The library itself would take 100,000. Twice what a link
/// allows itself to have under way.
const FRAMES_HELD_MAX: usize = 256;

/// Counts the frames that wait for one peer.
#[derive(Clone, Default)]
pub(crate) struct Window(Arc<AtomicUsize>);

impl Window {
    /// A copy of `frame` that is counted until the library has encoded it.
    pub(crate) fn hold(&self, frame: &[u8]) -> Result<Bytes, SendError> {
        if self.0.load(Ordering::Relaxed) >= FRAMES_HELD_MAX {
            return Err(SendError::Full);
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from_owner(Held { frame: frame.to_vec(), held: Arc::clone(&self.0) }))
    }
}

struct Held {
    frame: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_counts_as_long_as_it_lives() {
        let window = Window::default();
        let mut held: Vec<_> = (0..FRAMES_HELD_MAX).map(|_| window.hold(b"x").unwrap()).collect();
        assert_eq!(window.hold(b"x"), Err(SendError::Full));
        held.pop();
        assert_eq!(window.hold(b"x").unwrap(), "x");
    }
}
