//! The ends of links, and the bound on what may be unacknowledged between them.

use std::collections::VecDeque;

use hoptree_core::LinkId;

use crate::frame;
use crate::network::{Event, Moment};
use crate::process::Pid;

/// How many frames, and bytes of them, no sender may have unacknowledged: what a transport holds for
/// a peer that does not read.
const UNACKNOWLEDGED_FRAMES_MAX: usize = 128;
const UNACKNOWLEDGED_BYTES_MAX: usize = 128 * 1024;

/// One end of a link.
pub struct End {
    pub owner: Pid,
    /// Its owner can send on it, and must be told what happens to it.
    pub is_open: bool,
    /// The link is broken: nothing more arrives here but the news of it.
    pub is_broken: bool,
    /// Its owner was told that it is up, or has begun it.
    pub is_known: bool,
    /// When the last thing that is under way to this end arrives.
    pub last_arrival: Moment,
    /// How much longer than usual frames to this end take.
    pub delay: Moment,
    /// What waits for the end of a partition.
    pub held: VecDeque<Event>,
    unacknowledged: VecDeque<usize>,
    unacknowledged_bytes: usize,
    acknowledged: u32,
}

impl End {
    pub fn new(owner: Pid, is_known: bool) -> End {
        End {
            owner,
            is_open: true,
            is_broken: false,
            is_known,
            last_arrival: 0,
            delay: 0,
            held: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            unacknowledged_bytes: 0,
            acknowledged: 0,
        }
    }

    /// Notes a frame that leaves here, and says whether that keeps the bound.
    pub fn sends(&mut self, frame: &[u8]) -> bool {
        if frame.len() > frame::FRAME_HEADER_BYTES {
            self.unacknowledged.push_back(frame.len());
            self.unacknowledged_bytes += frame.len();
        }
        self.unacknowledged.len() <= UNACKNOWLEDGED_FRAMES_MAX
            && self.unacknowledged_bytes <= UNACKNOWLEDGED_BYTES_MAX
    }

    /// Notes a frame that arrives here, and says whether it acknowledges only what was sent.
    pub fn receives(&mut self, frame: &[u8]) -> bool {
        let acknowledged = frame::acknowledged(frame);
        let newly = acknowledged.wrapping_sub(self.acknowledged) as usize;
        if newly > self.unacknowledged.len() {
            return false;
        }
        self.acknowledged = acknowledged;
        self.unacknowledged_bytes -= self.unacknowledged.drain(..newly).sum::<usize>();
        true
    }
}

/// The ends of all links that there ever were. The two of one link are neighbours.
#[derive(Default)]
pub struct Ends(Vec<End>);

impl Ends {
    /// A new link, from one process to another.
    pub fn connect(&mut self, from: Pid, to: Pid) -> (LinkId, LinkId) {
        let first = self.0.len() as u64;
        self.0.push(End::new(from, true));
        self.0.push(End::new(to, false));
        (LinkId(first), LinkId(first + 1))
    }

    /// The end at the other side.
    pub fn peer(link: LinkId) -> LinkId {
        LinkId(link.0 ^ 1)
    }

    pub fn end(&self, link: LinkId) -> &End {
        &self.0[link.0 as usize]
    }

    pub fn end_mut(&mut self, link: LinkId) -> &mut End {
        &mut self.0[link.0 as usize]
    }

    /// From now on nothing takes longer than usual.
    pub fn end_delays(&mut self) {
        self.0.iter_mut().for_each(|end| end.delay = 0);
    }

    pub fn peer_of(&self, link: LinkId) -> &End {
        self.end(Ends::peer(link))
    }
}
