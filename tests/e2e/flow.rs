//! Nobody holds up anybody else, and nothing grows without bound.

use std::collections::BTreeMap;
use std::io::pipe;
use std::time::{Duration, Instant};

use crate::console::Console;
use crate::deadline::{LONG_PATIENCE, PATIENCE, eventually, pass};
use crate::lines::Lines;
use crate::load;
use crate::process::Process;

/// How much a flood may cost a process on its way. A debug build is as frugal as it can.
const GROWTH_MAX: u64 = if cfg!(debug_assertions) { 8 << 20 } else { 2 << 20 };

const ARGS: [&str; 4] = ["--order", "completion", "--timeout", "20000"];

#[test]
fn a_stopped_child_of_the_console_under_a_flood() {
    let _heavy = load::heavy();
    let mut console = Console::start(&ARGS);
    let stopped = console.create(1, -1);
    console.create(2, -1);
    let watched = [console.process()];
    flood(&mut console, stopped, &watched, 100);
}

#[test]
fn a_stopped_child_of_a_node_under_a_flood() {
    let _heavy = load::heavy();
    let mut console = Console::start(&ARGS);
    let relay = console.create(3, -1);
    let stopped = console.create(1, 3);
    console.create(2, 3);
    let watched = [console.process(), relay];
    flood(&mut console, stopped, &watched, 100);
}

/// Here it is not the number of commands that has to be bounded.
#[test]
fn a_stopped_node_under_a_flood_of_long_commands() {
    let _heavy = load::heavy();
    let mut console = Console::start(&ARGS);
    let relay = console.create(3, -1);
    let stopped = console.create(1, 3);
    console.create(2, 3);
    let watched = [console.process(), relay];
    flood(&mut console, stopped, &watched, 20_000);
}

/// Sends node 1, which is stopped, far more than anybody may keep for it, and meanwhile talks to
/// node 2; then lets node 1 go on. The commands carry `length` bytes each.
fn flood(console: &mut Console, stopped: Process, watched: &[Process], length: usize) {
    const ROUNDS: usize = 20;
    let per_round = if length > 1000 { 50 } else { 1000 };
    let text = "x".repeat(length);
    warm_up(console, &text);
    let before: Vec<_> = watched.iter().map(Process::memory).collect();

    stopped.stop();
    let burst = format!("exec 1 echo {text}\n").repeat(per_round);
    for round in 0..ROUNDS {
        console.send_bytes(burst.as_bytes());
        console.send(&format!("exec 2 echo {round}"));
    }
    let mut replies = Replies::default();
    replies.read_until(console, |replies| replies.quick == ROUNDS);
    assert_eq!(replies.others.get("Error:1: Node is unavailable"), None, "node 2 had to wait");
    for (process, before) in watched.iter().zip(before) {
        let growth = process.memory().saturating_sub(before);
        assert!(growth < GROWTH_MAX, "{process:?} grew by {growth} bytes");
    }

    stopped.go_on();
    console.send("wait");
    console.send("exec 1 echo awake");
    replies.read_until(console, |replies| replies.others.contains_key("Ok:1: awake"));
    let refused = replies.others.get("Error:1: Too many requests are waiting").copied();
    let answered = replies.others.get(&format!("Ok:1: {text}")).copied();
    assert_eq!(refused.unwrap_or(0) + answered.unwrap_or(0), ROUNDS * per_round);
    assert!(refused > Some(0) && answered > Some(0), "refused {refused:?}, answered {answered:?}");
}

/// Takes every process to the size that ordinary work gives it.
fn warm_up(console: &mut Console, text: &str) {
    for node in [1, 2] {
        let count = if text.len() > 1000 { 50 } else { 2000 };
        console.send_bytes(format!("exec {node} echo {text}\n").repeat(count).as_bytes());
        let reply = format!("Ok:{node}: {text}");
        for _ in 0..count {
            console.expect(&reply);
        }
    }
}

/// The replies to a flood, counted.
#[derive(Default)]
struct Replies {
    /// How many came from node 2, in their order.
    quick: usize,
    others: BTreeMap<String, usize>,
}

