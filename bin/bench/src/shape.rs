//! The shapes of trees, as the parents of their nodes: the first is that of node 1, and -1 is the
//! control node.

/// A shape that a tree of any size can have.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What a reader of figures knows it by.
    pub name: &'static str,
    /// The parents of this many nodes.
    pub parents: fn(usize) -> Vec<i32>,
}

/// See [`flat`].
pub const FLAT: Shape = Shape { name: "flat", parents: flat };
/// See [`binary`].
pub const BINARY: Shape = Shape { name: "binary", parents: binary };
/// See [`chain`].
pub const CHAIN: Shape = Shape { name: "chain", parents: chain };

/// This many children of the control node.
pub fn flat(nodes: usize) -> Vec<i32> {
    vec![-1; nodes]
}

/// Each node below the one before.
fn chain(nodes: usize) -> Vec<i32> {
    chains(&[nodes])
}

/// A chain of each of these lengths, one after the other.
pub fn chains(lengths: &[usize]) -> Vec<i32> {
    let mut parents = Vec::new();
    for length in lengths {
        let first = node(parents.len());
        parents.push(-1);
        parents.extend(first..first + node(*length) - 2);
    }
    parents
}

/// The nodes at the ends of [`chains`].
pub fn ends(lengths: &[usize]) -> Vec<i32> {
    let mut end = 0;
    let ends = lengths.iter().map(|length| {
        end += length;
        node(end) - 1
    });
    ends.collect()
}

/// Two nodes below the control node, two below each of these, and so on, as far as nodes go.
fn binary(nodes: usize) -> Vec<i32> {
    (0..node(nodes) - 1).map(|index| if index < 2 { -1 } else { index / 2 }).collect()
}

/// The node that comes after this many.
fn node(before: usize) -> i32 {
    i32::try_from(before + 1).expect("a machine has fewer processes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_follow_each_other() {
        assert_eq!(chains(&[1, 2, 4]), [-1, -1, 2, -1, 4, 5, 6]);
        assert_eq!(ends(&[1, 2, 4]), [1, 3, 7]);
        assert_eq!(chain(3), [-1, 1, 2]);
    }

    #[test]
    fn a_binary_tree_has_two_below_everyone() {
        assert_eq!(binary(8), [-1, -1, 1, 1, 2, 2, 3, 3]);
        assert_eq!((binary(1), flat(2)), (vec![-1], vec![-1, -1]));
    }
}
