//! A node's side towards its children: their links, the way to all below them, and what is pending
//! on them. Control node and compute nodes have it in common.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::link::{Link, Merge};
use crate::processes::Processes;
use crate::router::{Hop, RouteTable, Router};
use crate::time::earliest;
use crate::wire::{
    self, Fan, Hello, Joined, Kind, Malformed, Message, Moved, NO_REQUEST, Published, Settled,
    Status, Welcome,
};
use crate::{
    Ancestor, Birth, FRAME_BYTES_MAX, Input, Inspection, Life, LinkId, Output, Place, RequestId,
    Time, Token, Watch,
};

/// How long a process without children has to end after it was asked to, before it is killed, and
/// how much longer for each level below it, so that whoever is nearest to a node that hangs is the
/// one to kill it.
pub(crate) const END_GRACE: Duration = Duration::from_millis(500);
pub(crate) const END_GRACE_STEP: Duration = Duration::from_millis(50);

/// How long a peer may take from connecting to its hello.
pub(crate) const HELLO_WITHIN: Duration = Duration::from_secs(2);

/// With so much queued for one child it is time to let it leave, so that the child begins while this
/// node goes on: half a frame, and about half of what the control node has unanswered at a node.
const TURN_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

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
}

impl Child {
    fn new(place: Place, pid: u32, link: Link, guest_until: Option<Time>) -> Child {
        Child { place, pid, link, guest_until, is_touched: false, turn_bytes: 0 }
    }

    fn is_guest(&self) -> bool {
        self.guest_until.is_some()
    }

