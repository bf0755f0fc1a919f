//! Nodes on this transport.

use hoptree_core::{Address, LinkId, Transport};
use hoptree_ipc::Ipc;
use tempfile::TempDir;

pub type Node = hoptree_test_support::Node<Ipc>;

pub fn node(place: &TempDir) -> Node {
    Node::new(Ipc::open(place.path()).unwrap())
}

/// Connects and says hello, without a wait.
pub fn join(node: &mut Node, address: &Address) -> LinkId {
    let link = node.transport.connect(address);
    node.transport.send(link, b"hello").unwrap();
    link
}
