//! Any lines at the console, none of whose nodes can be started.

use hoptree_core::Order;

use crate::tree::Tree;

/// Types the input, whose first byte is the order of the replies.
///
/// # Panics
///
/// When what is printed is not whole lines of UTF-8, or the console does not end.
pub fn run(input: &[u8]) {
    let Some((order, lines)) = input.split_first() else { return };
    let order = if order % 2 == 0 { Order::Input } else { Order::Completion };
    let mut tree = Tree::new(order);
    tree.let_starts_fail(true);
    for line in lines.split(|byte| *byte == b'\n') {
        tree.enter(line);
    }
    tree.end_input();
    tree.expect_end();
}
