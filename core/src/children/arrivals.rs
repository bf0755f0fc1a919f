//! Peers that are not children yet: strangers, which have connected and must say hello, and guests,
//! orphans that are welcome and must say that they stay.

use std::collections::BTreeMap;
use std::time::Duration;

use super::child::Child;
use crate::link::Link;
use crate::time::earliest;
use crate::wire::{self, Hello, Kind, Malformed};
use crate::{LinkId, Time, Token};

/// How long a peer may take from connecting to its hello, and an orphan from the welcome to its
/// decision.
pub(crate) const HELLO_WITHIN: Duration = Duration::from_secs(2);

/// How many strangers and guests there may be. With more, who came first goes first: an honest one
/// takes one round trip.
pub(crate) const STRANGERS_MAX: usize = 256;
pub(crate) const GUESTS_MAX: usize = 4 * 1024;

/// The peers of one node that may become its children.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// What each must show.
    token: Token,
    /// By when each must have said hello.
    strangers: BTreeMap<LinkId, Time>,
    /// An orphan may have asked others as well.
    guests: BTreeMap<LinkId, Guest>,
}

#[derive(Debug)]
struct Guest {
    child: Child,
    /// By when it must have said that it stays.
    until: Time,
}

impl Arrivals {
    pub fn new(token: Token) -> Arrivals {
        Arrivals { token, strangers: BTreeMap::new(), guests: BTreeMap::new() }
    }

    /// How many peers there are.
    pub fn count(&self) -> usize {
        self.strangers.len() + self.guests.len()
    }

    /// The orphans that are welcome.
    pub fn guests(&self) -> impl ExactSizeIterator<Item = &Child> {
        self.guests.values().map(|guest| &guest.child)
    }

