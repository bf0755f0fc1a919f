//! The tree as the control node knows it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::{Exit, Incarnation, Life, NodeId, Place, ProcessId, Time};

/// Every node that exists or is about to.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    records: FxHashMap<NodeId, Record>,
    roots: BTreeSet<NodeId>,
    incarnations: u32,
}

/// What is known of one node.
#[derive(Debug)]
pub(crate) struct Record {
    pub state: State,
    /// Its latest life; without meaning while it is absent.
    pub incarnation: Incarnation,
    pub parent: NodeId,
    /// Where it was created, and how often it has moved since.
    pub birthplace: NodeId,
    pub moves: u32,
    /// Its process, and how that has ended, once it is known.
    pub process: ProcessId,
    pub exit: Option<Exit>,
    /// Since when it can, or can't, be reached.
    pub since: Time,
    pub children: BTreeSet<NodeId>,
    /// Its parent has heard nothing from it for too long.
    pub silent: bool,
    /// It can be reached, as far as is known; set only by a sign of life of this very node, and
    /// never while one above it can't be reached.
    pub reachable: bool,
    /// When it last answered anything.
    pub heard: Time,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is not: there are only commands that may bring it about.
    Absent,
    /// It has joined, and nothing is known of its end.
    Up,
    /// Its link is gone: it has ended, or looks for another parent.
    Lost,
}

impl Record {
    fn absent() -> Record {
        Record {
            state: State::Absent,
            incarnation: Incarnation(0),
            parent: NodeId::CONTROL,
            birthplace: NodeId::CONTROL,
            moves: 0,
            process: ProcessId::default(),
            exit: None,
            since: Time::ZERO,
            children: BTreeSet::new(),
            silent: false,
            reachable: false,
            heard: Time::ZERO,
        }
    }

    /// Its latest life, unless it is absent.
    pub fn life(&self, node: NodeId) -> Option<Life> {
        let life = Life { node, incarnation: self.incarnation };
        (self.state != State::Absent).then_some(life)
    }

    fn is_of(&self, life: Life) -> bool {
        self.state != State::Absent && self.incarnation == life.incarnation
    }

    /// Whether nothing speaks against it: neither its end nor silence.
    pub fn stands(&self) -> bool {
        self.state == State::Up && !self.silent
    }
}

/// What it means that a life hangs at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// It is not the latest life of its node, or its node was removed.
    Unknown,
    /// It has left that place since.
    Outdated,
    /// It hung there already.
    Known,
    /// It has moved there.
    New,
}

impl Tree {
    /// What is known of a node.
    pub fn record(&self, node: NodeId) -> Option<&Record> {
        self.records.get(&node)
    }

    /// Notes that there may be such a node.
    pub fn know(&mut self, node: NodeId) {
        self.entry(node);
    }

    /// The record of a node, which is absent if it is new.
    fn entry(&mut self, node: NodeId) -> &mut Record {
        self.records.entry(node).or_insert_with(Record::absent)
    }

    /// The record of this very life, when it is the latest of its node and not absent.
    fn latest(&self, life: Life) -> Option<&Record> {
        self.records.get(&life.node).filter(|record| record.is_of(life))
    }

    /// As [`Tree::latest`].
    fn life_mut(&mut self, life: Life) -> Option<&mut Record> {
        self.records.get_mut(&life.node).filter(|record| record.is_of(life))
    }

    /// The latest life of a node that is not absent, or that of the control node.
    pub fn life(&self, node: NodeId) -> Option<Life> {
        if node.is_control() {
            return Some(Life::CONTROL);
        }
        self.record(node)?.life(node)
    }

    /// The life above a node.
    pub fn parent(&self, node: NodeId) -> Life {
        let parent = self.record(node).and_then(|record| self.life(record.parent));
        parent.unwrap_or(Life::CONTROL)
    }

    /// Whether a node, or the control node, is there and can be reached.
    pub fn is_reachable(&self, node: NodeId) -> bool {
        node.is_control() || self.record(node).is_some_and(|record| record.reachable)
    }

    /// A life that nobody has had.
    pub fn new_life(&mut self, node: NodeId) -> Life {
        self.incarnations += 1;
        Life { node, incarnation: Incarnation(self.incarnations) }
    }

    /// A life has joined at this place. What was below an earlier life of it stays below it.
    pub fn join(&mut self, place: Place, process: ProcessId, now: Time) {
        let Place { life, parent: Life { node: parent, .. }, moves } = place;
        self.break_cycle(life.node, parent);
        self.detach(life.node);
        self.siblings(parent).insert(life.node);
        let record = self.entry(life.node);
        *record = Record {
            state: State::Up,
            incarnation: life.incarnation,
            parent,
            birthplace: parent,
            moves,
            process,
            since: now,
            children: std::mem::take(&mut record.children),
            reachable: true,
            heard: now,
            ..Record::absent()
        };
    }

