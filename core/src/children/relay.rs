//! The children by their links, and what is passed on between them and the parent: requests go
//! down to all below, and what children say goes up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::child::Child;
use super::reducer::Reducer;
use super::reports::{self, Reports};
use super::turn::Turn;
use crate::router::{Hop, News, RouteTable, Router};
use crate::wire::{
    Create, Fan, Flags, Kind, Malformed, Message, Messages, NO_REQUEST, Status, Terms, Up,
};
use crate::{Life, LinkId, Place, Proof, Proved, RequestId};

/// The children of one node, and the routes to all below them.
#[derive(Debug)]
pub(super) struct Relay {
    /// Those whose hello was accepted.
    children: BTreeMap<LinkId, Child>,
    routes: RouteTable,
    reducer: Reducer,
    /// The children that have said how much longer they need to end.
    delays: Vec<(Life, Duration)>,
}

impl Relay {
    /// The relay of the node whose life is `own`.
    pub fn new(own: Life) -> Relay {
        Relay {
            children: BTreeMap::new(),
            routes: RouteTable::new(own),
            reducer: Reducer::default(),
            delays: Vec::new(),
        }
    }

    /// How many children are linked.
    pub fn count(&self) -> usize {
        self.children.len()
    }

    /// The routes to all below.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// A life is about to come about below `parent`, with this mark.
    pub fn expect(&mut self, life: Life, parent: Life, mark: Proof) {
        self.routes.expect(life, parent, mark);
    }

    /// The children, in the order of their links.
    pub fn children(&self) -> impl Iterator<Item = &Child> {
        self.children.values()
    }

