//! A node's side towards its children: their links, the way to all below them, and what is pending
//! on them. Control node and compute nodes have it in common.

mod complaints;
mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use complaints::Complaints;
use processes::{GONE_WITHIN, Processes};

use crate::link::{Link, Merge};
use crate::router::{Hop, News, RouteTable, Router};
use crate::time::earliest;
use crate::wire::{
    self, Create, Fan, Hello, Joined, Kind, Malformed, Message, Moved, NO_REQUEST, Published,
    Settled, Status, Up, Welcome,
};
use crate::{
    Ancestor, Birth, Exit, FRAME_BYTES_MAX, Holdings, Input, Inspection, Life, LinkId, Output,
    Place, Proof, Proved, RequestId, Time, Token, Watch,
};

/// How long a process without children has to end after it was asked to, before it is killed, and
/// how much longer for each level below it, so that whoever is nearest to a node that hangs is the
/// one to kill it.
pub(crate) const END_GRACE: Duration = Duration::from_millis(500);
pub(crate) const END_GRACE_STEP: Duration = Duration::from_millis(100);

/// How long a peer may take from connecting to its hello.
pub(crate) const HELLO_WITHIN: Duration = Duration::from_secs(2);

/// With so much queued for one child it is time to let it leave, so that the child begins while this
/// node goes on: half a frame, and about half of what the control node has unanswered at a node.
const TURN_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// When this much waits for a child, it is not told any more that what it says leads nowhere.
const OBJECTIONS_BYTES_MAX: usize = 64 * 1024;

/// How many peers may have connected and not said hello, and how many orphans may be welcome and not
/// have said that they stay. With more, who came first goes first: an honest one takes one round trip.
pub(crate) const STRANGERS_MAX: usize = 256;
pub(crate) const GUESTS_MAX: usize = 4 * 1024;

/// How often the proofs of one frame are hashed at most, which takes about as long as it takes to read it.
/// An honest frame has the place of one life that has just moved, and those of others that were known.
pub(crate) const HASHES_PER_FRAME_MAX: u64 = 4 * 1024;

/// How many lives one message about the tree names at most; keeps it below a piece.
pub(crate) const LIVES_PER_MESSAGE: usize = 1_000;

/// The children of one node.
#[derive(Debug)]
pub(crate) struct Children {
    /// Whose they are.
    own: Life,
    pid: u32,
    /// How many links there are between this node and the control node.
    depth: u32,
    /// Who may take a child in when this node is gone, the nearest first.
    ancestors: Vec<Ancestor>,
    token: Token,
    /// Peers that have not said hello, and how long they may take.
    strangers: BTreeMap<LinkId, Time>,
    /// Children whose hello was accepted, and orphans that may become children.
    links: BTreeMap<LinkId, Child>,
    processes: Processes,
    routes: RouteTable,
    watch: Option<Watch>,
    published: BTreeMap<String, Vec<u8>>,
    /// Links that this turn has touched, each once, and those whose acknowledgements are withheld.
    touched: Vec<LinkId>,
    /// This turn has queued enough for one child that it should leave first.
    has_enough_to_send: bool,
    /// When [`Children::timeout`] is to look again; may be earlier than there is need.
    wake: Option<Time>,
    /// No new child is taken in any more.
    closing: bool,
    complaints: Complaints,
}

#[derive(Debug)]
struct Child {
    place: Place,
    pid: u32,
    link: Link,
    /// Until when an orphan may take to say that it stays.
    guest_until: Option<Time>,
    /// Its link is among those that are touched.
    is_touched: bool,
    /// What this turn has queued for it, in bytes of requests.
    turn_bytes: usize,
    /// How often the proofs of its frame may still be hashed.
    hashes_left: u64,
}

impl Child {
    fn new(place: Place, pid: u32, link: Link, guest_until: Option<Time>) -> Child {
        let (is_touched, turn_bytes, hashes_left) = (false, 0, 0);
        Child { place, pid, link, guest_until, is_touched, turn_bytes, hashes_left }
    }

    fn is_guest(&self) -> bool {
        self.guest_until.is_some()
    }

