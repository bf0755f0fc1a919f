//! What one turn of a node has to send to its children when it ends.

use crate::{FRAME_BYTES_MAX, LinkId};

/// With this much queued for one child it is time to let it leave, so that the child begins while
/// this node goes on: half a frame, and about half of what the control node has unanswered at a
/// node.
const BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// The links that this turn has touched, and those whose acknowledgements are withheld.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Each once; their children know that they are here.
    touched: Vec<LinkId>,
    has_enough: bool,
}

impl Turn {
    /// Has a link flushed at the end of the turn.
    pub fn touch(&mut self, link: LinkId) {
        self.touched.push(link);
    }

    /// This many bytes of requests are queued for one child.
    pub fn queued(&mut self, bytes: usize) {
        self.has_enough |= bytes >= BYTES_MAX;
    }

    /// Whether this turn has queued enough for one child that it should leave first.
    pub fn has_enough(&self) -> bool {
        self.has_enough
    }

    /// A link is gone.
    pub fn forget(&mut self, link: LinkId) {
        self.touched.retain(|touched| *touched != link);
    }

    /// The links that must be flushed, in ascending order.
    pub fn links(&mut self) -> &[LinkId] {
        self.touched.sort_unstable();
        &self.touched
    }

    /// All links have been flushed. With `acknowledged` unset their peers are still owed
    /// acknowledgements, so they are flushed again after the next turn.
    pub fn end(&mut self, acknowledged: bool) {
        self.has_enough = false;
        if acknowledged {
            self.touched.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_are_owed_acknowledgements_stay_touched() {
        let mut turn = Turn::default();
        [3, 1, 2].into_iter().for_each(|link| turn.touch(LinkId(link)));
        turn.forget(LinkId(2));
        assert_eq!(turn.links(), [LinkId(1), LinkId(3)]);
        turn.end(false);
        assert_eq!(turn.links(), [LinkId(1), LinkId(3)]);
        turn.end(true);
        assert_eq!(turn.links(), []);
    }

    #[test]
    fn a_turn_has_enough_when_one_child_has() {
        let mut turn = Turn::default();
        (0..10).for_each(|_| turn.queued(BYTES_MAX - 1));
        assert!(!turn.has_enough());
        turn.queued(BYTES_MAX);
        assert!(turn.has_enough());
        turn.end(false);
        assert!(!turn.has_enough());
    }
}
