//! hoptree on a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, OutputModes, tcgetattr, tcsetattr};

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually};
use crate::lines::Lines;
use crate::process::Process;

/// A pseudo-terminal without echo, and hoptree on it.
struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<String>>,
    child: Child,
    process: Process,
}

impl Terminal {
    fn start() -> Terminal {
        Terminal::start_as("xterm")
    }

    /// A terminal of this type.
    fn start_as(name: &str) -> Terminal {
        let (keyboard, far) = pseudo_terminal();
        let child = Command::new(env!("CARGO_BIN_EXE_hoptree"))
            .env("TERM", name)
            .stdin(Stdio::from(far.try_clone().unwrap()))
            .stdout(far)
            .spawn()
            .unwrap();
        let screen = Arc::default();
        watch(keyboard.try_clone().unwrap(), Arc::clone(&screen));
        let process = Process::of(child.id().try_into().unwrap()).unwrap();
        Terminal { keyboard, screen, child, process }
    }

    fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    fn shows(&self, text: &str) -> bool {
        self.screen.lock().unwrap().contains(text)
    }

    fn wait_for(&self, text: &str) {
        eventually(&format!("the terminal shows '{text}'"), PATIENCE, || self.shows(text));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let tree = self.process.descendants();
        let _ = self.child.kill();
        let _ = self.child.wait();
        tree.iter().for_each(Process::kill);
    }
}

fn watch(mut terminal: File, screen: Arc<Mutex<String>>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = terminal.read(&mut buffer) {
            screen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
}

/// Both ends of a terminal without echo.
fn pseudo_terminal() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let near = openpt(flags).unwrap();
    grantpt(&near).unwrap();
    unlockpt(&near).unwrap();
    let far = ioctl_tiocgptpeer(&near, flags).unwrap();
    let mut modes = tcgetattr(&far).unwrap();
    modes.local_modes.remove(LocalModes::ECHO);
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&far, OptionalActions::Now, &modes).unwrap();
    (near.into(), far.into())
}

/// That nothing else is printed when the input is a pipe is what every other test sees.
#[test]
fn shows_a_prompt_and_ends_at_control_d() {
    let mut terminal = Terminal::start();
    terminal.wait_for("> ");
    terminal.type_in("create 1\n");
    terminal.wait_for("Ok: ");
    terminal.type_in("exec 1 echo hello\n");
    terminal.wait_for("Ok:1: hello");
    terminal.type_in("\x04");
    let mut status = None;
    eventually("hoptree exits", PATIENCE, || {
        status = terminal.child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn shows_replies_as_they_complete() {
    let mut terminal = Terminal::start();
    terminal.type_in("create 1\ncreate 2\nwait\nexec 2 echo ready\n");
    terminal.wait_for("Ok:2: ready");
    let nodes = terminal.process.descendants();
    nodes[0].signal(Signal::STOP);
    terminal.type_in("exec 1 echo one\nexec 2 echo two\n");
    eventually("the node that runs answers", PATIENCE, || {
        terminal.shows("Ok:1: one") || terminal.shows("Ok:2: two")
    });
    assert!(!(terminal.shows("Ok:1: one") && terminal.shows("Ok:2: two")));
    nodes[0].go_on();
    terminal.wait_for("Ok:1: one");
    terminal.wait_for("Ok:2: two");
}

/// A terminal keeps 4095 bytes of a line and drops the rest, which nothing tells.
#[test]
fn a_line_that_the_terminal_has_cut_is_not_run() {
    let mut terminal = Terminal::start();
    terminal.type_in("create 1\n");
    terminal.wait_for("Ok: ");
    let command = "exec 1 echo ";
    let longest = "x".repeat(4094 - command.len());
    terminal.type_in(&format!("{command}{longest}\n"));
    terminal.wait_for(&format!("Ok:1: {longest}"));

    for length in [4095, 4096, 9000] {
        terminal.type_in(&format!("{command}{}\n", "y".repeat(length - command.len())));
        terminal.type_in(&format!("exec 1 echo after {length}\n"));
        terminal.wait_for(&format!("Ok:1: after {length}"));
    }
    assert!(!terminal.shows("yyy"));
    let refusals = terminal.screen.lock().unwrap().matches("no more than 4095 bytes").count();
    assert_eq!(refusals, 3);

    // Control-D hands over what has been typed: so this line is whole.
    let part = "z".repeat(3000);
    terminal.type_in(&format!("{command}{part}\x04{part}\n"));
    terminal.wait_for(&format!("Ok:1: {part}{part}"));
}

#[test]
fn a_terminal_that_hangs_up_does_not_end_the_input() {
    let (keyboard, far) = pseudo_terminal();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hoptree"))
        .stdin(far)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = Lines::of(child.stdout.take().unwrap());
    (&keyboard).write_all(b"create 1\nping 1\nremove 1").unwrap();
    let deadline = Instant::now() + PATIENCE;
    assert_eq!(output.wait_for(1, deadline).unwrap().text, "Ok: 1");
    drop(keyboard);
    let finished = child.wait_with_output().unwrap();
    assert_eq!(finished.status.code(), Some(1));
    let errors = String::from_utf8(finished.stderr).unwrap();
    assert!(errors.contains("can't read standard input: "), "{errors}");
    assert_eq!(output.from(2).len(), 0, "half a line is not run");
}

#[test]
fn what_can_t_be_seen_is_written_out() {
    let mut terminal = Terminal::start();
    terminal.type_in("create 1\nexec 1 echo \x1b[31m\u{202e}red\n\x1b[A\n");
    terminal.wait_for("Ok:1: \\x1b[31m\\u{202e}red");
    terminal.wait_for("unknown command '\\x1b[A'");
    assert!(!terminal.shows("\x1b[31m") && !terminal.shows("\x1b[A"));

    // Other programs get the bytes as they are.
    let finished = Console::run(&[], "create 1\nexec 1 echo \x1b[31m\u{202e}red\n");
    assert_eq!(finished.lines()[1], "Ok:1: \x1b[31m\u{202e}red");
}

#[test]
fn a_terminal_that_obeys_no_escapes_gets_none() {
    for name in ["dumb", ""] {
        let mut terminal = Terminal::start_as(name);
        terminal.type_in("create 1\nexec 1 wait-for 1\nexec 1 echo hello\n");
        terminal.wait_for("Ok:1: hello");
        terminal.wait_for("Ok:1\n");
        assert!(!terminal.shows("\x1b"));
    }
}
