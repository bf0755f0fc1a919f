//! Routing: which link leads to a node.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::{Life, LinkId, Place, Proof, Proved};

/// The next hop towards a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// This very one.
    Local,
    /// Whoever is at the other end of this link.
    Link(LinkId),
    /// No route is known.
    Unknown,
}

/// Knows the routes to everyone below this node. It learns when somebody joins and forgets who is lost;
/// it never guesses, so whoever it does not know is not below it.
///
/// Routes lead to lives rather than to nodes: what is for one life of a node never reaches another, and
/// news of one does not touch the route to another, in whatever order they come.
///
/// Who tells of places may lie, so little of it is believed: only lives of which the control node has
/// said that they would come about can hang anywhere, since whoever is below this node was once created
/// by way of it; a new place needs the life's own proof; who tells of it must be above it; and a parent
/// is older than its children, so that nobody can be said to hang below itself.
pub trait Router {
    /// The next hop towards `to`.
    fn route(&self, to: Life) -> Hop;

    /// A life is about to come about below `parent`, as the control node wants it; with this mark. It must
    /// be younger than its parent and this node, or nothing is noted.
    fn expect(&mut self, life: Life, parent: Life, mark: Proof);

    /// Whether a life is known, also when there is no route to it.
    fn knows(&self, life: Life) -> bool;

    /// How many places a life has had that were not heard of here when it is at this one, itself
    /// included; none when the place is not new. As often its proof is hashed.
    fn steps(&self, place: Place) -> u64;

    /// Whether a place of a life is new, and proved.
    fn is_new(&self, at: Proved) -> bool;

    /// A child of this very node is at the other end of a link, at a place that [is
    /// new](Router::is_new). Else as [`Router::learn`].
    fn learn_child(&mut self, at: Proved, via: LinkId) -> News;

    /// What the other end of a link tells: the life at this place is reached by way of it, and no more by
    /// any other link. When it has moved there, all below it are forgotten: it tells at once who has come
    /// with it, and news of others may be lost on the route that it has left.
    ///
    /// What a node does not learn it must not pass on either: whoever is above it knows by that link what
    /// it knows, and hears of an end only when it does.
    fn learn(&mut self, at: Proved, via: LinkId) -> News;

    /// Whether a life is known to be at this very place, by way of `via`. News of it there is no news
    /// otherwise.
    fn is_at(&self, place: Place, via: LinkId) -> bool;

    /// As [`Router::is_at`], or was there last and has been forgotten since.
    fn was_at(&self, place: Place, via: LinkId) -> bool;

    /// Whether `via` leads, or has led last, to a life, or leads to the one that has started its process.
    fn may_tell_end(&self, life: Life, via: LinkId) -> bool;

    /// Forgets the route to a life and to all below it, if it goes by `via`, and says who they were, in
    /// ascending order.
    fn forget(&mut self, life: Life, via: LinkId) -> Vec<Life>;

    /// The places of all to whom there is a route, each after the one above it.
    fn places(&self) -> Vec<Proved>;
}

/// What becomes of news about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It is so from now on. These are not reached any more by the link by which they were: what is
    /// under way there to one of them will not arrive, even if that link leads to it again a moment
    /// later.
    Learnt(Vec<(Life, LinkId)>),
    /// It was known, or is not so any more, or never was: it is not proved, or a later place of this life
    /// is known, or its parent is not reached by that link, having left that route, and what it tells by its new one is
    /// newer.
    Nothing,
    /// The control node has never said that such a life would come.
    Stranger,
}

/// How many lives without a route are remembered; who has hung nowhere for the longest is forgotten first.
/// An orphan finds a parent within seconds, or ends, and only the control node makes lives.
pub(crate) const REMEMBERED_MAX: usize = 16 * 1024;

/// A [`Router`] with one entry for each life. Whoever is above one to whom there is a route is this node,
/// or reached by the same link.
#[derive(Debug)]
pub struct RouteTable {
    local: Life,
    lives: FxHashMap<Life, Known>,
    /// Who hangs below whom, of those to whom there is a route; nobody has an empty set.
    children: FxHashMap<Life, BTreeSet<Life>>,
    /// Those to whom there is none, in the order in which that came to be so.
    astray: BTreeMap<u64, Life>,
    /// How often that has come to be so.
    strayed: u64,
}

/// What is known of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    /// Where it hangs, or has hung last, or will hang first.
    place: Place,
    /// At how many places it has been so far, and the proof of the last one, or its mark.
    places: u64,
    proof: Proof,
    /// The link on the route to it, or that was the last one.
    via: Option<LinkId>,
    /// Its number among those to whom there is no route.
    astray: Option<u64>,
    /// Who has started its process.
    birthplace: Life,
}

