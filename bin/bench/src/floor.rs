//! The library under a transport, without hoptree: two processes, blocking calls.

use std::time::{Duration, Instant};

use hoptree_core::{Address, TransportSpec};
use hoptree_host::process::{ChildProcesses, Heritage};
use hoptree_host::{Failure, Helper};

use super::PATIENCE;
use super::crew;
use super::library::{self, RoundTrip};
use super::victim::Victim;

/// The near end.
pub struct Floor {
    round_trip: RoundTrip,
    process: Victim,
}

impl Floor {
    /// Opens it, and starts the far end, which is then at rest. `None` when the transport has no floor.
    ///
    /// # Errors
    ///
    /// When the library or the system refuses.
    pub fn open(spec: &TransportSpec, children: &ChildProcesses) -> Result<Option<Floor>, Failure> {
        let Some(library) = library::under(spec.name) else { return Ok(None) };
        let (address, mut round_trip) =
            (library.open)(PATIENCE).map_err(Failure::doing("open the floor's near end"))?;
        let pid = children.spawn_helper(HELPER.name, 0, &address).map_err(Failure::Runtime)?;
        // The first trip waits for the far end to connect.
        round_trip(&[0]).map_err(Failure::doing("reach the floor's far end"))?;
        Ok(Some(Floor { round_trip, process: Victim::new(pid) }))
    }

    /// The far end.
    pub fn process(&self) -> Victim {
        self.process
    }

    /// Sends a frame to the far end, and says how long it takes to come back.
    ///
    /// # Errors
    ///
    /// When it does not come back.
    pub fn trip(&mut self, frame: &[u8]) -> Result<Duration, Failure> {
        let start = Instant::now();
        (self.round_trip)(frame).map_err(Failure::doing("go on"))?;
        Ok(start.elapsed())
    }
}

/// The far end.
pub const HELPER: Helper =
    Helper { name: "bench-floor", run: |_, near, heritage| serve(near, &heritage) };

/// Is the far end, until the benchmark is over.
///
/// # Errors
///
/// When the library can't go on.
fn serve(near: &Address, heritage: &Heritage) -> Result<(), Failure> {
    crew::join(heritage)?;
    let Some(library) = library::under(&heritage.transport) else {
        return Err(Failure::Usage(format!("'{}' has no floor", heritage.transport)));
    };
    let Err(error) = (library.echo)(near);
    Err(Failure::doing("go on")(error))
}
