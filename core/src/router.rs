//! Routing: which link leads to a node.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::{Incarnation, Life, LinkId, NodeId};

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

    /// From now on this life is reached by way of `via`, and no more by any other link. Does nothing
    /// when a later life of the node is known.
    fn learn(&mut self, life: Life, via: LinkId);

    /// Forgets everyone who is reached by way of `via`, and says who they were, in ascending order.
    fn forget(&mut self, via: LinkId) -> Vec<Life>;

    /// Forgets one life, if `via` is still the way to it.
    fn forget_life(&mut self, life: Life, via: LinkId);
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
    incarnation: Incarnation,
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

    fn learn(&mut self, life: Life, via: LinkId) {
        if let Some(old) = self.ways.get(&life.node).copied() {
            if old.incarnation > life.incarnation {
                return;
            }
            self.remove_from(Life { incarnation: old.incarnation, ..life }, old.via);
        }
        self.ways.insert(life.node, Way { incarnation: life.incarnation, via });
        self.lives.entry(via).or_default().insert(life);
    }

    fn forget(&mut self, via: LinkId) -> Vec<Life> {
        let lives = self.lives.remove(&via).unwrap_or_default();
        for life in &lives {
            self.ways.remove(&life.node);
        }
        lives.into_iter().collect()
    }

    fn forget_life(&mut self, life: Life, via: LinkId) {
        let way = Way { incarnation: life.incarnation, via };
        if self.ways.get(&life.node) == Some(&way) {
            self.ways.remove(&life.node);
            self.remove_from(life, via);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(id: u32, incarnation: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(incarnation) }
    }

    #[test]
    fn it_learns_moves_and_forgets() {
        let (left, right) = (LinkId(1), LinkId(2));
        let local = NodeId::compute(0).unwrap();
        let mut table = RouteTable::new(local);
        assert_eq!(table.route(local), Hop::Local);
        assert_eq!(table.route(life(5, 0).node), Hop::Unknown);

        for id in [7, 5, 6] {
            table.learn(life(id, 0), left);
        }
        assert_eq!(table.route(life(5, 0).node), Hop::Link(left));

        table.learn(life(5, 0), right);
        table.forget_life(life(5, 0), left);
        assert_eq!(table.route(life(5, 0).node), Hop::Link(right), "another link leads there now");

        assert_eq!(table.forget(left), [life(6, 0), life(7, 0)]);
        assert_eq!(table.route(life(7, 0).node), Hop::Unknown);

        table.forget_life(life(5, 0), right);
        assert_eq!(table.route(life(5, 0).node), Hop::Unknown);
        assert!(table.lives.is_empty(), "nothing is left behind");
    }

    #[test]
    fn late_news_of_an_old_life_does_not_harm_a_new_one() {
        let link = LinkId(1);
        let mut table = RouteTable::new(NodeId::CONTROL);
        table.learn(life(5, 0), link);
        table.learn(life(5, 1), link);
        table.forget_life(life(5, 0), link);
        table.learn(life(5, 0), LinkId(2));
        assert_eq!(table.route(life(5, 1).node), Hop::Link(link));
        assert_eq!(table.forget(link), [life(5, 1)]);
    }
}