impl Known {
    /// The link on the route to it, if there is a route.
    fn route(&self) -> Option<LinkId> {
        self.via.filter(|_| self.astray.is_none())
    }
}

impl RouteTable {
    /// The table of the node whose life is `local`, which knows nobody yet.
    #[must_use]
    pub fn new(local: Life) -> RouteTable {
        RouteTable {
            local,
            lives: FxHashMap::default(),
            children: FxHashMap::default(),
            astray: BTreeMap::new(),
            strayed: 0,
        }
    }

    /// How many lives there is a route to.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lives.len() - self.astray.len()
    }

    /// How many lives are known, also those to which there is no route.
    #[must_use]
    pub fn known(&self) -> usize {
        self.lives.len()
    }

    /// Whether there is no route to anyone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    fn link_to(&self, life: Life) -> Option<LinkId> {
        self.lives.get(&life).and_then(Known::route)
    }

    /// Forgets the route to one life, but not to those below it.
    fn lose(&mut self, life: Life) {
        let Some(known) = self.lives.get_mut(&life).filter(|known| known.astray.is_none()) else {
            return;
        };
        self.strayed += 1;
        known.astray = Some(self.strayed);
        let parent = known.place.parent;
        self.astray.insert(self.strayed, life);
        if let Some(siblings) = self.children.get_mut(&parent) {
            siblings.remove(&life);
            if siblings.is_empty() {
                self.children.remove(&parent);
            }
        }
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        if self.astray.len() > REMEMBERED_MAX
            && let Some((_, life)) = self.astray.pop_first()
        {
            self.lives.remove(&life);
        }
    }

    /// From now on a life is at this place.
    fn hang(&mut self, Proved { place, proof }: Proved, via: LinkId) -> News {
        let life = place.life;
        let mut left = Vec::new();
        if let Some(old) = self.link_to(life) {
            left.push((life, old));
            left.extend(self.below(life).into_iter().map(|life| (life, old)));
            left.iter().for_each(|(life, _)| self.lose(*life));
        }
        let Some(known) = self.lives.get_mut(&life) else { return News::Stranger };
        if let Some(number) = known.astray.take() {
            self.astray.remove(&number);
        }
        (known.place, known.proof, known.places) = (place, proof, u64::from(place.moves) + 1);
        known.via = Some(via);
        self.children.entry(place.parent).or_default().insert(life);
        News::Learnt(left)
    }
}

impl Router for RouteTable {
    fn route(&self, to: Life) -> Hop {
        if to == self.local {
            return Hop::Local;
        }
        self.link_to(to).map_or(Hop::Unknown, Hop::Link)
    }

    fn expect(&mut self, life: Life, parent: Life, mark: Proof) {
        if life.incarnation <= parent.incarnation.max(self.local.incarnation) {
            return;
        }
        self.strayed += 1;
        let place = Place { life, parent, moves: 0 };
        let astray = Some(self.strayed);
        let (places, proof) = (0, mark);
        let known = Known { place, places, proof, via: None, astray, birthplace: parent };
        if let Entry::Vacant(entry) = self.lives.entry(life) {
            entry.insert(known);
            self.astray.insert(self.strayed, life);
            self.forget_oldest();
        }
    }

    fn knows(&self, life: Life) -> bool {
        self.lives.contains_key(&life)
    }

    fn steps(&self, place: Place) -> u64 {
        let known = self.lives.get(&place.life);
        known.map_or(0, |known| (u64::from(place.moves) + 1).saturating_sub(known.places))
    }

    fn is_new(&self, Proved { place, proof }: Proved) -> bool {
        let known = self.lives.get(&place.life);
        known.is_some_and(|known| proof.is_newer(self.steps(place), known.proof))
    }

    fn learn_child(&mut self, at: Proved, via: LinkId) -> News {
        if self.is_new(at) { self.hang(at, via) } else { News::Nothing }
    }

    fn learn(&mut self, at: Proved, via: LinkId) -> News {
        let Proved { place, .. } = at;
        let Place { life, parent, .. } = place;
        // Nobody but this node itself knows who its children are.
        let is_above = self.link_to(parent) == Some(via) && parent.incarnation < life.incarnation;
        match self.lives.get(&life) {
            _ if !is_above => News::Nothing,
            None => News::Stranger,
            // It was forgotten with its parent, which has come back.
            Some(known) if known.place == place && known.places > 0 && known.astray.is_some() => {
                self.hang(Proved { proof: known.proof, ..at }, via)
            }
            Some(_) if self.is_new(at) => self.hang(at, via),
            Some(_) => News::Nothing,
        }
    }

