//! What takes effect when, and in what order it is told.

use std::time::Duration;

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually, pass};
use crate::load;
use crate::process::Process;

/// Two nodes side by side, the first of which stands still.
fn start_with_a_stopped_node(args: &[&str]) -> (Console, Process) {
    let mut console = Console::start(args);
    let stopped = console.create(1, -1);
    console.create(2, -1);
    stopped.stop();
    (console, stopped)
}

#[test]
fn piped_replies_come_in_the_order_of_the_commands() {
    for args in [&["--timeout", "20000"][..], &["--timeout", "20000", "--order", "input"]] {
        let (mut console, stopped) = start_with_a_stopped_node(args);
        console.send("exec 1 echo slow\nexec 2 echo quick\nping 99");
        console.expect_silence(Duration::from_millis(300));
        stopped.go_on();
        console.expect("Ok:1: slow");
        console.expect("Ok:2: quick");
        console.expect("Error: Not found");
    }
}

#[test]
fn on_request_replies_come_as_they_complete() {
    let args = ["--timeout", "20000", "--order", "completion"];
    let (mut console, stopped) = start_with_a_stopped_node(&args);
    console.send("exec 1 echo slow\nexec 2 echo quick\nping 99");
    let mut replies = console.lines(2);
    replies.sort();
    assert_eq!(replies, ["Error: Not found", "Ok:2: quick"]);
    stopped.go_on();
    console.expect("Ok:1: slow");
}

#[test]
fn commands_for_one_node_keep_their_order_in_any_case() {
    let mut console = Console::start(&["--order", "completion"]);
    console.create_chain(2);
    let script: String = (0..2000).map(|number| format!("exec 2 echo {number}\n")).collect();
    console.send_bytes(script.as_bytes());
    for number in 0..2000 {
        console.expect(&format!("Ok:2: {number}"));
    }
}

/// The notice comes while the oldest command is still without its answer.
#[test]
fn a_notice_does_not_wait_its_turn() {
    let _timed = load::timed();
    let mut console = Console::start(&["--timeout", "20000"]);
    let slow = console.create(1, -1);
    let dead = console.create(2, -1);
    console.ask("heartbeat 400", "Ok");
    dead.kill();
    // From here on node 2 is overdue sooner than node 1.
    pass(Duration::from_millis(800));
    slow.stop();
    console.send("exec 1 echo slow\nping 99");
    console.expect("Heartbit: node 2 is unavailable now");
    slow.go_on();
    console.expect("Ok:1: slow");
    console.expect("Error: Not found");
}

#[test]
fn a_script_need_not_wait_for_its_creates() {
    let script = "create 1\ncreate 2 1\nexec 2 echo a\nexec 1 echo b\ncreate 1\ncreate 5 99\n\
                  ping 5\nexec 2 start\nremove 1\ncreate 1\nping 2\nexec 1 echo c\ncreate 2 1\n\
                  exec 2 time\n";
    let finished = Console::run(&[], script);
    assert_eq!(finished.status, 0);
    let lines: Vec<_> = finished
        .lines()
        .into_iter()
        .map(|line| if is_pid(line) { "Ok: PID" } else { line })
        .collect();
    let expected = [
        "Ok: PID",
        "Ok: PID",
        "Ok:2: a",
        "Ok:1: b",
        "Error: Already exists",
        "Error: Parent not found",
        "Error: Not found",
        "Ok:2",
        "Ok",
        "Ok: PID",
        "Error: Not found",
        "Ok:1: c",
        "Ok: PID",
        "Ok:2: 0",
    ];
    assert_eq!(lines, expected);
}

fn is_pid(line: &str) -> bool {
    line.strip_prefix("Ok: ").and_then(|pid| pid.parse().ok()).is_some_and(|pid: u32| pid > 1)
}

/// In order of completion, too, what names the same node waits for its create.
#[test]
fn what_waits_for_a_create_keeps_its_order() {
    let mut console = Console::start(&["--order", "completion"]);
    console.send("create 1\nping 1\nexec 1 start\nexec 1 stop\nremove 1\nping 1\ncreate 1");
    assert!(is_pid(&console.line().text));
    for reply in ["Ok: 1", "Ok:1", "Ok:1", "Ok", "Error: Not found"] {
        console.expect(reply);
    }
    console.expect_pid();
}

#[test]
fn remove_ends_a_branch_and_frees_its_ids() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(4);
    let twig = console.create(5, 3);
    console.ask("remove 2", "Ok");
    let gone = [nodes[1], nodes[2], nodes[3], twig];
    eventually("the removed end", PATIENCE, || gone.iter().all(Process::is_reaped));
    for node in 2..=5 {
        console.ask(&format!("ping {node}"), "Error: Not found");
        console.ask(&format!("exec {node} echo"), &format!("Error:{node}: Not found"));
    }
    console.ask("create 9 3", "Error: Parent not found");
    console.ask("exec 1 echo here", "Ok:1: here");
    // The ids may come back in any shape.
    console.create(4, 1);
    console.create(2, 4);
    console.ask("exec 2 echo here", "Ok:2: here");
}

#[test]
fn sleep_and_wait_pace_a_script_in_silence() {
    let script = "create 1\nwait\nexec 1 start\nwait\nsleep 300\nexec 1 time\nsleep 0\nwait\n";
    let finished = Console::run(&[], script);
    let lines = finished.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[1], "Ok:1");
    let time: u64 = lines[2].strip_prefix("Ok:1: ").unwrap().parse().unwrap();
    assert!(time >= 300, "{time} ms");
}

#[test]
fn exit_answers_what_came_before_and_nothing_after() {
    let script = "create 1\nexec 1 echo before\nexit\nexec 1 echo after\n";
    let finished = Console::run(&[], script);
    assert!(is_pid(finished.lines()[0]));
    assert_eq!(finished.lines()[1..], ["Ok:1: before"]);
    assert_eq!(finished.status, 0);
}

#[test]
fn the_end_of_input_waits_for_what_is_outstanding() {
    let (mut console, stopped) = start_with_a_stopped_node(&["--timeout", "20000"]);
    console.send("exec 1 echo late");
    console.end_input();
    console.expect_silence(Duration::from_millis(300));
    stopped.go_on();
    console.expect("Ok:1: late");
    assert_eq!(console.wait_exit().code(), Some(0));
}