    /// As [`Arrivals::guests`].
    pub fn guests_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        self.guests.values_mut().map(|guest| &mut guest.child)
    }

    /// The guest on a link.
    pub fn guest_mut(&mut self, link: LinkId) -> Option<&mut Child> {
        self.guests.get_mut(&link).map(|guest| &mut guest.child)
    }

    /// A peer has connected. Returns the link of the one that must make room for it.
    pub fn connected(&mut self, now: Time, link: LinkId) -> Option<LinkId> {
        let is_full = self.strangers.len() >= STRANGERS_MAX;
        let oldest = if is_full { self.strangers.pop_first() } else { None };
        self.strangers.insert(link, now + HELLO_WITHIN);
        oldest.map(|(link, _)| link)
    }

    /// Whether a frame on this link is the first word of a stranger, which is none from now on.
    pub fn is_first_word(&mut self, link: LinkId) -> bool {
        self.strangers.remove(&link).is_some()
    }

    /// Reads the first frame of a stranger: its hello, and the link to it.
    pub fn read_hello(
        &self,
        now: Time,
        id: LinkId,
        frame: &[u8],
    ) -> Result<(Hello, Link), Malformed> {
        let mut link = Link::new(id, now);
        let none = Malformed("a link that does not begin with a hello");
        let first = link.receive(now, frame)?.next().ok_or(none)??;
        let hello = match first.kind {
            Kind::Hello => first.read::<Hello>()?,
            _ => return Err(none),
        };
        if hello.version != wire::VERSION {
            return Err(Malformed("a hello of another version"));
        }
        if hello.token != self.token {
            return Err(Malformed("a hello of another tree"));
        }
        Ok((hello, link))
    }

    /// An orphan is welcome. Returns the link of the guest that must make room for it.
    pub fn invite(&mut self, now: Time, child: Child) -> Option<LinkId> {
        let is_full = self.guests.len() >= GUESTS_MAX;
        let oldest = if is_full { self.guests.pop_first() } else { None };
        self.guests.insert(child.link().id(), Guest { child, until: now + HELLO_WITHIN });
        oldest.map(|(link, _)| link)
    }

    /// A guest has decided: it is none any more.
    pub fn take_guest(&mut self, link: LinkId) -> Option<Child> {
        self.guests.remove(&link).map(|guest| guest.child)
    }

    /// All guests must go. Returns their links.
    pub fn dismiss_guests(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.guests).into_keys().collect()
    }

    /// A link is gone. Returns whose it was, if it was a guest's.
    pub fn disconnected(&mut self, link: LinkId) -> Option<Child> {
        self.strangers.remove(&link);
        self.take_guest(link)
    }

    /// Forgets those who have taken too long, and returns their links.
    pub fn take_overdue(&mut self, now: Time) -> Vec<LinkId> {
        let strangers = self.strangers.extract_if(.., |_, within| *within <= now);
        let mut overdue: Vec<_> = strangers.map(|(link, _)| link).collect();
        let guests = self.guests.extract_if(.., |_, guest| guest.until <= now);
        overdue.extend(guests.map(|(link, _)| link));
        overdue
    }

    /// When [`Arrivals::take_overdue`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        let strangers = self.strangers.values().min().copied();
        let guests = self.guests.values().map(|guest| guest.until).min();
        earliest(strangers, guests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Message;
    use crate::{Incarnation, Life, NodeId, Place, ProcessId};

    const NOW: Time = Time::ZERO;
    const TOKEN: Token = Token([1; 16]);

    fn life() -> Life {
        Life { node: NodeId::compute(1).unwrap(), incarnation: Incarnation(1) }
    }

    fn child(link: u64) -> Child {
        let place = Place { life: life(), parent: Life::CONTROL, moves: 0 };
        Child::new(place, ProcessId::of(9), Link::new(LinkId(link), NOW))
    }

    #[test]
    fn who_came_first_makes_room() {
        let mut arrivals = Arrivals::new(TOKEN);
        for link in 0..STRANGERS_MAX as u64 {
            assert_eq!(arrivals.connected(NOW, LinkId(link)), None);
        }
        assert_eq!(arrivals.connected(NOW, LinkId(1_000)), Some(LinkId(0)));
        for link in 2_000..2_000 + GUESTS_MAX as u64 {
            assert_eq!(arrivals.invite(NOW, child(link)), None);
        }
        assert_eq!(arrivals.invite(NOW, child(9_000)), Some(LinkId(2_000)));
        assert_eq!(arrivals.count(), STRANGERS_MAX + GUESTS_MAX);
        assert_eq!(arrivals.dismiss_guests().len(), GUESTS_MAX);
        assert_eq!(arrivals.count(), STRANGERS_MAX);
    }

    #[test]
    fn who_takes_too_long_goes() {
        let mut arrivals = Arrivals::new(TOKEN);
        let step = HELLO_WITHIN / 2;
        arrivals.invite(NOW, child(1));
        arrivals.connected(NOW, LinkId(2));
        arrivals.connected(NOW + step, LinkId(3));
        assert_eq!(arrivals.deadline(), Some(NOW + HELLO_WITHIN));
        assert_eq!(arrivals.take_overdue(NOW + step), []);
        assert_eq!(arrivals.take_overdue(NOW + HELLO_WITHIN), [LinkId(2), LinkId(1)]);
        assert_eq!(arrivals.deadline(), Some(NOW + step + HELLO_WITHIN));
        assert!(arrivals.is_first_word(LinkId(3)) && !arrivals.is_first_word(LinkId(3)));
        assert_eq!((arrivals.count(), arrivals.deadline()), (0, None));
    }

    #[test]
    fn a_hello_must_be_one_of_this_tree_and_version() {
        let (version, newborn) = (wire::VERSION, None);
        let right =
            Hello { version, token: TOKEN, life: life(), process: ProcessId::of(9), newborn };
        let other_version = Hello { version: version + 1, ..right.clone() };
        let other_tree = Hello { token: Token([2; 16]), ..right.clone() };
        let read = |kind, hello: &Hello| {
            let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
            Message::neighbour(kind, &wire::body(hello)).encode(&mut frame);
            let read = Arrivals::new(TOKEN).read_hello(NOW, LinkId(1), &frame);
            read.map(|(hello, _)| hello).map_err(|Malformed(why)| why)
        };
        assert_eq!(read(Kind::Hello, &right).as_ref(), Ok(&right));
        assert_eq!(read(Kind::Hello, &other_version), Err("a hello of another version"));
        assert_eq!(read(Kind::Hello, &other_tree), Err("a hello of another tree"));
        assert_eq!(read(Kind::Beat, &right), Err("a link that does not begin with a hello"));
    }
}