    fn is_at(&self, place: Place, via: LinkId) -> bool {
        self.was_at(place, via) && self.link_to(place.life).is_some()
    }

    fn was_at(&self, place: Place, via: LinkId) -> bool {
        let known = self.lives.get(&place.life);
        known.is_some_and(|known| known.place == place && known.via == Some(via))
    }

    fn may_tell_end(&self, life: Life, via: LinkId) -> bool {
        let known = self.lives.get(&life);
        known.is_some_and(|known| {
            known.via == Some(via) || self.link_to(known.birthplace) == Some(via)
        })
    }

    fn forget(&mut self, life: Life, via: LinkId) -> Vec<Life> {
        if self.link_to(life) != Some(via) {
            return Vec::new();
        }
        let mut lives = self.below(life);
        lives.push(life);
        lives.iter().for_each(|life| self.lose(*life));
        lives.sort_unstable();
        lives
    }

    fn places(&self) -> Vec<Proved> {
        let known = |life: &Life| self.lives[life];
        let below = self.below(self.local);
        below.iter().map(known).map(|Known { place, proof, .. }| Proved { place, proof }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, KEY_BYTES, NodeId, Secret, Seed};

    const HERE: LinkId = LinkId(1);
    const THERE: LinkId = LinkId(2);

    fn life(id: u32, incarnation: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(incarnation) }
    }

    fn below(life: Life, parent: Life, moves: u32) -> Place {
        Place { life, parent, moves }
    }

    fn place(life: Life, moves: u32) -> Place {
        below(life, Life::CONTROL, moves)
    }

    fn seed(life: Life) -> Seed {
        Seed::of(Secret::new(&[7; KEY_BYTES]), life)
    }

    fn proved(place: Place) -> Proved {
        Proved { place, proof: seed(place.life).proof(place.moves).unwrap() }
    }

    /// The table of the control node, which has these created.
    fn table(lives: &[Life]) -> RouteTable {
        let mut table = RouteTable::new(Life::CONTROL);
        lives.iter().for_each(|life| table.create(*life, Life::CONTROL));
        table
    }

    impl RouteTable {
        /// Learns of a place, whoever tells of it, and says whether it did.
        fn hear(&mut self, place: Place, via: LinkId) -> bool {
            let news = match place.parent == self.local {
                true => self.learn_child(proved(place), via),
                false => self.learn(proved(place), via),
            };
            matches!(news, News::Learnt(_))
        }

        fn create(&mut self, life: Life, parent: Life) {
            self.expect(life, parent, seed(life).mark());
        }

        fn all(&self) -> Vec<Place> {
            self.places().iter().map(|at| at.place).collect()
        }
    }

    #[test]
    fn it_learns_moves_and_forgets() {
        let local = Life::CONTROL;
        let lives = [5, 6, 7].map(|id| life(id, id));
        let [five, six, seven] = lives;
        let mut table = table(&lives);
        assert_eq!((table.route(local), table.len()), (Hop::Local, 0));
        assert_eq!(table.route(five), Hop::Unknown);

        for life in [seven, five, six] {
            assert!(table.hear(place(life, 0), HERE));
        }
        assert_eq!(table.route(five), Hop::Link(HERE));

        assert!(table.hear(place(five, 1), THERE));
        assert_eq!(table.forget(five, HERE), []);
        assert_eq!(table.route(five), Hop::Link(THERE), "another link leads there now");
        assert!(!table.hear(place(five, 0), HERE), "that is not its place any more");
        assert_eq!(table.all()[0], place(five, 1));
        assert!(table.is_at(place(five, 1), THERE));
        assert!(!table.is_at(place(five, 0), THERE) && !table.is_at(place(five, 1), HERE));

        for life in [six, seven] {
            assert_eq!(table.forget(life, HERE), [life]);
        }
        assert_eq!(table.route(seven), Hop::Unknown);

        assert_eq!(table.forget(five, THERE), [five]);
        assert_eq!(table.route(five), Hop::Unknown);
        assert!(!table.is_at(place(five, 1), THERE) && table.was_at(place(five, 1), THERE));
        assert!(table.children.is_empty() && table.is_empty(), "nothing is left behind");
    }

