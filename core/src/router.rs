//! Routing: which link leads to a node.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::{Life, LinkId, Place};

/// The next hop towards a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// This very one.
    Local,
    /// Whoever is at the other end of this link.
    Link(LinkId),
    /// No way is known.
    Unknown,
}

/// Knows the way to everyone below this node. It learns when somebody joins and forgets who is lost;
/// it never guesses, so whoever it does not know is not below it.
///
/// Ways lead to lives rather than to nodes: what is for one life of a node never reaches another, and
/// news of one does not touch the way to another, in whatever order they come.
pub trait Router {
    /// The next hop towards `to`.
    fn route(&self, to: Life) -> Hop;

    /// From now on the life at this place is reached by way of `via`, and no more by any other link.
    /// When it has moved there, all below it are forgotten: it tells at once who has come with it, and
    /// news of others may be lost on the way that it has left.
    ///
    /// Says who is not reached any more by the link by which it was: what is under way there to one of
    /// them will not arrive, even if that link leads to it again a moment later.
    ///
    /// Does nothing, and says so by `None`, when a later place of this life is known, or unless this
    /// node is the parent, or knows the parent by the same link: else the parent has left that way, and
    /// what it has told by its new one is newer, or it is not there any more. What a node does not learn it must not pass on either: whoever is
    /// above it knows by that link what it knows, and is told of an end only when it is.
    fn learn(&mut self, place: Place, via: LinkId) -> Option<Vec<(Life, LinkId)>>;

    /// Whether a life is known to be at this very place, by way of `via`. News of it there is no news
    /// otherwise.
    fn is_at(&self, place: Place, via: LinkId) -> bool;

    /// Forgets a life and all below it, if `via` is still the way to it, and says who they were, in
    /// ascending order.
    fn forget(&mut self, life: Life, via: LinkId) -> Vec<Life>;

    /// The places of all who are known, each after the one above it.
    fn places(&self) -> Vec<Place>;
}

/// A [`Router`] with one entry for each life below. Whoever is above one of them is this node, or known
/// by the same link.
#[derive(Debug)]
pub struct RouteTable {
    local: Life,
    ways: FxHashMap<Life, Way>,
    /// Who hangs below whom; nobody has an empty set.
    children: FxHashMap<Life, BTreeSet<Life>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    place: Place,
    via: LinkId,
}

impl RouteTable {
    /// The table of the node whose life is `local`, which knows nobody yet.
    #[must_use]
    pub fn new(local: Life) -> RouteTable {
        RouteTable { local, ways: FxHashMap::default(), children: FxHashMap::default() }
    }

    /// How many lives there is a way to.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ways.len()
    }

    /// Whether there is no way to anyone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// All below a life, each after the one above it.
    fn below(&self, life: Life) -> Vec<Life> {
        let children = |life: &Life| self.children.get(life).into_iter().flatten().copied();
        let mut lives: Vec<_> = children(&life).collect();
        let mut next = 0;
        while let Some(life) = lives.get(next) {
            lives.extend(children(life));
            next += 1;
        }
        lives
    }

    /// Forgets the way to one life, but not to those below it.
    fn remove(&mut self, life: Life) {
        let Some(Way { place, .. }) = self.ways.remove(&life) else { return };
        if let Some(siblings) = self.children.get_mut(&place.parent) {
            siblings.remove(&life);
            if siblings.is_empty() {
                self.children.remove(&place.parent);
            }
        }
    }
}

impl Router for RouteTable {
    fn route(&self, to: Life) -> Hop {
        if to == self.local {
            return Hop::Local;
        }
        self.ways.get(&to).map_or(Hop::Unknown, |way| Hop::Link(way.via))
    }

    fn learn(&mut self, place: Place, via: LinkId) -> Option<Vec<(Life, LinkId)>> {
        let old = self.ways.get(&place.life).copied();
        let has_moved_on = old.is_some_and(|old| old.place.moves > place.moves);
        let is_stale = place.parent != self.local
            && self.ways.get(&place.parent).is_none_or(|parent| parent.via != via);
        if has_moved_on || is_stale {
            return None;
        }
        let mut left = Vec::new();
        if let Some(old) = old.filter(|old| old.via != via || old.place.moves < place.moves) {
            left.push((place.life, old.via));
            left.extend(self.below(place.life).into_iter().map(|life| (life, old.via)));
            left.iter().for_each(|(life, _)| self.remove(*life));
        }
        self.remove(place.life);
        self.ways.insert(place.life, Way { place, via });
        self.children.entry(place.parent).or_default().insert(place.life);
        Some(left)
    }

    fn is_at(&self, place: Place, via: LinkId) -> bool {
        self.ways.get(&place.life) == Some(&Way { place, via })
    }

    fn forget(&mut self, life: Life, via: LinkId) -> Vec<Life> {
        if self.ways.get(&life).is_none_or(|way| way.via != via) {
            return Vec::new();
        }
        let mut lives = self.below(life);
        lives.push(life);
        lives.iter().for_each(|life| self.remove(*life));
        lives.sort_unstable();
        lives
    }

    fn places(&self) -> Vec<Place> {
        self.below(self.local).iter().map(|life| self.ways[life].place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId};

    fn life(id: u32, incarnation: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(incarnation) }
    }

    fn place(life: Life, moves: u32) -> Place {
        Place { life, parent: Life::CONTROL, moves }
    }