    /// A life has shown that it hangs at this place, which is known not to be below itself.
    pub fn attach(&mut self, place: Place, now: Time) {
        let (node, parent) = (place.life.node, place.parent.node);
        if self.life(parent) != Some(place.parent) || node == parent || self.is_above(node, parent)
        {
            // The node that has taken it in must end itself, so it will move on.
            return;
        }
        self.detach(node);
        self.siblings(parent).insert(node);
        let record = self.entry(node);
        if record.state == State::Lost {
            record.since = now;
        }
        if record.moves < place.moves {
            // Its silence was that of a link which is gone, and on which nothing will be heard.
            record.silent = false;
        }
        record.state = State::Up;
        (record.parent, record.moves) = (parent, place.moves);
    }

    /// What it means that a life hangs at this place.
    pub fn judge(&self, place: Place) -> Move {
        let Some(record) = self.latest(place.life) else { return Move::Unknown };
        match record.moves.cmp(&place.moves) {
            Ordering::Greater => Move::Outdated,
            // Once it was lost there, it can only have come back elsewhere.
            Ordering::Equal if record.state == State::Lost => Move::Outdated,
            Ordering::Equal => Move::Known,
            Ordering::Less => Move::New,
        }
    }

    /// Whether a life hangs at this place, and has not left it since.
    pub fn is_at(&self, place: Place) -> bool {
        self.latest(place.life).is_some_and(|record| record.moves == place.moves)
    }

    /// The link to a node is gone. False when there is no such node.
    pub fn lost(&mut self, node: NodeId, now: Time) -> bool {
        let Some(record) = self.records.get_mut(&node) else { return false };
        (record.state, record.since) = (State::Lost, now);
        true
    }

    /// Notes whether the parent of a life has heard nothing from it for too long. Returns what was
    /// noted before.
    pub fn set_silent(&mut self, life: Life, silent: bool) -> bool {
        let record = self.life_mut(life);
        record.is_some_and(|record| std::mem::replace(&mut record.silent, silent))
    }

    /// These nodes can't be reached any more. Leaves those that could be until now.
    pub fn cut_off(&mut self, nodes: &mut Vec<NodeId>, now: Time) {
        nodes.retain(|node| {
            let Some(record) = self.records.get_mut(node) else { return false };
            let was_reachable = std::mem::take(&mut record.reachable);
            if was_reachable {
                record.since = now;
            }
            was_reachable
        });
    }

    /// A life has shown a sign of itself. Returns who can be reached again by that, those above
    /// before those below: a node that answers though it counted as unreachable, and all above it.
    pub fn heard(&mut self, life: Life, now: Time) -> Vec<Life> {
        let Some(record) = self.life_mut(life) else { return Vec::new() };
        record.heard = now;
        if record.reachable {
            return Vec::new();
        }
        let mut path: Vec<_> =
            std::iter::once(life.node).chain(self.ancestors(life.node)).collect();
        if !path.iter().all(|node| self.record(*node).is_some_and(Record::stands)) {
            return Vec::new();
        }
        path.reverse();
        path.into_iter().filter_map(|node| self.return_one(node, now)).collect()
    }

    fn return_one(&mut self, node: NodeId, now: Time) -> Option<Life> {
        let record = self.records.get_mut(&node).filter(|record| !record.reachable)?;
        record.reachable = true;
        (record.heard, record.since) = (now, now);
        Some(Life { node, incarnation: record.incarnation })
    }

    /// The nodes of a subtree of which only a sign of life is missing.
    pub fn unproven(&self, node: NodeId) -> Vec<NodeId> {
        let is_unproven = |record: &Record| !record.reachable && record.stands();
        let mut nodes = self.subtree(node);
        nodes.retain(|node| self.record(*node).is_some_and(is_unproven));
        nodes
    }

    /// When `parent` hangs below an earlier life of the node that must hang below it, moves that
    /// part of the tree to the roots, or there would be a cycle.
    fn break_cycle(&mut self, node: NodeId, parent: NodeId) {
        let below =
            |other: &NodeId| self.record(*other).is_some_and(|record| record.parent == node);
        let top = std::iter::once(parent).chain(self.ancestors(parent)).find(below);
        if let Some(top) = top {
            self.detach(top);
            self.roots.insert(top);
            self.entry(top).parent = NodeId::CONTROL;
        }
    }

