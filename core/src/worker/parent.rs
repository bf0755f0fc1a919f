//! A node's side towards its parent, and what it does when there is none.

use super::parent_search::{Answer, AttemptNumbers, ParentSearch};
use crate::link::{Link, Merge, distance};
use crate::seed::MOVES_MAX;
use crate::time::earliest;
use crate::wire::{
    self, ANCESTORS_MAX, Hello, Kind, Malformed, Message, Messages, Settled, Welcome,
};
use crate::{
    Address, Ancestor, Inspection, LinkId, NodeId, Output, ProcessId, Proved, Seed, Time, Watch,
};

/// How many places one message about those below names at most; keeps it below a piece.
const PLACES_PER_MESSAGE: usize = 400;

/// How many bytes of answers and news may wait for the parent before this node receives no more:
/// children get no new credit, and its own requests wait. As many may wait to be taken before those
/// do.
pub(crate) const ANSWERS_WAITING_BYTES: usize = 256 * 1024;

/// The parent of a node, or the last one that it had.
#[derive(Debug)]
pub(super) struct Parent {
    /// Who the node is, as it says to its first parent.
    hello: Hello,
    /// How often it has moved from one parent to another, and what it proves that with.
    moves: u32,
    seed: Seed,
    link: Link,
    /// The link stands, as far as is known, and what is sent on it may arrive.
    is_up: bool,
    ancestor: Ancestor,
    /// The parent's process, once it has said so.
    process: Option<ProcessId>,
    /// Who is above the parent, the nearest first.
    above: Vec<Ancestor>,
    watch: Option<Watch>,
    /// While another parent is looked for.
    search: Option<ParentSearch>,
    attempts: AttemptNumbers,
    /// The node is ending, and looks for no other parent.
    is_closing: bool,
}

/// What came of asking another node to be the parent.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing yet.
    None,
    /// It is the parent from now on, and says where the node hangs.
    Parent(Welcome),
    /// The tree is about to end.
    Shutdown,
}

impl Parent {
    /// The first parent of a node, to which the link need not be up yet.
    pub fn new(
        now: Time,
        hello: Hello,
        seed: Seed,
        link: LinkId,
        ancestor: Ancestor,
        above: Vec<Ancestor>,
    ) -> Parent {
        Parent {
            hello,
            moves: 0,
            seed,
            link: Link::new(link, now),
            is_up: true,
            ancestor,
            process: None,
            above,
            watch: None,
            search: None,
            attempts: AttemptNumbers::default(),
            is_closing: false,
        }
    }

    /// Who it is.
    pub fn node(&self) -> NodeId {
        self.ancestor.node
    }

    /// Whether this is the link to it.
    pub fn is_at(&self, link: LinkId) -> bool {
        self.link.id() == link
    }

    /// Whether the link stands, as far as is known.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// How many bytes wait to leave for it.
    pub fn waiting_bytes(&self) -> usize {
        self.link.waiting_bytes()
    }

    /// Passes a message on towards the control node. Without a parent that is in vain: the one that
    /// was to have it knows that the route is gone, and will learn of those below when there is
    /// another.
    pub fn send(&mut self, message: &Message<'_>) {
        if !self.is_up {
            return;
        }
        match message.kind {
            Kind::Answer | Kind::Output | Kind::Reduced => self.link.send(message),
            Kind::Offer => self.link.send_control(Merge::Offer(message.request), message),
            Kind::Silent | Kind::Heard => {
                self.link.send_control(Merge::Silence(message.life), message);
            }
            _ => self.link.send_control(Merge::Never, message),
        }
    }

    /// Whether answers, or news of those below, pile up faster than it takes them.
    pub fn is_congested(&self) -> bool {
        self.is_up && self.waiting_bytes() > ANSWERS_WAITING_BYTES
    }

    /// Says where all those below hang.
    pub fn send_places(&mut self, places: &[Proved]) {
        for places in places.chunks(PLACES_PER_MESSAGE) {
            self.send(&Message::neighbour(Kind::Below, &wire::body(&places)));
        }
    }

    /// Says hello: the link to the first parent is up.
    pub fn say_hello(&mut self) {
        log::debug!("{} says hello to its parent", self.hello.life);
        let hello = wire::body(&self.hello);
        self.send(&Message::neighbour(Kind::Hello, &hello));
    }

