//! Lives that their parents must end, but can't be told to yet.

use rustc_hash::FxHashMap;

use crate::Life;

/// Lives that must be ended, by the parents that are told so once they can be reached again.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    by_parent: FxHashMap<Life, Vec<Life>>,
}

impl Deferred {
    /// Notes that a parent must end a life.
    pub fn add(&mut self, parent: Life, life: Life) {
        self.by_parent.entry(parent).or_default().push(life);
    }

    /// The lives that a parent must end, which it can be told now.
    pub fn take(&mut self, parent: Life) -> Vec<Life> {
        self.by_parent.remove(&parent).unwrap_or_default()
    }

    /// Forgets what a parent was to be told: it has ended itself.
    pub fn forget(&mut self, parent: Life) {
        self.by_parent.remove(&parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId};

    #[test]
    fn a_parent_is_told_once_and_not_at_all_when_it_has_ended() {
        let life = |id| Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) };
        let mut deferred = Deferred::default();
        for (parent, child) in [(1, 3), (1, 4), (2, 5)] {
            deferred.add(life(parent), life(child));
        }
        assert_eq!(deferred.take(life(1)), [life(3), life(4)]);
        assert_eq!(deferred.take(life(1)), []);
        deferred.forget(life(2));
        assert_eq!(deferred.take(life(2)), []);
    }
}
