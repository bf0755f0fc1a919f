//! A tree within one of the hosts: as on any machine, and with nothing on the others.

use crate::console::Console;
use crate::deadline::PATIENCE;
use crate::network::Network;

#[test]
fn a_tree_lives_and_ends_on_its_host() {
    let Some(network) = Network::new(2) else { return };
    let a = network.host("a");
    let mut console = Console::on(a, &[]);
    let node = console.create("10 -1", a);
    let below = console.create("11 10", a);
    assert_eq!(below.parent(), node.pid());
    assert_eq!(a.nodes().len(), 3);
    assert!(network.host("b").nodes().is_empty());
    console.ask("exec 11 sh hostname", "11: a");
    console.expect("Ok:11: exit 0");
    let ran = console.finish();
    assert_eq!((ran.status, ran.errors.as_str()), (0, ""));
    network.nothing_left(PATIENCE);
}

#[test]
fn whatever_is_left_on_a_host_is_found() {
    let Some(network) = Network::new(1) else { return };
    let a = network.host("a");
    a.nothing_left(PATIENCE);
    a.must("sleep 600 >/dev/null 2>&1 & : >/tmp/left");
    let left = a.left();
    assert!(left.len() == 2 && left[0].contains("sleep"), "{left:?}");
    assert!(left[1].ends_with("/tmp/left"), "{left:?}");
    a.kill_all();
    a.must("rm /tmp/left");
    a.nothing_left(PATIENCE);
}
