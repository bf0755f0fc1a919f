//! Equal answers of many nodes, told once.

use std::fs;

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually};
use crate::process::Process;
use crate::scratch::Scratch;

/// Node 1 with four children, each of which has two.
fn tree(console: &mut Console) {
    for id in 1..=13 {
        let parent = match id {
            1 => -1,
            2..=5 => 1,
            _ => (id as i32 - 6) / 2 + 2,
        };
        console.create(id, parent);
    }
}

#[test]
fn equal_answers_are_one_and_the_largest_group_comes_first() {
    let mut console = Console::start(&[]);
    tree(&mut console);
    console.ask("exec -b * echo hi", "Ok:1-13: hi (13 nodes)");
    console.ask("exec --fold 2,4-6 wait-for 1", "Ok:2,4-6 (4 nodes)");
    console.ask("exec -b 7 echo alone", "Ok:7: alone");
    console.send("exec -b * sh test $HOPTREE_NODE -ne 8 || exit 9; echo one; echo two >&2");
    assert_eq!(
        console.lines(4),
        ["Ok:1-7,9-13: exit 0 (12 nodes)", "  one", "  two", "Error:8: sh: exit 9"]
    );
    console.send("exec -b @2 sh echo $HOPTREE_PARENT $HOPTREE_NODE");
    for node in 2..=5 {
        assert_eq!(console.lines(2), [format!("Ok:{node}: exit 0"), format!("  1 {node}")]);
    }
}

#[test]
fn long_answers_are_folded_too_and_very_long_ones_are_printed_as_they_come() {
    let mut console = Console::start(&["--timeout", "60000"]);
    tree(&mut console);
    for bytes in [64_000, 900_000] {
        console.send(&format!("exec -b * sh head -c {bytes} /dev/zero | tr '\\0' x"));
        console.expect("Ok:1-13: exit 0 (13 nodes)");
        assert_eq!(console.line().text.len(), bytes + 2);
    }
    console.send("exec -b 1,6,7 sh yes | head -n 700000");
    let mut lines = 0;
    let answer = loop {
        match console.line().text {
            line if ["1: y", "6: y", "7: y"].contains(&&*line) => lines += 1,
            line => break line,
        }
    };
    assert_eq!((lines, &*answer), (3 * 700_000, "Ok:1,6-7: exit 0 (3 nodes)"));
}

#[test]
fn different_answers_to_a_folded_command_are_bounded() {
    let mut console = Console::start(&["--timeout", "60000"]);
    for id in 1..=20 {
        console.create(id, -1);
    }
    console.send("exec -b * sh echo $HOPTREE_NODE; head -c 1000000 /dev/zero | tr '\\0' x");
    let too_long = "The answers to this command are too long together (4 nodes)";
    let first = console.line().text;
    assert!(first.starts_with("Error:") && first.ends_with(too_long), "{first}");
    for _ in 0..16 {
        let answer = console.line().text;
        assert!(answer.starts_with("Ok:") && answer.ends_with(": exit 0"), "{answer}");
        assert_eq!(format!("Ok:{}: exit 0", console.line().text.trim()), answer);
        assert_eq!(console.line().text.len(), 1_000_002);
    }
}

#[test]
fn nodes_that_die_are_a_group() {
    let mut console = Console::start(&[]);
    tree(&mut console);
    let died = [console.create(14, 3), console.create(15, 14)];
    console.send("exec -b --timeout none * sh echo x; test $HOPTREE_NODE -lt 14 || sleep 600");
    died.iter().for_each(Process::kill);
    assert_eq!(
        console.lines(3),
        ["Ok:1-13: exit 0 (13 nodes)", "  x", "Error:14-15: Node is unavailable (2 nodes)",]
    );
}

/// Those below it find another parent, and their programs go on.
#[test]
fn a_relay_that_dies_costs_nobody_else_an_answer() {
    let scratch = Scratch::new();
    let mut console = Console::start(&["--timeout", "60000"]);
    tree(&mut console);
    let relay = console.create(14, 1);
    for id in 15..=20 {
        console.create(id, 14);
    }
    let [begun, go_on] = ["begun", "go-on"].map(|name| scratch.path().join(name));
    console.send(&format!(
        "exec -b * sh echo $HOPTREE_NODE >>{}; test $HOPTREE_NODE != 14 || exec sleep 600; \
         until test -e {}; do sleep 0.05; done; echo once",
        begun.display(),
        go_on.display()
    ));
    let runs = || fs::read_to_string(&begun).unwrap_or_default().lines().count();
    eventually("all programs run", PATIENCE, || runs() == 20);
    relay.kill();
    fs::write(&go_on, "").unwrap();
    assert_eq!(
        console.lines(3),
        ["Ok:1-13,15-20: exit 0 (19 nodes)", "  once", "Error:14: Node is unavailable"]
    );
    assert_eq!(runs(), 20, "a program was run twice");
}

#[test]
fn what_is_cancelled_or_late_is_folded_as_well() {
    let mut console = Console::start(&[]);
    tree(&mut console);
    console.ask(
        "exec -b --timeout 300 1.. run sleep 600",
        "Error:1-13: No answer within 300 ms (13 nodes)",
    );
    console.send("exec -b --timeout none 2-4 run sleep 600\ncancel 3\ncancel");
    assert_eq!(console.lines(3), ["Error:2-4: cancelled (3 nodes)", "Ok", "Ok"]);
}