    /// Passes on what a child has said, as far as it is news above.
    fn take_in(
        &mut self,
        message: Message<'_>,
        routes: &mut RouteTable,
        up: &mut Up<'_>,
    ) -> Result<(), Malformed> {
        let id = self.link.id();
        match message.kind {
            Kind::Beat => return Ok(()),
            Kind::Answer => {
                if message.flags.is_last() {
                    self.link.settle(message.request);
                }
            }
            Kind::Joined => {
                let joined = message.decode::<Joined>().ok_or(Malformed)?;
                self.link.settle(message.request);
                if !routes.learn(joined.place, id) {
                    let Message { life, request, .. } = message;
                    up(Message::answer(life, request, Status::Unavailable, &[]));
                    return Ok(());
                }
            }
            Kind::Moved => {
                let moved = message.decode::<Moved>().ok_or(Malformed)?;
                if !routes.learn(moved.place, id) {
                    return Ok(());
                }
            }
            Kind::Below => {
                let mut places = message.decode::<Vec<Place>>().ok_or(Malformed)?;
                places.retain(|place| routes.learn(*place, id));
                if !places.is_empty() {
                    up(Message { body: &wire::body(&places), ..message });
                }
                return Ok(());
            }
            Kind::Forget => {
                // To those that have moved there is another way by now, here and further up.
                let gone = message.decode::<Vec<Life>>().ok_or(Malformed)?;
                let gone: Vec<_> = gone.iter().flat_map(|life| routes.forget(*life, id)).collect();
                tell_forgotten(message.life, &gone, up);
                return Ok(());
            }
            Kind::Silent | Kind::Heard => {
                let place = message.decode::<Place>().ok_or(Malformed)?;
                // What is heard at its new place might be merged with this, and lost.
                if !routes.is_at(place, id) {
                    return Ok(());
                }
            }
            Kind::Lost | Kind::Ended => {}
            _ => return Err(Malformed),
        }
        up(message);
        Ok(())
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
        }
    }

    /// Whether nobody is left: no link and no process.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.processes.is_empty()
    }

    /// Notes how far this node is from the control node, and who is above it, and tells the children
    /// when that is new.
    pub fn set_place(&mut self, depth: u32, ancestors: Vec<Ancestor>) {
        if (self.depth, &self.ancestors) == (depth, &ancestors) {
            return;
        }
        (self.depth, self.ancestors) = (depth, ancestors);
        let welcome = wire::body(&self.welcome_of_child());
        for child in self.links.values_mut() {
            let message = Message::neighbour(Kind::Welcome, &welcome);
            child.link.send_control(Merge::Place, &message);
            child.touch(&mut self.touched);
        }
    }

    /// Tells a peer that it is welcome. Not as a control message: those stand last in a frame, and a
    /// request must not be run by a node that does not know its place.
    fn send_welcome(&self, link: &mut Link) {
        let welcome = wire::body(&self.welcome_of_child());
        link.send(&Message::neighbour(Kind::Welcome, &welcome));
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
    pub fn places(&self) -> Vec<Place> {
        self.routes.places()
    }

    /// How far this node is from the control node.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// How many children are linked.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// How many nodes there is a way to.
    pub fn below(&self) -> usize {
        self.routes.len()
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
        let link = self.link_to(message.life).and_then(|link| self.links.get_mut(&link));
        match link {
            Some(child) => {
                if message.flags.is_first() && message.request != NO_REQUEST {
                    child.link.expect_answer(message.request, message.life);
                }
                child.link.send(message);
                child.touch(&mut self.touched);
                child.turn_bytes += message.wire_bytes();
                self.has_enough_to_send |= child.turn_bytes >= TURN_BYTES_MAX;
            }
            // What follows a first piece belongs to a request that has been answered.
            None if message.flags.is_first() && message.request != NO_REQUEST => {
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
            Kind::Create => message
                .decode()
                .map(|(life, transport)| self.create(life, transport, request, out, up)),
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
        life: Life,
        transport: Option<String>,
        request: RequestId,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        if self.closing {
            return up(Message::answer(self.own, request, Status::Unavailable, &[]));
        }
        self.processes.start(life, request);
        let birth = Birth { life, parent: self.own.node, ancestors: self.ancestors.clone() };
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
            Input::Up(link) => self.connected(now, link),
            Input::Frame(link, frame) => self.received(now, link, frame, out, up),
            Input::Down(link) => self.disconnected(link, out, up),
            Input::Inspected(link, seen) => self.inspected(now, link, seen, up),
            Input::SpawnFailed(life, why) => self.processes.spawn_failed(life, why, up),
            Input::ChildExited(life, exit) => {
                let is_linked = self.link_of(life).is_some();
                self.processes.exited(life, exit, is_linked, up);
            }
            other => debug_assert!(false, "{other:?} does not concern children"),
        }
    }

    /// A peer has connected.
    fn connected(&mut self, now: Time, link: LinkId) {
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
        if understood.is_err() {
            log::warn!("node {}: a peer does not speak our protocol and is cut off", self.own.node);
            out.push(Output::Close(link));
            self.disconnected(link, out, up);
        }
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
        let first = link.receive(now, frame)?.next().ok_or(Malformed)??;
        let hello = match first.kind {
            Kind::Hello => first.decode::<Hello>().ok_or(Malformed)?,
            _ => return Err(Malformed),
        };
        if hello.version != wire::VERSION || hello.token != self.token {
            return Err(Malformed);
        }
        if hello.orphan && !self.closing {
            self.receive_guest(now, &hello, link);
            return Ok(());
        }
        let Some(request) = self.processes.join(hello.life) else {
            log::info!("node {}: {} is not expected and is told to end", self.own.node, hello.life);
            send_shutdown(&mut link, END_GRACE);
            link.flush(now, true, out);
            out.push(Output::Close(id));
            return Ok(());
        };
        let place = Place { life: hello.life, parent: self.own, moves: 0 };
        self.send_welcome(&mut link);
        self.links.insert(id, Child::new(place, hello.pid, link, None));
        self.begin(now, id);
        let joined = wire::body(&Joined { place, pid: hello.pid });
        up(Message::new(Kind::Joined, hello.life, request, &joined));
        Ok(())
    }

    /// From now on the peer on this link is a child.
    fn begin(&mut self, now: Time, id: LinkId) {
        let child = self.links.get_mut(&id).expect("whoever begins has just been entered");
        for (module, value) in &self.published {
            child.link.send(&Message::neighbour(Kind::Publish, &published(module, value)));
        }
        watch_child(&mut child.link, self.own, self.watch, now);
        self.wake = earliest(self.wake, child.link.deadline());
        child.touch(&mut self.touched);
        self.routes.learn(child.place, id);
    }

    /// Tells an orphan that it may stay. It may have asked others as well, so nobody is told before
    /// it has said that it does.
    fn receive_guest(&mut self, now: Time, hello: &Hello, mut link: Link) {
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
        moves: u32,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        let Some(child) = self.links.get_mut(&id) else { return };
        child.guest_until = None;
        child.place.moves = moves;
        let (place, pid) = (child.place, child.pid);
        let mut links = self.links.iter();
        let is_older = |(link, child): &(&LinkId, &Child)| {
            **link != id && child.place.life == place.life && !child.is_guest()
        };
        if let Some(older) = links.find(is_older).map(|(link, _)| *link) {
            out.push(Output::Close(older));
            self.drop_link(older, up);
        }
        self.processes.adopt(place.life, pid, out);
        self.begin(now, id);
        let moved = wire::body(&Moved { place, pid });
        up(Message::new(Kind::Moved, place.life, NO_REQUEST, &moved));
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
        if child.is_guest() && !messages.is_empty() {
            let first = messages.next().ok_or(Malformed)??;
            let settled = Some(first).filter(|first| first.kind == Kind::Settled);
            let Settled { moves } = settled.and_then(|first| first.decode()).ok_or(Malformed)?;
            self.settle(now, id, moves, out, up);
        }
        let Some(child) = self.links.get_mut(&id) else { return Ok(()) };
        if child.link.broke_silence() {
            self.wake = earliest(self.wake, child.link.deadline());
            report(Kind::Heard, child.place, up);
        }
        for message in messages {
            child.take_in(message?, &mut self.routes, up)?;
        }
        Ok(())
    }

    /// A link is gone.
    fn disconnected(&mut self, link: LinkId, out: &mut Vec<Output>, up: &mut Up<'_>) {
        self.strangers.remove(&link);
        let Some(place) = self.drop_link(link, up) else { return };
        if self.processes.unlinked(place.life, out, up) {
            report(Kind::Lost, place, up);
        }
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
        for (request, life) in child.link.take_pending() {
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
    pub fn timeout(&mut self, now: Time, out: &mut Vec<Output>) {
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
        self.wake = earliest(self.wake, self.processes.kill_overdue(now, out));
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
            }
        }
        self.has_enough_to_send = false;
        if acknowledge {
            self.touched.clear();
        }
    }
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
    use crate::{Exit, Incarnation, NodeId};

    const NOW: Time = Time::ZERO;
    const LINK: LinkId = LinkId(5);
    const TOKEN: Token = Token([1; 16]);

    fn life() -> Life {
        Life { node: NodeId::compute(1).unwrap(), incarnation: Incarnation(1) }
    }

    /// The kinds of what goes up, and the status of answers.
    type Told = Vec<(Kind, Status)>;

    fn ask(children: &mut Children, kind: Kind, request: u64) -> (Vec<Output>, Told) {
        let (mut out, mut told) = (Vec::new(), Vec::new());
        let body = match kind {
            Kind::Create => wire::body(&(life(), None::<String>)),
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

    fn hello_of(life: Life, orphan: bool) -> Vec<u8> {
        let hello = Hello { version: wire::VERSION, token: TOKEN, life, pid: 9, orphan };
        frame(&Message::neighbour(Kind::Hello, &wire::body(&hello)))
    }

    fn hello() -> Vec<u8> {
        hello_of(life(), false)
    }

    fn settled() -> Vec<u8> {
        let settled = wire::body(&Settled { moves: 1 });
        frame(&Message::neighbour(Kind::Settled, &settled))
    }

    fn frame(message: &Message<'_>) -> Vec<u8> {
        let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
        message.encode(&mut frame);
        frame
    }

    /// A node that has taken in an orphan.
    fn adopter() -> Children {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        happen(&mut children, Input::Up(LINK));
        happen(&mut children, Input::Frame(LINK, &hello_of(life(), true)));
        let (out, _) = happen(&mut children, Input::Frame(LINK, &settled()));
        assert_eq!(out, [Output::Adopt(life(), 9)]);
        children
    }

    #[test]
    fn a_start_that_is_called_off_is_answered() {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        let birth = Birth { life: life(), parent: NodeId::CONTROL, ancestors: Vec::new() };
        assert_eq!(ask(&mut children, Kind::Create, 1).0, [Output::Spawn(birth, None)]);
        let (out, told) = ask(&mut children, Kind::Discard, 0);
        assert_eq!(out, [Output::Kill(life())]);
        assert_eq!(told, [(Kind::Answer, Status::Unavailable)]);
        happen(&mut children, Input::ChildExited(life(), Exit::Signal(9)));
        assert!(children.is_empty());
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
        let leaf = Life { node: NodeId::compute(2).unwrap(), incarnation: Incarnation(2) };
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        ask(&mut children, Kind::Create, 1);
        happen(&mut children, Input::Up(LINK));
        happen(&mut children, Input::Frame(LINK, &hello()));
        let place = Place { life: leaf, parent: life(), moves: 0 };
        let (joined, place) = (wire::body(&Joined { place, pid: 7 }), wire::body(&place));
        let joined = frame(&Message::new(Kind::Joined, leaf, RequestId(2), &joined));
        happen(&mut children, Input::Frame(LINK, &joined));
        let silent = frame(&Message::new(Kind::Silent, leaf, NO_REQUEST, &place));
        let (_, told) = happen(&mut children, Input::Frame(LINK, &silent));
        assert_eq!(told, [(Kind::Silent, Status::Ok)]);

        let new_link = LinkId(6);
        happen(&mut children, Input::Up(new_link));
        happen(&mut children, Input::Frame(new_link, &hello_of(leaf, true)));
        happen(&mut children, Input::Frame(new_link, &settled()));
        let (_, told) = happen(&mut children, Input::Frame(LINK, &silent));
        assert_eq!(told, []);
    }

    #[test]
    fn a_child_that_has_ended_is_lost_when_its_link_is() {
        let mut children = Children::new(Life::CONTROL, 1, TOKEN);
        ask(&mut children, Kind::Create, 1);
        happen(&mut children, Input::Up(LINK));
        happen(&mut children, Input::Frame(LINK, &hello()));
        let exit = Input::ChildExited(life(), Exit::Signal(9));
        let (_, told) = happen(&mut children, exit);
        assert_eq!(told, [(Kind::Ended, Status::Ok)], "its last frames may be still to come");
        let (_, told) = happen(&mut children, Input::Down(LINK));
        assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Lost, Status::Ok)]);
        assert!(children.is_empty());
    }
}
