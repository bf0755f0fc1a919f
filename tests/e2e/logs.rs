//! Log files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually};
use crate::process::Process;
use crate::scratch::Scratch;
use crate::transport;

/// The log of a node.
fn log_of(directory: &Path, node: u32, process: Process) -> PathBuf {
    directory.join(format!("node-{node}-{}.log", process.pid()))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_log_that_can_t_be_written_is_told_once_with_its_path() {
    let scratch = Scratch::new();
    let script = scratch.file("script", "create 1\ncreate 2 1\nexec 2 echo hi\ncreate 3 1\n");
    let logs = scratch.path().join("logs");
    // The least that there is; a file that has reached it takes no more.
    let limited = "ulimit -f 0; exec \"$@\"";
    let finished = Command::new("sh")
        .args(["-c", limited, "sh", env!("CARGO_BIN_EXE_hoptree"), "--log-dir"])
        .args([logs.to_str().unwrap(), &script])
        .args(transport::options(&[]))
        .stdin(Stdio::null())
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let output = String::from_utf8(finished.stdout).unwrap();
    assert_eq!((finished.status.code(), output.lines().nth(2)), (Some(0), Some("Ok:2: hi")));
    let errors = String::from_utf8(finished.stderr).unwrap();
    let of = |name: &str| {
        let told = format!("can't write the log {}/{name}", logs.display());
        errors.lines().filter(|line| line.contains(&told)).count()
    };
    assert_eq!((of("control.log: "), of("node-1-")), (1, 1), "{errors}");
    assert!(errors.lines().all(|line| line.contains("File too large")), "{errors}");
}

#[test]
fn a_log_that_is_full_is_renamed() {
    let scratch = Scratch::new();
    let before = scratch.file("control.log", &"x\n".repeat(32 * 1024));
    let directory = scratch.path().to_str().unwrap();
    let finished = Console::run(&["--log-dir", directory, "--log-size", "64K"], "create 1\n");
    assert_eq!((finished.status, &*finished.errors), (0, ""));
    assert_eq!(text(Path::new(&format!("{before}.1"))).len(), 64 * 1024);
    assert!(text(Path::new(&before)).contains("control node: "));
}

/// As programs do that rotate logs. No process ends of it, whether or not it has a log.
#[test]
fn a_log_that_was_moved_is_made_anew() {
    let scratch = Scratch::new();
    let directory = scratch.path();
    let mut console = Console::start(&["--log-dir", directory.to_str().unwrap()]);
    let node = console.create(1, -1);
    let below = console.create(2, 1);
    let logs = [directory.join("control.log"), log_of(directory, 1, node)];
    for log in &logs {
        eventually("it logs", PATIENCE, || !text(log).is_empty());
        fs::rename(log, log.with_extension("old")).unwrap();
    }
    for process in [console.process(), node, below] {
        process.signal(Signal::USR1);
    }
    console.create(3, 1);
    console.create(4, -1);
    for log in &logs {
        eventually("it logs where it did before", PATIENCE, || text(log).contains("DEBUG"));
    }
    console.ask("pingall", "Ok: -1");
    assert_eq!(console.finish().status, 0);
}

#[test]
fn a_request_for_new_logs_ends_nobody_who_has_none() {
    let mut console = Console::start(&[]);
    let nodes = console.create_chain(2);
    console.process().signal(Signal::USR1);
    nodes.iter().for_each(|node| node.signal(Signal::USR1));
    console.ask("pingall", "Ok: -1");
    assert_eq!(console.finish().status, 0);
}
