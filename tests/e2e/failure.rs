//! A node is killed, or stopped: who notices, what is answered, and what goes on.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use crate::console::Console;
use crate::deadline::{AT_ONCE, PATIENCE, eventually, pass};
use crate::load;
use crate::process::Process;

#[test]
fn spares_all_that_is_not_below() {
    let _timed = load::timed();
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    console.create(4, 1);
    console.create(5, -1);
    nodes[1].kill();

    let lost = console.ask("exec 2 echo lost", "Error:2: Node is unavailable");
    assert!(lost.took() < AT_ONCE);
    assert!(console.ask("ping 2", "Ok: 0").took() < AT_ONCE);
    for spared in [1, 4, 5] {
        console.ask(&format!("exec {spared} echo here"), &format!("Ok:{spared}: here"));
        console.ask(&format!("ping {spared}"), "Ok: 1");
    }
}

/// Asks until the node answers, which may take a moment.
#[track_caller]
fn until_back(console: &mut Console, node: u32) {
    eventually("the node is taken in", PATIENCE, || {
        console.send(&format!("ping {node}"));
        console.line().text == "Ok: 1"
    });
    console.ask(&format!("exec {node} echo here"), &format!("Ok:{node}: here"));
}

#[test]
fn what_is_below_a_killed_node_goes_on_with_its_state() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(4);
    console.ask("exec 3 set Answer 42", "Ok:3");
    nodes[1].kill();
    until_back(&mut console, 4);
    console.ask("exec 3 get Answer", "Ok:3: 42");
    nodes[0].kill();
    until_back(&mut console, 3);
    console.ask("exec 3 get Answer", "Ok:3: 42");
    let two = console.create(2, 4);
    assert_eq!(two.parent(), nodes[3].pid());
    console.ask("remove 3", "Ok");
    // Node 3 was not started by whoever has seen to its end, and may still be closing its files.
    eventually("who was taken in is removed", PATIENCE, || {
        ![nodes[2], nodes[3], two].iter().any(Process::runs)
    });
}

#[test]
fn every_inner_node_may_be_killed_at_once() {
    let _heavy = load::heavy();
    let mut console = Console::start(&[]);
    let nodes: Vec<_> = (1..=121)
        .map(|id| console.create(id, if id == 1 { -1 } else { (id as i32 - 2) / 3 + 1 }))
        .collect();
    nodes[..40].iter().for_each(Process::kill);
    for leaf in 41..=121 {
        until_back(&mut console, leaf);
    }
    assert_eq!(console.finish().status, 0);
    assert!(!nodes.iter().any(Process::runs));
}

#[test]
fn the_children_of_a_node_that_hangs_are_taken_in_and_it_comes_back_alone() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(4);
    console.ask("heartbeat 100", "Ok");
    // The interval has reached everyone when what was sent after it is answered.
    console.ask("exec 4 echo here", "Ok:4: here");
    nodes[1].stop();
    console.expect("Heartbit: node 2 is unavailable now");
    until_back(&mut console, 4);
    until_back(&mut console, 3);
    nodes[1].go_on();
    console.expect("Heartbit: node 2 is available again");
    until_back(&mut console, 2);
    console.ask("exec 4 echo here", "Ok:4: here");
}

#[test]
fn the_tree_shows_who_is_where_and_why() {
    let mut console = Console::start(&[]);
    console.ask("tree", "there are no nodes");
    let nodes = console.create_chain(3);
    nodes[1].kill();
    until_back(&mut console, 3);
    console.send("tree");
    let lines = console.lines(3);
    assert!(
        lines[0].starts_with(&format!("1: pid {}, available for ", nodes[0].pid())),
        "{lines:?}"
    );
    assert!(lines[1].starts_with(&format!("  2: pid {}, unavailable for ", nodes[1].pid())));
    assert!(lines[1].ends_with(": killed by signal 9"), "{lines:?}");
    assert!(
        lines[2].starts_with(&format!("  3: pid {}, available for ", nodes[2].pid())),
        "{lines:?}"
    );
    assert!(lines[2].ends_with(", created below 2, moved once"), "{lines:?}");
}

#[test]
fn ping_is_the_first_to_be_told() {
    let _timed = load::timed();
    for depth in [1, 3] {
        let mut console = Console::start(&[]);
        let nodes = console.create_chain(depth);
        nodes[depth as usize - 1].kill();
        assert!(console.ask(&format!("ping {depth}"), "Ok: 0").took() < AT_ONCE);
    }
}

