//! How a link between two machines is watched: always, by both ends, and with the patience that a network
//! needs, whatever the user wants of links within a machine.

use std::time::Duration;

use crate::Watch;

/// The watch on each link between machines. A packet that is lost costs 200 ms at least, and 200, 400 and 800 ms
/// more as others are lost behind it: that is what this patience is for, and for a cable that is pulled and put
/// back. The round trip comes on top of it, see [`Inspection`](crate::Inspection). So a network that loses
/// one packet in twenty is told from a cable that is cut.
const FAR: Watch =
    Watch { beat_every: Duration::from_millis(500), silent_after: Duration::from_secs(4) };

/// How a link is watched, where the user wants `wanted` of those within a machine.
pub(crate) fn watch(is_far: bool, wanted: Option<Watch>) -> Option<Watch> {
    if is_far { Some(FAR) } else { wanted }
}
