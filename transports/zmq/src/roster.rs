//! Who is connected to the listener, and when to say that somebody is gone.

use std::collections::VecDeque;
use std::os::fd::RawFd;

use hoptree_core::LinkId;
use rustc_hash::FxHashMap;

/// How many peers are remembered after they are gone.
const DEPARTED_MAX: usize = 64;

/// How many peers may have frames to be read beside those who are known.
const UNKNOWN_MAX: usize = 64;

/// Ties together what libzmq tells through two queues: frames name their peer by a routing id,
/// reports of a connection's end name a file descriptor. A frame's metadata has the descriptor
/// that it was read from, which by the time it is seen may belong to somebody else.
///
/// All of it is bounded by the connections that stand or have just ended.
#[derive(Default)]
pub(crate) struct Roster {
    /// Everybody who was heard and is not yet known to be gone.
    peers: FxHashMap<RoutingId, Peer>,
    links: FxHashMap<LinkId, RoutingId>,
    /// The connections that stand, and who was heard on each.
    connections: FxHashMap<RawFd, Option<RoutingId>>,
    /// On how many of them nobody was heard.
    unheard: usize,
    /// How many messages have been read, from whomever.
    read: u64,
    /// Peers whose connection has ended, whose frames may not all have been read.
    ended: Vec<Ended>,
    /// The last to go, oldest first, at most [`DEPARTED_MAX`]: libzmq reports the end of a peer
    /// that broke the protocol before it hands over what came in the same packet.
    departed: VecDeque<RoutingId>,
}

struct Peer {
    /// None once the link was closed here: libzmq can't disconnect a peer, so its frames are read
    /// and dropped.
    link: Option<LinkId>,
    has_ended: bool,
}

struct Ended {
    id: RoutingId,
    /// How many messages had been read when it was last heard.
    heard_at: u64,
}

impl Roster {
    /// A connection stands; nothing is known of its peer.
    pub(crate) fn accept(&mut self, fd: RawFd) {
        if self.connections.insert(fd, None) != Some(None) {
            self.unheard += 1;
        }
    }

    /// A connection has ended. Says whether somebody was heard on it.
    pub(crate) fn disconnect(&mut self, fd: RawFd) -> bool {
        let heard = self.connections.remove(&fd);
        if heard == Some(None) {
            self.unheard -= 1;
        }
        if let Some(Some(id)) = heard {
            self.end(id);
        }
        heard != Some(None)
    }

    /// Whether somebody is connected who was not heard yet.
    pub(crate) fn has_unheard(&self) -> bool {
        self.unheard > 0
    }

    /// A message was read, from this peer if it has an id that one can have.
    pub(crate) fn hear(&mut self, id: Option<RoutingId>) {
        self.read += 1;
        if let Some(id) = id
            && let Some(ended) = self.ended.iter_mut().find(|ended| ended.id == id)
        {
            ended.heard_at = self.read;
        }
    }

    /// Enters the sender of a first frame. All reports that libzmq has made have to be in.
    ///
    /// libzmq reports that a connection was accepted before it reads anything from it, so a
    /// descriptor without a standing connection belonged to one that has ended. One that stands
    /// may still be a later connection's with the same descriptor. That one's first frame then
    /// shows it, since of two peers on one descriptor the younger lives; or its end does; or a
    /// send to the older, which libzmq refuses.
    pub(crate) fn meet(&mut self, id: RoutingId, link: LinkId, fd: RawFd) {
        self.links.insert(link, id);
        self.peers.insert(id, Peer { link: Some(link), has_ended: false });
        let heard = match self.connections.get_mut(&fd) {
            Some(heard) => heard,
            None => return self.end(id),
        };
        match *heard {
            None => {
                *heard = Some(id);
                self.unheard -= 1;
            }
            Some(other) if id.is_older_than(other) => self.end(id),
            Some(older) => {
                *heard = Some(id);
                self.end(older);
            }
        }
    }

