//! Routing: which link leads to a node.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::{Life, LinkId, NodeId, Place};

/// The next hop towards a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// This very node.
    Local,
    /// Whoever is at the other end of this link.
    Link(LinkId),
    /// No way is known.
    Unknown,
}

/// Knows the way to every node below this one. It learns when a node joins and forgets when one is
/// lost; it never guesses, so a node that it does not know is not below it.
///
/// What it learns and forgets are lives, so that late news of an old life can't harm a new one.
pub trait Router {
    /// The next hop towards `to`.
    fn route(&self, to: NodeId) -> Hop;

    /// From now on the life at this place is reached by way of `via`, and no more by any other link;
    /// likewise all below it. Does nothing when a later life of the node, or a later place of this
    /// one, is known, or the news [is stale](Router::is_stale).
    fn learn(&mut self, place: Place, via: LinkId);

    /// Whether news of a place, which its parent tells, has come by a way that the parent has left
    /// since. What the parent has told by its new way is newer.
    fn is_stale(&self, place: Place, via: LinkId) -> bool;

    /// Forgets everyone who is reached by way of `via`, and says who they were, in ascending order.
    fn forget(&mut self, via: LinkId) -> Vec<Life>;

    /// Forgets one life, if `via` is still the way to it; says whether it was.
    fn forget_life(&mut self, life: Life, via: LinkId) -> bool;

    /// The places of all who are known, each after the one above it.
    fn places(&self) -> Vec<Place>;
}

/// A [`Router`] with one entry for each node below.
#[derive(Debug)]
pub struct RouteTable {
    local: NodeId,
    ways: FxHashMap<NodeId, Way>,
    lives: FxHashMap<LinkId, BTreeSet<Life>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    place: Place,
    via: LinkId,
}

impl RouteTable {
    /// The table of the node `local`, which knows nobody yet.
    #[must_use]
    pub fn new(local: NodeId) -> RouteTable {
        RouteTable { local, ways: FxHashMap::default(), lives: FxHashMap::default() }
    }

    /// How many nodes there is a way to.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ways.len()
    }

    /// Whether there is no way to anyone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// Sets the way to a life, and returns the one that there was to its node.
    fn set(&mut self, place: Place, via: LinkId) -> Option<Way> {
        let old = self.ways.insert(place.life.node, Way { place, via });
        if let Some(old) = old {
            self.remove_from(old.place.life, old.via);
        }
        self.lives.entry(via).or_default().insert(place.life);
        old
    }

    /// The places below a life, each after the one above it.
    fn places_below(&self, life: Life) -> Vec<Place> {
        let mut children = self.by_parent();
        let top = children.remove(&life).unwrap_or_default();
        top_down(top, &mut children)
    }

    fn by_parent(&self) -> BTreeMap<Life, Vec<Place>> {
        let mut children: BTreeMap<Life, Vec<Place>> = BTreeMap::new();
        for way in self.ways.values() {
            children.entry(way.place.parent).or_default().push(way.place);
        }
        children.values_mut().for_each(|places| places.sort_unstable());
        children
    }

    fn remove_from(&mut self, life: Life, via: LinkId) {
        if let Some(lives) = self.lives.get_mut(&via) {
            lives.remove(&life);
            if lives.is_empty() {
                self.lives.remove(&via);
            }
        }
    }
}

impl Router for RouteTable {
    fn route(&self, to: NodeId) -> Hop {
        if to == self.local {
            return Hop::Local;
        }
        self.ways.get(&to).map_or(Hop::Unknown, |way| Hop::Link(way.via))
    }

    fn learn(&mut self, place: Place, via: LinkId) {
        let node = place.life.node;
        if let Some(old) = self.ways.get(&node).copied() {
            let age = |place: Place| (place.life.incarnation, place.moves);
            if age(old.place) > age(place) {
                return;
            }
        }
        if self.is_stale(place, via) {
            return;
        }
        if self.set(place, via).is_some_and(|old| old.place.life == place.life && old.via != via) {
            for place in self.places_below(place.life) {
                self.set(place, via);
            }
        }
    }

    fn is_stale(&self, place: Place, via: LinkId) -> bool {
        let parent = place.parent;
        let way = self.ways.get(&parent.node).filter(|way| way.place.life == parent);
        parent.node != self.local && way.is_some_and(|way| way.via != via)
    }

