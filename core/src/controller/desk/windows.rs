//! Flow control from end to end: how much may be unanswered for one node, and on one link of the
//! control node, and what becomes of requests for which there is no room.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::wire::Allowance;
use crate::{Life, LinkId, NodeId, RequestId, Time};

/// How many requests, and bytes of them, may be unanswered for one node. As much may wait for a
/// node that hangs in the relay above it.
const NODE_WINDOW: Limit = Limit { requests: 1_024, bytes: 512 * 1024 };

/// How many requests, and bytes of them, may be unanswered on one link of the control node. Every
/// relay below has room for as much, and for the windows of the nodes below it that hang: those do
/// not count here any more.
const LINK_WINDOW: Limit = Limit { requests: 4_096, bytes: 2 * 1024 * 1024 };

/// For how long the console waits for anything to be answered where a window is full, before it
/// refuses what else needs that window and reads on. With less, a node that has just started on a
/// busy machine is refused what was typed ahead.
const PATIENCE: Duration = Duration::from_millis(250);

/// What is added to that for each byte of a long request that is under way: 16 MiB a second.
fn patience(bytes: usize) -> Duration {
    PATIENCE + Duration::from_nanos(bytes as u64 * 60)
}

/// The bound of a window. A request of more than a quarter of its bytes is a long one. There may be
/// one of those besides the others, which need not wait for it: it travels in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    requests: usize,
    bytes: usize,
}

impl Limit {
    fn is_long(self, bytes: usize) -> bool {
        bytes > self.bytes / 4
    }
}

/// The windows of all nodes and links, and who waits for room in them.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    nodes: Sparse<Life>,
    links: Sparse<LinkId>,
    /// How many of them are not [`Health::Responsive`].
    suspects: usize,
    /// Who waits for room in a window: those whose requests are older come first. Nobody has an
    /// empty set.
    blocked: BTreeMap<Owner, BTreeSet<(RequestId, NodeId)>>,
    /// Where a node waits.
    waiting: FxHashMap<NodeId, (Owner, RequestId)>,
}

/// Whose window it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Owner {
    Node(Life),
    Link(LinkId),
}

/// What one request takes of the windows, until it is answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Who it was sent to.
    pub target: Life,
    /// The control node's link that leads there.
    pub link: LinkId,
    /// The period of its node in which it counts on that link, if it does.
    period: Option<u32>,
    bytes: usize,
    /// What its answer may have unasked, as long as that is waited for.
    pub allowance: Option<Allowance>,
}

/// Whether the windows have room for a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Granted(Charge),
    /// A window is full, but the nodes behind it answer.
    Wait,
    /// A window is full, and nobody behind it answers.
    Refused,
}

/// What is asked of the windows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub request: RequestId,
    pub target: Life,
    /// The control node's link that leads there, and whether the request counts there: what many
    /// nodes are asked at once counts once.
    pub link: LinkId,
    pub counts_on_link: bool,
    pub bytes: usize,
}