    /// A peer can't be reached any more, whatever was reported of its connection.
    pub(crate) fn end(&mut self, id: RoutingId) {
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.has_ended) {
            peer.has_ended = true;
            self.ended.push(Ended { id, heard_at: self.read });
        }
    }

    /// Gives a link up; its peer stays known until its connection has ended.
    pub(crate) fn close(&mut self, link: LinkId) {
        let id = self.links.remove(&link);
        if let Some(peer) = id.and_then(|id| self.peers.get_mut(&id)) {
            peer.link = None;
        }
    }

    pub(crate) fn standing(&self, id: RoutingId) -> Standing {
        match self.peers.get(&id) {
            Some(peer) => peer.link.map_or(Standing::Unwanted, Standing::Linked),
            None if self.departed.contains(&id) => Standing::Unwanted,
            None => Standing::Unknown,
        }
    }

    pub(crate) fn routing_id(&self, link: LinkId) -> Option<RoutingId> {
        self.links.get(&link).copied()
    }

    /// Whether [`Roster::bury`] has something to do.
    pub(crate) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Forgets those who have ended, once all frames are read, and calls `tell` for each link that is
    /// down by that.
    pub(crate) fn bury_all(&mut self, tell: impl FnMut(LinkId)) {
        let ended = std::mem::take(&mut self.ended);
        self.bury(ended, tell);
    }

    /// The same for those whose frames are read, while there are still frames of others.
    ///
    /// libzmq reads from its peers in turn. So who was passed over while all others could have been
    /// read from twice has nothing left.
    pub(crate) fn bury_silent(&mut self, tell: impl FnMut(LinkId)) {
        let turns = 2 * (self.connections.len() + self.ended.len()) + UNKNOWN_MAX;
        let until = self.read.saturating_sub(turns as u64);
        let silent: Vec<_> = self.ended.extract_if(.., |ended| ended.heard_at < until).collect();
        self.bury(silent, tell);
    }

    fn bury(&mut self, ended: Vec<Ended>, mut tell: impl FnMut(LinkId)) {
        for Ended { id, .. } in ended {
            if self.departed.len() == DEPARTED_MAX {
                self.departed.pop_front();
            }
            self.departed.push_back(id);
            if let Some(link) = self.peers.remove(&id).and_then(|peer| peer.link) {
                self.links.remove(&link);
                tell(link);
            }
        }
    }

    /// Whether nobody is connected and nothing is left to tell.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty()
            && self.links.is_empty()
            && self.connections.is_empty()
            && !self.has_unheard()
            && self.ended.is_empty()
    }
}

/// What to do with a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Linked(LinkId),
    /// It comes too late, or its link was closed.
    Unwanted,
    /// It is its peer's first.
    Unknown,
}

/// The name that a ROUTER gives a peer which has given itself none: a zero byte and a number that
/// counts up and wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RoutingId(u32);

impl RoutingId {
    /// None for a peer that named itself, which no hoptree does.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<RoutingId> {
        match *bytes {
            [0, a, b, c, d] => Some(RoutingId(u32::from_be_bytes([a, b, c, d]))),
            _ => None,
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; 5] {
        let [a, b, c, d] = self.0.to_be_bytes();
        [0, a, b, c, d]
    }

