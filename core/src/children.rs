//! A node's side towards its children: their links, the way to all below them, and what is pending
//! on them. Control node and compute nodes have it in common.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::complaints::Complaints;
use crate::link::{Link, Merge};
use crate::processes::{GONE_WITHIN, Processes};
use crate::router::{Hop, News, RouteTable, Router};
use crate::time::earliest;
use crate::wire::{
    self, Create, Fan, Hello, Joined, Kind, Malformed, Message, Moved, NO_REQUEST, Published,
    Settled, Status, Welcome,
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

/// Where messages go that are on their way up: to the parent, or to the control node itself.
pub(crate) type Up<'a> = dyn FnMut(Message<'_>) + 'a;

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
                if self.link.awaited_from(message.request) != Some(message.life) {
                    // Nobody would ever take it, or another life would be asked for it.
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
mod tests {
    use super::*;
    use crate::{Exit, Incarnation, KEY_BYTES, LEFT_BEHIND, NodeId, Secret, Seed};

    const NOW: Time = Time::ZERO;
    const LINK: LinkId = LinkId(5);
    const TOKEN: Token = Token([1; 16]);

    fn life() -> Life {
        Life { node: NodeId::compute(1).unwrap(), incarnation: Incarnation(1) }
    }

    /// Where an orphan was before.
    fn elsewhere() -> Life {
        Life { node: NodeId::compute(0).unwrap(), incarnation: Incarnation(0) }
    }

    fn leaf() -> Life {
        Life { node: NodeId::compute(2).unwrap(), incarnation: Incarnation(2) }
    }

    /// The kinds of what goes up, and the status of answers.
    type Told = Vec<(Kind, Status)>;

    fn ask(children: &mut Children, kind: Kind, request: u64) -> (Vec<Output>, Told) {
        let (mut out, mut told) = (Vec::new(), Vec::new());
        let body = match kind {
            Kind::Create => wire::body(&creation(life())),
            Kind::Remove => wire::body(&(life(), END_GRACE)),
            _ => wire::body(&life()),
        };
        let message = Message::new(kind, Life::CONTROL, RequestId(request), &body);
        let up = &mut |message: Message<'_>| told.push((message.kind, message.flags.status()));
        children.serve(NOW, &message, &mut out, up);
        (out, told)
    }

    fn happen(children: &mut Children, input: Input<'_>) -> (Vec<Output>, Told) {
        let (mut out, mut told) = (Vec::new(), Vec::new());
        let up = &mut |message: Message<'_>| told.push((message.kind, message.flags.status()));
        children.handle(NOW, input, &mut out, up);
        (out, told)
    }

    fn seed(life: Life) -> Seed {
        Seed::of(Secret::new(&[7; KEY_BYTES]), life)
    }

    fn proved(place: Place) -> Proved {
        Proved { place, proof: seed(place.life).proof(place.moves).unwrap() }
    }

    fn creation(life: Life) -> Create {
        Create { life, seed: seed(life), transport: None }
    }

    fn expect(children: &mut Children, life: Life, parent: Life) {
        children.routes.expect(life, parent, seed(life).mark());
    }

    fn hello_of(life: Life, orphan: bool) -> Vec<u8> {
        let newborn = seed(life).proof(0).filter(|_| !orphan);
        let hello = Hello { version: wire::VERSION, token: TOKEN, life, pid: 9, newborn };
        frame(&Message::neighbour(Kind::Hello, &wire::body(&hello)))
    }

    fn hello() -> Vec<u8> {
        hello_of(life(), false)
    }

    fn settled(life: Life) -> Vec<u8> {
        let settled = wire::body(&Settled { moves: 1, proof: seed(life).proof(1).unwrap() });
        frame(&Message::neighbour(Kind::Settled, &settled))
    }

    fn frame(message: &Message<'_>) -> Vec<u8> {
        let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
        message.encode(&mut frame);
        frame
    }

    /// A node whose child has joined.
    fn parent() -> Children {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        ask(&mut children, Kind::Create, 1);
        happen(&mut children, Input::Up(LINK));
        happen(&mut children, Input::Frame(LINK, &hello()));
        children
    }

    /// A node that has taken in an orphan.
    fn adopter() -> Children {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        expect(&mut children, life(), elsewhere());
        happen(&mut children, Input::Up(LINK));
        happen(&mut children, Input::Frame(LINK, &hello_of(life(), true)));
        let (out, _) = happen(&mut children, Input::Frame(LINK, &settled(life())));
        assert_eq!(out, [Output::Adopt(life(), 9)]);
        children
    }

    #[test]
    fn a_start_that_is_called_off_is_answered() {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        let (life, seed) = (life(), seed(life()));
        let birth = Birth { life, seed, parent: NodeId::CONTROL, ancestors: Vec::new() };
        assert_eq!(ask(&mut children, Kind::Create, 1).0, [Output::Spawn(birth, None)]);
        let (out, told) = ask(&mut children, Kind::Discard, 0);
        assert_eq!(out, [Output::Kill(life)]);
        assert_eq!(told, [(Kind::Answer, Status::Unavailable)]);
        happen(&mut children, Input::ChildExited(life, Exit::Signal(9), None));
        assert!(children.is_empty());
    }

    /// Otherwise a node would run a line with a hole in it.
    #[test]
    fn the_rest_of_a_request_goes_nowhere_but_where_its_beginning_went() {
        let mut children = parent();
        let mut out = Vec::new();
        children.flush(NOW, true, &mut out);
        let flags = wire::Flags::new(Status::Ok);
        let mut pieces = |first: bool, last: bool| {
            let message = Message::new(Kind::Exec, life(), RequestId(7), b"piece");
            let flags = flags.piece(first, last);
            children.forward(&Message { flags, ..message }, &mut |message| panic!("{message:?}"));
            let mut out = Vec::new();
            children.flush(NOW, true, &mut out);
            out.len()
        };
        assert_eq!(
            [pieces(false, false), pieces(false, true)],
            [0, 0],
            "its beginning went elsewhere"
        );
        assert_eq!([pieces(true, false), pieces(false, true)], [1, 1]);
    }

    /// Or a line would be run with a hole in it: the way to a node breaks further down, and heals.
    #[test]
    fn what_is_pending_for_one_whose_way_was_lost_is_answered_though_it_is_found_again() {
        let leaf = leaf();
        let mut children = parent();
        expect(&mut children, leaf, life());
        let place = Place { life: leaf, parent: life(), moves: 0 };
        let below = |place| {
            let places = wire::body(&vec![proved(place)]);
            frame(&Message::neighbour(Kind::Below, &places))
        };
        happen(&mut children, Input::Frame(LINK, &below(place)));
        let flags = wire::Flags::new(Status::Ok).piece(true, false);
        let begun = Message { flags, ..Message::new(Kind::Exec, leaf, RequestId(7), b"piece") };
        children.forward(&begun, &mut |message| panic!("{message:?}"));

        let forget = frame(&Message::neighbour(Kind::Forget, &wire::body(&vec![leaf])));
        let (_, told) = happen(&mut children, Input::Frame(LINK, &forget));
        assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Unavailable)]);
        happen(&mut children, Input::Frame(LINK, &below(place)));
        let rest = Message { flags: flags.piece(false, true), ..begun };
        children.forward(&rest, &mut |message| panic!("{message:?}"));
        assert_eq!(children.links[&LINK].link.queued_bytes(), {
            let mut link = Link::new(LINK, NOW);
            children.send_welcome(&mut link);
            link.send(&begun);
            link.queued_bytes()
        });
    }

    /// A long answer that began on a link which has broken would end in the middle of another.
    #[test]
    fn an_answer_that_nobody_awaits_on_its_link_is_dropped() {
        let mut children = parent();
        let answer = frame(&Message::answer(life(), RequestId(7), Status::Ok, b"answer"));
        assert_eq!(happen(&mut children, Input::Frame(LINK, &answer)), (vec![], vec![]));
        let exec = Message::new(Kind::Exec, life(), RequestId(7), b"time");
        children.forward(&exec, &mut |message| panic!("{message:?}"));
        let (_, told) = happen(&mut children, Input::Frame(LINK, &answer));
        assert_eq!(told, [(Kind::Answer, Status::Ok)]);
        assert_eq!(happen(&mut children, Input::Frame(LINK, &answer)), (vec![], vec![]));
    }

    /// Its connection may break before its first word; it then asks once more, as an orphan.
    #[test]
    fn who_comes_as_an_orphan_but_is_awaited_has_joined() {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        ask(&mut children, Kind::Create, 1);
        happen(&mut children, Input::Up(LINK));
        happen(&mut children, Input::Frame(LINK, &hello_of(life(), true)));
        let (out, told) = happen(&mut children, Input::Frame(LINK, &settled(life())));
        assert_eq!((out, told), (vec![], vec![(Kind::Joined, Status::Ok)]));
    }

    /// Whoever is above a node is older than it, so nobody can come to hang below itself, whatever
    /// address has got another owner.
    #[test]
    fn nobody_is_taken_in_by_a_younger_one() {
        let own = Life { node: NodeId::compute(4).unwrap(), incarnation: Incarnation(4) };
        let guest = |incarnation| Life { incarnation: Incarnation(incarnation), ..life() };
        for (incarnation, is_taken) in [(3, false), (4, false), (5, true)] {
            let mut children = Children::new(own, 1, TOKEN);
            expect(&mut children, guest(incarnation), elsewhere());
            happen(&mut children, Input::Up(LINK));
            let hello = hello_of(guest(incarnation), true);
            let (out, _) = happen(&mut children, Input::Frame(LINK, &hello));
            assert_eq!(out == [Output::Close(LINK)], !is_taken, "{incarnation}");
        }
    }

    /// It would be late by as long as the other end takes for silence.
    #[test]
    fn a_beat_for_which_there_was_no_credit_is_planned_when_there_is() {
        let mut children = Children::new(elsewhere(), 1, TOKEN);
        ask(&mut children, Kind::Create, 1);
        happen(&mut children, Input::Up(LINK));
        happen(&mut children, Input::Frame(LINK, &hello()));
        let every = Duration::from_millis(10);
        children.watch(NOW, Some(Watch { beat_every: every, silent_after: 100 * every }));
        let mut out = Vec::new();
        for name in 0..200 {
            children.publish(&name.to_string(), &[0; 1024]);
            children.flush(NOW, true, &mut out);
        }
        let sent = u32::try_from(out.len()).unwrap();
        let later = NOW + every;
        children.timeout(later, &mut Vec::new(), &mut |_| ());
        assert_eq!(children.deadline(), Some(NOW + 100 * every), "no beat could leave");
        let up = &mut |_: Message<'_>| ();
        let ack = sent.to_le_bytes();
        children.handle(later, Input::Frame(LINK, &ack), &mut Vec::new(), up);
        children.flush(later, true, &mut Vec::new());
        assert_eq!(children.deadline(), Some(later + every));
    }

    #[test]
    fn an_end_before_the_hello_is_answered_with_the_last_words_or_the_exit() {
        for (words, text) in [
            (Some("there is no room"), "node 1 could not start: there is no room"),
            (None, "node 1 ended before it joined: killed by signal 9"),
        ] {
            let mut children = Children::new(Life::CONTROL, 1, TOKEN);
            ask(&mut children, Kind::Create, 1);
            assert_eq!(children.starting(), 1);
            let mut answer = String::new();
            let up = &mut |message: Message<'_>| {
                answer.push_str(std::str::from_utf8(message.body).unwrap());
            };
            let exit = Input::ChildExited(life(), Exit::Signal(9), words);
            children.handle(NOW, exit, &mut Vec::new(), up);
            assert_eq!(answer, text);
            assert_eq!(children.starting(), 0);
        }
    }

    /// The control node would believe that it has ended.
    #[test]
    fn who_has_found_another_parent_is_not_said_to_be_removed() {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        let (out, told) = ask(&mut children, Kind::Remove, 1);
        assert_eq!((out, told), (vec![], vec![(Kind::Answer, Status::Unavailable)]));
    }

    #[test]
    fn a_child_that_sends_nonsense_is_lost() {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        ask(&mut children, Kind::Create, 1);
        happen(&mut children, Input::Up(LINK));
        let (_, told) = happen(&mut children, Input::Frame(LINK, &hello()));
        assert_eq!(told, [(Kind::Joined, Status::Ok)]);
        let (out, told) = happen(&mut children, Input::Frame(LINK, &[0, 0, 0, 0, 9]));
        assert_eq!(out, [Output::Close(LINK)]);
        assert!(told.contains(&(Kind::Lost, Status::Ok)), "{told:?}");
        assert!(!children.is_empty(), "its process may come back");
    }

    /// It may have moved on before it was asked to end.
    #[test]
    fn an_adopted_child_that_is_removed_is_ended_when_its_link_is_gone() {
        let mut children = adopter();
        assert_eq!(ask(&mut children, Kind::Remove, 1), (vec![], vec![]));
        let (out, told) = happen(&mut children, Input::Down(LINK));
        assert_eq!(out, [Output::Kill(life())]);
        assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Ok)]);
    }

    /// The first removal may have taken too long for whoever asked for it.
    #[test]
    fn an_adopted_child_may_be_removed_twice() {
        let mut children = adopter();
        ask(&mut children, Kind::Remove, 1);
        ask(&mut children, Kind::Remove, 2);
        let (out, told) = happen(&mut children, Input::Down(LINK));
        assert_eq!(out, [Output::Kill(life())]);
        assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Ok)]);
        assert!(children.is_empty());
    }

    /// A debugger that does not wait for it may keep it for ever.
    #[test]
    fn who_was_killed_and_does_not_end_is_not_waited_for_for_ever() {
        for is_end in [false, true] {
            let mut children = parent();
            if is_end {
                children.end(NOW, END_GRACE, &mut Vec::new());
            } else {
                ask(&mut children, Kind::Remove, 2);
            }
            let (mut out, mut told) = (Vec::new(), Vec::new());
            let mut up = |message: Message<'_>| told.push((message.kind, message.flags.status()));
            let mut times = 0;
            while let Some(time) = children.deadline() {
                children.timeout(time, &mut out, &mut up);
                times += 1;
                assert!(times < 10, "{children:?}");
            }
            assert_eq!(out, [Output::Kill(life()), Output::Close(LINK)]);
            let answer = [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Failed)];
            assert_eq!(told, answer[..if is_end { 1 } else { 2 }]);
            assert!(children.is_empty());
        }
    }

    #[test]
    fn what_a_removed_child_has_left_behind_is_told() {
        let words = "has ended and left node 2, which was killed and has not ended";
        for linked_when_it_exits in [true, false] {
            let mut children = parent();
            ask(&mut children, Kind::Remove, 2);
            let exit = Input::ChildExited(life(), LEFT_BEHIND, Some(words));
            let down = Input::Down(LINK);
            let inputs = if linked_when_it_exits { [exit, down] } else { [down, exit] };
            let mut told = Vec::new();
            for input in inputs {
                let up = &mut |message: Message<'_>| {
                    told.push((message.kind, message.flags.status(), message.body.to_vec()));
                };
                children.handle(NOW, input, &mut Vec::new(), up);
            }
            told.retain(|(kind, ..)| *kind != Kind::Forget);
            assert_eq!(told[0].0, Kind::Ended);
            assert_eq!(told[1], (Kind::Answer, Status::Failed, words.as_bytes().to_vec()));
            assert_eq!((told.len(), children.left()), (2, None));
        }
    }

    #[test]
    fn who_ends_and_leaves_a_process_behind_says_so_and_hands_on_what_its_child_says() {
        let mut children = parent();
        children.end(NOW, END_GRACE, &mut Vec::new());
        while let Some(time) = children.deadline() {
            children.timeout(time, &mut Vec::new(), &mut |_| ());
        }
        let own =
            format!("has ended and left node {}, which was killed and has not ended", life().node);
        assert_eq!(children.left(), Some(own.as_str()));

        let mut children = parent();
        children.end(NOW, END_GRACE, &mut Vec::new());
        happen(&mut children, Input::Down(LINK));
        happen(&mut children, Input::ChildExited(life(), LEFT_BEHIND, Some("has left node 9")));
        assert_eq!(children.left(), Some("has left node 9"));
    }

    /// Nobody will tell of its end, and a node that is to end itself would wait for it for ever.
    #[test]
    fn an_adopted_child_that_is_ending_and_discarded_is_waited_for_no_more() {
        let mut children = adopter();
        ask(&mut children, Kind::Remove, 1);
        let (out, told) = ask(&mut children, Kind::Discard, 0);
        assert_eq!(out, [Output::Close(LINK), Output::Kill(life())]);
        assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Ok)]);
        assert!(children.is_empty());
    }

    /// It might take the place of what is heard on its new link, while both wait for the parent.
    #[test]
    fn what_is_told_of_a_place_that_a_node_has_left_is_not_passed_on() {
        let leaf = leaf();
        let mut children = parent();
        expect(&mut children, leaf, life());
        let place = Place { life: leaf, parent: life(), moves: 0 };
        let joined = wire::body(&Joined { at: proved(place), pid: 7 });
        let place = wire::body(&place);
        let joined = frame(&Message::new(Kind::Joined, leaf, RequestId(2), &joined));
        happen(&mut children, Input::Frame(LINK, &joined));
        let silent = frame(&Message::new(Kind::Silent, leaf, NO_REQUEST, &place));
        let (_, told) = happen(&mut children, Input::Frame(LINK, &silent));
        assert_eq!(told, [(Kind::Silent, Status::Ok)]);

        let new_link = LinkId(6);
        happen(&mut children, Input::Up(new_link));
        happen(&mut children, Input::Frame(new_link, &hello_of(leaf, true)));
        happen(&mut children, Input::Frame(new_link, &settled(leaf)));
        let (_, told) = happen(&mut children, Input::Frame(LINK, &silent));
        assert_eq!(told, []);
    }

    /// What follows when a child says something.
    fn hear(children: &mut Children, link: LinkId, message: &Message<'_>) -> (Vec<Output>, Told) {
        happen(children, Input::Frame(link, &frame(message)))
    }

    /// A node with two children, the second of which has a child of its own.
    fn family() -> Children {
        let mut children = parent();
        let second = LinkId(6);
        expect(&mut children, leaf(), elsewhere());
        happen(&mut children, Input::Up(second));
        happen(&mut children, Input::Frame(second, &hello_of(leaf(), true)));
        happen(&mut children, Input::Frame(second, &settled(leaf())));
        let place = Place { life: grandchild(), parent: leaf(), moves: 0 };
        expect(&mut children, grandchild(), leaf());
        let below = wire::body(&vec![proved(place)]);
        hear(&mut children, second, &Message::neighbour(Kind::Below, &below));
        assert_eq!(children.link_to(grandchild()), Some(second));
        children
    }

    fn grandchild() -> Life {
        Life { node: NodeId::compute(3).unwrap(), incarnation: Incarnation(3) }
    }

    #[test]
    fn what_a_child_says_of_those_who_are_not_below_it_goes_no_further() {
        let mut children = family();
        let place = Place { life: grandchild(), parent: leaf(), moves: 0 };
        let at = wire::body(&place);
        let ended = wire::body(&(grandchild(), Exit::Signal(9)));
        let forgotten = wire::body(&vec![grandchild(), leaf()]);
        let seen = proved(place);
        let taken_over = Proved { place: Place { parent: life(), moves: 1, ..place }, ..seen };
        let moved = wire::body(&Moved { to: taken_over, pid: 9 });
        let below = wire::body(&vec![taken_over, seen]);
        for (kind, body) in [
            (Kind::Silent, &at),
            (Kind::Heard, &at),
            (Kind::Lost, &at),
            (Kind::Ended, &ended),
            (Kind::Forget, &forgotten),
            (Kind::Moved, &moved),
            (Kind::Below, &below),
            (Kind::Joined, &moved),
        ] {
            let message = Message::new(kind, grandchild(), NO_REQUEST, body);
            assert_eq!(hear(&mut children, LINK, &message), (vec![], vec![]), "{kind:?}");
        }
        assert_eq!(children.link_to(grandchild()), Some(LinkId(6)));
        assert_eq!(children.below(), 3);
    }

    /// Relays merge what waits by the header.
    #[test]
    fn a_header_that_names_another_life_than_the_body_is_malformed() {
        for kind in [Kind::Silent, Kind::Lost, Kind::Ended, Kind::Moved, Kind::Joined] {
            let mut children = family();
            let place = Place { life: life(), parent: Life::CONTROL, moves: 0 };
            let body = match kind {
                Kind::Ended => wire::body(&(life(), Exit::Signal(9))),
                Kind::Moved | Kind::Joined => wire::body(&Moved { to: proved(place), pid: 9 }),
                _ => wire::body(&place),
            };
            let message = Message::new(kind, grandchild(), NO_REQUEST, &body);
            let (out, _) = hear(&mut children, LINK, &message);
            assert_eq!(out, [Output::Close(LINK)], "{kind:?}");
        }
    }

    /// It may belong to a create elsewhere.
    #[test]
    fn a_life_that_joins_answers_only_a_request_that_is_pending_there() {
        let mut children = parent();
        for (asked, answered, expected) in [(5, 5, 5), (6, 7, 0)] {
            let newborn = Life { incarnation: Incarnation(10 + asked), ..leaf() };
            let create = wire::body(&creation(newborn));
            let create = Message::new(Kind::Create, life(), RequestId(asked.into()), &create);
            children.forward(&create, &mut |message| panic!("{message:?}"));
            let place = Place { life: newborn, parent: life(), moves: 0 };
            let joined = wire::body(&Joined { at: proved(place), pid: 4 });
            let joined = Message::new(Kind::Joined, newborn, RequestId(answered), &joined);
            let mut requests = Vec::new();
            let up = &mut |message: Message<'_>| requests.push(message.request.0);
            let joined = frame(&joined);
            children.handle(NOW, Input::Frame(LINK, &joined), &mut Vec::new(), up);
            assert_eq!(requests, [expected]);
        }
    }

    /// The control node would be asked for an answer that it does not have, and complain.
    #[test]
    fn a_long_answer_is_offered_only_by_the_one_who_was_asked() {
        let mut children = parent();
        let asked = Message::new(Kind::Exec, life(), RequestId(7), b"a line");
        children.forward(&asked, &mut |message| panic!("{message:?}"));
        let bytes = wire::body(&1_000_000_u64);
        for (from, told) in [(Life::CONTROL, 0), (leaf(), 0), (life(), 1)] {
            let offer = Message::new(Kind::Offer, from, RequestId(7), &bytes);
            assert_eq!(hear(&mut children, LINK, &offer).1.len(), told, "{from}");
        }
    }

    /// Whoever is in the tree can connect to a parent and say that it is the child which is awaited, or an
    /// orphan, and knows all lives.
    #[test]
    fn nobody_is_taken_in_without_a_proof() {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        ask(&mut children, Kind::Create, 1);
        happen(&mut children, Input::Up(LINK));
        let forged = Some(seed(life()).mark());
        let (version, token, pid) = (wire::VERSION, TOKEN, 9);
        let hello = Hello { version, token, life: life(), pid, newborn: forged };
        let hello = frame(&Message::neighbour(Kind::Hello, &wire::body(&hello)));
        let (out, told) = happen(&mut children, Input::Frame(LINK, &hello));
        assert_eq!((out.last(), told), (Some(&Output::Close(LINK)), vec![]));
        assert_eq!(children.starting(), 1, "the right one may still come");

        let mut children = family();
        let link = LinkId(8);
        happen(&mut children, Input::Up(link));
        happen(&mut children, Input::Frame(link, &hello_of(grandchild(), true)));
        let forged = Settled { moves: 1, proof: seed(grandchild()).proof(0).unwrap() };
        let forged = frame(&Message::neighbour(Kind::Settled, &wire::body(&forged)));
        let told = happen(&mut children, Input::Frame(link, &forged));
        assert_eq!(told, (vec![Output::Close(link)], vec![]));
        assert_eq!(children.link_to(grandchild()), Some(LinkId(6)));
    }

    /// It would keep its node from all else.
    #[test]
    fn a_child_can_make_a_node_hash_for_so_long_only() {
        let mut children = family();
        let place = Place { life: grandchild(), parent: leaf(), moves: 255 };
        let lie = Proved { place, proof: seed(life()).mark() };
        let truth = proved(place);
        for (lies, is_learnt) in [(15, true), (16, false)] {
            let mut places = vec![lie; lies];
            places.push(truth);
            let below = wire::body(&places);
            let below = Message::neighbour(Kind::Below, &below);
            let mut children = std::mem::replace(&mut children, family());
            let (_, told) = hear(&mut children, LinkId(6), &below);
            assert_eq!(told.contains(&(Kind::Below, Status::Ok)), is_learnt, "{lies} lies");
        }
    }

    /// Nobody else would end it.
    #[test]
    fn a_life_that_nobody_has_asked_for_is_to_be_discarded() {
        let mut children = parent();
        let place = Place { life: leaf(), parent: life(), moves: 0 };
        let below = wire::body(&vec![proved(place)]);
        let mut out = Vec::new();
        children.flush(NOW, true, &mut out);
        let told = hear(&mut children, LINK, &Message::neighbour(Kind::Below, &below));
        assert_eq!(told, (vec![], vec![]));
        children.flush(NOW, true, &mut out);
        let Some(Output::Send(LINK, sent)) = out.pop() else { panic!("{out:?}") };
        let discard = wire::open(&sent).unwrap().1.next().unwrap().unwrap();
        assert_eq!((discard.kind, discard.life), (Kind::Discard, life()));
        assert_eq!(discard.decode(), Some(leaf()));

        happen(&mut children, Input::Up(LinkId(8)));
        let (out, _) = happen(&mut children, Input::Frame(LinkId(8), &hello_of(leaf(), true)));
        assert_eq!(out, [Output::Close(LinkId(8))], "nor is it taken in");
    }

    #[test]
    fn a_child_that_takes_no_answers_to_nonsense_gets_no_more_of_them() {
        let mut children = parent();
        let offer = wire::body(&1_000_u64);
        let offer = frame(&Message::new(Kind::Offer, life(), RequestId(7), &offer));
        for _ in 0..100_000 {
            happen(&mut children, Input::Frame(LINK, &offer));
            children.links.get_mut(&LINK).unwrap().link.flush(NOW, true, &mut Vec::new());
        }
        let waiting = children.links[&LINK].link.queued_bytes();
        assert!(waiting <= OBJECTIONS_BYTES_MAX + FRAME_BYTES_MAX, "{waiting}");
    }

    #[test]
    fn peers_that_say_nothing_make_room_for_others() {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        let links = STRANGERS_MAX as u64 + 3;
        let connected =
            (0..links).flat_map(|link| happen(&mut children, Input::Up(LinkId(link))).0);
        let closed: Vec<_> = connected.collect();
        assert_eq!(closed, [0, 1, 2].map(|link| Output::Close(LinkId(link))));

        expect(&mut children, life(), elsewhere());
        let mut closed = Vec::new();
        for link in links..links + GUESTS_MAX as u64 + 1 {
            happen(&mut children, Input::Up(LinkId(link)));
            let hello = hello_of(life(), true);
            closed.extend(happen(&mut children, Input::Frame(LinkId(link), &hello)).0);
        }
        closed.retain(|output| *output == Output::Close(LinkId(links)));
        assert_eq!((closed.len(), children.count()), (1, GUESTS_MAX));
    }

    #[test]
    fn a_child_that_has_ended_is_lost_when_its_link_is() {
        let mut children = parent();
        let exit = Input::ChildExited(life(), Exit::Signal(9), None);
        let (_, told) = happen(&mut children, exit);
        assert_eq!(told, [(Kind::Ended, Status::Ok)], "its last frames may be still to come");
        let (_, told) = happen(&mut children, Input::Down(LINK));
        assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Lost, Status::Ok)]);
        assert!(children.is_empty());
    }
}