impl Windows {
    /// Whether somebody waits for room.
    pub fn is_blocking(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Makes room for a request that is about to be sent, or notes that its node waits for room.
    /// Adds to `ready` who may have room by that.
    pub fn admit(&mut self, now: Time, claim: Claim, ready: &mut impl Extend<NodeId>) -> Admission {
        let Claim { request, target, link, counts_on_link, bytes } = claim;
        let node = self.nodes.window(target, NODE_WINDOW);
        let link_window = self.links.window(link, LINK_WINDOW);
        let (owner, window) = if node.is_full(bytes) {
            (Owner::Node(target), node)
        } else if counts_on_link && link_window.is_full(bytes) {
            (Owner::Link(link), link_window)
        } else {
            node.usage.add(bytes, NODE_WINDOW);
            if !counts_on_link {
                return Admission::Granted(Charge {
                    target,
                    link,
                    period: None,
                    bytes,
                    allowance: None,
                });
            }
            link_window.usage.add(bytes, LINK_WINDOW);
            let left_behind = node.count_on(link, bytes);
            let period = Some(node.period);
            self.give_back_share(left_behind, ready);
            return Admission::Granted(Charge { target, link, period, bytes, allowance: None });
        };
        if window.is_unresponsive() {
            return Admission::Refused;
        }
        self.suspects += usize::from(window.put_on_probation(now));
        self.blocked.entry(owner).or_default().insert((request, target.node));
        self.waiting.insert(target.node, (owner, request));
        Admission::Wait
    }

    /// Gives back what a request took that is answered. Adds to `ready` who may have room now.
    pub fn give_back(&mut self, mut charge: Charge, ready: &mut impl Extend<NodeId>) {
        let Some(node) = self.nodes.get_mut(charge.target) else { return };
        node.usage.subtract(charge.bytes, NODE_WINDOW);
        let share = node.release(&mut charge);
        if !self.blocked.is_empty() {
            ready.extend(self.waiting_for(Owner::Node(charge.target)));
        }
        self.give_back_share((charge.link, share), ready);
    }

    /// A request is not waited for any more, though its node may still have it: it counts for its
    /// node alone, so that those who hang take nothing from others. Adds to `ready` who may have
    /// room now.
    pub fn give_up(&mut self, charge: &mut Charge, ready: &mut impl Extend<NodeId>) {
        let Some(node) = self.nodes.get_mut(charge.target) else { return };
        let share = node.release(charge);
        self.give_back_share((charge.link, share), ready);
    }

    /// A node has shown a sign of life, on this link if that is known.
    pub fn heard(&mut self, now: Time, life: Life, link: Option<LinkId>) {
        if self.suspects == 0 {
            return;
        }
        for owner in [Some(Owner::Node(life)), link.map(Owner::Link)].into_iter().flatten() {
            self.clear(now, owner);
        }
    }

    /// A node does not wait for room any more. Says for what link it has waited, if for one.
    pub fn unblock(&mut self, node: NodeId) -> Option<LinkId> {
        let (owner, request) = self.waiting.remove(&node)?;
        if let Some(blocked) = self.blocked.get_mut(&owner) {
            blocked.remove(&(request, node));
            if blocked.is_empty() {
                self.blocked.remove(&owner);
            }
        }
        match owner {
            Owner::Node(_) => None,
            Owner::Link(link) => Some(link),
        }
    }

    /// A node that was woken for room on a link has taken what it needs: adds to `ready` the next,
    /// if there may be room. None, when the node waits again: there was not enough.
    pub fn pass_on(&self, link: LinkId, node: NodeId, ready: &mut impl Extend<NodeId>) {
        if self.waiting.get(&node).is_none_or(|(owner, _)| *owner != Owner::Link(link)) {
            self.wake_next(link, ready);
        }
    }

    /// Adds to `ready` the node that has waited longest for a link, if there may be room.
    fn wake_next(&self, link: LinkId, ready: &mut impl Extend<NodeId>) {
        if self.links.get(link).is_none_or(|window| !window.is_full(1)) {
            ready.extend(self.waiting_for(Owner::Link(link)).next());
        }
    }

    /// When [`Windows::timeout`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        if self.blocked.is_empty() {
            return None;
        }
        self.blocked.keys().filter_map(|owner| self.get(*owner)?.probation_end()).min()
    }

    /// Loses patience where nothing was answered in time. Adds to `ready` who waits there in vain,
    /// and who has room now that those who hang are left out.
    pub fn timeout(&mut self, now: Time, ready: &mut impl Extend<NodeId>) {
        let is_due = |owner: &&Owner| {
            let until = self.get(**owner).and_then(Window::probation_end);
            until.is_some_and(|until| until <= now)
        };
        let due: Vec<_> = self.blocked.keys().filter(is_due).copied().collect();
        for owner in due {
            ready.extend(self.waiting_for(owner));
            let Some(window) = self.get_mut(owner) else { continue };
            window.health = Health::Unresponsive;
            let share = window.leave_link();
            self.give_back_share(share, ready);
        }
    }

    /// Nobody loses patience before it has begun anew: answers were held up here.
    pub fn be_patient(&mut self, now: Time) {
        for owner in self.blocked.keys().copied().collect::<Vec<_>>() {
            self.clear(now, owner);
        }
    }

    fn get(&self, owner: Owner) -> Option<&Window> {
        match owner {
            Owner::Node(life) => self.nodes.get(life),
            Owner::Link(link) => self.links.get(link),
        }
    }

    fn get_mut(&mut self, owner: Owner) -> Option<&mut Window> {
        match owner {
            Owner::Node(life) => self.nodes.get_mut(life),
            Owner::Link(link) => self.links.get_mut(link),
        }
    }

    /// What is said against a window is over; if somebody waits for it, its probation begins anew.
    fn clear(&mut self, now: Time, owner: Owner) {
        let is_waited_for = self.blocked.contains_key(&owner);
        let Some(window) = self.get_mut(owner) else { return };
        let mut suspects = -i32::from(window.health != Health::Responsive);
        window.health = Health::Responsive;
        if is_waited_for {
            suspects += i32::from(window.put_on_probation(now));
        }
        self.suspects = self.suspects.saturating_add_signed(suspects as isize);
    }

    /// Gives back to a link what counted there.
    fn give_back_share(&mut self, (link, usage): (LinkId, Usage), ready: &mut impl Extend<NodeId>) {
        if usage == Usage::default() {
            return;
        }
        if let Some(window) = self.links.get_mut(link) {
            window.usage.subtract_all(usage);
        }
        if !self.blocked.is_empty() {
            self.wake_next(link, ready);
        }
    }

    /// Who waits for room in a window, those who have waited longest first.
    fn waiting_for(&self, owner: Owner) -> impl Iterator<Item = NodeId> {
        self.blocked.get(&owner).into_iter().flatten().map(|(_, node)| *node)
    }
}

