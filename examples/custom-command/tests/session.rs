//! A session through the program, as its users have it.

use std::io::Write;
use std::process::{Command, Stdio};

/// What the program prints for these lines.
fn session(script: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_my-hoptree"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    program.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn output_comes_before_the_answer_and_a_command_can_be_stopped() {
    let printed = session(
        "create 1\n\
         exec 1 tick 2 1\n\
         wait\n\
         exec --timeout none 1 tick 2 3600000\n\
         cancel 1\n",
    );
    let lines: Vec<_> = printed.lines().skip(1).collect();
    assert_eq!(lines, ["1: 1", "1: 2", "Ok:1: 2 ticks", "Error:1: cancelled", "Ok"]);
}

#[test]
fn every_node_has_a_counter_of_its_own() {
    let printed = session(
        "create 1\n\
         create 2 1\n\
         exec 1,2 count 5\n\
         exec 2 count 2\n\
         exec 2 count five\n\
         ping 2\n",
    );
    // The first two are process ids.
    let lines: Vec<_> = printed.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            "Ok:1: 5",
            "Ok:2: 5",
            "Ok:2: 7",
            "Error:2: count: N must be a 32-bit integer, not 'five'",
            "Ok: 1",
        ]
    );
}