#[test]
fn create_below_a_dead_node_is_refused() {
    let _timed = load::timed();
    for depth in [1, 3] {
        let mut console = Console::start(&[]);
        let nodes = console.create_chain(depth);
        nodes[depth as usize - 1].kill();
        let command = format!("create 9 {depth}");
        assert!(console.ask(&command, "Error: Parent is unavailable").took() < AT_ONCE);
        console.ask("ping 9", "Error: Not found");
    }
}

#[test]
fn create_below_what_was_taken_in_works() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    nodes[0].kill();
    until_back(&mut console, 3);
    assert_eq!(console.create(9, 3).parent(), nodes[2].pid());
    console.ask("create 8 1", "Error: Parent is unavailable");
}

/// Node 3 waits behind its ancestors; whichever of the three is lost while the request is on its
/// way, the link above that one goes down and the request is answered.
#[test]
fn a_request_on_its_way_is_answered_at_once() {
    let _timed = load::timed();
    for victim in 0..3 {
        let mut console = Console::start(&["--order", "completion"]);
        let nodes = console.create_chain(3);
        console.create(9, -1);
        nodes[victim].stop();
        console.send("exec 3 echo into the dark");
        console.send("ping 3");
        // Once this is answered, what was typed before it has been sent.
        console.ask("exec 9 echo sent", "Ok:9: sent");
        console.expect_silence(Duration::from_millis(50));

        nodes[victim].kill();
        let killed = Instant::now();
        let mut replies = [console.line(), console.line()];
        assert!(replies.iter().all(|reply| reply.at - killed < AT_ONCE));
        replies.sort_by(|one, other| one.text.cmp(&other.text));
        assert_eq!(replies[0].text, "Error:3: Node is unavailable");
        assert_eq!(replies[1].text, "Ok: 0");
    }
}

#[test]
fn a_dead_id_lives_again() {
    let mut console = Console::start(&[]);
    console.create(1, -1);
    let mut node = console.create(2, 1);
    for _ in 0..5 {
        console.ask("exec 2 start", "Ok:2");
        node.kill();
        console.ask("ping 2", "Ok: 0");
        let reborn = console.create(2, 1);
        assert_ne!(reborn, node);
        node = reborn;
        console.ask("exec 2 time", "Ok:2: 0");
    }
}

#[test]
fn a_lost_node_lives_again_below_its_grandchild() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    nodes[0].kill();
    until_back(&mut console, 3);
    let one = console.create(1, 3);
    assert_eq!(one.parent(), nodes[2].pid());
    console.ask("exec 1 echo again", "Ok:1: again");
    console.ask("exec 2 echo still", "Ok:2: still");
}

#[test]
fn remove_of_a_dead_node_spares_those_below() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(2);
    nodes[0].kill();
    eventually("its end is known", PATIENCE, || {
        console.send("remove 1");
        console.line().text == "Ok"
    });
    console.ask("ping 1", "Error: Not found");
    until_back(&mut console, 2);
}

#[test]
fn unavailable_comes_before_any_other_fault() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(1);
    nodes[0].kill();
    console.ask("ping 1", "Ok: 0");
    console.ask("exec 1 no-such-word", "Error:1: Node is unavailable");
    console.create(2, -1);
    console.ask("create 2 1", "Error: Already exists");
}

/// No heartbeat says anything here: the deadline of the request does.
#[test]
fn a_stopped_node_costs_a_request_its_deadline_and_no_more() {
    let _timed = load::timed();
    let timeout = Duration::from_millis(500);
    let mut console = Console::start(&["--timeout", "500"]);
    let nodes = console.create_chain(2);
    console.create(3, -1);
    nodes[1].stop();
    for (command, reply) in
        [("exec 2 echo hello", "Error:2: Node is unavailable"), ("ping 2", "Ok: 0")]
    {
        let took = console.ask(command, reply).took();
        assert!(took >= timeout && took < timeout + AT_ONCE, "{command}: {took:?}");
    }
    console.ask("exec 3 echo elsewhere", "Ok:3: elsewhere");

    nodes[1].go_on();
    console.ask("exec 2 echo back", "Ok:2: back");
    // The node answers what it was asked while it stood still, too; nobody hears of it.
    console.expect_silence(Duration::from_millis(300));
}

