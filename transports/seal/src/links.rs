//! Every link of a process, and how far it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hoptree_core::{Address, Event, LinkId, SEALED_BYTES_MAX, Secret, SendError, Transport};
use rustc_hash::FxHashMap;

use crate::channel::Channel;
use crate::greetings::Greetings;
use crate::handshake::{Asking, Message, answer};
use crate::listener::Listener;
use crate::strangers::Strangers;
use crate::{Listens, earliest};

/// How long a peer may take over its part of a handshake. One that was stopped, or waits for a
/// processor, must not fail; who is no peer does not get as far.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(30);

/// How many handshakes may be under way: those of a whole tree that comes at once. When there are
/// more, the one that began first is given up.
const HANDSHAKES_MAX: usize = 4_096;

/// The links of one process, by the names that the transport below gives them.
pub(crate) struct Links {
    secret: Secret,
    listens: Listens,
    /// Once it listens, if its links are sealed.
    listener: Option<Listener>,
    links: FxHashMap<LinkId, Link>,
    /// When the handshakes that have begun must have ended, the first one first; also some that
    /// have ended.
    handshakes: VecDeque<(Instant, LinkId)>,
    greetings: Greetings,
    strangers: Strangers,
    orders: Vec<Order>,
    /// Why the last handshake that was begun here failed, unless the transport below knows.
    refusal: Option<String>,
    /// For one frame, sealed or opened.
    buffer: Box<[u8]>,
}

/// How far a link is.
enum Link {
    /// It is not sealed.
    Open,
    /// Begun here; the connection does not stand yet.
    Connecting(Listener),
    /// Begun here; the greeting is out.
    Asking(Listener, Box<Asking>),
    /// Accepted; nothing has come yet.
    Accepted,
    /// Accepted; the reply is out. It is up with its first sealed frame: only who has understood the
    /// reply can send one.
    Answered(Channel),
    Sealed(Channel),
}

/// What the transport below must do once it is not waiting any more.
pub(crate) enum Order {
    Send(LinkId, Message),
    Close(LinkId),
}

impl Links {
    pub(crate) fn new(secret: Secret, listens: Listens) -> Links {
        Links {
            secret,
            listens,
            listener: None,
            links: FxHashMap::default(),
            handshakes: VecDeque::new(),
            greetings: Greetings::default(),
            strangers: Strangers::default(),
            orders: Vec::new(),
            refusal: None,
            buffer: vec![0; SEALED_BYTES_MAX].into(),
        }
    }

    /// The address of the listener at `below`, the same each time.
    pub(crate) fn listen(&mut self, below: Address) -> Result<Address, getrandom::Error> {
        match (self.listens, &self.listener) {
            (Listens::Open, _) => Ok(below),
            (Listens::Sealed, Some(listener)) => Ok(listener.address().clone()),
            (Listens::Sealed, None) => {
                Ok(self.listener.insert(Listener::above(&below)?).address().clone())
            }
        }
    }

    /// A connection to this listener has begun, or to one that does not seal.
    pub(crate) fn connect(&mut self, link: LinkId, to: Option<Listener>) {
        self.links.insert(link, to.map_or(Link::Open, Link::Connecting));
    }

    /// Sends a frame by the transport below, as its link wants it.
    pub(crate) fn send(
        &mut self,
        link: LinkId,
        frame: &[u8],
        below: &mut dyn Transport,
    ) -> Result<(), SendError> {
        match self.links.get_mut(&link) {
            None => Err(SendError::Gone),
            Some(Link::Open) => below.send(link, frame),
            Some(Link::Sealed(channel)) => {
                channel.send(frame, &mut self.buffer, |sealed| below.send(link, sealed))
            }
            // It is not up.
            Some(_) => Err(SendError::Full),
        }
    }

    pub(crate) fn close(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// What has happened below, as those above must hear it.
    pub(crate) fn hear(&mut self, event: &Event<'_>, deliver: &mut dyn FnMut(Event<'_>)) {
        match *event {
            Event::Up(link) => self.rise(link, deliver),
            Event::Frame(link, frame) => self.take(link, frame, deliver),
            Event::Down(link) => self.fall(link, deliver),
        }
    }

