//! What a member of the tree can do with the name that libzmq gives its peers.
//!
//! It must be alone in its process: what the first sockets of it call their peers could be guessed.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

mod node;

use hoptree_core::Transport;

use node::{endpoint, join, node, password};

/// What the C library draws at random when nobody has seeded it, and libzmq makes names from: one of
/// two of them for each socket, of which it counts up. It ends the process when a name is taken.
const UNSEEDED: [u32; 8] = [
    1_804_289_383,
    846_930_886,
    1_681_692_777,
    1_714_636_915,
    1_957_747_793,
    424_238_335,
    719_885_386,
    1_649_760_492,
];

fn foreseen() -> impl Iterator<Item = u32> {
    let firsts = UNSEEDED.as_chunks::<2>().0.iter().map(|[low, high]| low | high << 31);
    firsts.flat_map(|first| (0..20).map(move |number| first.wrapping_add(number)))
}

#[test]
fn nobody_can_foresee_what_the_next_peer_is_called() {
    let mut parent = node();
    let address = parent.transport.listen().unwrap();
    let context = zmq::Context::new();
    let named: Vec<_> = foreseen()
        .map(|name| {
            let member = context.socket(zmq::DEALER).unwrap();
            member.set_linger(0).unwrap();
            member.set_identity(&[&[0], &name.to_be_bytes()[..]].concat()).unwrap();
            member.set_plain_username(Some("hoptree")).unwrap();
            member.set_plain_password(Some(&password(&address))).unwrap();
            member.connect(&endpoint(&address)).unwrap();
            member.send("I took a name", 0).unwrap();
            member
        })
        .collect();
    parent.until(|seen| seen.len() == 2 * named.len());
    let (_child, _) = join(&mut parent);
    parent.until(|seen| seen.len() == 2 * named.len() + 2);
}