/// Silence of the control node is never its death, and it must not take its own for that of others.
#[test]
fn a_stopped_console_harms_nothing() {
    let _timed = load::timed();
    for signal in [Signal::TSTP, Signal::STOP] {
        let mut console = Console::start(&[]);
        console.create_chain(3);
        console.ask("heartbeat 100", "Ok");
        console.process().signal(signal);
        pass(Duration::from_millis(900));
        console.process().go_on();
        for node in 1..=3 {
            console.ask(&format!("ping {node}"), "Ok: 1");
        }
        console.expect_silence(Duration::from_millis(600));
    }
}

#[test]
fn a_create_that_fails_leaves_no_trace() {
    let mut console = Console::start(&[]);
    console.create(9, -1);
    let pid = Pid::from_raw(console.process().pid());
    let usual = getrlimit(Resource::Nofile);
    // With no descriptor left, no child can be started.
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(3), maximum: usual.maximum }).unwrap();

    console.send("create 1\ncreate 2 1\nexec 1 echo a\nping 2");
    let failure = console.line().text;
    assert!(failure.starts_with("Error: ") && failure.len() > "Error: ".len(), "{failure}");
    console.expect("Error: Parent not found");
    console.expect("Error:1: Not found");
    console.expect("Error: Not found");
    console.ask("exec 9 echo unharmed", "Ok:9: unharmed");

    prlimit(pid, Resource::Nofile, usual).unwrap();
    console.create(1, -1);
    console.ask("exec 1 echo now", "Ok:1: now");
}

#[test]
fn killing_everything_leaves_a_working_console() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(4);
    nodes.iter().for_each(Process::kill);
    for node in 1..=4 {
        console.ask(&format!("ping {node}"), "Ok: 0");
    }
    console.create(1, -1);
    console.ask("exec 1 echo again", "Ok:1: again");
    assert_eq!(console.finish().status, 0);
}

/// Those that nobody wants again are given up.
#[test]
fn a_node_that_is_dead_can_be_removed() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(5);
    console.create(9, -1);
    // The parents of some end with them, so nobody but the control node is told of their ends.
    nodes[1..4].iter().for_each(Process::kill);
    eventually("node 5 has found another parent", PATIENCE, || {
        console.send("ping 5");
        console.line().text == "Ok: 1"
    });
    console.ask("pingall", "Ok: 2;3;4");
    for id in [2, 3, 4] {
        eventually("its end is known", PATIENCE, || {
            console.send(&format!("remove {id}"));
            let reply = console.line().text;
            assert!(matches!(&*reply, "Ok" | "Error: Not found" | "Error: Node is unavailable"));
            reply != "Error: Node is unavailable"
        });
        console.ask(&format!("exec {id} echo"), &format!("Error:{id}: Not found"));
    }
    console.ask("pingall", "Ok: -1");
    console.ask("exec 5 echo unharmed", "Ok:5: unharmed");
    console.create(3, 5);
}

/// One that hangs, or is only cut off, may come back: it is not changed.
#[test]
fn a_node_that_merely_hangs_is_not_given_up() {
    let mut console = Console::start(&["--timeout", "300"]);
    let node = console.create(1, -1);
    node.stop();
    console.ask("remove 1", "Error: Node is unavailable");
    node.go_on();
    console.ask("ping 1", "Ok: 1");
    console.ask("remove 1", "Ok");
}

/// A debugger holds it.
#[test]
fn a_removal_says_what_it_could_not_end() {
    let mut console = Console::start(&[]);
    let node = console.create(1, -1);
    console.create(2, -1);
    if !node.trace() {
        return;
    }
    console.ask(
        "remove 1",
        &format!(
            "Error: node 1, process {}, was killed and has not ended within 2000 ms",
            node.pid()
        ),
    );
    console.ask("ping 1", "Ok: 0");
    console.ask("exec 2 echo unharmed", "Ok:2: unharmed");
    node.let_go();
    eventually("its end is known", PATIENCE, || {
        console.send("remove 1");
        console.line().text == "Ok"
    });
}

/// A debugger holds the one at the end.
#[test]
fn a_removal_says_what_it_could_not_end_below() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(3);
    if !nodes[2].trace() {
        return;
    }
    console.ask(
        "remove 1",
        &format!(
            "Error: node 1, process {}, has ended and left node 3, which was killed and has not ended",
            nodes[0].pid()
        ),
    );
    console.ask("ping 1", "Ok: 0");
    nodes[2].let_go();
    eventually("its end is known", PATIENCE, || {
        console.send("remove 3");
        console.line().text == "Ok"
    });
    console.ask("remove 1", "Ok");
}
