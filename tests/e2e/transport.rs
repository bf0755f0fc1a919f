//! Which transport the trees of these tests run on: that of the environment variable
//! `HOPTREE_TEST_TRANSPORT`, or the default. And trees that run on two.

use std::env;

use hoptree as _;
use hoptree_core::{TransportSpec, linked_transports};

use crate::console::Console;
use crate::deadline::{OUTLIVING_MAX, PATIENCE, eventually};
use crate::process::Process;

/// The options that choose the transport, unless the arguments do, and insist on it if it has a flaw.
pub fn options(args: &[&str]) -> Vec<String> {
    if args.first() == Some(&"bench") {
        return Vec::new();
    }
    let mut options = Vec::new();
    let mut name = args.windows(2).find(|pair| pair[0] == "--transport").map(|pair| pair[1].into());
    if name.is_none() {
        name = chosen();
        options.extend(name.iter().flat_map(|name| ["--transport".to_owned(), name.clone()]));
    }
    let is_flawed = with_a_flaw().any(|spec| name.as_deref() == Some(spec.name));
    if is_flawed && !args.contains(&"--insecure") {
        options.push("--insecure".to_owned());
    }
    options
}

/// Those that are used only when the user insists.
pub fn with_a_flaw() -> impl Iterator<Item = &'static TransportSpec> {
    linked().into_iter().filter(|spec| spec.flaw.is_some())
}

/// Whether the trees of these tests talk over TCP.
pub fn is_tcp() -> bool {
    let name = chosen().unwrap_or_else(|| "zmq".to_owned());
    linked().iter().any(|spec| spec.name == name && spec.runs_over.starts_with("TCP"))
}

/// Whether what strangers send to a port of the tree may end a node: the library under this transport
/// ends its process when a frame declares a size that there is no memory for.
pub fn dies_of_strangers() -> bool {
    chosen().is_some_and(|name| name == "zeromq:tcp")
}

/// Those whose sockets are files.
pub fn with_socket_files() -> impl Iterator<Item = &'static TransportSpec> {
    linked().into_iter().filter(|spec| spec.has_socket_files)
}

/// Those that leave the file system alone.
pub fn without_socket_files() -> impl Iterator<Item = &'static TransportSpec> {
    linked().into_iter().filter(|spec| !spec.has_socket_files)
}

fn chosen() -> Option<String> {
    env::var("HOPTREE_TEST_TRANSPORT").ok()
}

/// Every transport that is linked.
pub fn linked() -> Vec<&'static TransportSpec> {
    linked_transports().unwrap()
}

/// Every two transports, and whether they can be mixed.
fn pairs() -> Vec<(&'static str, &'static str, bool)> {
    let all = linked();
    let pairs = all.iter().flat_map(|one| all.iter().map(move |other| (one, other)));
    pairs
        .filter(|(one, other)| one.name != other.name)
        .map(|(one, other)| (one.name, other.name, one.speaks == other.speaks))
        .collect()
}

/// A chain of six in which every node is on the other transport than its parent.
fn alternating(one: &str, other: &str) -> (Console, Vec<Process>) {
    let mut console = Console::start(&["--transport", one, "--insecure"]);
    let mut nodes = Vec::new();
    for node in 1..=6 {
        let parent = if node == 1 { -1 } else { node - 1 };
        let transport = if node % 2 == 1 { other } else { one };
        console.send(&format!("create {node} {parent} --transport {transport}"));
        nodes.push(console.expect_pid());
    }
    (console, nodes)
}

#[test]
fn a_tree_works_in_which_two_transports_alternate() {
    for (one, other, _) in pairs().into_iter().filter(|(_, _, can_be_mixed)| *can_be_mixed) {
        let (mut console, nodes) = alternating(one, other);
        console.ask("exec 6 echo deep", "Ok:6: deep");
        // It is on its parent's transport unless another is named.
        console.create(7, 6);
        console.ask("exec 7 echo deeper", "Ok:7: deeper");
        nodes[3].kill();
        console.ask("exec 4 echo gone", "Error:4: Node is unavailable");
        console.ask("exec 3 echo here", "Ok:3: here");
        eventually("node 5 is taken in by node 3", PATIENCE, || {
            console.send("ping 7");
            console.line().text == "Ok: 1"
        });
        console.end_input();
        assert!(console.wait_exit().success());
        assert_eq!(console.scratch().names(), [""; 0], "{other} below {one}");
        assert!(!nodes.iter().any(Process::runs));
    }
}

#[test]
fn a_killed_console_leaves_no_file_on_any_transport() {
    for spec in linked() {
        let mut console = Console::start(&["--transport", spec.name]);
        let nodes = console.create_chain(3);
        console.process().kill();
        eventually("the tree ends", OUTLIVING_MAX, || !nodes.iter().any(Process::runs));
        assert_eq!(console.scratch().names(), [""; 0], "{}", spec.name);
    }
}

#[test]
fn a_node_is_on_a_transport_with_a_flaw_only_when_the_user_has_insisted() {
    for spec in with_a_flaw() {
        let same = |other: &&TransportSpec| other.speaks == spec.speaks && other.flaw.is_none();
        let tree = linked().into_iter().find(same).unwrap();
        let mut console = Console::start(&["--transport", tree.name]);
        console.create(1, -1);
        for parent in [-1, 1] {
            console.send(&format!("create 2 {parent} --transport {}", spec.name));
            let error = console.line().text;
            assert!(error.starts_with("Error: ") && error.contains(spec.flaw.unwrap()), "{error}");
            assert!(error.contains(tree.name) && error.ends_with("--insecure"), "{error}");
            console.ask("ping 2", "Error: Not found");
        }
    }
}

#[test]
fn a_node_without_the_seal_has_links_with_others() {
    let mut console = Console::start(&["--transport", "zmq@open", "--insecure"]);
    console.create(1, -1);
    console.send("create 2 1 --transport zmq");
    console.expect_pid();
    console.send("create 3 2 --transport zmq@open");
    console.expect_pid();
    console.ask("exec 3 echo deep", "Ok:3: deep");
}

#[test]
fn what_cannot_be_mixed_is_refused() {
    for (one, other, _) in pairs().into_iter().filter(|(_, _, can_be_mixed)| !can_be_mixed) {
        let mut console = Console::start(&["--transport", one]);
        console.send(&format!("create 1 -1 --transport {other}"));
        let error = console.line().text;
        assert!(error.starts_with("Error: ") && error.contains("can't join"), "{error}");
        assert!(error.contains(one) && error.contains(other), "{error}");
        console.ask("ping 1", "Error: Not found");
    }
    let mut console = Console::start(&[]);
    console.send("create 1 --transport pigeon");
    assert!(console.line().text.contains("there is no transport 'pigeon'"));
    console.ask("ping 1", "Error: Not found");
}