impl Replies {
    fn read_until(&mut self, console: &mut Console, enough: impl Fn(&Replies) -> bool) {
        while !enough(self) {
            let line = console.line().text;
            if line == format!("Ok:2: {}", self.quick) {
                self.quick += 1;
            } else {
                *self.others.entry(line).or_default() += 1;
            }
        }
    }
}

/// In order of input, what is answered waits for what is not, within bounds: then the console stops
/// reading, and goes on when it can.
#[test]
fn more_commands_than_may_wait() {
    let _heavy = load::heavy();
    let mut console = Console::start(&["--timeout", "20000"]);
    let stopped = console.create(1, -1);
    console.create(2, -1);
    stopped.stop();
    console.send("exec 1 echo first");
    let commands: String = (0..10_000).map(|number| format!("exec 2 echo {number}\n")).collect();
    console.send_bytes(commands.as_bytes());
    console.expect_silence(Duration::from_millis(500));
    stopped.go_on();
    console.expect("Ok:1: first");
    for number in 0..10_000 {
        console.expect(&format!("Ok:2: {number}"));
    }
}

/// Whoever does not read gets everything in the end, and meanwhile the nodes stay watched.
#[test]
fn a_reader_that_takes_its_time() {
    let _heavy = load::heavy();
    let (reader, output) = pipe().unwrap();
    let mut console = Console::start_writing_to(output, &[]);
    console.send("create 1\ncreate 2 1\nwait\nheartbeat 100");
    let numbers = 0..40_000;
    let commands: String = numbers.clone().map(|it| format!("exec 2 echo number {it}\n")).collect();
    console.send_bytes(commands.as_bytes());
    let process = console.process();
    eventually("nothing moves any more", PATIENCE, || {
        let before = process.processor_time();
        pass(Duration::from_millis(500));
        process.processor_time() - before < Duration::from_millis(100)
    });
    assert!(process.memory() < 64 << 20, "{} bytes", process.memory());

    let lines = Lines::of(reader);
    assert_eq!(console.finish().status, 0);
    assert!(lines.wait_for_end(Instant::now() + LONG_PATIENCE));
    let replies: Vec<_> = lines.from(3).into_iter().map(|line| line.text).collect();
    assert_eq!(replies.len(), numbers.len());
    assert!(numbers.zip(replies).all(|(number, reply)| reply == format!("Ok:2: number {number}")));
}

/// What any process may have while long answers are on their way: one or two of them, whatever there
/// are in all.
const HELD_MAX: u64 = 100 << 20;

/// The text of a file in which every letter is found, and how long the list of their places is.
fn letters(count: usize) -> (String, usize) {
    let places: usize = (0..count).map(|place| place.to_string().len() + 1).sum();
    ("a".repeat(count), places - 1)
}

/// Waits until nothing moves any more in a tree, and says how large its largest process was.
fn settle(processes: &[Process]) -> u64 {
    let mut largest = 0;
    let mut look = || {
        largest = processes.iter().map(Process::memory).chain([largest]).max().unwrap();
        processes.iter().map(Process::processor_time).sum::<Duration>()
    };
    eventually("nothing moves any more", LONG_PATIENCE, || {
        let before = look();
        pass(Duration::from_millis(500));
        // What threads have done that have ended does not count any more.
        look().abs_diff(before) < Duration::from_millis(50)
    });
    largest
}

