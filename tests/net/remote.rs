//! Nodes on other hosts: they come about, do what others do, and leave nothing behind.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::console::Console;
use crate::deadline::{PATIENCE, TOLERANCE, eventually};
use crate::host::Host;
use crate::network::Network;
use crate::process::Process;

/// Within this time a host that is silent is told of.
const NOTICED_MAX: Duration = Duration::from_secs(5);

/// How long anything of a tree may outlive its control node, on any host.
const OUTLIVING_MAX: Duration = Duration::from_secs(10);

/// How long a connection that was cut may outlive its other end: what is sent again and again is sent ever
/// more seldom.
const FORGOTTEN_MAX: Duration = Duration::from_secs(120);

/// A console on `a`, with node 10 on `b` and node 11 below it.
fn start(network: &Network, args: &[&str]) -> (Console, [Process; 2]) {
    let b = network.host("b");
    let mut console = Console::on(network.host("a"), args);
    let node = console.create("10 -1 --on b", b);
    let below = console.create("11 10", b);
    (console, [node, below])
}

/// Checks that a node answers, and on which host.
#[track_caller]
fn assert_runs_on(console: &mut Console, node: u32, host: &str) {
    console.ask(&format!("exec {node} echo hello"), &format!("Ok:{node}: hello"));
    console.ask(&format!("exec {node} sh hostname"), &format!("{node}: {host}"));
    console.expect(&format!("Ok:{node}: exit 0"));
}

/// Waits until a node that has lost its parent answers again.
#[track_caller]
fn assert_heals(console: &mut Console, node: u32) {
    eventually(&format!("{node} has another parent"), PATIENCE, || {
        console.send(&format!("exec {node} echo healed"));
        console.line() == format!("Ok:{node}: healed")
    });
}

#[track_caller]
fn assert_ends(console: Console, network: &Network) {
    let ran = console.finish();
    assert_eq!((ran.status, ran.errors.as_str()), (0, ""));
    network.nothing_left(PATIENCE);
}

/// As [`assert_ends`], where a host was lost, of which the user may have been told.
#[track_caller]
fn assert_ends_without_a_host(console: Console, network: &Network) {
    let ran = console.finish();
    assert_eq!(ran.status, 0);
    network.nothing_left(PATIENCE);
}

#[track_caller]
fn assert_dead(host: &Host, within: Duration) {
    eventually("no node is left there", within, || host.nodes().is_empty());
}

#[test]
fn a_node_runs_where_it_was_created_and_so_do_those_below_it() {
    let Some(network) = Network::new(2) else { return };
    let (mut console, _) = start(&network, &[]);
    for node in [10, 11] {
        assert_runs_on(&mut console, node, "b");
    }
    console.create("1 -1", network.host("a"));
    assert_runs_on(&mut console, 1, "a");
    assert_ends(console, &network);
}

/// `a` has no way to `c` but by `b`.
#[test]
fn a_host_starts_nodes_on_the_next_one() {
    let Some(network) = Network::new(3) else { return };
    network.host("a").must("sed -i 's/^Host c$/Host other/' /root/.ssh/config");
    let (mut console, _) = start(&network, &[]);
    console.create("20 11 --on c", network.host("c"));
    console.create("21 20", network.host("c"));
    for (node, host) in [(20, "c"), (21, "c"), (10, "b")] {
        assert_runs_on(&mut console, node, host);
    }
    assert_ends(console, &network);
}

#[test]
fn a_node_is_removed_from_another_host() {
    let Some(network) = Network::new(2) else { return };
    let (mut console, _) = start(&network, &[]);
    console.ask("remove 10", "Ok");
    network.host("b").nothing_left(PATIENCE);
    console.create("10 -1 --on b", network.host("b"));
    assert_runs_on(&mut console, 10, "b");
    assert_ends(console, &network);
}

#[test]
fn what_is_below_a_node_that_dies_lives_on() {
    let Some(network) = Network::new(2) else { return };
    let (mut console, [node, below]) = start(&network, &[]);
    node.kill();
    console.ask("exec 10 echo x", "Error:10: Node is unavailable");
    assert_heals(&mut console, 11);
    assert!(below.runs());
    assert_runs_on(&mut console, 11, "b");
    console.create("10 -1 --on b", network.host("b"));
    assert_ends(console, &network);
}

