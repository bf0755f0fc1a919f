//! The contract for what a transport is measured against.

use std::convert::Infallible;
use std::time::Duration;

use crate::{Address, TransportError};

/// The library under a transport, used directly and in blocking calls: nothing that a program does
/// with it between two processes takes less time.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// What of the library it uses, in a few words.
    pub about: &'static str,
    /// Opens the near end, on this machine only, and says where the far end is to connect. What it
    /// waits for fails when it takes longer than this.
    ///
    /// # Errors
    ///
    /// When the library or the system refuses.
    pub open: fn(Duration) -> Result<(Address, RoundTrip), TransportError>,
    /// Is the far end, and does nothing but send back what comes. It ends with its process, which
    /// somebody else ends.
    ///
    /// # Errors
    ///
    /// When the library can't go on.
    pub echo: fn(&Address) -> Result<Infallible, TransportError>,
}

/// Sends a frame from the near end to the far end, and returns when it has come back. The first
/// time it also waits for the far end to connect.
pub type RoundTrip = Box<dyn FnMut(&[u8]) -> Result<(), TransportError>>;
