//! What the heartbeat notices, when it says so, and when it keeps quiet.

use std::time::{Duration, Instant};

use crate::console::{Console, Exchange};
use crate::deadline::{AT_ONCE, PATIENCE, TOLERANCE, eventually, pass};
use crate::load;
use crate::quota::Quota;

const INTERVAL: Duration = Duration::from_millis(200);
const SWITCH_ON: &str = "heartbeat 200";

/// Long enough for any notice that is due.
const OVERDUE: Duration = Duration::from_millis(200 * 7);

#[test]
fn a_death_at_any_depth_is_told_once_and_in_time() {
    let _timed = load::timed();
    for depth in [1, 3] {
        let mut console = Console::start(&[]);
        console.ask(SWITCH_ON, "Ok");
        let nodes = console.create_chain(depth);
        let last_sign = console.ask(&format!("ping {depth}"), "Ok: 1");
        nodes[depth as usize - 1].kill();

        let notice = console.expect(&lost(depth));
        assert_in_time(notice, last_sign);
        console.expect_silence(OVERDUE);
        console.ask(&format!("ping {depth}"), "Ok: 0");
        console.ask("ping 99", "Error: Not found");
    }
}

#[test]
fn a_death_is_known_before_its_notice() {
    let _timed = load::timed();
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(2);
    console.ask("heartbeat 2000", "Ok");
    nodes[1].kill();
    assert!(console.ask("exec 2 echo hello", "Error:2: Node is unavailable").took() < AT_ONCE);
    assert!(console.ask("ping 2", "Ok: 0").took() < AT_ONCE);
}

#[test]
fn a_stopped_node_is_lost_until_it_goes_on() {
    let _timed = load::timed();
    let mut console = Console::start(&["--timeout", "20000"]);
    let nodes = console.create_chain(3);
    console.ask(SWITCH_ON, "Ok");
    let last_sign = console.ask("ping 3", "Ok: 1");
    nodes[2].stop();

    assert_in_time(console.expect(&lost(3)), last_sign);
    assert!(console.ask("exec 3 echo hello", "Error:3: Node is unavailable").took() < AT_ONCE);
    assert!(console.ask("ping 3", "Ok: 0").took() < AT_ONCE);
    console.ask("create 4 3", "Error: Parent is unavailable");
    console.ask("exec 2 echo above", "Ok:2: above");
    console.expect_silence(OVERDUE);

    nodes[2].go_on();
    console.expect(&back(3));
    console.ask("exec 3 echo hello", "Ok:3: hello");
    console.expect_silence(OVERDUE);
}

/// It is lost and back as often as it stops and goes on.
#[test]
fn every_loss_has_its_own_notice() {
    let mut console = Console::start(&[]);
    let node = console.create(1, -1);
    console.ask(SWITCH_ON, "Ok");
    for _ in 0..3 {
        node.stop();
        console.expect(&lost(1));
        node.go_on();
        console.expect(&back(1));
        console.ask("ping 1", "Ok: 1");
    }
}

#[test]
fn only_the_lost_one_is_told_of_when_those_below_are_taken_in() {
    let mut console = Console::start(&[]);
    let node = console.create(1, -1);
    for (id, parent) in [(9, 1), (3, 9), (7, 1), (5, 3)] {
        console.create(id, parent);
    }
    console.create(2, -1);
    console.ask(SWITCH_ON, "Ok");
    node.kill();
    console.expect(&lost(1));
    console.expect_silence(OVERDUE);
    for id in [2, 3, 5, 7, 9] {
        console.ask(&format!("ping {id}"), "Ok: 1");
    }
}

/// Here the nodes below never hear that heartbeats were switched on.
#[test]
fn what_is_below_a_node_that_hung_before_comes_back_with_it() {
    let _timed = load::timed();
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    nodes[0].stop();
    let switched = console.ask(SWITCH_ON, "Ok");
    assert!(switched.took() < AT_ONCE);
    for id in 1..=3 {
        assert_in_time(console.expect(&lost(id)), switched);
    }
    console.ask("exec 3 echo hello", "Error:3: Node is unavailable");
    nodes[0].go_on();
    expect_return_of_three(&mut console);
}

fn expect_return_of_three(console: &mut Console) {
    let mut lines = console.lines(3);
    lines.sort();
    assert_eq!(lines, [back(1), back(2), back(3)]);
    for id in 1..=3 {
        console.ask(&format!("exec {id} echo hello"), &format!("Ok:{id}: hello"));
    }
    console.expect_silence(OVERDUE);
}