    fn is_above(&self, node: NodeId, other: NodeId) -> bool {
        self.ancestors(other).any(|ancestor| ancestor == node)
    }

    /// A node is there no more, though commands may name it.
    pub fn remove(&mut self, node: NodeId) {
        self.detach(node);
        if let Some(record) = self.records.get_mut(&node) {
            *record = Record::absent();
        }
    }

    /// Whether a node can't be reached and its process is known to have ended.
    pub fn is_dead(&self, node: NodeId) -> bool {
        self.record(node).is_some_and(|record| !record.reachable && record.exit.is_some())
    }

    /// A node is there no more, though those below it may be: they hang from its parent, until more
    /// is known.
    pub fn bury(&mut self, node: NodeId) {
        let Some(record) = self.records.get_mut(&node) else { return };
        let (parent, children) = (record.parent, std::mem::take(&mut record.children));
        for child in children {
            self.siblings(parent).insert(child);
            self.entry(child).parent = parent;
        }
        self.remove(node);
    }

    /// The process of a life has ended. What it said before may still arrive.
    pub fn exited(&mut self, life: Life, exit: Exit) {
        if let Some(record) = self.life_mut(life) {
            record.exit = Some(exit);
        }
    }

    /// Notes that a process has ended, if it is that of a node. The number may have been that of an
    /// earlier process as well, which has then ended before; or a node has lied about its own,
    /// which must not hide the end of another.
    pub fn ended(&mut self, process: ProcessId, exit: Exit) {
        let is_its =
            |record: &&mut Record| record.state != State::Absent && record.process == process;
        for record in self.records.values_mut().filter(is_its) {
            record.exit.get_or_insert(exit);
        }
    }

    /// Whether a node is known of, but not there.
    pub fn is_absent(&self, node: NodeId) -> bool {
        self.record(node).is_some_and(|record| record.state == State::Absent)
    }

    /// Forgets a node that is absent and that no command names.
    pub fn forget(&mut self, node: NodeId) {
        self.records.remove(&node);
    }

    /// Whether there may be a node more, or this one may have a new life, when those that commands
    /// are about to create take their places: it takes its own place.
    pub fn has_room_for(
        &self,
        node: NodeId,
        nodes_max: usize,
        is_held: impl Fn(NodeId) -> bool,
    ) -> bool {
        let takes_place =
            |node: NodeId, record: &Record| record.state != State::Absent || is_held(node);
        self.records.len() <= nodes_max
            || self.record(node).is_some_and(|record| takes_place(node, record))
            || self.records.iter().filter(|(node, record)| takes_place(**node, record)).count()
                < nodes_max
    }