    fn is_older_than(self, other: RoutingId) -> bool {
        (1..1 << 31).contains(&other.0.wrapping_sub(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FD: RawFd = 7;

    fn id(number: u32) -> RoutingId {
        RoutingId(number)
    }

    fn buried(roster: &mut Roster) -> Vec<u64> {
        let mut links = Vec::new();
        roster.bury_all(|link| links.push(link.0));
        links
    }

    #[test]
    fn an_end_is_told_once_and_leaves_nothing() {
        let mut roster = Roster::default();
        roster.accept(FD);
        roster.meet(id(1), LinkId(1), FD);
        assert_eq!(roster.standing(id(1)), Standing::Linked(LinkId(1)));
        assert!(!roster.has_ended());
        roster.end(id(1));
        roster.disconnect(FD);
        assert_eq!(roster.standing(id(1)), Standing::Linked(LinkId(1)));
        assert_eq!(buried(&mut roster), [1]);
        roster.disconnect(FD);
        assert_eq!(buried(&mut roster), []);
        assert_eq!(roster.standing(id(1)), Standing::Unwanted);
        assert!(roster.is_empty());
    }

    #[test]
    fn an_end_is_told_even_if_it_was_reported_before_the_first_frame_was_read() {
        let mut roster = Roster::default();
        roster.accept(FD);
        roster.disconnect(FD);
        roster.meet(id(1), LinkId(1), FD);
        assert_eq!(buried(&mut roster), [1]);
        assert!(roster.is_empty());
    }

    #[test]
    fn a_reused_descriptor_is_its_youngest_peers_in_whatever_order_frames_are_read() {
        for order in [[1, 2], [2, 1]] {
            let mut roster = Roster::default();
            roster.accept(FD);
            roster.disconnect(FD);
            roster.accept(FD);
            for number in order {
                roster.meet(id(number), LinkId(number.into()), FD);
            }
            assert_eq!(buried(&mut roster), [1]);
            roster.disconnect(FD);
            assert_eq!(buried(&mut roster), [2]);
            assert!(roster.is_empty());
        }
    }

    #[test]
    fn a_peer_mistaken_for_a_silent_successor_ends_with_it() {
        let mut roster = Roster::default();
        roster.accept(FD);
        roster.disconnect(FD);
        roster.accept(FD);
        roster.meet(id(1), LinkId(1), FD);
        roster.disconnect(FD);
        assert_eq!(buried(&mut roster), [1]);
        assert!(roster.is_empty());
    }

    #[test]
    fn a_closed_link_is_not_told_of_but_is_forgotten() {
        let mut roster = Roster::default();
        roster.accept(FD);
        roster.meet(id(1), LinkId(1), FD);
        roster.close(LinkId(1));
        assert_eq!(roster.routing_id(LinkId(1)), None);
        assert_eq!(roster.standing(id(1)), Standing::Unwanted);
        roster.disconnect(FD);
        assert_eq!(buried(&mut roster), []);
        assert!(roster.is_empty());
    }

    #[test]
    fn somebody_is_unheard_until_it_is_heard_or_gone() {
        let mut roster = Roster::default();
        roster.accept(FD);
        roster.accept(FD + 1);
        roster.meet(id(1), LinkId(1), FD);
        assert!(roster.has_unheard());
        assert!(!roster.disconnect(FD + 1), "nobody was heard on it");
        assert!(!roster.has_unheard());
        assert!(roster.disconnect(FD));
    }

    #[test]
    fn others_who_never_stop_do_not_delay_an_end() {
        let mut roster = Roster::default();
        for number in 1..=3u32 {
            roster.accept(number as RawFd);
            roster.meet(id(number), LinkId(number.into()), number as RawFd);
        }
        roster.disconnect(1);
        let mut buried = Vec::new();
        for round in 0..100 {
            // Of one who has ended, much was there.
            let speakers: &[u32] = if round < 20 { &[1, 2, 3] } else { &[2, 3] };
            for number in speakers {
                roster.hear(Some(id(*number)));
            }
            roster.bury_silent(|link| buried.push((round, link)));
        }
        let [(round, LinkId(1))] = buried[..] else { panic!("{buried:?}") };
        assert!(round > 20, "not before its last frame");
        roster.hear(None);
        assert_eq!(roster.standing(id(1)), Standing::Unwanted);
    }

    #[test]
    fn the_memory_of_the_departed_is_bounded() {
        let mut roster = Roster::default();
        for number in 0..1_000 {
            roster.accept(FD);
            roster.meet(id(number), LinkId(number.into()), FD);
            roster.disconnect(FD);
            buried(&mut roster);
        }
        assert_eq!(roster.departed.len(), DEPARTED_MAX);
        assert_eq!(roster.standing(id(0)), Standing::Unknown);
    }

    #[test]
    fn routing_ids_keep_their_order_across_the_wrap() {
        let last = RoutingId::from_bytes(&[0, 0xff, 0xff, 0xff, 0xff]).unwrap();
        assert_eq!(RoutingId::from_bytes(&last.to_bytes()), Some(last));
        assert!(last.is_older_than(id(3)));
        assert!(!id(3).is_older_than(last));
        assert!(!last.is_older_than(last));
        assert_eq!(RoutingId::from_bytes(b"name"), None);
    }
}