    /// Passes on what a child has said, as far as it is news above. Adds to `left` who is not reached
    /// any more by the link by which it was.
    fn take_in(
        &mut self,
        message: Message<'_>,
        routes: &mut RouteTable,
        left: &mut Vec<(Life, LinkId)>,
        up: &mut Up<'_>,
    ) -> Result<(), Malformed> {
        let id = self.link.id();
        match message.kind {
            Kind::Beat => return Ok(()),
            Kind::Answer => {
                let request = message.request;
                let is_awaited = match message.flags.is_last() {
                    true => self.link.settle(request),
                    false => self.link.is_pending(request),
                };
                if !is_awaited {
                    // Its asker has been answered when another link broke; the rest of a long answer
                    // that had begun there would be worth nothing.
                    log::debug!("an answer to request {} that nobody awaits: dropped", request.0);
                    return Ok(());
                }
            }
            Kind::Joined => {
                let joined = message.read_about(|joined: &Joined| joined.at.place.life)?;
                self.joined(&message, joined.at, routes, left, up);
                return Ok(());
            }
            Kind::Moved => {
                let moved = message.read_about(|moved: &Moved| moved.to.place.life)?;
                if !self.learn(moved.to, routes, left) {
                    return Ok(());
                }
            }
            Kind::Below => {
                let mut places = message.read::<Vec<Proved>>()?;
                places.retain(|place| self.learn(*place, routes, left));
                if !places.is_empty() {
                    up(Message { body: &wire::body(&places), ..message });
                }
                return Ok(());
            }
            Kind::Forget => {
                // To those that have moved there is another way by now, here and further up.
                let gone = message.read::<Vec<Life>>()?;
                let gone: Vec<_> = gone.iter().flat_map(|life| routes.forget(*life, id)).collect();
                left.extend(gone.iter().map(|life| (*life, id)));
                tell_forgotten(message.life, &gone, up);
                return Ok(());
            }
            Kind::Silent | Kind::Heard => {
                let place = message.read_about(|place: &Place| place.life)?;
                // What is heard at its new place might be merged with this, and lost.
                if !routes.is_at(place, id) {
                    return Ok(());
                }
            }
            Kind::Lost => {
                let place = message.read_about(|place: &Place| place.life)?;
                if !routes.was_at(place, id) {
                    return Ok(());
                }
            }
            Kind::Ended => {
                let (life, _) = message.read_about(|(life, _): &(Life, Exit)| *life)?;
                if !routes.may_tell_end(life, id) {
                    return Ok(());
                }
            }
            Kind::Offer => {
                message.read::<u64>()?;
                if !self.link.is_pending(message.request) {
                    // Nobody would ever take it.
                    let (life, request) = (message.life, message.request);
                    self.object(&Message::new(Kind::Take, life, request, &wire::body(&false)));
                    return Ok(());
                }
            }
            _ => return Err(Malformed("a message that goes the other way")),
        }
        up(message);
        Ok(())
    }

    /// A life has joined further down. That is the answer to the request that has brought it about, if
    /// that is pending on this link.
    fn joined(
        &mut self,
        message: &Message<'_>,
        at: Proved,
        routes: &mut RouteTable,
        left: &mut Vec<(Life, LinkId)>,
        up: &mut Up<'_>,
    ) {
        let is_awaited = self.link.settle(message.request);
        if self.learn(at, routes, left) {
            let request = if is_awaited { message.request } else { NO_REQUEST };
            up(Message { request, ..*message });
        } else if is_awaited {
            up(Message::answer(message.life, message.request, Status::Unavailable, &[]));
        }
    }

    /// Learns where a life hangs, if that is news and can be so.
    fn learn(
        &mut self,
        at: Proved,
        routes: &mut RouteTable,
        left: &mut Vec<(Life, LinkId)>,
    ) -> bool {
        let Proved { place, .. } = at;
        let Some(hashes_left) = self.hashes_left.checked_sub(routes.steps(place)) else {
            return false;
        };
        self.hashes_left = hashes_left;
        match routes.learn(at, self.link.id()) {
            News::Learnt(ways_left) => {
                left.extend(ways_left);
                true
            }
            News::Nothing => false,
            News::Stranger => {
                // Nobody else would ever end it.
                let body = wire::body(&place.life);
                self.object(&Message::new(Kind::Discard, place.parent, NO_REQUEST, &body));
                false
            }
        }
    }