    /// What the transport below must do, each once.
    pub(crate) fn orders(&mut self) -> impl Iterator<Item = Order> {
        self.orders.drain(..)
    }

    /// When there is something to do that nothing below wakes for.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        while let Some((_, link)) = self.handshakes.front()
            && !self.is_shaking(*link)
        {
            self.handshakes.pop_front();
        }
        let handshake = self.handshakes.front().map(|(until, _)| *until);
        earliest(handshake, self.strangers.deadline())
    }

    /// Does what is due.
    pub(crate) fn expire(&mut self, now: Instant, deliver: &mut dyn FnMut(Event<'_>)) {
        while let Some((until, link)) = self.handshakes.front().copied()
            && until <= now
        {
            self.handshakes.pop_front();
            self.give_up(link, deliver);
        }
        self.strangers.tell(now);
    }

    /// Why the last handshake that was begun here failed, if that was the last to fail.
    pub(crate) fn refusal(&self) -> Option<&String> {
        self.refusal.as_ref()
    }

    /// How many links there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// As if this much time had gone by.
    #[cfg(test)]
    pub(crate) fn let_pass(&mut self, time: Duration) {
        self.handshakes.iter_mut().for_each(|(until, _)| *until -= time);
    }

    fn is_shaking(&self, link: LinkId) -> bool {
        let link = self.links.get(&link);
        matches!(link, Some(Link::Asking(..) | Link::Accepted | Link::Answered(_)))
    }

    /// The connection stands.
    fn rise(&mut self, link: LinkId, deliver: &mut dyn FnMut(Event<'_>)) {
        match (self.links.get(&link), self.listens) {
            (Some(Link::Connecting(listener)), _) => {
                let listener = listener.clone();
                self.ask(link, listener, deliver);
            }
            (Some(_), _) => deliver(Event::Up(link)),
            (None, Listens::Open) => {
                self.links.insert(link, Link::Open);
                deliver(Event::Up(link));
            }
            (None, Listens::Sealed) => {
                self.links.insert(link, Link::Accepted);
                self.begin_handshake(link, deliver);
            }
        }
    }

    fn ask(&mut self, link: LinkId, listener: Listener, deliver: &mut dyn FnMut(Event<'_>)) {
        match Asking::begin(&listener, self.secret) {
            Ok((asking, greeting)) => {
                self.links.insert(link, Link::Asking(listener, Box::new(asking)));
                self.orders.push(Order::Send(link, greeting));
                self.begin_handshake(link, deliver);
            }
            Err(error) => {
                self.refuse(link, &listener, &format!("can't be greeted: {error}"), deliver);
            }
        }
    }

    fn begin_handshake(&mut self, link: LinkId, deliver: &mut dyn FnMut(Event<'_>)) {
        if self.handshakes.len() == HANDSHAKES_MAX
            && let Some((_, oldest)) = self.handshakes.pop_front()
        {
            self.give_up(oldest, deliver);
        }
        self.handshakes.push_back((Instant::now() + HANDSHAKE_WITHIN, link));
    }

    /// Ends a link whose handshake has not ended.
    fn give_up(&mut self, link: LinkId, deliver: &mut dyn FnMut(Event<'_>)) {
        if !self.is_shaking(link) {
            return;
        }
        match self.links.remove(&link) {
            Some(Link::Asking(listener, _)) => {
                self.refuse(link, &listener, "does not answer", deliver);
            }
            _ => self.turn_away(link, "it did not go on with its handshake"),
        }
    }

    /// A frame has come.
    fn take(&mut self, link: LinkId, frame: &[u8], deliver: &mut dyn FnMut(Event<'_>)) {
        match self.links.get_mut(&link) {
            Some(Link::Open) => deliver(Event::Frame(link, frame)),
            Some(Link::Sealed(channel)) => match channel.open(frame, &mut self.buffer) {
                Some(frame) => deliver(Event::Frame(link, frame)),
                None => self.break_off(link, deliver),
            },
            Some(Link::Answered(_)) => self.meet(link, frame, deliver),
            Some(Link::Accepted) => self.answer(link, frame),
            Some(Link::Asking(..)) => self.finish(link, frame, deliver),
            Some(Link::Connecting(_)) | None => {}
        }
    }

    /// Takes the first frame of one who connected for a greeting.
    fn answer(&mut self, link: LinkId, greeting: &[u8]) {
        let Some(listener) = &self.listener else { return };
        if self.greetings.has(greeting) {
            return self.turn_away(link, "its greeting was that of another one");
        }
        match answer(listener, self.secret, greeting) {
            Ok((channel, reply)) => {
                self.greetings.keep(greeting);
                self.links.insert(link, Link::Answered(channel));
                self.orders.push(Order::Send(link, reply));
            }
            Err(snow::Error::Rng) => self.turn_away(link, "the system has no random numbers"),
            Err(_) => self.turn_away(link, "it does not know the secret of this tree"),
        }
    }

    /// Takes the first sealed frame of one who was answered.
    fn meet(&mut self, link: LinkId, frame: &[u8], deliver: &mut dyn FnMut(Event<'_>)) {
        let Some(Link::Answered(mut channel)) = self.links.remove(&link) else { return };
        let Some(frame) = channel.open(frame, &mut self.buffer) else {
            return self.turn_away(link, "its first sealed frame does not open");
        };
        self.links.insert(link, Link::Sealed(channel));
        deliver(Event::Up(link));
        deliver(Event::Frame(link, frame));
    }

    /// Takes the first frame of a listener for its reply.
    fn finish(&mut self, link: LinkId, reply: &[u8], deliver: &mut dyn FnMut(Event<'_>)) {
        let Some(Link::Asking(listener, asking)) = self.links.remove(&link) else { return };
        match asking.finish(reply) {
            Ok(channel) => {
                self.links.insert(link, Link::Sealed(channel));
                deliver(Event::Up(link));
            }
            Err(_) => {
                self.refuse(link, &listener, "does not know the secret of this tree", deliver);
            }
        }
    }

    /// The connection has ended.
    fn fall(&mut self, link: LinkId, deliver: &mut dyn FnMut(Event<'_>)) {
        match self.links.remove(&link) {
            None | Some(Link::Accepted | Link::Answered(_)) => return,
            Some(Link::Open | Link::Connecting(_)) => self.refusal = None,
            Some(Link::Asking(listener, _)) => {
                self.refusal = Some(refusal(&listener, "has hung up during the handshake"));
            }
            Some(Link::Sealed(_)) => {}
        }
        deliver(Event::Down(link));
    }

    /// Ends a link that was up.
    fn break_off(&mut self, link: LinkId, deliver: &mut dyn FnMut(Event<'_>)) {
        log::warn!("link {} has ended: a frame is not the one that was sealed", link.0);
        self.links.remove(&link);
        self.orders.push(Order::Close(link));
        deliver(Event::Down(link));
    }

    /// Ends a link that was begun here and did not come up.
    fn refuse(
        &mut self,
        link: LinkId,
        listener: &Listener,
        why: &str,
        deliver: &mut dyn FnMut(Event<'_>),
    ) {
        self.refusal = Some(refusal(listener, why));
        self.links.remove(&link);
        self.orders.push(Order::Close(link));
        deliver(Event::Down(link));
    }

    /// Ends a link that was accepted and did not come up; nobody above has heard of it.
    fn turn_away(&mut self, link: LinkId, why: &'static str) {
        self.strangers.turn_away(why, Instant::now());
        self.links.remove(&link);
        self.orders.push(Order::Close(link));
    }
}

fn refusal(listener: &Listener, why: &str) -> String {
    format!("the listener at {} {why}", listener.below().0)
}
