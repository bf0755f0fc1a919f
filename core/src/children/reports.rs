//! What goes up: what a child says, as far as it is believed and is news, and what its parent says
//! of it.

use std::time::Duration;

use super::child::Child;
use super::reducer::Reducer;
use crate::router::{News, RouteTable, Router};
use crate::wire::{self, Joined, Kind, Malformed, Message, Moved, NO_REQUEST, Reduced, Status, Up};
use crate::{Exit, Life, LinkId, Place, ProcessId, Proved, RequestId};

/// How often the proofs of one frame are hashed at most, which takes about as long as it takes to
/// read it. An honest frame has the place of one life that has just moved, and those of others that
/// were known.
pub(crate) const HASHES_PER_FRAME_MAX: u64 = 4 * 1024;

/// How many lives one message about the tree names at most; keeps it below a piece.
pub(crate) const LIVES_PER_MESSAGE: usize = 1_000;

/// Reads the messages of one frame of a child.
pub(super) struct Reports<'a, 'u> {
    child: &'a mut Child,
    routes: &'a mut RouteTable,
    reducer: &'a mut Reducer,
    up: &'a mut Up<'u>,
    /// How often proofs of this frame may still be hashed.
    hashes_left: u64,
    rerouted: Vec<(Life, LinkId)>,
    delay: Option<Duration>,
}

impl<'a, 'u> Reports<'a, 'u> {
    pub fn new(
        child: &'a mut Child,
        routes: &'a mut RouteTable,
        reducer: &'a mut Reducer,
        up: &'a mut Up<'u>,
    ) -> Reports<'a, 'u> {
        let (hashes_left, rerouted) = (HASHES_PER_FRAME_MAX, Vec::new());
        Reports { child, routes, reducer, up, hashes_left, rerouted, delay: None }
    }

    /// Who is not reached any more by the link by which it was, and how much longer the child needs to end,
    /// if it has said so.
    pub fn end(self) -> (Vec<(Life, LinkId)>, Option<Duration>) {
        (self.rerouted, self.delay)
    }

    /// Passes on what the child says, as far as it is news above.
    pub fn read(&mut self, message: Message<'_>) -> Result<(), Malformed> {
        let link = self.child.link().id();
        let is_passed_on = match message.kind {
            Kind::Beat => false,
            Kind::Delay => {
                self.delay = Some(message.read()?);
                false
            }
            Kind::Answer => self.is_awaited(&message),
            Kind::Joined => {
                let joined = message.read_about(|joined: &Joined| joined.at.place.life)?;
                self.joined(&message, joined.at);
                false
            }
            Kind::Moved => {
                let moved = message.read_about(|moved: &Moved| moved.to.place.life)?;
                self.learn(moved.to)
            }
            Kind::Below => {
                self.below(&message, message.read()?);
                false
            }
            Kind::Forget => {
                self.forget(message.life, &message.read::<Vec<Life>>()?);
                false
            }
            Kind::Silent | Kind::Heard => {
                let place = message.read_about(|place: &Place| place.life)?;
                // What is heard at its new place might be merged with this, and lost.
                self.routes.is_at(place, link)
            }
            Kind::Lost => {
                let place = message.read_about(|place: &Place| place.life)?;
                self.routes.was_at(place, link)
            }
            Kind::Ended => {
                let (life, _) = message.read_about(|(life, _): &(Life, Exit)| *life)?;
                self.routes.may_tell_end(life, link)
            }
            Kind::Offer => {
                message.read::<u64>()?;
                let no = wire::body(&false);
                self.is_wanted(&message, Kind::Take, &no)
            }
            Kind::Reduced => {
                self.reduced(&message)?;
                false
            }
            Kind::Output => self.is_wanted(&message, Kind::Cancel, &[]),
            _ => return Err(Malformed("a message that goes the other way")),
        };
        if is_passed_on {
            (self.up)(message);
        }
        Ok(())
    }

    fn is_awaited(&mut self, answer: &Message<'_>) -> bool {
        let request = answer.request;
        let is_awaited = match answer.flags.is_last() {
            true => self.child.link_mut().answered(request),
            false => self.child.link().is_pending(request),
        };
        if is_awaited && answer.flags.is_last() {
            self.reducer.answered(request);
        }
        if !is_awaited {
            // Its asker has been answered when another link broke; the rest of a long answer
            // that had begun there would be worth nothing.
            log::debug!("an answer to request {} that nobody awaits: dropped", request.0);
        }
        is_awaited
    }

