//! Waiting for all sockets at once.

use std::time::{Duration, Instant};

use crate::doorbell::Doorbell;
use crate::monitored::Monitored;

/// What the last wait found, socket by socket.
#[derive(Default)]
pub(crate) struct Poll(Vec<Ready>);

/// What one socket has to read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ready {
    pub(crate) frames: bool,
    pub(crate) reports: bool,
}

impl Ready {
    pub(crate) fn any(self) -> bool {
        self.frames || self.reports
    }
}

impl Poll {
    /// Waits until a socket has something, the doorbell rings or `until` has come.
    pub(crate) fn wait<'a>(
        &mut self,
        doorbell: &'a Doorbell,
        sockets: impl Iterator<Item = &'a Monitored>,
        until: Option<Instant>,
    ) -> Result<(), zmq::Error> {
        let mut items = Vec::with_capacity(8);
        items.push(doorbell.poll_item());
        items.extend(sockets.flat_map(Monitored::poll_items));
        while let Err(error) = zmq::poll(&mut items, milliseconds_until(until)) {
            if error != zmq::Error::EINTR {
                return Err(error);
            }
        }
        if items[0].is_readable() {
            doorbell.quiet();
        }
        self.0.clear();
        self.0.extend(
            items[1..].chunks_exact(2).map(|pair| Ready {
                frames: pair[0].is_readable(),
                reports: pair[1].is_readable(),
            }),
        );
        Ok(())
    }

    /// In the order in which the sockets were given to the wait.
    pub(crate) fn ready(&self) -> impl Iterator<Item = Ready> {
        self.0.iter().copied()
    }
}

/// Rounded up, because a wait that ends just before its deadline would be repeated at once.
fn milliseconds_until(until: Option<Instant>) -> i64 {
    const FOR_EVER: i64 = -1;
    until.map_or(FOR_EVER, |until| milliseconds(until.saturating_duration_since(Instant::now())))
}

/// Rounded up, and no longer than the 24 days that libzmq can count.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    let whole = duration.as_nanos().div_ceil(1_000_000);
    i64::from(i32::try_from(whole).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_up_to_whole_milliseconds() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_millis(7)), 7);
        assert_eq!(milliseconds(Duration::from_micros(7_001)), 8);
        assert_eq!(milliseconds(Duration::MAX), i64::from(i32::MAX));
    }
}