/// Windows by their owners. Those in which nothing is unanswered may be there or not.
#[derive(Debug)]
struct Sparse<K> {
    windows: FxHashMap<K, Window>,
    /// With how many of them those that are empty are forgotten, so that this is seldom done.
    sweep_at: usize,
}

impl<K> Default for Sparse<K> {
    fn default() -> Sparse<K> {
        Sparse { windows: FxHashMap::default(), sweep_at: 256 }
    }
}

impl<K: Copy + Eq + Hash> Sparse<K> {
    fn get(&self, owner: K) -> Option<&Window> {
        self.windows.get(&owner)
    }

    fn get_mut(&mut self, owner: K) -> Option<&mut Window> {
        self.windows.get_mut(&owner)
    }

    /// The window of an owner, made if need be.
    fn window(&mut self, owner: K, limit: Limit) -> &mut Window {
        if self.windows.len() >= self.sweep_at {
            self.windows.retain(|_, window| !window.is_idle());
            self.sweep_at = 256.max(2 * self.windows.len());
        }
        self.windows.entry(owner).or_insert_with(|| Window::new(limit))
    }
}

/// How much is unanswered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    requests: usize,
    bytes: usize,
    /// The bytes of long requests.
    long: usize,
}

impl Usage {
    fn add(&mut self, bytes: usize, limit: Limit) {
        self.requests += 1;
        *self.share_of(bytes, limit) += bytes;
    }

    fn subtract(&mut self, bytes: usize, limit: Limit) {
        self.requests = self.requests.saturating_sub(1);
        let share = self.share_of(bytes, limit);
        *share = share.saturating_sub(bytes);
    }

    fn subtract_all(&mut self, other: Usage) {
        self.requests = self.requests.saturating_sub(other.requests);
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.long = self.long.saturating_sub(other.long);
    }

    fn share_of(&mut self, bytes: usize, limit: Limit) -> &mut usize {
        if limit.is_long(bytes) { &mut self.long } else { &mut self.bytes }
    }
}

/// What is unanswered for one node, or on one link.
#[derive(Debug)]
struct Window {
    limit: Limit,
    usage: Usage,
    health: Health,
    /// For a node: the control node's link that leads to it, and what counts there of what it has
    /// not answered.
    link: LinkId,
    on_link: Usage,
    /// How often that has begun anew: what was sent before does not count on the link any more.
    period: u32,
}