    /// Or a hostile node could make up any number of them.
    #[test]
    fn only_lives_that_are_to_be_can_hang_anywhere() {
        let (parent, child) = (life(1, 1), life(2, 2));
        let mut table = table(&[parent]);
        table.hear(place(parent, 0), HERE);
        assert_eq!(table.learn(proved(below(child, parent, 0)), HERE), News::Stranger);
        table.create(child, parent);
        assert!(table.hear(below(child, parent, 0), HERE));
    }

    #[test]
    fn nobody_can_be_said_to_hang_where_its_teller_is_not_above_it() {
        let (liar, other, leaf) = (life(1, 1), life(2, 2), life(3, 3));
        let mut table = table(&[liar, other, leaf]);
        table.hear(place(liar, 0), HERE);
        table.hear(place(other, 0), THERE);
        for parent in [other, Life::CONTROL, life(9, 0)] {
            assert_eq!(
                table.learn(proved(below(leaf, parent, 5)), HERE),
                News::Nothing,
                "{parent}"
            );
        }
    }

    /// Whoever walks the tree would never come to an end.
    #[test]
    fn nobody_can_be_said_to_hang_below_itself() {
        let (one, two) = (life(1, 1), life(2, 2));
        let mut table = table(&[one, two]);
        table.hear(place(one, 0), HERE);
        table.hear(below(two, one, 0), HERE);
        assert!(!table.hear(below(one, two, 1), HERE) && !table.hear(below(two, two, 1), HERE));
        assert_eq!(table.all(), [place(one, 0), below(two, one, 0)]);

        // Nor if whoever is above says so.
        let local = life(9, 9);
        let mut table = RouteTable::new(local);
        for (life, parent) in [(local, local), (one, local), (life(4, 4), life(5, 5))] {
            table.create(life, parent);
            assert!(!table.knows(life), "{life} below {parent}");
        }
    }

    /// Else a node could be said to hang where it does not.
    #[test]
    fn a_new_place_needs_the_proof_of_the_life_itself() {
        let (liar, other, leaf) = (life(1, 1), life(2, 2), life(3, 3));
        let mut table = table(&[liar, other, leaf]);
        table.hear(place(liar, 0), HERE);
        table.hear(place(other, 0), THERE);
        table.hear(below(leaf, other, 2), THERE);
        let lie = |moves, proof| Proved { place: below(leaf, liar, moves), proof };
        let shown = |moves| seed(leaf).proof(moves).unwrap();
        for moves in [0, 1, 2, 3, 4, 255, 256, u32::MAX] {
            for proof in [shown(0), shown(1), shown(2), seed(leaf).mark(), seed(liar).mark()] {
                assert!(!table.is_new(lie(moves, proof)), "{moves}");
                assert_eq!(table.learn(lie(moves, proof), HERE), News::Nothing, "{moves}");
            }
        }
        table.forget(leaf, THERE);
        assert_eq!(table.learn(lie(2, shown(2)), HERE), News::Nothing, "it was not there");
        assert!(table.hear(below(leaf, liar, 4), HERE), "now it is");
    }

    #[test]
    fn what_is_known_already_is_no_news() {
        let (parent, child) = (life(1, 1), life(2, 2));
        let mut table = table(&[parent, child]);
        table.hear(place(parent, 0), HERE);
        assert!(table.hear(below(child, parent, 0), HERE));
        assert!(!table.hear(below(child, parent, 0), HERE));
        table.forget(child, HERE);
        assert!(table.hear(below(child, parent, 0), HERE), "it has come with its parent");
    }

    /// Only the node at which it has begun is told by the system.
    #[test]
    fn of_an_end_tells_who_leads_there_or_has_started_it() {
        let (parent, other, child) = (life(1, 1), life(2, 2), life(3, 3));
        let mut table = table(&[parent, other]);
        table.create(child, parent);
        table.hear(place(parent, 0), HERE);
        table.hear(place(other, 0), THERE);
        table.hear(below(child, other, 1), THERE);
        let links = [HERE, THERE, LinkId(9)];
        assert_eq!(links.map(|link| table.may_tell_end(child, link)), [true, true, false]);
        assert!(!table.may_tell_end(parent, THERE));
    }

    #[test]
    fn who_hangs_nowhere_is_remembered_but_not_for_ever() {
        let first = life(0, 1);
        let mut table = table(&[first]);
        table.hear(place(first, 0), HERE);
        table.forget(first, HERE);
        for id in 0..20_000 {
            assert!(table.knows(first) || id >= 16_384 - 1, "{id}");
            table.create(life(1, 2 + id), Life::CONTROL);
        }
        assert_eq!((table.lives.len(), table.len()), (REMEMBERED_MAX, 0));
    }

