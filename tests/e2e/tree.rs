//! The shape of the tree, and what its processes share with each other.

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually};
use crate::process::Process;
use crate::tcp::{connected, sockets};
use crate::transport;

#[test]
fn processes_nest_as_created() {
    let mut console = Console::start(&[]);
    let control = console.process();
    let nodes = console.create_chain(3);

    assert_eq!(Vec::from_iter(control.children()), nodes[..1]);
    assert_eq!(Vec::from_iter(nodes[0].children()), nodes[1..2]);
    assert_eq!(Vec::from_iter(nodes[1].children()), nodes[2..]);
    assert!(nodes[2].children().is_empty());
}

#[test]
fn only_neighbours_are_connected() {
    if !transport::is_tcp() {
        // What does not go through ports shows nobody who its ends are.
        return;
    }
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    console.ask("exec 3 echo far", "Ok:3: far");

    let chain = [vec![console.process()], nodes].concat();
    for (upper_depth, upper) in chain.iter().enumerate() {
        for (lower_depth, lower) in chain.iter().enumerate().skip(upper_depth + 1) {
            let neighbours = lower_depth == upper_depth + 1;
            assert_eq!(connected(upper, lower), neighbours, "depths {upper_depth}, {lower_depth}");
        }
    }
}

#[test]
fn nobody_listens_beyond_this_machine() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    for process in [vec![console.process()], nodes].concat() {
        for socket in sockets(&process) {
            assert!(socket.local.ip().is_loopback(), "{socket:?} of {process:?}");
        }
    }
}

#[test]
fn two_consoles_never_see_each_other() {
    let mut one = Console::start(&[]);
    let mut other = Console::start(&[]);
    let mut theirs = other.create_chain(5);
    for node in 1..=5 {
        one.create(node, -1);
    }
    for node in 1..=5 {
        one.ask(&format!("exec {node} start"), &format!("Ok:{node}"));
    }
    for node in 1..=5 {
        other.ask(&format!("exec {node} time"), &format!("Ok:{node}: 0"));
    }

    let mut family = other.process().descendants();
    family.sort();
    theirs.sort();
    assert_eq!(family, theirs);

    one.ask("remove 4", "Ok");
    other.ask("ping 4", "Ok: 1");
    assert_eq!(one.finish().status, 0);
    for node in 1..=5 {
        other.ask(&format!("exec {node} echo here"), &format!("Ok:{node}: here"));
    }
}

#[test]
fn a_secret_is_in_no_argument_and_no_environment() {
    let mut one = Console::start(&[]);
    let mut other = Console::start(&[]);
    let nodes = one.create_chain(2);
    let twin = other.create(1, -1);

    // What is the same for the nodes of two trees, but for the node's id, can't tell a secret.
    assert_eq!(nodes[0].arguments(), ["hoptree", "node", "1"]);
    assert_eq!(twin.arguments(), ["hoptree", "node", "1"]);
    assert_eq!(nodes[1].arguments(), ["hoptree", "node", "2"]);
    for node in nodes {
        assert!(node.environment().is_subset(&one.process().environment()));
    }
}

/// Else whoever reads the output in a pipeline would wait for every node, and a node's stray line
/// could come between the console's.
#[test]
fn nodes_hold_neither_the_input_nor_the_output_of_the_console() {
    let mut console = Console::start(&[]);
    let ours = [0, 1].map(|number| console.process().descriptor(number));
    for node in console.create_chain(3) {
        let theirs = node.descriptors();
        assert!(!ours.iter().any(|pipe| theirs.contains(pipe)), "{theirs:?}");
    }
}

#[test]
fn nodes_are_out_of_reach_of_the_terminals_signals() {
    let mut console = Console::start(&[]);
    let control = console.process().group();
    for node in console.create_chain(3) {
        assert_ne!(node.group(), control);
    }
}

/// Node 2 is the control node's grandchild, and the child of a process that can't wait any more.
#[test]
fn a_dead_node_leaves_no_zombie() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    nodes[1].kill();
    nodes[0].kill();
    let both = &nodes[..2];
    eventually("both are reaped", PATIENCE, || both.iter().all(Process::is_reaped));
    console.ask("ping 1", "Ok: 0");
}