    fn forget(&mut self, via: LinkId) -> Vec<Life> {
        let lives = self.lives.remove(&via).unwrap_or_default();
        for life in &lives {
            self.ways.remove(&life.node);
        }
        lives.into_iter().collect()
    }

    fn forget_life(&mut self, life: Life, via: LinkId) -> bool {
        let way = self.ways.get(&life.node);
        let is_way = way.is_some_and(|way| way.place.life == life && way.via == via);
        if is_way {
            self.ways.remove(&life.node);
            self.remove_from(life, via);
        }
        is_way
    }

    fn places(&self) -> Vec<Place> {
        let mut children = self.by_parent();
        let is_top =
            |parent: &Life| self.ways.get(&parent.node).is_none_or(|way| way.place.life != *parent);
        let tops: Vec<_> = children.keys().copied().filter(is_top).collect();
        let tops = tops.iter().flat_map(|parent| children.remove(parent).unwrap_or_default());
        let tops = tops.collect();
        top_down(tops, &mut children)
    }
}

/// These places, and all below them, each after the one above it.
fn top_down(mut places: Vec<Place>, children: &mut BTreeMap<Life, Vec<Place>>) -> Vec<Place> {
    let mut next = 0;
    while let Some(place) = places.get(next) {
        places.extend(children.remove(&place.life).unwrap_or_default());
        next += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incarnation;

    fn life(id: u32, incarnation: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(incarnation) }
    }

    fn place(life: Life, moves: u32) -> Place {
        Place { life, parent: Life::CONTROL, moves }
    }

    #[test]
    fn it_learns_moves_and_forgets() {
        let (left, right) = (LinkId(1), LinkId(2));
        let local = NodeId::compute(0).unwrap();
        let mut table = RouteTable::new(local);
        assert_eq!(table.route(local), Hop::Local);
        assert_eq!(table.route(life(5, 0).node), Hop::Unknown);

        for id in [7, 5, 6] {
            table.learn(place(life(id, 0), 0), left);
        }
        assert_eq!(table.route(life(5, 0).node), Hop::Link(left));

        table.learn(place(life(5, 0), 1), right);
        assert!(!table.forget_life(life(5, 0), left));
        assert_eq!(table.route(life(5, 0).node), Hop::Link(right), "another link leads there now");
        table.learn(place(life(5, 0), 0), left);
        assert_eq!(
            table.route(life(5, 0).node),
            Hop::Link(right),
            "that is not its place any more"
        );
        assert_eq!(table.places()[0], place(life(5, 0), 1));

        assert_eq!(table.forget(left), [life(6, 0), life(7, 0)]);
        assert_eq!(table.route(life(7, 0).node), Hop::Unknown);

        assert!(table.forget_life(life(5, 0), right));
        assert_eq!(table.route(life(5, 0).node), Hop::Unknown);
        assert!(table.lives.is_empty() && table.is_empty(), "nothing is left behind");
    }

    #[test]
    fn late_news_by_a_way_that_the_parent_has_left_leads_nowhere() {
        let (old, new) = (LinkId(1), LinkId(2));
        let mut table = RouteTable::new(NodeId::CONTROL);
        let below = |life, parent, moves| Place { life, parent, moves };
        let (top, middle, leaf) = (life(1, 1), life(2, 2), life(3, 3));
        table.learn(below(middle, life(9, 9), 0), old);
        table.learn(below(leaf, middle, 0), old);
        table.learn(below(top, Life::CONTROL, 1), new);
        table.learn(below(middle, top, 1), new);
        assert_eq!(table.route(leaf.node), Hop::Link(new), "it moves with its parent");
        table.learn(below(leaf, middle, 1), old);
        assert!(!table.forget_life(leaf, old));
        assert_eq!(table.route(leaf.node), Hop::Link(new));
        assert_eq!(table.forget(old), []);
        assert_eq!(table.forget(new), [top, middle, leaf]);
    }

    #[test]
    fn late_news_of_an_old_life_does_not_harm_a_new_one() {
        let link = LinkId(1);
        let mut table = RouteTable::new(NodeId::CONTROL);
        table.learn(place(life(5, 0), 9), link);
        table.learn(place(life(5, 1), 0), link);
        assert!(!table.forget_life(life(5, 0), link));
        table.learn(place(life(5, 0), 10), LinkId(2));
        assert_eq!(table.route(life(5, 1).node), Hop::Link(link));
        assert_eq!(table.forget(link), [life(5, 1)]);
    }
}
