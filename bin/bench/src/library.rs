//! The libraries under the transports, used directly and in blocking calls: nothing that a program does
//! with them between two processes takes less time.

use std::convert::Infallible;
use std::time::Duration;

use hoptree_core::{Address, TransportError};

/// Sends a frame from the near end to the far end, and returns when it has come back.
pub type RoundTrip = Box<dyn FnMut(&[u8]) -> Result<(), TransportError>>;

/// Opens a near end.
type Open = Box<dyn Fn(Duration) -> Result<(Address, RoundTrip), TransportError>>;

/// One of them.
pub struct Library {
    /// Opens the near end, and says where the far end is to connect.
    pub open: Open,
    /// Is the far end.
    pub echo: fn(&Address) -> Result<Infallible, TransportError>,
}

#[cfg(any(feature = "zmq", feature = "zeromq", feature = "ipc"))]
impl Library {
    /// The library whose near ends are of this type.
    fn new<Near: 'static>(
        open: fn(Duration) -> Result<(Address, Near), TransportError>,
        round_trip: fn(&mut Near, &[u8]) -> Result<(), TransportError>,
        echo: fn(&Address) -> Result<Infallible, TransportError>,
    ) -> Library {
        let open = move |patience| {
            let (address, mut near) = open(patience)?;
            let round_trip: RoundTrip = Box::new(move |frame| round_trip(&mut near, frame));
            Ok((address, round_trip))
        };
        Library { open: Box::new(open), echo }
    }
}

/// The library under a transport, if it can be used so.
pub fn under(transport: &str) -> Option<Library> {
    // One without its seal has the same.
    match transport.split('@').next()? {
        #[cfg(feature = "zmq")]
        "zmq" => {
            use hoptree_zmq::floor::{Near, echo, open};
            Some(Library::new(open, Near::round_trip, echo))
        }
        #[cfg(feature = "zeromq")]
        "zeromq" => {
            use hoptree_zeromq::floor::{Near, echo, open_ipc};
            Some(Library::new(open_ipc, Near::round_trip, echo))
        }
        #[cfg(feature = "zeromq")]
        "zeromq:tcp" => {
            use hoptree_zeromq::floor::{Near, echo, open_tcp};
            Some(Library::new(open_tcp, Near::round_trip, echo))
        }
        #[cfg(feature = "ipc")]
        "ipc" => {
            use hoptree_ipc::floor::{Near, echo, open};
            Some(Library::new(open, Near::round_trip, echo))
        }
        _ => None,
    }
}