    #[test]
    fn it_learns_moves_and_forgets() {
        let (left, right) = (LinkId(1), LinkId(2));
        let local = Life::CONTROL;
        let mut table = RouteTable::new(local);
        assert_eq!(table.route(local), Hop::Local);
        assert_eq!(table.route(life(5, 0)), Hop::Unknown);

        for id in [7, 5, 6] {
            table.learn(place(life(id, 0), 0), left);
        }
        assert_eq!(table.route(life(5, 0)), Hop::Link(left));

        table.learn(place(life(5, 0), 1), right);
        assert_eq!(table.forget(life(5, 0), left), []);
        assert_eq!(table.route(life(5, 0)), Hop::Link(right), "another link leads there now");
        table.learn(place(life(5, 0), 0), left);
        assert_eq!(table.route(life(5, 0)), Hop::Link(right), "that is not its place any more");
        assert_eq!(table.places()[0], place(life(5, 0), 1));
        assert!(table.is_at(place(life(5, 0), 1), right));
        assert!(
            !table.is_at(place(life(5, 0), 0), right) && !table.is_at(place(life(5, 0), 1), left)
        );

        for id in [6, 7] {
            assert_eq!(table.forget(life(id, 0), left), [life(id, 0)]);
        }
        assert_eq!(table.route(life(7, 0)), Hop::Unknown);

        assert_eq!(table.forget(life(5, 0), right), [life(5, 0)]);
        assert_eq!(table.route(life(5, 0)), Hop::Unknown);
        assert!(table.children.is_empty() && table.is_empty(), "nothing is left behind");
    }

    #[test]
    fn late_news_by_a_way_that_the_parent_has_left_leads_nowhere() {
        let (old, new) = (LinkId(1), LinkId(2));
        let mut table = RouteTable::new(Life::CONTROL);
        let below = |life, parent, moves| Place { life, parent, moves };
        let (top, middle, leaf) = (life(1, 1), life(2, 2), life(3, 3));
        table.learn(below(life(9, 9), Life::CONTROL, 0), old);
        table.learn(below(middle, life(9, 9), 0), old);
        table.learn(below(leaf, middle, 0), old);
        table.learn(below(top, Life::CONTROL, 1), new);
        table.learn(below(middle, top, 1), new);
        table.learn(below(leaf, middle, 0), new);
        table.learn(below(leaf, middle, 1), old);
        assert_eq!(table.forget(leaf, old), []);
        assert_eq!(table.route(leaf), Hop::Link(new));
        assert_eq!(table.learn(below(life(4, 4), leaf, 0), old), None);
        assert_eq!(table.forget(life(9, 9), old), [life(9, 9)]);
        assert_eq!(table.learn(below(life(4, 4), life(9, 9), 0), old), None, "nobody is there");
        assert_eq!(table.forget(top, new), [top, middle, leaf]);
    }

    /// News of its end may have gone the way that its parent has left, and come too late.
    #[test]
    fn who_has_not_come_along_is_forgotten() {
        let mut table = RouteTable::new(Life::CONTROL);
        let (parent, gone, leaf) = (life(1, 1), life(2, 2), life(3, 3));
        let below = |life, parent, moves| Place { life, parent, moves };
        for via in [LinkId(1), LinkId(1), LinkId(2)] {
            let moves = table.places().first().map_or(0, |place| place.moves + 1);
            table.learn(place(parent, moves), via);
            table.learn(below(gone, parent, 0), via);
            table.learn(below(leaf, gone, 0), via);
        }
        table.learn(place(parent, 3), LinkId(2));
        assert_eq!(table.forget(gone, LinkId(1)), []);
        assert_eq!(table.places(), [place(parent, 3)]);
    }

    /// The relay at the end of the link has it at a place that was not believed here, and will not tell
    /// of its end.
    #[test]
    fn who_was_below_one_that_is_forgotten_is_forgotten_as_well() {
        let (here, there) = (LinkId(1), LinkId(2));
        let mut table = RouteTable::new(Life::CONTROL);
        let below = |life, parent, moves| Place { life, parent, moves };
        let (relay, first, second, leaf) = (life(1, 1), life(2, 2), life(3, 3), life(4, 4));
        table.learn(place(relay, 0), here);
        table.learn(below(first, relay, 0), here);
        table.learn(below(leaf, first, 0), here);
        table.learn(place(second, 1), there);
        assert_eq!(table.learn(below(leaf, second, 1), here), None);
        assert_eq!(table.forget(first, here), [first, leaf]);
        assert_eq!(table.places(), [place(relay, 0), place(second, 1)]);
    }

    /// What is under way there will not arrive.
    #[test]
    fn who_has_moved_has_left_its_way_with_all_below_it() {
        let (old, new) = (LinkId(1), LinkId(2));
        let mut table = RouteTable::new(Life::CONTROL);
        let (top, leaf) = (life(1, 1), life(2, 2));
        assert_eq!(table.learn(place(top, 0), old), Some(vec![]));
        assert_eq!(table.learn(Place { life: leaf, parent: top, moves: 0 }, old), Some(vec![]));
        assert_eq!(table.learn(place(top, 1), old), Some(vec![(top, old), (leaf, old)]));
        assert_eq!(table.learn(place(top, 1), old), Some(vec![]), "it is there");
        assert_eq!(table.learn(place(top, 2), new), Some(vec![(top, old)]));
    }

    #[test]
    fn a_new_life_that_comes_to_nothing_leaves_the_way_to_the_old_one() {
        let (old, new) = (life(5, 0), life(5, 1));
        let (left, right) = (LinkId(1), LinkId(2));
        let mut table = RouteTable::new(Life::CONTROL);
        table.learn(place(old, 9), left);
        table.learn(place(new, 0), right);
        assert_eq!(table.route(old), Hop::Link(left));
        assert_eq!(table.route(new), Hop::Link(right));
        assert_eq!(table.forget(new, right), [new]);
        assert_eq!((table.route(old), table.route(new)), (Hop::Link(left), Hop::Unknown));
        assert_eq!(table.forget(old, left), [old]);
    }
}