/// It stops what is on its way to it, and nothing else: nobody is late whose answer is not taken,
/// neither at the control node nor at its own.
#[test]
fn a_reader_that_reads_no_long_answers_for_a_while() {
    // More than the control node takes in ahead, and few enough to come within the deadline on a machine
    // that is busy with something else as well.
    const ANSWERS: usize = 6;
    const TIMEOUT: Duration = Duration::from_secs(8);
    let _heavy = load::heavy();
    let (reader, output) = pipe().unwrap();
    let timeout = TIMEOUT.as_millis().to_string();
    let mut console = Console::start_writing_to(output, &["--timeout", &timeout]);
    let (text, length) = letters(1_600_000);
    let file = console.scratch().file("text", &text);
    console.send("create 1\ncreate 2 1\nwait");
    console.send_bytes(format!("exec 2 search @{file} a\n").repeat(ANSWERS).as_bytes());
    console.end_input();
    let tree = || [vec![console.process()], console.process().descendants()].concat();
    eventually("both nodes are there", PATIENCE, || tree().len() == 3);
    let tree = tree();
    let largest = settle(&tree);
    assert!(largest < HELD_MAX, "{largest} bytes");
    assert!(tree.iter().all(Process::runs), "the tree has ended while nobody read");
    pass(TIMEOUT);

    let lines = Lines::of(reader);
    let finished = console.finish();
    assert!(lines.wait_for_end(Instant::now() + LONG_PATIENCE));
    let lengths: Vec<_> = lines.from(2).iter().map(|line| line.text.len()).collect();
    assert_eq!(lengths, [length + "Ok:2: ".len(); ANSWERS]);
    assert_eq!((finished.status, finished.errors.as_str()), (0, ""));
}

/// They come one after the other, in their order.
#[test]
fn many_nodes_with_long_answers_at_once() {
    const NODES: u32 = 8;
    let _heavy = load::heavy();
    let mut console = Console::start(&["--timeout", "60000"]);
    let (text, length) = letters(1_900_000);
    let file = console.scratch().file("text", &text);
    let mut tree = vec![console.process()];
    for node in 1..=NODES {
        tree.push(console.create(node, if node % 2 == 0 { node as i32 / 2 } else { -1 }));
    }
    console.send(&format!("exec * search @{file} a"));
    let mut largest = 0;
    for node in 1..=NODES {
        largest = tree.iter().map(Process::memory).chain([largest]).max().unwrap();
        let line = console.line_within(LONG_PATIENCE).text;
        let head = format!("Ok:{node}: 0;1;2;");
        assert!(line.starts_with(&head), "{}", &line[..line.len().min(80)]);
        assert_eq!(line.len(), length + "Ok:1: ".len());
    }
    assert!(largest < HELD_MAX, "{largest} bytes");
}

/// They are not all read.
#[test]
fn long_lines_for_a_node_that_does_not_come() {
    const LINES: usize = 300;
    let _heavy = load::heavy();
    let mut console = Console::start(&["--order", "completion", "--timeout", "20000"]);
    let stopped = console.create(1, -1);
    stopped.stop();
    console.send("create 2 1");
    let line = format!("exec 2 echo {}\n", "x".repeat(1_000_000));
    console.send_bytes(line.repeat(LINES).as_bytes());
    let largest = settle(&[console.process()]);
    assert!(largest < HELD_MAX, "{largest} bytes");
    stopped.go_on();
    console.expect_pid();
    for _ in 0..LINES {
        assert_eq!(console.line_within(LONG_PATIENCE).text.len(), "Ok:2: ".len() + 1_000_000);
    }
}

/// They have as much to answer as their common link takes.
#[test]
fn four_stopped_nodes_behind_one_link_harm_nobody_else() {
    let _heavy = load::heavy();
    let mut console = Console::start(&["--order", "completion", "--timeout", "2000"]);
    console.create(10, -1);
    let stopped: Vec<_> = (1..=4).map(|node| console.create(node, 10)).collect();
    console.create(5, 10);
    stopped.iter().for_each(Process::stop);
    for node in 1..=4 {
        console.send_bytes(format!("exec {node} echo\n").repeat(1_200).as_bytes());
    }
    let mut others = BTreeMap::<String, usize>::new();
    for round in 0..2_000 {
        console.send(&format!("exec 5 echo {round}"));
        loop {
            let line = console.line().text;
            if line == format!("Ok:5: {round}") {
                break;
            }
            *others.entry(line).or_default() += 1;
        }
    }
    let is_of_stopped = |line: &String| !line.starts_with("Error:5") && !line.starts_with("Ok");
    assert!(others.keys().all(is_of_stopped), "{others:?}");
    console.send("create 6 10");
    while !console.line().text.starts_with("Ok: ") {}
    stopped.iter().for_each(Process::go_on);
}