/// Whether anything behind a window that is full is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// Something is answered, or nobody has waited for it.
    Responsive,
    /// The window is full; by then something must be answered.
    OnProbation(Time),
    /// It was not. What else needs the window is refused until something is.
    Unresponsive,
}

impl Window {
    fn new(limit: Limit) -> Window {
        Window {
            limit,
            usage: Usage::default(),
            health: Health::Responsive,
            link: LinkId(0),
            on_link: Usage::default(),
            period: 0,
        }
    }

    /// Whether a request of this many bytes must wait.
    fn is_full(&self, bytes: usize) -> bool {
        let is_full = if self.limit.is_long(bytes) {
            self.usage.long > 0
        } else {
            self.usage.bytes + bytes > self.limit.bytes
        };
        is_full || self.usage.requests >= self.limit.requests
    }

    fn is_unresponsive(&self) -> bool {
        self.health == Health::Unresponsive
    }

    /// Whether it is as if it had never been there.
    fn is_idle(&self) -> bool {
        self.usage.requests == 0 && self.health == Health::Responsive
    }

    /// Begins to lose patience; says whether that is new.
    fn put_on_probation(&mut self, now: Time) -> bool {
        let is_new = self.health == Health::Responsive;
        if is_new {
            self.health = Health::OnProbation(now + patience(self.usage.long));
        }
        is_new
    }

    fn probation_end(&self) -> Option<Time> {
        match self.health {
            Health::OnProbation(until) => Some(until),
            Health::Responsive | Health::Unresponsive => None,
        }
    }

    /// Notes that one more request counts on a link. Says what counts no more on another one: its
    /// node has moved.
    fn count_on(&mut self, link: LinkId, bytes: usize) -> (LinkId, Usage) {
        let left_behind =
            if self.link == link { (link, Usage::default()) } else { self.leave_link() };
        self.link = link;
        self.on_link.add(bytes, LINK_WINDOW);
        left_behind
    }

    /// A request counts no more on the link to the node. Says what that gives back.
    fn release(&mut self, charge: &mut Charge) -> Usage {
        let mut usage = Usage::default();
        if charge.period.take() == Some(self.period) {
            usage.add(charge.bytes, LINK_WINDOW);
            self.on_link.subtract_all(usage);
        }
        usage
    }