    /// Every node, also those that commands will create, in no particular order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.records.keys().copied()
    }

    /// A node and all below it, each after the one above it.
    pub fn subtree(&self, node: NodeId) -> Vec<NodeId> {
        let mut nodes = vec![node];
        let mut next = 0;
        while let Some(node) = nodes.get(next) {
            nodes.extend(self.children(*node));
            next += 1;
        }
        nodes
    }

    /// The nodes above a node, the nearest first, the control node left out.
    pub fn ancestors(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let above = |node: &NodeId| self.record(*node).map(|record| record.parent);
        let ancestors = std::iter::successors(above(&node), above);
        ancestors.take_while(|node| !node.is_control())
    }

    /// How many levels there are below a node.
    pub fn height(&self, node: NodeId) -> u32 {
        let mut height = 0;
        let mut level: Vec<_> = self.children(node).collect();
        while !level.is_empty() {
            height += 1;
            level = level.into_iter().flat_map(|node| self.children(node)).collect();
        }
        height
    }

    /// The nodes right below a node.
    pub fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let children = if node.is_control() {
            Some(&self.roots)
        } else {
            self.record(node).map(|record| &record.children)
        };
        children.into_iter().flatten().copied()
    }

    fn siblings(&mut self, parent: NodeId) -> &mut BTreeSet<NodeId> {
        if parent.is_control() { &mut self.roots } else { &mut self.entry(parent).children }
    }

    fn detach(&mut self, node: NodeId) {
        let Some(record) = self.record(node) else { return };
        let parent = record.parent;
        if parent.is_control() {
            self.roots.remove(&node);
        } else if let Some(parent) = self.records.get_mut(&parent) {
            parent.children.remove(&node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32) -> NodeId {
        NodeId::compute(id).unwrap()
    }

    #[test]
    fn who_hung_from_one_that_is_buried_hangs_from_the_one_above() {
        let mut tree = Tree::default();
        for (id, parent) in [(1, NodeId::CONTROL), (2, node(1)), (3, node(2)), (4, node(2))] {
            let (life, parent) = (tree.new_life(node(id)), tree.life(parent).unwrap());
            tree.join(Place { life, parent, moves: 0 }, ProcessId::of(id), Time::ZERO);
        }
        assert!(!tree.is_dead(node(2)));
        tree.ended(ProcessId::of(2), Exit::Signal(9));
        assert!(!tree.is_dead(node(2)), "its last words may be still to come");
        tree.entry(node(2)).reachable = false;
        assert!(tree.is_dead(node(2)) && !tree.is_dead(node(1)));
        tree.bury(node(2));
        assert!(tree.is_absent(node(2)));
        assert_eq!(tree.subtree(node(1)), [node(1), node(3), node(4)]);
    }

    #[test]
    fn a_node_that_gives_the_process_of_another_for_its_own_does_not_hide_its_end() {
        let mut tree = Tree::default();
        for id in [1, 2] {
            let life = tree.new_life(node(id));
            tree.join(
                Place { life, parent: Life::CONTROL, moves: 0 },
                ProcessId::of(7),
                Time::ZERO,
            );
            tree.entry(node(id)).reachable = false;
        }
        tree.ended(ProcessId::of(7), Exit::Signal(9));
        assert!(tree.is_dead(node(1)) && tree.is_dead(node(2)));
    }

    #[test]
    fn a_new_life_below_what_hangs_from_its_old_one_makes_no_circle() {
        let mut tree = Tree::default();
        for (id, parent) in [(1, NodeId::CONTROL), (2, node(1)), (3, node(2)), (1, node(3))] {
            let (life, parent) = (tree.new_life(node(id)), tree.life(parent).unwrap());
            tree.join(Place { life, parent, moves: 0 }, ProcessId::of(id), Time::ZERO);
        }
        assert_eq!(tree.subtree(node(2)), [node(2), node(3), node(1)]);
        assert_eq!(tree.ancestors(node(1)).collect::<Vec<_>>(), [node(3), node(2)]);
    }

    /// A tree of three nodes, each below the one before.
    fn chain() -> (Tree, [Life; 3]) {
        let mut tree = Tree::default();
        let mut parent = Life::CONTROL;
        let lives = [1, 2, 3].map(|id| {
            let life = tree.new_life(node(id));
            tree.join(Place { life, parent, moves: 0 }, ProcessId::of(id), Time::ZERO);
            parent = life;
            life
        });
        (tree, lives)
    }

    #[test]
    fn who_answers_can_be_reached_and_so_can_all_above_it() {
        let (mut tree, lives) = chain();
        let nodes = lives.map(|life| life.node);
        let mut gone = nodes.to_vec();
        tree.cut_off(&mut gone, Time::ZERO);
        assert_eq!(gone, nodes);
        tree.cut_off(&mut gone, Time::ZERO);
        assert_eq!((gone, tree.is_reachable(nodes[2])), (vec![], false));

        tree.set_silent(lives[0], true);
        assert_eq!(tree.heard(lives[2], Time::ZERO), [], "the link of one above is silent");
        assert!(tree.set_silent(lives[0], false));
        assert_eq!(tree.unproven(nodes[1]), nodes[1..]);
        assert_eq!(tree.heard(lives[1], Time::ZERO), lives[..2]);
        assert_eq!(tree.heard(lives[1], Time::ZERO), []);
        assert_eq!(tree.unproven(nodes[0]), nodes[2..]);
    }

    #[test]
    fn a_place_that_was_left_is_outdated() {
        let (mut tree, lives) = chain();
        let at = |moves| Place { life: lives[2], parent: lives[0], moves };
        assert_eq!([at(0), at(1)].map(|place| tree.judge(place)), [Move::Known, Move::New]);
        tree.lost(lives[2].node, Time::ZERO);
        assert_eq!([at(0), at(1)].map(|place| tree.judge(place)), [Move::Outdated, Move::New]);
        tree.attach(at(1), Time::ZERO);
        assert_eq!([at(0), at(1)].map(|place| tree.judge(place)), [Move::Outdated, Move::Known]);
        assert!(tree.is_at(at(1)) && !tree.is_at(at(0)));
        tree.new_life(lives[2].node);
        let unknown = Life { incarnation: Incarnation(9), ..lives[2] };
        assert_eq!(tree.judge(Place { life: unknown, ..at(1) }), Move::Unknown);
    }
}