/// A process id of one host means another process on the other.
#[test]
fn a_hung_node_is_killed_on_its_own_host() {
    let Some(network) = Network::new(2) else { return };
    let (mut console, [node, _]) = start(&network, &[]);
    node.stop();
    console.create("10 -1 --on b", network.host("b"));
    eventually("the node is dead", PATIENCE, || !node.runs());
    assert!(console.process().runs());
    assert_ends(console, &network);
}

#[test]
fn a_host_whose_processes_were_killed_is_noticed() {
    let Some(network) = Network::new(2) else { return };
    let (mut console, _) = start(&network, &["--timeout", "60000"]);
    network.host("b").kill_all();
    for node in [10, 11] {
        let lost = format!("Error:{node}: Node is unavailable");
        console.ask(&format!("exec {node} echo x"), &lost);
    }
    network.host("b").start_sshd();
    console.create("10 -1 --on b", network.host("b"));
    assert_runs_on(&mut console, 10, "b");
    assert_ends_without_a_host(console, &network);
}

#[test]
fn a_host_without_power_is_noticed_and_its_ids_are_free() {
    let Some(mut network) = Network::new(3) else { return };
    let (mut console, _) = start(&network, &["--timeout", "60000"]);
    network.power_off("b");
    console.send("exec 11 echo x");
    console.expect_within(NOTICED_MAX + TOLERANCE, "Error:11: Node is unavailable");
    console.ask("exec 10 echo x", "Error:10: Node is unavailable");
    console.create("10 -1 --on c", network.host("c"));
    console.create("11 10", network.host("c"));
    assert_runs_on(&mut console, 11, "c");
    assert_ends_without_a_host(console, &network);
}

#[test]
fn nothing_outlives_the_control_node_on_any_host() {
    for signal in [Signal::KILL, Signal::TERM] {
        let Some(network) = Network::new(3) else { return };
        let (mut console, _) = start(&network, &[]);
        console.create("20 11 --on c", network.host("c"));
        console.process().signal(signal);
        network.nothing_left(OUTLIVING_MAX);
    }
}

#[test]
fn nothing_outlives_the_host_of_the_control_node() {
    let Some(mut network) = Network::new(3) else { return };
    let (mut console, _) = start(&network, &[]);
    console.create("20 11 --on c", network.host("c"));
    network.power_off("a");
    for host in ["b", "c"] {
        assert_dead(network.host(host), OUTLIVING_MAX + TOLERANCE);
    }
}

#[test]
fn a_cable_that_is_cut_for_a_moment_costs_nothing() {
    let Some(network) = Network::new(2) else { return };
    let (mut console, nodes) = start(&network, &["--timeout", "60000"]);
    network.cut("b");
    console.send("exec 11 echo through");
    console.expect_silence(Duration::from_secs(3));
    network.mend("b");
    console.expect_within(Duration::from_secs(30), "Ok:11: through");
    assert!(nodes.iter().all(Process::runs));
    assert_ends(console, &network);
}

#[test]
fn a_host_that_is_cut_off_ends_its_nodes_and_is_told_of() {
    let Some(network) = Network::new(2) else { return };
    let (mut console, _) = start(&network, &["--timeout", "60000"]);
    network.cut("b");
    console.ask("exec 11 echo x", "Error:11: Node is unavailable");
    assert_dead(network.host("b"), Duration::from_secs(30));
    network.mend("b");
    console.create("11 -1 --on b", network.host("b"));
    assert_runs_on(&mut console, 11, "b");
    console.finish();
    network.nothing_left(FORGOTTEN_MAX);
}

/// Nobody has asked for beats.
#[test]
fn a_node_that_says_nothing_for_long_is_not_lost() {
    let Some(network) = Network::new(2) else { return };
    let (mut console, _) = start(&network, &[]);
    thread::sleep(2 * NOTICED_MAX);
    for node in [10, 11] {
        console.ask(&format!("exec {node} echo here"), &format!("Ok:{node}: here"));
    }
    assert_ends(console, &network);
}

/// One packet of twenty, in each direction.
#[test]
fn a_lossy_cable_loses_no_node() {
    let Some(network) = Network::new(2) else { return };
    let (mut console, nodes) = start(&network, &["--timeout", "60000"]);
    network.lose("b", 5);
    for number in 0..200 {
        console.send(&format!("exec 11 echo {number}"));
    }
    for number in 0..200 {
        console.expect_within(Duration::from_secs(30), &format!("Ok:11: {number}"));
    }
    assert!(nodes.iter().all(Process::runs));
    assert_ends(console, &network);
}