    /// Takes in a frame of the parent. One that was considered silent is not left any more.
    pub fn receive<'f>(
        &mut self,
        now: Time,
        frame: &'f [u8],
        out: &mut Vec<Output>,
    ) -> Result<Messages<'f>, Malformed> {
        let messages = self.link.receive(now, frame)?;
        if self.link.broke_silence() {
            self.end_search(out);
        }
        Ok(messages)
    }

    /// Takes in what the parent says of itself and those above it. Returns who is above the
    /// children of this node, the nearest first.
    pub fn welcomed(
        &mut self,
        now: Time,
        process: ProcessId,
        address: Option<Address>,
        above: Vec<Ancestor>,
    ) -> Vec<Ancestor> {
        if self.process.replace(process) != Some(process) {
            self.ancestor.machine = process.machine;
            self.apply_watch(now);
        }
        if let Some(address) = address {
            self.ancestor.address = address;
        }
        self.above = above;
        let mut of_children = self.ancestors();
        if of_children.len() > ANCESTORS_MAX + 1 {
            // The nearest, and the control node, which is the last.
            of_children.drain(ANCESTORS_MAX..of_children.len() - 1);
        }
        of_children
    }

    fn ancestors(&self) -> Vec<Ancestor> {
        let mut ancestors = vec![self.ancestor.clone()];
        ancestors.extend_from_slice(&self.above);
        ancestors
    }

    /// Watches the parent from now on, or no more.
    pub fn watch(&mut self, now: Time, watch: Option<Watch>) {
        self.watch = watch;
        self.apply_watch(now);
    }

    /// Beats to the parent, and notices when nothing comes from it. The control node's silence is
    /// never its death: the user may have stopped it.
    fn apply_watch(&mut self, now: Time) {
        let is_far = self.ancestor.machine != self.hello.process.machine;
        let watch = distance::watch(is_far, self.watch);
        self.link.beat_every(watch.map(|watch| watch.beat_every), now);
        let judged = watch.filter(|_| self.ancestor.node != NodeId::CONTROL);
        self.link.silent_after(judged.map(|watch| watch.silent_after), now);
    }

    /// Shows the parent a sign of life, if it is watching.
    pub fn beat(&mut self) {
        self.link.beat();
    }

    /// The link to the parent is gone. Returns whether another one is looked for; if not, the node
    /// must end.
    pub fn lost(&mut self, now: Time, out: &mut Vec<Output>) -> bool {
        self.is_up = false;
        if self.is_closing {
            return false;
        }
        if self.moves >= MOVES_MAX {
            log::error!("{} has moved {MOVES_MAX} times, and ends", self.hello.life);
            return false;
        }
        self.end_search(out);
        log::info!("node {} has lost its parent", self.hello.life.node);
        self.begin_search(now, self.ancestors(), out);
        true
    }

    /// Looks for no other parent from now on: the node is ending.
    pub fn close(&mut self, out: &mut Vec<Output>) {
        self.is_closing = true;
        self.end_search(out);
    }

    fn begin_search(&mut self, now: Time, candidates: Vec<Ancestor>, out: &mut Vec<Output>) {
        let mut search = ParentSearch::new(now, candidates, self.hello.process.machine);
        search.ask_if_due(now, &mut self.attempts, out);
        self.search = Some(search);
    }

    fn end_search(&mut self, out: &mut Vec<Output>) {
        if let Some(search) = self.search.take() {
            search.end(out);
        }
    }

    /// Does what is due. Returns whether nobody has taken the node in for so long that it must end.
    pub fn timeout(&mut self, now: Time, out: &mut Vec<Output>) -> bool {
        if self.is_up {
            self.link.beat_if_due(now);
            if self.link.inspect_if_due(now) {
                match self.process {
                    Some(process) => out.push(Output::Inspect(self.link.id(), process)),
                    None => self.inspected(now, Inspection::default(), out),
                }
            }
        }
        let Some(search) = &mut self.search else { return false };
        search.ask_if_due(now, &mut self.attempts, out);
        if !search.is_hopeless(now) {
            return false;
        }
        if self.is_up {
            // The parent may come to itself, and those above it as well.
            self.end_search(out);
            self.search =
                Some(ParentSearch::new(now, self.above.clone(), self.hello.process.machine));
            return false;
        }
        log::error!("node {}: nobody takes it in, so it ends", self.hello.life.node);
        true
    }

    /// The process of the parent, of which nothing has come for too long, was looked at. If the
    /// parent is silent, another one is looked for.
    pub fn inspected(&mut self, now: Time, seen: Inspection, out: &mut Vec<Output>) {
        // One that is ending notes the silence as well, or its deadline would stay.
        let may_move = !self.is_closing && self.moves < MOVES_MAX;
        if self.is_up && self.link.judge(now, seen) && may_move {
            log::info!("node {} hears nothing from its parent", self.hello.life.node);
            self.begin_search(now, self.above.clone(), out);
        }
    }

    /// When [`Parent::timeout`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        let link = self.link.deadline().filter(|_| self.is_up);
        earliest(link, self.search.as_ref().map(ParentSearch::deadline))
    }

    /// Sends what waits for the parent, or for those that are asked to be it.
    pub fn flush(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.is_up {
            self.link.flush(now, true, out);
        }
        if let Some(search) = &mut self.search {
            search.flush(now, out);
        }
    }

    /// Whether somebody is asked on this link to be the parent.
    pub fn is_asking(&self, link: LinkId) -> bool {
        self.search.as_ref().is_some_and(|search| search.has(link))
    }

    /// An attempt to reach another parent has this link, which is closed if nobody is looked for
    /// any more.
    pub fn connecting(&mut self, now: Time, number: u64, link: LinkId, out: &mut Vec<Output>) {
        let search = self.search.as_mut();
        if !search.is_some_and(|search| search.connecting(number, link, now)) {
            out.push(Output::Close(link));
        }
    }

    /// An attempt has come through: the other end is told who asks.
    pub fn reached(&mut self, link: LinkId) {
        let hello = wire::body(&Hello { newborn: None, ..self.hello.clone() });
        if let Some(search) = &mut self.search {
            search.up(link, &hello);
        }
    }

    /// An attempt has failed.
    pub fn not_reached(&mut self, now: Time, link: LinkId, out: &mut Vec<Output>) {
        if let Some(search) = &mut self.search {
            search.down(now, link);
            search.ask_if_due(now, &mut self.attempts, out);
        }
    }

    /// One that is asked to be the parent has answered.
    pub fn answered(
        &mut self,
        now: Time,
        link: LinkId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Found {
        let Some(search) = &mut self.search else { return Found::None };
        match search.receive(now, link, frame) {
            Answer::None => {}
            Answer::Welcome(welcome) => {
                if self.adopt(now, link, out) {
                    return Found::Parent(welcome);
                }
            }
            Answer::Shutdown => return Found::Shutdown,
            Answer::Refused => {
                log::info!("node {}: an ancestor does not take it in", self.hello.life.node);
                out.push(Output::Close(link));
                search.down(now, link);
            }
        }
        Found::None
    }

    /// Makes the one that was asked on this link the parent, and tells it so before all else.
    /// Returns whether it is.
    fn adopt(&mut self, now: Time, link: LinkId, out: &mut Vec<Output>) -> bool {
        let chosen = self.search.take().and_then(|search| search.choose(link, out));
        let Some((ancestor, link)) = chosen else { return false };
        let Some(proof) = self.seed.proof(self.moves + 1) else { return false };
        if self.is_up {
            out.push(Output::Close(self.link.id()));
        }
        log::info!("node {} is taken in by node {}", self.hello.life.node, ancestor.node);
        self.moves += 1;
        (self.link, self.is_up, self.ancestor, self.process) = (link, true, ancestor, None);
        self.apply_watch(now);
        let settled = wire::body(&Settled { moves: self.moves, proof });
        self.link.send_first(&Message::neighbour(Kind::Settled, &settled));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Address, Incarnation, KEY_BYTES, Life, Machine, Secret, Token};

    const NOW: Time = Time::ZERO;
    const LINK: LinkId = LinkId(1);

    fn ancestor(id: u32) -> Ancestor {
        Ancestor {
            node: NodeId::compute(id).unwrap(),
            address: Address(id.to_string()),
            machine: Machine::default(),
        }
    }

    fn parent(node: NodeId, above: Vec<Ancestor>) -> Parent {
        let life = Life { node: NodeId::compute(9).unwrap(), incarnation: Incarnation(9) };
        let seed = Seed::of(Secret::new(&[7; KEY_BYTES]), life);
        let (version, token) = (wire::VERSION, Token([1; 16]));
        let hello =
            Hello { version, token, life, process: ProcessId::of(1), newborn: seed.proof(0) };
        let own =
            Ancestor { node, address: Address("parent".to_owned()), machine: Machine::default() };
        Parent::new(NOW, hello, seed, LINK, own, above)
    }

    #[test]
    fn children_are_told_the_nearest_ancestors_and_the_last() {
        let above: Vec<_> = (1..20).map(ancestor).collect();
        let mut parent = parent(NodeId::compute(0).unwrap(), Vec::new());
        let of_children = parent.welcomed(NOW, ProcessId::of(7), None, above);
        let nodes: Vec<_> = of_children.iter().map(|ancestor| ancestor.node).collect();
        let nearest = (0..ANCESTORS_MAX as u32).chain([19]);
        assert_eq!(nodes, nearest.map(|id| NodeId::compute(id).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn the_parent_that_is_lost_is_asked_first() {
        let mut out = Vec::new();
        let mut parent = parent(NodeId::compute(2).unwrap(), vec![ancestor(1)]);
        assert!(parent.lost(NOW, &mut out));
        assert_eq!(out, [Output::Connect(1, Address("parent".to_owned()))]);
        assert!(!parent.is_up());
        parent.connecting(NOW, 1, LinkId(7), &mut out);
        assert!(parent.is_asking(LinkId(7)) && !parent.is_asking(LINK));
        out.clear();
        parent.not_reached(NOW, LinkId(7), &mut out);
        assert_eq!(out, [Output::Connect(2, Address("1".to_owned()))]);
    }

    #[test]
    fn a_node_that_is_ending_looks_for_no_parent() {
        let mut out = Vec::new();
        let mut parent = parent(NodeId::compute(2).unwrap(), vec![ancestor(1)]);
        parent.close(&mut out);
        assert!(!parent.lost(NOW, &mut out));
        assert_eq!((out, parent.deadline()), (vec![], None));
    }

    /// Whatever the user wants of others. It is not judged if it is the control node.
    #[test]
    fn a_parent_on_another_machine_is_shown_signs_of_life_at_once() {
        for node in [NodeId::CONTROL, NodeId::compute(2).unwrap()] {
            let mut parent = parent(node, Vec::new());
            assert_eq!(parent.deadline(), None);
            let far = ProcessId { machine: Machine(7), pid: 9 };
            parent.welcomed(NOW, far, None, Vec::new());
            assert_eq!(parent.deadline(), Some(NOW + Duration::from_millis(500)));
        }
    }

    #[test]
    fn a_parent_that_listens_elsewhere_is_looked_for_there() {
        let mut parent = parent(NodeId::CONTROL, Vec::new());
        let elsewhere = Address("elsewhere".to_owned());
        let of_children =
            parent.welcomed(NOW, ProcessId::of(7), Some(elsewhere.clone()), Vec::new());
        assert_eq!(of_children[0].address, elsewhere);
        let mut out = Vec::new();
        assert!(parent.lost(NOW, &mut out));
        assert_eq!(out, [Output::Connect(1, elsewhere)]);
    }

    /// The user may have stopped it.
    #[test]
    fn the_control_node_is_not_left_for_its_silence() {
        let (beat_every, silent_after) = (Duration::from_secs(100), Duration::from_secs(1));
        let watch = Some(Watch { beat_every, silent_after });
        let inspected = |node| {
            let mut parent = parent(node, vec![ancestor(1)]);
            parent.welcomed(NOW, ProcessId::of(7), None, vec![ancestor(1)]);
            parent.watch(NOW, watch);
            let mut out = Vec::new();
            assert!(!parent.timeout(NOW + silent_after, &mut out));
            out
        };
        assert_eq!(inspected(NodeId::CONTROL), []);
        assert_eq!(
            inspected(NodeId::compute(2).unwrap()),
            [Output::Inspect(LINK, ProcessId::of(7))]
        );
    }
}