    /// Tells a child that what it has said leads nowhere. One that says so much of that, and does not
    /// take the answers, gets no more of them.
    fn object(&mut self, message: &Message<'_>) {
        if self.link.queued_bytes() <= OBJECTIONS_BYTES_MAX {
            self.link.send(message);
        }
    }

    /// Has what waits on its link sent at the end of the turn.
    fn touch(&mut self, touched: &mut Vec<LinkId>) {
        if !std::mem::replace(&mut self.is_touched, true) {
            touched.push(self.link.id());
        }
    }
}

impl Children {
    pub fn new(own: Life, pid: u32, token: Token) -> Children {
        Children {
            own,
            pid,
            depth: 0,
            ancestors: Vec::new(),
            token,
            strangers: BTreeMap::new(),
            links: BTreeMap::new(),
            processes: Processes::new(own),
            routes: RouteTable::new(own),
            watch: None,
            published: BTreeMap::new(),
            touched: Vec::new(),
            has_enough_to_send: false,
            wake: None,
            closing: false,
            complaints: Complaints::default(),
        }
    }

    /// Whether nobody is left: no link and no process.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.processes.is_empty()
    }

    /// Notes how far this node is from the control node, and who is above it, and tells all below. They
    /// are told though it may be nothing new: the way up is.
    pub fn set_place(&mut self, depth: u32, ancestors: Vec<Ancestor>) {
        (self.depth, self.ancestors) = (depth, ancestors);
        let welcome = wire::body(&self.welcome_of_child());
        for child in self.links.values_mut() {
            let message = Message::neighbour(Kind::Welcome, &welcome);
            child.link.send_control(Merge::Place, &message);
            child.touch(&mut self.touched);
        }
    }

    /// Tells a peer that it is welcome, before all else: a request must not be run by a node that does
    /// not know its place.
    fn send_welcome(&self, link: &mut Link) {
        let welcome = wire::body(&self.welcome_of_child());
        link.send_first(&Message::neighbour(Kind::Welcome, &welcome));
    }

    fn welcome_of_child(&self) -> Welcome {
        let ancestors = self.ancestors.clone();
        Welcome { parent: self.own.node, pid: self.pid, depth: self.depth + 1, ancestors }
    }

    /// Says which children are silent at the moment.
    pub fn report_silent(&self, up: &mut Up<'_>) {
        let children = self.links.values().filter(|child| !child.is_guest());
        for child in children.filter(|child| child.link.is_silent()) {
            report(Kind::Silent, child.place, up);
        }
    }

    /// The places of all nodes below this one.
    pub fn places(&self) -> Vec<Proved> {
        self.routes.places()
    }

    /// How far this node is from the control node.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// How many children's processes were started, or are about to be, and have not joined.
    pub fn starting(&self) -> usize {
        self.processes.starting()
    }

    /// How many children are linked.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// How many nodes there is a way to.
    pub fn below(&self) -> usize {
        self.routes.len()
    }

    /// How much is kept on behalf of others.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            lives: self.routes.known(),
            peers: self.strangers.len() + self.links.len(),
            waiting_bytes: self.links.values().map(|child| child.link.waiting_bytes()).sum(),
        }
    }

    /// The link towards a life below, if there is a way to it.
    pub fn link_to(&self, life: Life) -> Option<LinkId> {
        match self.routes.route(life) {
            Hop::Link(link) => Some(link),
            Hop::Local | Hop::Unknown => None,
        }
    }

    /// Passes a request on towards its node, or answers that there is no way to it.
    pub fn forward(&mut self, message: &Message<'_>, up: &mut Up<'_>) {
        let begins = message.flags.is_first() && message.kind != Kind::Take;
        let child = self.link_to(message.life).and_then(|link| self.links.get_mut(&link));
        // What belongs to an earlier message goes where that went, or nowhere: by another way there
        // would be a hole in it.
        match child.filter(|child| begins || child.link.is_pending(message.request)) {
            Some(child) => {
                if begins && message.request != NO_REQUEST {
                    child.link.expect_answer(message.request, message.life);
                }
                if message.kind == Kind::Create
                    && let Some(Create { life, seed, .. }) = message.decode()
                {
                    self.routes.expect(life, message.life, seed.mark());
                }
                child.link.send(message);
                child.touch(&mut self.touched);
                child.turn_bytes += message.wire_bytes();
                self.has_enough_to_send |= child.turn_bytes >= TURN_BYTES_MAX;
            }
            // What follows a first piece belongs to a request that has been answered.
            None if begins && message.request != NO_REQUEST => {
                up(Message::answer(message.life, message.request, Status::Unavailable, &[]));
            }
            None => {}
        }
    }

    /// Whether this turn has queued enough for one child that it should leave first.
    pub fn has_enough_to_send(&self) -> bool {
        self.has_enough_to_send
    }

    /// Passes on a request for each of several nodes, as one message on each link, and answers for
    /// those to which there is no way.
    pub fn forward_fan(&mut self, fan: Fan<'_>, up: &mut Up<'_>) {
        let mut by_link: BTreeMap<LinkId, Vec<_>> = BTreeMap::new();
        for (life, request) in fan.parts {
            match self.link_to(life).and_then(|link| self.links.get_mut(&link)) {
                Some(child) => {
                    child.link.expect_answer(request, life);
                    by_link.entry(child.link.id()).or_default().push((life, request));
                }
                None => up(Message::answer(life, request, Status::Unavailable, &[])),
            }
        }
        for (link, parts) in by_link {
            let child = self.links.get_mut(&link).expect("it was there a moment ago");
            child.link.send_fan(Fan { parts, ..fan });
            child.touch(&mut self.touched);
        }
    }

    /// Does what a request asks of this node as a parent.
    pub fn serve(
        &mut self,
        now: Time,
        message: &Message<'_>,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        let request = message.request;
        let understood = match message.kind {
            Kind::Create => message.decode().map(|create| self.create(create, request, out, up)),
            Kind::Remove => {
                message.decode().map(|(life, grace)| self.remove(now, life, grace, request, up))
            }
            Kind::Discard => message.decode().map(|life| self.discard(life, out, up)),
            _ => None,
        };
        if understood.is_none() {
            log::error!("node {}: a malformed request to a parent", self.own.node);
        }
    }

    fn create(
        &mut self,
        Create { life, seed, transport }: Create,
        request: RequestId,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        if self.closing {
            return up(Message::answer(self.own, request, Status::Unavailable, &[]));
        }
        self.processes.start(life, request);
        self.routes.expect(life, self.own, seed.mark());
        let (parent, ancestors) = (self.own.node, self.ancestors.clone());
        let birth = Birth { life, seed, parent, ancestors };
        out.push(Output::Spawn(birth, transport));
    }

    fn remove(
        &mut self,
        now: Time,
        life: Life,
        grace: Duration,
        request: RequestId,
        up: &mut Up<'_>,
    ) {
        let kill_at = now + grace;
        if self.processes.end(life, kill_at, request) {
            self.wake = earliest(self.wake, Some(kill_at));
            self.ask_to_end(life, grace);
        } else {
            // It has ended, or found another parent.
            up(Message::answer(self.own, request, Status::Unavailable, &[]));
        }
    }

    /// Ends a life that is no longer wanted, at once, whatever state it is in.
    fn discard(&mut self, life: Life, out: &mut Vec<Output>, up: &mut Up<'_>) {
        if let Some(link) = self.link_of(life) {
            out.push(Output::Close(link));
            self.drop_link(link, up);
        }
        self.processes.discard(life, out, up);
    }

    fn link_of(&self, life: Life) -> Option<LinkId> {
        let mut links = self.links.iter();
        let is_its = |child: &Child| child.place.life == life && !child.is_guest();
        links.find(|(_, child)| is_its(child)).map(|(link, _)| *link)
    }

    fn ask_to_end(&mut self, life: Life, grace: Duration) {
        if let Some(link) = self.link_of(life)
            && let Some(child) = self.links.get_mut(&link)
        {
            send_shutdown(&mut child.link, grace);
            child.touch(&mut self.touched);
        }
    }

    /// What could not be ended when all children were to, here or below, in words for the user.
    pub fn left(&self) -> Option<&str> {
        self.processes.left()
    }

    /// Ends every child, leaves first: they are asked, and killed if they have not ended after
    /// `grace`.
    pub fn end(&mut self, now: Time, grace: Duration, out: &mut Vec<Output>) {
        self.closing = true;
        for (link, _) in self.links.extract_if(.., |_, child| child.is_guest()) {
            out.push(Output::Close(link));
        }
        let kill_at = now + grace;
        let linked: BTreeSet<_> = self.links.values().map(|child| child.place.life).collect();
        for life in self.processes.end_all(kill_at, |life| linked.contains(&life), out) {
            self.ask_to_end(life, grace);
        }
        self.wake = earliest(self.wake, Some(kill_at));
    }

    /// Takes in what happened to links and processes of children.
    pub fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>, up: &mut Up<'_>) {
        match input {
            Input::Up(link) => self.connected(now, link, out),
            Input::Frame(link, frame) => self.received(now, link, frame, out, up),
            Input::Down(link) => self.disconnected(now, link, out, up),
            Input::Inspected(link, seen) => self.inspected(now, link, seen, up),
            Input::SpawnFailed(life, why) => self.processes.spawn_failed(life, why, up),
            Input::ChildExited(life, exit, words) => {
                let is_linked = self.link_of(life).is_some();
                self.processes.exited(life, exit, words, is_linked, up);
            }
            other => debug_assert!(false, "{other:?} does not concern children"),
        }
    }

    /// A peer has connected.
    fn connected(&mut self, now: Time, link: LinkId, out: &mut Vec<Output>) {
        if self.strangers.len() >= STRANGERS_MAX
            && let Some((oldest, _)) = self.strangers.pop_first()
        {
            out.push(Output::Close(oldest));
        }
        self.strangers.insert(link, now + HELLO_WITHIN);
        self.wake = earliest(self.wake, Some(now + HELLO_WITHIN));
    }

    /// A frame came from a child, or from a peer that may become one.
    fn received(
        &mut self,
        now: Time,
        link: LinkId,
        frame: &[u8],
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        let understood = if self.strangers.remove(&link).is_some() {
            self.welcome(now, link, frame, out, up)
        } else {
            self.take_in(now, link, frame, out, up)
        };
        if let Err(Malformed(what)) = understood {
            let own = self.own.node;
            let text = format_args!(
                "node {own}: a peer does not speak our protocol and is cut off: {what}"
            );
            self.complaints.add(now, log::Level::Warn, text);
            out.push(Output::Close(link));
            self.disconnected(now, link, out, up);
        }
    }

    /// Says in the log why a life is not taken in.
    fn refuse(&mut self, now: Time, life: Life, why: &str) {
        let text = format_args!("node {}: {life} {why}", self.own.node);
        self.complaints.add(now, log::Level::Info, text);
    }

    /// Takes in a child by its hello, the first frame of its link.
    fn welcome(
        &mut self,
        now: Time,
        id: LinkId,
        frame: &[u8],
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) -> Result<(), Malformed> {
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
        if hello.newborn.is_none() && hello.life.incarnation <= self.own.incarnation {
            // It was told of an older life at this address, which has another owner by now.
            self.refuse(now, hello.life, "is older and can't hang below");
            out.push(Output::Close(id));
            return Ok(());
        }
        if hello.newborn.is_none() && !self.closing && !self.routes.knows(hello.life) {
            self.refuse(now, hello.life, "was never below and is not taken in");
            out.push(Output::Close(id));
            return Ok(());
        }
        if hello.newborn.is_none() && !self.closing {
            self.receive_guest(now, &hello, link, out);
            return Ok(());
        }
        let place = Place { life: hello.life, parent: self.own, moves: 0 };
        let at = hello.newborn.map(|proof| Proved { place, proof });
        let at = at.filter(|at| self.routes.is_new(*at));
        let awaited = at.and_then(|at| Some((at, self.processes.join(hello.life)?)));
        let Some((at, request)) = awaited else {
            self.refuse(now, hello.life, "is not expected and is told to end");
            send_shutdown(&mut link, END_GRACE);
            link.flush(now, true, out);
            out.push(Output::Close(id));
            return Ok(());
        };
        self.send_welcome(&mut link);
        self.links.insert(id, Child::new(place, hello.pid, link, None));
        self.begin(now, id, at.proof, up);
        report_joined(at, hello.pid, request, up);
        Ok(())
    }

    /// From now on the peer on this link is a child.
    fn begin(&mut self, now: Time, id: LinkId, proof: Proof, up: &mut Up<'_>) {
        let child = self.links.get_mut(&id).expect("whoever begins has just been entered");
        for (module, value) in &self.published {
            child.link.send(&Message::neighbour(Kind::Publish, &published(module, value)));
        }
        watch_child(&mut child.link, self.own, self.watch, now);
        self.wake = earliest(self.wake, child.link.deadline());
        child.touch(&mut self.touched);
        let at = Proved { place: child.place, proof };
        if let News::Learnt(left) = self.routes.take_in(at, id) {
            self.give_up_pending(left, up);
        }
    }

    /// Tells an orphan that it may stay. It may have asked others as well, so nobody is told before
    /// it has said that it does.
    fn receive_guest(&mut self, now: Time, hello: &Hello, mut link: Link, out: &mut Vec<Output>) {
        let mut guests = self.links.iter().filter(|(_, child)| child.is_guest());
        let first = guests.next().map(|(link, _)| *link);
        if let Some(first) = first.filter(|_| 1 + guests.count() >= GUESTS_MAX) {
            out.push(Output::Close(first));
            self.links.remove(&first);
        }
        self.send_welcome(&mut link);
        let place = Place { life: hello.life, parent: self.own, moves: 0 };
        let until = now + HELLO_WITHIN;
        self.wake = earliest(self.wake, Some(until));
        let mut child = Child::new(place, hello.pid, link, Some(until));
        child.touch(&mut self.touched);
        self.links.insert(child.link.id(), child);
    }

    /// An orphan stays.
    fn settle(
        &mut self,
        now: Time,
        id: LinkId,
        Settled { moves, proof }: Settled,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        let Some(child) = self.links.get_mut(&id) else { return };
        child.place.moves = moves;
        let (place, pid) = (child.place, child.pid);
        let at = Proved { place, proof };
        if !self.routes.is_new(at) {
            // It only claims to be that life.
            self.refuse(now, place.life, "can't have moved here");
            out.push(Output::Close(id));
            self.links.remove(&id);
            return;
        }
        child.guest_until = None;
        let mut links = self.links.iter();
        let is_older = |(link, child): &(&LinkId, &Child)| {
            **link != id && child.place.life == place.life && !child.is_guest()
        };
        if let Some(older) = links.find(is_older).map(|(link, _)| *link) {
            out.push(Output::Close(older));
            self.drop_link(older, up);
        }
        let awaited_by = self.processes.join(place.life);
        self.processes.adopt(place.life, pid, out);
        self.begin(now, id, proof, up);
        match awaited_by {
            // Its first connection broke before its hello.
            Some(request) => report_joined(at, pid, request, up),
            None => {
                let moved = wire::body(&Moved { to: at, pid });
                up(Message::new(Kind::Moved, place.life, NO_REQUEST, &moved));
            }
        }
        // It has come back to one that had been told to end it.
        if self.processes.is_ending(place.life) {
            self.ask_to_end(place.life, END_GRACE);
        }
    }

    fn take_in(
        &mut self,
        now: Time,
        id: LinkId,
        frame: &[u8],
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) -> Result<(), Malformed> {
        // A link that was closed may still have had a frame under way.
        let Some(child) = self.links.get_mut(&id) else { return Ok(()) };
        let mut messages = child.link.receive(now, frame)?;
        child.touch(&mut self.touched);
        if child.is_guest()
            && let Some(first) = messages.next()
        {
            let first = first?;
            if first.kind != Kind::Settled {
                return Err(Malformed("a guest that does not begin with its decision to stay"));
            }
            let settled = first.read()?;
            self.settle(now, id, settled, out, up);
        }
        let Some(child) = self.links.get_mut(&id) else { return Ok(()) };
        if child.link.broke_silence() {
            self.wake = earliest(self.wake, child.link.deadline());
            report(Kind::Heard, child.place, up);
        }
        child.hashes_left = HASHES_PER_FRAME_MAX;
        let mut left = Vec::new();
        let taken_in = messages
            .into_iter()
            .try_for_each(|message| child.take_in(message?, &mut self.routes, &mut left, up));
        self.give_up_pending(left, up);
        taken_in
    }

    /// Answers what is pending for lives that are not reached any more by these links. Whoever has seen
    /// the way break does so too, but what is cut in pieces may not have reached it.
    fn give_up_pending(&mut self, mut left: Vec<(Life, LinkId)>, up: &mut Up<'_>) {
        left.sort_unstable();
        let links: BTreeSet<_> = left.iter().map(|(_, link)| *link).collect();
        for link in links {
            let Some(child) = self.links.get_mut(&link) else { continue };
            let is_left = |life: Life| left.binary_search(&(life, link)).is_ok();
            for (request, life) in child.link.take_pending(is_left) {
                up(Message::answer(life, request, Status::Unavailable, &[]));
            }
        }
    }

    /// A link is gone.
    fn disconnected(&mut self, now: Time, link: LinkId, out: &mut Vec<Output>, up: &mut Up<'_>) {
        self.strangers.remove(&link);
        let Some(place) = self.drop_link(link, up) else { return };
        if self.processes.unlinked(now, place.life, out, up) {
            report(Kind::Lost, place, up);
        }
        self.wake = earliest(self.wake, self.processes.deadline());
    }

    /// Forgets a link: what was pending on it is answered, and who was behind it is told. Says whose
    /// it was, unless that was a guest.
    fn drop_link(&mut self, link: LinkId, up: &mut Up<'_>) -> Option<Place> {
        let mut child = self.links.remove(&link)?;
        if child.is_touched {
            self.touched.retain(|touched| *touched != link);
        }
        if child.is_guest() {
            return None;
        }
        for (request, life) in child.link.take_pending(|_| true) {
            up(Message::answer(life, request, Status::Unavailable, &[]));
        }
        let life = child.place.life;
        tell_forgotten(life, &self.routes.forget(life, link), up);
        Some(child.place)
    }

    /// Watches the children from now on, or no more.
    pub fn watch(&mut self, now: Time, watch: Option<Watch>) {
        self.watch = watch;
        for child in self.links.values_mut().filter(|child| !child.is_guest()) {
            watch_child(&mut child.link, self.own, watch, now);
            self.wake = earliest(self.wake, child.link.deadline());
        }
    }

    /// Shows all children a sign of life, if they are watching.
    pub fn beat(&mut self) {
        for child in self.links.values_mut().filter(|child| !child.is_guest()) {
            child.link.beat();
            child.touch(&mut self.touched);
        }
    }

    /// Whether this value is what was published last.
    pub fn has_published(&self, module: &str, value: &[u8]) -> bool {
        self.published.get(module).is_some_and(|published| published == value)
    }

    /// Makes a value known to everyone below, those who join later included.
    pub fn publish(&mut self, module: &str, value: &[u8]) {
        for child in self.links.values_mut().filter(|child| !child.is_guest()) {
            send_published(&mut child.link, module, value);
            child.touch(&mut self.touched);
        }
        self.published.insert(module.to_owned(), value.to_owned());
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: Time, out: &mut Vec<Output>, up: &mut Up<'_>) {
        if self.wake.is_none_or(|wake| now < wake) {
            return;
        }
        self.wake = None;
        self.strangers.retain(|link, within| {
            let keep = now < *within;
            if keep {
                self.wake = earliest(self.wake, Some(*within));
            } else {
                out.push(Output::Close(*link));
            }
            keep
        });
        for (link, _) in self
            .links
            .extract_if(.., |_, child| child.guest_until.is_some_and(|until| until <= now))
        {
            out.push(Output::Close(link));
        }
        for child in self.links.values_mut() {
            if child.link.inspect_if_due(now) {
                out.push(Output::Inspect(child.link.id(), child.pid));
            }
            if child.link.beat_if_due(now) {
                child.touch(&mut self.touched);
            }
            let deadline = earliest(child.link.deadline(), child.guest_until);
            self.wake = earliest(self.wake, deadline);
        }
        for (life, request) in self.processes.end_overdue(now, out) {
            self.leave_behind(life, request, out, up);
        }
        self.wake = earliest(self.wake, self.processes.deadline());
    }

    /// A process that was killed is not gone, and is not waited for any longer.
    fn leave_behind(
        &mut self,
        life: Life,
        request: Option<RequestId>,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        log::info!("{life} is not waited for any longer");
        if let Some(link) = self.link_of(life) {
            out.push(Output::Close(link));
            self.drop_link(link, up);
        }
        if let Some(request) = request {
            let within = GONE_WITHIN.as_millis();
            let text = format!("was killed and has not ended within {within} ms");
            up(Message::answer(self.own, request, Status::Failed, text.as_bytes()));
        }
    }

    /// The process of a child of which nothing has come for too long was looked at.
    fn inspected(&mut self, now: Time, link: LinkId, seen: Inspection, up: &mut Up<'_>) {
        let Some(child) = self.links.get_mut(&link) else { return };
        if child.link.judge(now, seen) {
            report(Kind::Silent, child.place, up);
        }
        self.wake = earliest(self.wake, child.link.deadline());
    }

    /// When [`Children::timeout`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        self.wake
    }

    /// Sends what waits for the children. With `acknowledge` unset, what came from them has not
    /// found its way on, and they get no new credit.
    pub fn flush(&mut self, now: Time, acknowledge: bool, out: &mut Vec<Output>) {
        self.touched.sort_unstable();
        for link in &self.touched {
            if let Some(child) = self.links.get_mut(link) {
                child.is_touched = !acknowledge;
                child.turn_bytes = 0;
                child.link.flush(now, acknowledge, out);
                // New credit may let a beat leave for which there was none.
                self.wake = earliest(self.wake, child.link.deadline());
            }
        }
        self.has_enough_to_send = false;
        if acknowledge {
            self.touched.clear();
        }
    }
}

