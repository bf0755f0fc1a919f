//! How what several nodes have answered to one command becomes less on its way up the tree.

/// What becomes of two values of one command that meet at a node. Relays know nothing else of them, so
/// another one is added here, and nowhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reduction {
    /// Those that are equal, compared in full, are one; others stay apart.
    #[default]
    Equal,
}

impl Reduction {
    /// Takes `other` into `value` if both can be one, and says whether they are.
    pub fn merge(self, value: &mut Vec<u8>, other: &[u8]) -> bool {
        match self {
            Reduction::Equal => value == other,
        }
    }

    /// Whether a value that has been sent may stand for one that comes later. A sum of what comes later
    /// is another one.
    pub fn can_stand_for_later(self) -> bool {
        match self {
            Reduction::Equal => true,
        }
    }
}
