//! Nodes whose parent's process is gone: they become children of the control node, which is their
//! subreaper.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, getpid};

use super::NODE_WORD;

/// The children of this process that are hoptree nodes and have not ended, whoever started them.
/// Children that this process already had when it became hoptree are none.
pub fn strays() -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent(*pid) == Some(getpid()) && is_node(*pid))
        .filter_map(Pid::from_raw)
        .collect()
}

fn parent(pid: i32) -> Option<Pid> {
    parent_in_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The parent in the text of a `stat` file, `PID (NAME) STATE PARENT ...`, where the name may hold
/// anything.
fn parent_in_stat(stat: &str) -> Option<Pid> {
    let (_, after_name) = stat.rsplit_once(')')?;
    Pid::from_raw(after_name.split_ascii_whitespace().nth(1)?.parse().ok()?)
}

fn is_node(pid: i32) -> bool {
    let program = |of: &str| {
        let file = fs::metadata(format!("/proc/{of}/exe")).ok()?;
        Some((file.dev(), file.ino()))
    };
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).nth(1) == Some(NODE_WORD.as_bytes())
        && program("self").is_some_and(|own| program(&pid.to_string()) == Some(own))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in_stat("7 (a) b) R 42 1 1").map(Pid::as_raw_pid), Some(42));
        assert_eq!(parent_in_stat("7 (x"), None);
        assert_eq!(parent(getpid().as_raw_pid()), rustix::process::getppid(), "as read from /proc");
    }

    #[test]
    fn a_child_that_is_no_node_is_no_stray() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let found = strays().contains(&Pid::from_child(&child));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!found);
    }
}