    /// As [`Relay::children`].
    pub fn children_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        self.children.values_mut()
    }

    /// The child on a link.
    pub fn child_mut(&mut self, link: LinkId) -> Option<&mut Child> {
        self.children.get_mut(&link)
    }

    /// The link of a child.
    pub fn link_of(&self, child: Life) -> Option<LinkId> {
        let mut links = self.children.iter();
        links.find(|(_, other)| other.life() == child).map(|(link, _)| *link)
    }

    /// The link towards a life below, if there is a route to it.
    pub fn link_to(&self, life: Life) -> Option<LinkId> {
        match self.routes.route(life) {
            Hop::Link(link) => Some(link),
            Hop::Local | Hop::Unknown => None,
        }
    }

    /// From now on a peer is a child, at a place that is new.
    pub fn add(&mut self, child: Child, proof: Proof, up: &mut Up<'_>) {
        let (link, at) = (child.link().id(), Proved { place: child.place(), proof });
        self.children.insert(link, child);
        if let News::Learnt(rerouted) = self.routes.learn_child(at, link) {
            self.give_up_pending(rerouted, up);
        }
    }

    /// Forgets the link of a child, and says which it was: what was pending on it is answered, and
    /// those above are told who was behind it.
    pub fn remove(&mut self, link: LinkId, turn: &mut Turn, up: &mut Up<'_>) -> Option<Place> {
        let mut child = self.children.remove(&link)?;
        child.forget_in(turn);
        for (request, life) in child.link_mut().take_pending(|_| true) {
            self.reducer.answered(request);
            up(Message::answer(life, request, Status::Unavailable, &[]));
        }
        self.reducer.forget_link(link);
        let life = child.life();
        reports::forgotten(life, &self.routes.forget(life, link), up);
        Some(child.place())
    }

    /// Passes a request on towards its node, or answers that there is no route to it.
    pub fn forward(&mut self, message: &Message<'_>, turn: &mut Turn, up: &mut Up<'_>) {
        let begins = message.flags.is_first() && !message.kind.follows_request();
        let child = self.link_to(message.life).and_then(|link| self.children.get_mut(&link));
        // What belongs to an earlier message goes where that went, or nowhere: by another route there
        // would be a hole in it.
        match child.filter(|child| begins || child.link().is_pending(message.request)) {
            Some(child) => {
                if begins && message.request != NO_REQUEST {
                    child.link_mut().expect_answer(message.request, message.life);
                }
                if begins && let Some(command) = command_folded(message.flags, message.body) {
                    self.reducer.expect(command, message.request);
                }
                if message.kind == Kind::Create
                    && let Some(Create { life, seed, .. }) = message.decode()
                {
                    self.routes.expect(life, message.life, seed.mark());
                }
                child.request(message, turn);
            }
            // What follows a first piece belongs to a request that has been answered.
            None if begins && message.request != NO_REQUEST => {
                up(Message::answer(message.life, message.request, Status::Unavailable, &[]));
            }
            None => {}
        }
    }

    /// Passes on a request for each of several nodes, as one message on each link, and answers for
    /// those to which there is no route.
    pub fn forward_fan(&mut self, fan: Fan<'_>, turn: &mut Turn, up: &mut Up<'_>) {
        let command = command_folded(fan.flags(), fan.body);
        let mut by_link: BTreeMap<LinkId, Vec<_>> = BTreeMap::new();
        for (life, request) in fan.parts {
            match self.link_to(life).and_then(|link| self.children.get_mut(&link)) {
                Some(child) => {
                    child.link_mut().expect_answer(request, life);
                    if let Some(command) = command {
                        self.reducer.expect(command, request);
                    }
                    by_link.entry(child.link().id()).or_default().push((life, request));
                }
                None => up(Message::answer(life, request, Status::Unavailable, &[])),
            }
        }
        for (link, parts) in by_link {
            let child = self.children.get_mut(&link).expect("it was there a moment ago");
            child.touch(turn).send_fan(Fan { parts, ..fan });
        }
    }

    /// Reads what a child says, and passes on what is news above.
    pub fn read(
        &mut self,
        link: LinkId,
        mut messages: Messages<'_>,
        up: &mut Up<'_>,
    ) -> Result<(), Malformed> {
        let Some(child) = self.children.get_mut(&link) else { return Ok(()) };
        let mut reports = Reports::new(child, &mut self.routes, &mut self.reducer, up);
        let read = messages.try_for_each(|message| reports.read(message?));
        let (rerouted, delay) = reports.end();
        if let Some(delay) = delay {
            self.delays.push((child.life(), delay));
        }
        self.give_up_pending(rerouted, up);
        read
    }

    /// As [`Relay::reducer_mut`].
    pub fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    /// What is made less on its way up.
    pub fn reducer_mut(&mut self) -> &mut Reducer {
        &mut self.reducer
    }

    /// The children that have said, since the last call, how much longer they need to end.
    pub fn take_delays(&mut self) -> Vec<(Life, Duration)> {
        std::mem::take(&mut self.delays)
    }

    /// Answers what is pending for lives that are not reached any more by these links. The node
    /// that has seen the route break does so too, but what is cut in pieces may not have reached it.
    fn give_up_pending(&mut self, mut rerouted: Vec<(Life, LinkId)>, up: &mut Up<'_>) {
        rerouted.sort_unstable();
        let links: BTreeSet<_> = rerouted.iter().map(|(_, link)| *link).collect();
        for link in links {
            let Some(child) = self.children.get_mut(&link) else { continue };
            let is_rerouted = |life: Life| rerouted.binary_search(&(life, link)).is_ok();
            for (request, life) in child.link_mut().take_pending(is_rerouted) {
                self.reducer.answered(request);
                up(Message::answer(life, request, Status::Unavailable, &[]));
            }
        }
    }
}

