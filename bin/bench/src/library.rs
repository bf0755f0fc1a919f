//! The libraries under the transports, used directly and in blocking calls: nothing that a program does
//! with them between two processes takes less time.

use std::convert::Infallible;
use std::time::Duration;

use hoptree_core::{Address, TransportError};

/// Sends a frame from the near end to the far end, and returns when it has come back.
pub type RoundTrip = Box<dyn FnMut(&[u8]) -> Result<(), TransportError>>;

/// One of them.
pub struct Library {
    /// Opens the near end, and says where the far end is to connect.
    pub open: fn(Duration) -> Result<(Address, RoundTrip), TransportError>,
    /// Is the far end.
    pub echo: fn(&Address) -> Result<Infallible, TransportError>,
}

/// The library under a transport, if it can be used so.
pub fn under(transport: &str) -> Option<Library> {
    // One without its seal has the same.
    match transport.split('@').next()? {
        #[cfg(feature = "zmq")]
        "zmq" => Some(Library { open: hoptree_zmq::floor::open, echo: hoptree_zmq::floor::echo }),
        #[cfg(feature = "zeromq")]
        "zeromq" => Some(Library {
            open: hoptree_zeromq::floor::open_ipc,
            echo: hoptree_zeromq::floor::echo,
        }),
        #[cfg(feature = "zeromq")]
        "zeromq:tcp" => Some(Library {
            open: hoptree_zeromq::floor::open_tcp,
            echo: hoptree_zeromq::floor::echo,
        }),
        #[cfg(feature = "ipc")]
        "ipc" => Some(Library { open: hoptree_ipc::floor::open, echo: hoptree_ipc::floor::echo }),
        _ => None,
    }
}
