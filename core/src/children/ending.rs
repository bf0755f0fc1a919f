//! How a child is asked to end, and how long it has.

use std::time::Duration;

use crate::link::{Link, Merge};
use crate::wire::{self, Kind, Message};

/// How long a process without children has to end after it was asked to, before it is killed, and
/// how much longer for each level below it, so that the parent of a node that hangs is the one to
/// kill it.
pub(crate) const END_GRACE: Duration = Duration::from_millis(500);
pub(crate) const END_GRACE_STEP: Duration = Duration::from_millis(100);

/// How much longer a node has whose modules have to stop what they run: two seconds until they kill a
/// program, and some for a machine that is busy. A child can't have more.
pub(crate) const STOP_TIME_MAX: Duration = Duration::from_millis(2_500);

/// Asks a child to end, with all below it. Its own children get a little less time than it has.
pub(super) fn send_shutdown(link: &mut Link, grace: Duration) {
    let body = wire::body(&grace.saturating_sub(END_GRACE_STEP).max(END_GRACE_STEP));
    link.send_control(Merge::Never, &Message::neighbour(Kind::Shutdown, &body));
}