/// The command that a request belongs to whose answers are folded.
fn command_folded(flags: Flags, body: &[u8]) -> Option<RequestId> {
    let terms = Some(body).filter(|_| flags.has_terms())?;
    postcard::take_from_bytes::<Terms>(terms).ok()?.0.fold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use crate::wire::{self, Allowance, Reduced, Value};
    use crate::{Incarnation, KEY_BYTES, NodeId, Output, ProcessId, Secret, Seed, Time};

    const NOW: Time = Time::ZERO;

    /// What went up: kinds, requests, and the status of answers.
    type Told = Vec<(Kind, u64, Status)>;

    fn life(id: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
    }

    fn note(told: &mut Told) -> impl FnMut(Message<'_>) {
        |message| told.push((message.kind, message.request.0, message.flags.status()))
    }

    /// A relay with a child at the other end of each of these links, of the same number.
    fn relay(links: &[u32]) -> Relay {
        let mut relay = Relay::new(Life::CONTROL);
        for id in links {
            let seed = Seed::of(Secret::new(&[7; KEY_BYTES]), life(*id));
            relay.expect(life(*id), Life::CONTROL, seed.mark());
            let place = Place { life: life(*id), parent: Life::CONTROL, moves: 0 };
            let child = Child::new(place, ProcessId::of(9), Link::new(LinkId((*id).into()), NOW));
            relay.add(child, seed.proof(0).unwrap(), &mut |message| panic!("{message:?}"));
        }
        relay
    }

    fn exec(to: u32, request: u64) -> Message<'static> {
        Message::new(Kind::Exec, life(to), RequestId(request), b"time")
    }

    /// How many messages leave for a child.
    fn sent(relay: &mut Relay, link: u64) -> usize {
        let mut out = Vec::new();
        relay.child_mut(LinkId(link)).unwrap().flush(NOW, true, &mut out);
        let frames = out.iter().map(|output| match output {
            Output::Send(_, frame) => wire::open(frame).unwrap().1.count(),
            other => panic!("{other:?}"),
        });
        frames.sum()
    }

    #[test]
    fn a_request_goes_to_the_link_of_its_node_or_is_answered() {
        let (mut relay, mut turn, mut told) = (relay(&[1, 2]), Turn::default(), Told::new());
        relay.forward(&exec(2, 7), &mut turn, &mut note(&mut told));
        relay.forward(&exec(3, 8), &mut turn, &mut note(&mut told));
        assert_eq!(told, [(Kind::Answer, 8, Status::Unavailable)]);
        assert_eq!(turn.links(), [LinkId(2)]);
        assert_eq!((sent(&mut relay, 1), sent(&mut relay, 2)), (0, 1));
    }

    #[test]
    fn a_fan_is_one_message_on_each_link() {
        let (mut relay, mut turn, mut told) = (relay(&[1, 2]), Turn::default(), Told::new());
        let parts = [1, 2, 3].map(|id| (life(id), RequestId(id.into()))).to_vec();
        let fan = Fan {
            kind: Kind::Exec,
            allowance: Allowance::Large,
            has_terms: false,
            parts,
            body: b"time",
        };
        relay.forward_fan(fan, &mut turn, &mut note(&mut told));
        assert_eq!(told, [(Kind::Answer, 3, Status::Unavailable)]);
        assert_eq!((sent(&mut relay, 1), sent(&mut relay, 2)), (1, 1));
    }

    #[test]
    fn what_was_pending_on_a_link_is_answered_when_it_is_gone() {
        let (mut relay, mut turn, mut told) = (relay(&[1]), Turn::default(), Told::new());
        relay.forward(&exec(1, 7), &mut turn, &mut |message| panic!("{message:?}"));
        let place = relay.remove(LinkId(1), &mut turn, &mut note(&mut told)).unwrap();
        assert_eq!(place.life, life(1));
        let answer = (Kind::Answer, 7, Status::Unavailable);
        assert_eq!(told, [answer, (Kind::Forget, 0, Status::Ok)]);
        assert_eq!((turn.links(), relay.count(), relay.link_of(life(1))), (&[][..], 0, None));
        assert_eq!(relay.link_to(life(1)), None);
    }

    /// What another child says of it makes no difference, or a compromised node could take answers away.
    #[test]
    fn equal_answers_to_a_folded_command_go_up_as_one() {
        let (mut relay, mut turn) = (relay(&[1, 2, 3]), Turn::default());
        let terms = wire::body(&Terms { timeout: None, fold: Some(RequestId(100)) });
        for id in 1..=3 {
            let flags = Flags::request(Allowance::Large).with_terms(true);
            let request = Message { flags, body: &terms, ..exec(id, id.into()) };
            relay.forward(&request, &mut turn, &mut |message| panic!("{message:?}"));
        }
        let mut say = |link: u64, message: &Message<'_>| {
            let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
            message.encode(&mut frame);
            let messages = wire::open(&frame).unwrap().1;
            relay.read(LinkId(link), messages, &mut |message| panic!("{message:?}")).unwrap();
        };
        say(3, &Message::answer(life(1), RequestId(1), Status::Ok, b"forged"));
        for (link, members, number) in [(1, vec![1], 0), (2, vec![1, 2], 7), (3, vec![1, 2], 8)] {
            let members = members.into_iter().map(RequestId).collect();
            let body = Reduced { members, value: Value::New(number, b"same") }.encode();
            say(link, &Reduced::message(RequestId(100), &body));
        }
        let mut sent = Vec::new();
        relay.reducer_mut().send(&mut |message| sent.push(message.body.to_vec()));
        let members = vec![RequestId(1), RequestId(2)];
        assert_eq!(sent, [Reduced { members, value: Value::New(0, b"same") }.encode()]);
    }
}