#[test]
fn zero_silences_it() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(2);
    console.ask("heartbeat 300", "Ok");
    nodes[1].kill();
    nodes[0].stop();
    console.ask("heartbeat 0", "Ok");
    console.expect_silence(Duration::from_millis(300 * 6));
}

#[test]
fn a_removed_node_gives_no_notice() {
    let mut console = Console::start(&[]);
    console.create_chain(3);
    console.ask(SWITCH_ON, "Ok");
    console.ask("remove 2", "Ok");
    console.expect_silence(OVERDUE);
    console.ask("ping 1", "Ok: 1");
}

#[test]
fn a_node_created_again_in_time_gives_no_notice() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(2);
    // Long enough to be sure that the new life begins before the notice is due.
    console.ask("heartbeat 500", "Ok");
    nodes[1].kill();
    console.ask("ping 2", "Ok: 0");
    console.create(2, 1);
    console.expect_silence(Duration::from_millis(500 * 6));
    console.ask("ping 2", "Ok: 1");
}

/// The new life is watched like any other.
#[test]
fn a_node_created_again_too_late_is_told_of_once_a_life() {
    let mut console = Console::start(&[]);
    console.ask(SWITCH_ON, "Ok");
    for _ in 0..2 {
        let node = console.create(1, -1);
        node.kill();
        console.expect(&lost(1));
    }
    console.expect_silence(OVERDUE);
}

#[test]
fn a_node_dead_before_is_told_of_once() {
    let _timed = load::timed();
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(2);
    nodes[1].kill();
    console.ask("ping 2", "Ok: 0");
    pass(INTERVAL);
    let switched = console.ask(SWITCH_ON, "Ok");
    assert_in_time(console.expect(&lost(2)), switched);
    console.expect_silence(OVERDUE);
}

#[test]
fn a_new_interval_starts_every_clock() {
    let _timed = load::timed();
    let mut console = Console::start(&[]);
    let node = console.create(1, -1);
    console.ask("heartbit 200", "Ok");
    node.kill();
    pass(INTERVAL * 2);
    let switched = console.ask(SWITCH_ON, "Ok");
    assert_in_time(console.expect(&lost(1)), switched);

    console.ask(SWITCH_ON, "Ok");
    console.expect_silence(OVERDUE);
}

#[test]
fn a_tree_that_lives_gives_no_notice() {
    let _timed = load::timed();
    let mut console = Console::start(&[]);
    console.ask("heartbeat 250", "Ok");
    console.create_chain(6);
    console.expect_silence(Duration::from_millis(250 * 8));
    let until = Instant::now() + Duration::from_millis(250 * 8);
    eventually("the time is over", PATIENCE, || {
        console.ask("exec 6 echo busy", "Ok:6: busy");
        Instant::now() > until
    });
}

/// Under a quota some processors run out of time before others do: a node may see nothing of another
/// for most of a period, though it runs itself. Where the user of the tests can't set one, this
/// tests nothing.
#[test]
fn who_waits_for_a_processor_is_not_told_of_and_who_is_stopped_is() {
    const NODES: i32 = 20;
    let Some(quota) = Quota::new() else { return };
    let mut console = Console::start(&[]);
    let parent = |id: i32| if id == 1 { -1 } else { id / 2 };
    let nodes: Vec<_> = (1..=NODES).map(|id| console.create(id as u32, parent(id))).collect();
    quota.admit(&console.process());
    nodes.iter().for_each(|node| quota.admit(node));
    quota.limit(Duration::from_millis(10));
    console.ask("heartbeat 10", "Ok");
    console.expect_silence(Duration::from_secs(3));

    let last = &nodes[nodes.len() - 1];
    last.stop();
    console.expect(&lost(NODES as u32));
    last.go_on();
    console.expect(&back(NODES as u32));
    quota.lift();
    console.ask("pingall", "Ok: -1");
    for (id, parent) in [(20, 10), (7, 3)] {
        console.send(&format!("exec {id} info"));
        assert!(console.line().text.contains(&format!(" parent={parent} ")));
    }
    console.finish();
}

/// Checks the time of a notice. The last sign of life came somewhere within the exchange.
fn assert_in_time(notice: Instant, last_sign: Exchange) {
    let early = INTERVAL * 4;
    let late = INTERVAL * 5 + TOLERANCE;
    let (most, least) = (notice - last_sign.sent, notice - last_sign.answered);
    assert!(most >= early, "the notice came after {most:?}, not {early:?}");
    assert!(least <= late, "the notice came after {least:?}, not {late:?}");
}

fn lost(id: u32) -> String {
    format!("Heartbit: node {id} is unavailable now")
}

fn back(id: u32) -> String {
    format!("Heartbit: node {id} is available again")
}
