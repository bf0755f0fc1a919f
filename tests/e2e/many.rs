//! One command for many nodes, and values of the greatest length.

use hoptree_core::VALUE_BYTES_MAX;

use crate::console::Console;
use crate::load;
use crate::process::Process;

/// Nodes 1 to 13: 1 with three children, each of which has three.
fn tree(console: &mut Console) -> Vec<Process> {
    (1..=13).map(|id| console.create(id, if id == 1 { -1 } else { (id as i32 + 1) / 3 })).collect()
}

fn lines(ids: impl IntoIterator<Item = u32>, text: &str) -> Vec<String> {
    ids.into_iter().map(|id| format!("Ok:{id}: {text}")).collect()
}

#[test]
fn every_node_of_a_set_gives_a_line_in_ascending_order() {
    let mut console = Console::start(&[]);
    tree(&mut console);
    console.send("exec * echo all of you");
    assert_eq!(console.lines(13), lines(1..=13, "all of you"));
    console.send("exec 2.. echo below 2");
    assert_eq!(console.lines(4), lines([2, 5, 6, 7], "below 2"));
    console.send("exec 13,4,13,3.. echo some");
    assert_eq!(console.lines(6), lines([3, 4, 8, 9, 10, 13], "some"));
}

#[test]
fn a_set_may_be_said_in_many_ways() {
    let mut console = Console::start(&["--timeout", "60000"]);
    let processes = tree(&mut console);
    for (set, nodes) in [
        ("3-6", vec![3, 4, 5, 6]),
        ("1,4-6,9", vec![1, 4, 5, 6, 9]),
        ("*,!3-11", vec![1, 2, 12, 13]),
        ("!2..,!3..,!99", vec![1, 4, 11, 12, 13]),
        ("2..,!5", vec![2, 6, 7]),
        ("@1", vec![1]),
        ("@2,@1", vec![1, 2, 3, 4]),
        ("@3,!@down,!5-12", vec![13]),
    ] {
        console.send(&format!("exec {set} echo {set}"));
        assert_eq!(console.lines(nodes.len()), lines(nodes, set));
    }
    console
        .ask("exec *,!1.. echo x", "Error: exec: the set '*,!1..' is empty: no node is in it now");
    console.ask("exec @down echo x", "Error: exec: the set '@down' is empty: no node is in it now");
    processes[13 - 1].kill();
    console.ask("exec 13 echo x", "Error:13: Node is unavailable");
    console.ask("exec @down echo x", "Error:13: Node is unavailable");
    console.send("exec @up,!1-9 echo up");
    assert_eq!(console.lines(3), lines(10..=12, "up"));
}

#[test]
fn nodes_that_are_just_being_created_are_in_a_set() {
    let mut console = Console::start(&[]);
    console.send("create 1\ncreate 2 1\ncreate 3 1\nexec @2,@up,!3 echo x");
    assert_eq!(console.lines(5)[3..], lines([1, 2], "x"));
}

#[test]
fn an_unknown_node_refuses_the_whole_set() {
    let mut console = Console::start(&[]);
    console.ask("exec * echo x", "Error: exec: there is no node");
    tree(&mut console);
    console.ask("exec 1,14,2 start", "Error: exec: there is no node 14");
    console.ask("exec 99.. start", "Error: exec: there is no node 99");
    console.ask("exec 1-99 start", "Error: exec: there is no node 14");
    console.ask("exec 1 time", "Ok:1: 0");
    console.ask("exec 2 time", "Ok:2: 0");
}

#[test]
fn nodes_that_are_gone_are_told_at_once_among_the_others() {
    let mut console = Console::start(&["--timeout", "60000"]);
    let processes = tree(&mut console);
    // Those below would find another parent, perhaps before the command is read.
    processes[5 - 1..=7 - 1].iter().for_each(Process::stop);
    processes[2 - 1].kill();
    console.send("exec * echo x");
    let expected: Vec<_> = (1..=13)
        .map(|id| match id {
            2 | 5..=7 => format!("Error:{id}: Node is unavailable"),
            _ => format!("Ok:{id}: x"),
        })
        .collect();
    assert_eq!(console.lines(13), expected);
}

#[test]
fn a_set_waits_for_nodes_that_are_being_created_and_no_command_waits_for_the_set() {
    let mut console = Console::start(&["--order", "completion"]);
    console.send("create 1\ncreate 2 1\nexec * echo set\nexec 1 echo one");
    let mut lines = console.lines(5);
    lines.sort();
    assert_eq!(lines[2..], ["Ok:1: one", "Ok:1: set", "Ok:2: set"]);
}

/// The value goes four hops, again and again; the sibling's commands share its first link.
#[test]
fn a_value_of_the_greatest_length_comes_back_whole_and_holds_up_nobody() {
    let _heavy = load::heavy();
    let mut console = Console::start(&["--order", "completion", "--timeout", "60000"]);
    console.create_chain(4);
    console.create(5, 1);
    console.ask("heartbeat 500", "Ok");
    let value: String = ('a'..='z').cycle().take(VALUE_BYTES_MAX).collect();
    console.send(&format!("exec 4 echo {value}\nexec 4 echo 'two  words' \"and one\""));
    console.send(&"exec 5 echo meanwhile\n".repeat(50));
    let lines = console.lines(52);
    let long = lines.iter().position(|line| line.len() > VALUE_BYTES_MAX).unwrap();
    assert_eq!(lines[long], format!("Ok:4: {value}"));
    let passed = lines[..long].iter().filter(|line| *line == "Ok:5: meanwhile").count();
    assert_eq!(passed, 50, "they were held up");
    assert!(lines.iter().any(|line| line == "Ok:4: two  words and one"));
    console.ask(
        &format!("exec 4 echo {value}x"),
        &format!("Error:4: the answer is longer than {VALUE_BYTES_MAX} bytes"),
    );
    console.ask("exec 4 echo next", "Ok:4: next");
}

#[test]
fn a_quotation_that_is_not_closed_is_an_error() {
    let mut console = Console::start(&[]);
    console.create(1, -1);
    let error = "Error:1: echo: a quotation is not closed, or a backslash comes last";
    console.ask("exec 1 echo 'a b", error);
    console.ask("exec 1 echo a\\", error);
    console.ask("exec 1 echo 'a  b' # comment", "Ok:1: a  b");
}