    /// Several requests are answered alike. What becomes of that goes up at the end of the turn.
    fn reduced(&mut self, message: &Message<'_>) -> Result<(), Malformed> {
        let Some(whole) = self.child.assemble(message)? else { return Ok(()) };
        let what = Malformed("something reduced that is none");
        let Reduced { members, value } = Reduced::decode(&whole).ok_or(what)?;
        let link = self.child.link_mut();
        let awaited = members.into_iter().filter_map(|member| {
            let life = link.awaited_from(member)?;
            link.answered(member);
            Some((member, life))
        });
        let (members, lives): (Vec<_>, Vec<_>) = awaited.unzip();
        let link = link.id();
        if !self.reducer.add_from(message.request, link, &members, value) {
            for (member, life) in members.into_iter().zip(lives) {
                (self.up)(Message::answer(life, member, Status::Unavailable, &[]));
            }
        }
        Ok(())
    }

    /// Whether the answer to a request, of which a life says something, is still waited for; tells it
    /// by a message of this kind if not.
    fn is_wanted(&mut self, news: &Message<'_>, objection: Kind, body: &[u8]) -> bool {
        // Another life would get a message about a request that it does not have.
        let is_wanted = self.child.link().awaited_from(news.request) == Some(news.life);
        if !is_wanted {
            self.child.object(&Message::new(objection, news.life, news.request, body));
        }
        is_wanted
    }

    /// A life has joined further down. That is the answer to the request that has brought it about,
    /// if that is pending on this link.
    fn joined(&mut self, message: &Message<'_>, at: Proved) {
        let is_awaited = self.child.link_mut().answered(message.request);
        if self.learn(at) {
            let request = if is_awaited { message.request } else { NO_REQUEST };
            (self.up)(Message { request, ..*message });
        } else if is_awaited {
            (self.up)(Message::answer(message.life, message.request, Status::Unavailable, &[]));
        }
    }

    /// These are below the child, which has come here with them.
    fn below(&mut self, message: &Message<'_>, mut places: Vec<Proved>) {
        places.retain(|place| self.learn(*place));
        if !places.is_empty() {
            (self.up)(Message { body: &wire::body(&places), ..*message });
        }
    }

    /// There is no route to these any more by way of the child, since the link to `lost` is gone.
    fn forget(&mut self, lost: Life, lives: &[Life]) {
        let link = self.child.link().id();
        // To those that have moved there is another route by now, here and further up.
        let gone: Vec<_> = lives.iter().flat_map(|life| self.routes.forget(*life, link)).collect();
        self.rerouted.extend(gone.iter().map(|life| (*life, link)));
        forgotten(lost, &gone, self.up);
    }

    /// Learns where a life hangs, if that is news and can be so.
    fn learn(&mut self, at: Proved) -> bool {
        let Proved { place, .. } = at;
        let Some(hashes_left) = self.hashes_left.checked_sub(self.routes.steps(place)) else {
            return false;
        };
        self.hashes_left = hashes_left;
        match self.routes.learn(at, self.child.link().id()) {
            News::Learnt(rerouted) => {
                self.rerouted.extend(rerouted);
                true
            }
            News::Nothing => false,
            News::Stranger => {
                // Nobody else would ever end it.
                let body = wire::body(&place.life);
                self.child.object(&Message::new(Kind::Discard, place.parent, NO_REQUEST, &body));
                false
            }
        }
    }
}

/// Tells the control node that a new life is there, as a request wants it.
pub(super) fn joined(at: Proved, process: ProcessId, request: RequestId, up: &mut Up<'_>) {
    let joined = wire::body(&Joined { at, process });
    up(Message::new(Kind::Joined, at.place.life, request, &joined));
}

/// Tells the control node that a life has moved here.
pub(super) fn moved(to: Proved, process: ProcessId, up: &mut Up<'_>) {
    let moved = wire::body(&Moved { to, process });
    up(Message::new(Kind::Moved, to.place.life, NO_REQUEST, &moved));
}