/// Tells the control node that a new life is there, as a request wants it.
fn report_joined(at: Proved, pid: u32, request: RequestId, up: &mut Up<'_>) {
    let joined = wire::body(&Joined { at, pid });
    up(Message::new(Kind::Joined, at.place.life, request, &joined));
}

/// Tells the control node something about a child.
fn report(kind: Kind, place: Place, up: &mut Up<'_>) {
    up(Message::new(kind, place.life, NO_REQUEST, &wire::body(&place)));
}

/// Tells those above to whom there is no way any more, since the link to `lost` is gone.
fn tell_forgotten(lost: Life, lives: &[Life], up: &mut Up<'_>) {
    for lives in lives.chunks(LIVES_PER_MESSAGE) {
        up(Message::new(Kind::Forget, lost, NO_REQUEST, &wire::body(&lives)));
    }
}

/// Watches a child, and has it see signs of this node's own life. Nobody judges the control node's
/// silence, so it sends none.
fn watch_child(link: &mut Link, own: Life, watch: Option<Watch>, now: Time) {
    link.silent_after(watch.map(|watch| watch.silent_after), now);
    let beats = watch.filter(|_| own != Life::CONTROL);
    link.beat_every(beats.map(|watch| watch.beat_every), now);
}

/// Asks a child to end, with all below it. Its own children get a little less time than it has.
fn send_shutdown(link: &mut Link, grace: Duration) {
    let body = wire::body(&grace.saturating_sub(END_GRACE_STEP).max(END_GRACE_STEP));
    link.send_control(Merge::Never, &Message::neighbour(Kind::Shutdown, &body));
}

fn send_published(link: &mut Link, module: &str, value: &[u8]) {
    let merge = Merge::Published(module.to_owned());
    link.send_control(merge, &Message::neighbour(Kind::Publish, &published(module, value)));
}

fn published(module: &str, value: &[u8]) -> Vec<u8> {
    wire::body(&Published { module: module.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests;
