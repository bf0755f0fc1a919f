//! Programs of this machine that make and change networks.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a program that must succeed, with this as its input.
#[track_caller]
pub fn feed(command: &mut Command, input: &str) {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What it does not read it complains about.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}\n{input}");
}