    #[test]
    fn late_news_by_a_way_that_the_parent_has_left_leads_nowhere() {
        let (old, new) = (HERE, THERE);
        let (relay, top, middle, leaf) = (life(1, 1), life(2, 2), life(3, 3), life(4, 4));
        let late = life(5, 5);
        let mut table = table(&[relay, top, middle, leaf, late]);
        table.hear(place(relay, 0), old);
        table.hear(below(middle, relay, 0), old);
        table.hear(below(leaf, middle, 0), old);
        table.hear(place(top, 1), new);
        table.hear(below(middle, top, 1), new);
        table.hear(below(leaf, middle, 0), new);
        table.hear(below(leaf, middle, 1), old);
        assert_eq!(table.forget(leaf, old), []);
        assert_eq!(table.route(leaf), Hop::Link(new));
        assert_eq!(table.learn(proved(below(late, leaf, 0)), old), News::Nothing);
        assert_eq!(table.forget(relay, old), [relay]);
        assert_eq!(
            table.learn(proved(below(late, relay, 0)), old),
            News::Nothing,
            "nobody is there"
        );
        assert_eq!(table.forget(top, new), [top, middle, leaf]);
    }

    /// News of its end may have taken the route that its parent has left, and come too late.
    #[test]
    fn who_has_not_come_along_is_forgotten() {
        let (parent, gone, leaf) = (life(1, 1), life(2, 2), life(3, 3));
        let mut table = table(&[parent, gone, leaf]);
        for via in [HERE, HERE, THERE] {
            let moves = table.all().first().map_or(0, |place| place.moves + 1);
            table.hear(place(parent, moves), via);
            table.hear(below(gone, parent, 0), via);
            table.hear(below(leaf, gone, 0), via);
            assert_eq!(table.len(), 3);
        }
        table.hear(place(parent, 3), THERE);
        assert_eq!(table.forget(gone, HERE), []);
        assert_eq!(table.all(), [place(parent, 3)]);
    }

    /// The relay at the end of the link has it at a place that was not believed here, and will not tell
    /// of its end.
    #[test]
    fn who_was_below_one_that_is_forgotten_is_forgotten_as_well() {
        let (relay, first, second, leaf) = (life(1, 1), life(2, 2), life(3, 3), life(4, 4));
        let mut table = table(&[relay, first, second, leaf]);
        table.hear(place(relay, 0), HERE);
        table.hear(below(first, relay, 0), HERE);
        table.hear(below(leaf, first, 0), HERE);
        table.hear(place(second, 1), THERE);
        assert_eq!(table.learn(proved(below(leaf, second, 1)), HERE), News::Nothing);
        assert_eq!(table.forget(first, HERE), [first, leaf]);
        assert_eq!(table.all(), [place(relay, 0), place(second, 1)]);
    }

    /// What is under way there will not arrive.
    #[test]
    fn who_has_moved_has_left_its_way_with_all_below_it() {
        let (top, leaf) = (life(1, 1), life(2, 2));
        let mut table = table(&[top, leaf]);
        assert_eq!(table.learn_child(proved(place(top, 0)), HERE), News::Learnt(vec![]));
        assert_eq!(table.learn(proved(below(leaf, top, 0)), HERE), News::Learnt(vec![]));
        let left = vec![(top, HERE), (leaf, HERE)];
        assert_eq!(table.learn_child(proved(place(top, 1)), HERE), News::Learnt(left));
        assert_eq!(
            table.learn_child(proved(place(top, 1)), THERE),
            News::Nothing,
            "it is where it was"
        );
        assert_eq!(
            table.learn_child(proved(place(top, 2)), THERE),
            News::Learnt(vec![(top, HERE)])
        );
    }

    #[test]
    fn a_new_life_that_comes_to_nothing_leaves_the_way_to_the_old_one() {
        let (old, new) = (life(5, 1), life(5, 2));
        let mut table = table(&[old, new]);
        table.hear(place(old, 9), HERE);
        table.hear(place(new, 0), THERE);
        assert_eq!(table.route(old), Hop::Link(HERE));
        assert_eq!(table.route(new), Hop::Link(THERE));
        assert_eq!(table.forget(new, THERE), [new]);
        assert_eq!((table.route(old), table.route(new)), (Hop::Link(HERE), Hop::Unknown));
        assert_eq!(table.forget(old, HERE), [old]);
    }
}