/// Tells the control node that a child is silent, heard or lost.
pub(super) fn state(kind: Kind, place: Place, up: &mut Up<'_>) {
    up(Message::new(kind, place.life, NO_REQUEST, &wire::body(&place)));
}

/// Tells those above to whom there is no route any more, since the link to `lost` is gone.
pub(super) fn forgotten(lost: Life, lives: &[Life], up: &mut Up<'_>) {
    for lives in lives.chunks(LIVES_PER_MESSAGE) {
        up(Message::new(Kind::Forget, lost, NO_REQUEST, &wire::body(&lives)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use crate::{Incarnation, KEY_BYTES, NodeId, Secret, Seed, Time};

    fn life(id: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
    }

    fn seed(id: u32) -> Seed {
        Seed::of(Secret::new(&[7; KEY_BYTES]), life(id))
    }

    fn proved(place: Place) -> Proved {
        let seed = seed(place.life.incarnation.0);
        Proved { place, proof: seed.proof(place.moves).unwrap() }
    }

    /// A child of the control node, and the routes there.
    fn child(id: u32, routes: &mut RouteTable) -> Child {
        let place = Place { life: life(id), parent: Life::CONTROL, moves: 0 };
        let link = LinkId(id.into());
        routes.expect(place.life, place.parent, seed(id).mark());
        assert_eq!(routes.learn_child(proved(place), link), News::Learnt(Vec::new()));
        Child::new(place, ProcessId::of(9), Link::new(link, Time::ZERO))
    }

    /// The kinds and requests of what goes up.
    type Told = Vec<(Kind, u64)>;

    /// What goes up when a child says this, and who is rerouted.
    fn read(
        child: &mut Child,
        routes: &mut RouteTable,
        message: &Message<'_>,
    ) -> (Told, Vec<(Life, LinkId)>) {
        let mut told = Vec::new();
        let mut up = |message: Message<'_>| told.push((message.kind, message.request.0));
        let mut reducer = Reducer::default();
        let mut reports = Reports::new(child, routes, &mut reducer, &mut up);
        reports.read(*message).unwrap();
        let rerouted = reports.end().0;
        (told, rerouted)
    }

    #[test]
    fn an_answer_passes_once_and_only_where_it_is_awaited() {
        let mut routes = RouteTable::new(Life::CONTROL);
        let mut child = child(1, &mut routes);
        let answer = Message::answer(life(1), RequestId(7), Status::Ok, b"answer");
        assert_eq!(read(&mut child, &mut routes, &answer).0, []);
        child.link_mut().expect_answer(RequestId(7), life(1));
        assert_eq!(read(&mut child, &mut routes, &answer).0, [(Kind::Answer, 7)]);
        assert_eq!(read(&mut child, &mut routes, &answer).0, []);
    }

    #[test]
    fn an_offer_that_nobody_awaits_is_declined() {
        let mut routes = RouteTable::new(Life::CONTROL);
        let mut child = child(1, &mut routes);
        let bytes = wire::body(&1_000_u64);
        let offer = Message::new(Kind::Offer, life(1), RequestId(7), &bytes);
        assert_eq!(read(&mut child, &mut routes, &offer).0, []);
        assert!(child.link().queued_bytes() > 0);
    }

    #[test]
    fn who_moves_from_one_child_to_another_is_rerouted() {
        let mut routes = RouteTable::new(Life::CONTROL);
        let (mut one, mut other) = (child(1, &mut routes), child(2, &mut routes));
        routes.expect(life(3), life(1), seed(3).mark());
        let below = |parent, moves| {
            wire::body(&vec![proved(Place { life: life(3), parent: life(parent), moves })])
        };
        let (first, second) = (below(1, 0), below(2, 1));
        let first = Message::neighbour(Kind::Below, &first);
        let second = Message::neighbour(Kind::Below, &second);
        assert_eq!(read(&mut one, &mut routes, &first), (vec![(Kind::Below, 0)], vec![]));
        let (told, rerouted) = read(&mut other, &mut routes, &second);
        assert_eq!((told, rerouted), (vec![(Kind::Below, 0)], vec![(life(3), LinkId(1))]));
        assert_eq!(read(&mut one, &mut routes, &first), (vec![], vec![]), "it is older");
    }
}