    /// What is unanswered so far counts no more on the link to the node. Says what that was.
    fn leave_link(&mut self) -> (LinkId, Usage) {
        self.period += 1;
        (self.link, std::mem::take(&mut self.on_link))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incarnation;

    const NOW: Time = Time::ZERO;
    const LINK: LinkId = LinkId(1);

    fn life(id: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
    }

    impl Windows {
        fn on_link(&self, link: LinkId) -> Usage {
            self.links.get(link).map(|window| window.usage).unwrap_or_default()
        }
    }

    /// Windows with a count of the requests so far, and those who were woken.
    #[derive(Default)]
    struct Desk {
        windows: Windows,
        requests: u64,
        ready: Vec<NodeId>,
    }

    impl Desk {
        fn admit(&mut self, now: Time, node: u32, bytes: usize) -> Admission {
            self.requests += 1;
            let (request, target) = (RequestId(self.requests), life(node));
            let claim = Claim { request, target, link: LINK, counts_on_link: true, bytes };
            self.windows.admit(now, claim, &mut self.ready)
        }

        /// Sends as many requests to a node as its window takes.
        fn fill(&mut self, node: u32) -> Vec<Charge> {
            let mut charges = Vec::new();
            while let Admission::Granted(charge) = self.admit(NOW, node, 1) {
                charges.push(charge);
            }
            charges
        }

        /// Lets all patience run out, and says who is woken by that.
        fn wait(&mut self) -> Vec<NodeId> {
            self.windows.timeout(NOW + PATIENCE, &mut self.ready);
            let woken = std::mem::take(&mut self.ready);
            for node in &woken {
                self.windows.unblock(*node);
            }
            woken
        }
    }

    #[test]
    fn a_window_fills_by_count_and_by_bytes() {
        let mut window = Window::new(Limit { requests: 3, bytes: 100 });
        let limit = window.limit;
        for bytes in [25, 25] {
            assert!(!window.is_full(bytes));
            window.usage.add(bytes, limit);
        }
        assert!(!window.is_full(25));
        window.usage.add(1, limit);
        assert!(window.is_full(0), "there are three");
        for bytes in [1, 25, 25] {
            window.usage.subtract(bytes, limit);
        }
        assert_eq!(window.usage, Usage::default());
    }

    #[test]
    fn a_long_one_goes_beside_the_others_but_not_beside_another() {
        let mut window = Window::new(Limit { requests: 9, bytes: 100 });
        let limit = window.limit;
        window.usage.add(1_000, limit);
        assert!(window.is_full(26) && !window.is_full(25));
        for _ in 0..4 {
            window.usage.add(25, limit);
        }
        assert!(window.is_full(1));
        window.usage.subtract(1_000, limit);
        assert!(!window.is_full(26) && window.is_full(1));
    }

    #[test]
    fn a_full_window_is_waited_for_with_patience_and_then_refused() {
        let mut desk = Desk::default();
        let mut charges = desk.fill(1);
        assert_eq!(charges.len(), NODE_WINDOW.requests);
        assert!(desk.windows.is_blocking());
        assert_eq!(desk.windows.deadline(), Some(NOW + PATIENCE));
        assert_eq!(desk.wait(), [life(1).node]);
        assert_eq!(desk.admit(NOW, 1, 1), Admission::Refused);
        assert!(!desk.windows.is_blocking());

        desk.windows.heard(NOW, life(1), Some(LINK));
        desk.windows.give_back(charges.pop().unwrap(), &mut desk.ready);
        assert!(matches!(desk.admit(NOW, 1, 1), Admission::Granted(_)));
        for charge in charges {
            desk.windows.give_back(charge, &mut desk.ready);
        }
    }

    /// The windows of four nodes are as much as the link takes.
    #[test]
    fn four_nodes_that_hang_take_nothing_from_others() {
        let mut desk = Desk::default();
        let mut charges: Vec<_> = (1..=4).flat_map(|node| desk.fill(node)).collect();
        assert_eq!(charges.len(), LINK_WINDOW.requests);
        assert_eq!(desk.admit(NOW, 5, 1), Admission::Wait, "the link is full");
        desk.wait();
        let Admission::Granted(charge) = desk.admit(NOW, 5, 1) else {
            panic!("who hangs is left out")
        };
        assert_eq!(desk.admit(NOW, 4, 1), Admission::Refused);

        charges.push(charge);
        for charge in charges {
            desk.windows.give_back(charge, &mut desk.ready);
        }
        assert_eq!(desk.windows.on_link(LINK), Usage::default());
    }

    /// A node that is asked now and then, and never answers, would fill its link in the end.
    #[test]
    fn what_nobody_waits_for_any_more_does_not_count_on_the_link() {
        let mut desk = Desk::default();
        let mut late = Vec::new();
        for node in 1..=100 {
            for _ in 0..50 {
                let Admission::Granted(mut charge) = desk.admit(NOW, node, 1) else { panic!() };
                desk.windows.give_up(&mut charge, &mut desk.ready);
                late.push(charge);
            }
        }
        assert!(late.len() > LINK_WINDOW.requests);
        for charge in late {
            desk.windows.give_back(charge, &mut desk.ready);
        }
        assert_eq!(desk.windows.on_link(LINK), Usage::default());
    }

    /// A node with nothing unanswered can't answer anything.
    #[test]
    fn a_full_link_is_nobody_s_fault_who_has_nothing_to_answer() {
        let mut desk = Desk::default();
        let bytes = LINK_WINDOW.bytes / 64;
        let charges: Vec<_> = (0..64).map(|node| desk.admit(NOW, node, bytes)).collect();
        assert_eq!(desk.admit(NOW, 200, bytes), Admission::Wait);
        desk.windows.heard(NOW + PATIENCE / 2, life(7), Some(LINK));
        desk.windows.timeout(NOW + PATIENCE, &mut desk.ready);
        assert_eq!(desk.ready, [], "somebody on that link answers");
        assert_eq!(desk.admit(NOW + PATIENCE, 200, bytes), Admission::Wait);
        let Some(Admission::Granted(charge)) = charges.into_iter().next() else { panic!() };
        desk.windows.give_back(charge, &mut desk.ready);
        assert_eq!(desk.ready, [life(200).node]);
        assert!(matches!(desk.admit(NOW, 200, bytes), Admission::Granted(_)));
    }

    /// One by one, and those who have waited longest first: to wake all for each answer takes time
    /// that grows with the square.
    #[test]
    fn room_on_a_link_wakes_the_one_who_has_waited_longest() {
        let mut desk = Desk::default();
        let bytes = LINK_WINDOW.bytes / 64;
        let charges: Vec<_> = (0..64).map(|node| desk.admit(NOW, node, bytes)).collect();
        for node in (200..10_200).rev() {
            assert_eq!(desk.admit(NOW, node, bytes), Admission::Wait);
        }
        for (charge, oldest) in charges.into_iter().zip((200..10_200).rev()) {
            let Admission::Granted(charge) = charge else { panic!() };
            desk.windows.give_back(charge, &mut desk.ready);
            assert_eq!(std::mem::take(&mut desk.ready), [life(oldest).node]);
            let waited_for = desk.windows.unblock(life(oldest).node);
            assert_eq!(waited_for, Some(LINK));
            assert!(matches!(desk.admit(NOW, oldest, bytes), Admission::Granted(_)));
            desk.windows.pass_on(LINK, life(oldest).node, &mut desk.ready);
            assert_eq!(desk.ready.len(), 0, "there is no more room");
        }
    }

    /// Otherwise it would be woken for ever.
    #[test]
    fn who_needs_more_room_than_there_is_is_not_woken_again() {
        let mut desk = Desk::default();
        let bytes = LINK_WINDOW.bytes / 64;
        let charges: Vec<_> = (0..64).map(|node| desk.admit(NOW, node, bytes - 1)).collect();
        assert_eq!(desk.admit(NOW, 100, bytes), Admission::Wait);
        assert_eq!(desk.windows.unblock(life(100).node), Some(LINK));
        assert_eq!(desk.admit(NOW, 100, bytes), Admission::Wait);
        desk.windows.pass_on(LINK, life(100).node, &mut desk.ready);
        assert_eq!((desk.ready.len(), charges.len()), (0, 64));
    }

    #[test]
    fn windows_that_are_empty_are_forgotten_now_and_then() {
        let mut desk = Desk::default();
        for node in 0..100_000 {
            let Admission::Granted(charge) = desk.admit(NOW, node, 1) else { panic!() };
            desk.windows.give_back(charge, &mut desk.ready);
        }
        assert!(desk.windows.nodes.windows.len() <= 256);
    }

    #[test]
    fn a_node_that_has_moved_counts_on_its_new_link() {
        let mut desk = Desk::default();
        let before = desk.fill(1);
        let (windows, ready) = (&mut desk.windows, &mut desk.ready);
        for charge in before {
            windows.give_back(charge, ready);
        }
        let claim = |request, link| Claim {
            request: RequestId(request),
            target: life(1),
            link: LinkId(link),
            counts_on_link: true,
            bytes: 10,
        };
        let Admission::Granted(old) = windows.admit(NOW, claim(1, 1), ready) else { panic!() };
        let Admission::Granted(new) = windows.admit(NOW, claim(2, 2), ready) else { panic!() };
        windows.give_back(old, ready);
        assert_eq!(windows.on_link(LINK), Usage::default());
        assert_eq!(windows.on_link(LinkId(2)), Usage { requests: 1, bytes: 10, long: 0 });
        windows.give_back(new, ready);
        assert_eq!(windows.on_link(LinkId(2)), Usage::default());
    }
}
