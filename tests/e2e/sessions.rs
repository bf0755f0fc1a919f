//! The two sessions that say what hoptree is for.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::console::{Console, Exchange};
use crate::deadline::{TOLERANCE, pass};
use crate::load;
use crate::process::Process;

#[test]
fn piped() {
    let script = "create 1\nping 1\nexec 1 3 5 7 9\ncreate 2\nexec 2 2 10 20\nping 2\nping 99\n";
    let finished = Console::run(&[], script);

    let lines = finished.lines();
    let pid = |line: &str| -> i32 { line.strip_prefix("Ok: ").unwrap().parse().unwrap() };
    let (one, two) = (pid(lines[0]), pid(lines[3]));
    let expected =
        format!("Ok: {one}\nOk: 1\nOk:1: 21\nOk: {two}\nOk:2: 30\nOk: 1\nError: Not found\n");
    assert_eq!(finished.output, expected);
    assert_eq!(finished.errors, "");
    assert_eq!(finished.status, 0);
    assert_ne!(one, two);
    assert!(Process::of(one).is_none() && Process::of(two).is_none(), "a process is left");
}

/// Node 2 hangs from node 1, and outlives it.
#[test]
fn timed_with_a_kill() {
    let _timed = load::timed();
    let interval = Duration::from_millis(300);
    let mut console = Console::start(&[]);
    let one = console.create(1, -1);
    console.create(2, 1);

    let start = console.ask("exec 1 start", "Ok:1");
    pass(Duration::from_millis(471));
    let so_far = expect_time(&mut console, 1, start);
    pass(Duration::from_millis(428));
    let stop = console.ask("exec 1 stop", "Ok:1");
    pass(Duration::from_millis(100));
    let (total, _) = ask_time(&mut console, 1);
    assert!(between(start, stop).contains(&total), "{total} ms in all");
    assert!(total >= so_far);

    console.ask("heartbeat 300", "Ok");
    let last_sign = console.ask("ping 1", "Ok: 1");
    one.kill();
    let notice = console.expect("Heartbit: node 1 is unavailable now");
    assert!(notice - last_sign.sent >= interval * 4);
    assert!(notice - last_sign.answered <= interval * 5 + TOLERANCE);
    console.ask("ping 1", "Ok: 0");
    console.ask("ping 2", "Ok: 1");

    let start = console.ask("exec 2 start", "Ok:2");
    pass(Duration::from_millis(388));
    expect_time(&mut console, 2, start);
    assert_eq!(console.finish().status, 0);
}

#[test]
fn the_timer_accumulates() {
    let mut console = Console::start(&[]);
    console.create(10, -1);
    console.ask("exec 10 time", "Ok:10: 0");
    let start = console.ask("exec 10 start", "Ok:10");
    pass(Duration::from_millis(50));
    console.ask("exec 10 start", "Ok:10");
    expect_time(&mut console, 10, start);
    let stop = console.ask("exec 10 stop", "Ok:10");
    let (first, _) = ask_time(&mut console, 10);
    assert!(between(start, stop).contains(&first));

    pass(Duration::from_millis(50));
    console.ask("exec 10 stop", "Ok:10");
    console.ask("exec 10 time", &format!("Ok:10: {first}"));
    let again = console.ask("exec 10 start", "Ok:10");
    pass(Duration::from_millis(50));
    let (second, asked) = ask_time(&mut console, 10);
    let more = between(again, asked);
    assert!((first + more.start()..=first + more.end() + 1).contains(&second), "{first}, {second}");
}

/// Reads the timer of a node that was started in `start`, and checks it.
fn expect_time(console: &mut Console, node: u32, start: Exchange) -> u128 {
    let (time, asked) = ask_time(console, node);
    let possible = between(start, asked);
    assert!(possible.contains(&time), "the timer says {time} ms and not {possible:?}");
    time
}

fn ask_time(console: &mut Console, node: u32) -> (u128, Exchange) {
    let sent = Instant::now();
    console.send(&format!("exec {node} time"));
    let line = console.line();
    let time = line.text.strip_prefix(&format!("Ok:{node}: ")).and_then(|time| time.parse().ok());
    (time.expect("a number of milliseconds"), Exchange { sent, answered: line.at })
}

/// The milliseconds that can lie between two commands, given when they were typed and answered.
fn between(first: Exchange, second: Exchange) -> RangeInclusive<u128> {
    let least = second.sent - first.answered;
    let most = second.answered - first.sent;
    least.as_millis()..=most.as_millis()
}
