//! hoptree on a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{InputModes, LocalModes, OptionalActions, OutputModes, tcgetattr, tcsetattr};

use crate::console::{Console, heed_signals};
use crate::deadline::{PATIENCE, eventually, pass};
use crate::lines::Lines;
use crate::process::Process;

/// What control-C is answered with when there is nothing to cancel.
const HOW_TO_END: &str =
    "nothing to cancel; a second Ctrl-C within a second ends the tree at once, 'exit' in order\n";

/// A pseudo-terminal without echo, and hoptree on it.
struct Terminal {
    keyboard: File,
    /// The end that hoptree has.
    far: File,
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
        Terminal::start_by(Command::new(env!("CARGO_BIN_EXE_hoptree")), name)
    }

    /// A terminal that sends hoptree a signal at control-C.
    fn start_in_control() -> Terminal {
        let mut command = Command::new("setsid");
        heed_signals(command.args(["-c", env!("CARGO_BIN_EXE_hoptree")]));
        Terminal::start_by(command, "xterm")
    }

    fn start_by(mut command: Command, name: &str) -> Terminal {
        let (keyboard, far) = pseudo_terminal();
        let child = command
            .args(["--timeout", "60000"])
            .env("TERM", name)
            .stdin(Stdio::from(far.try_clone().unwrap()))
            .stdout(far.try_clone().unwrap())
            .spawn()
            .unwrap();
        let screen = Arc::default();
        watch(keyboard.try_clone().unwrap(), Arc::clone(&screen));
        let process = Process::of(child.id().try_into().unwrap()).unwrap();
        Terminal { keyboard, far, screen, child, process }
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

/// What comes while a line is being typed.
impl Terminal {
    /// A terminal with nodes 1 to `count`, each of which is stopped and owes a reply.
    fn with_debtors(count: usize) -> (Terminal, Vec<Process>) {
        let mut terminal = Terminal::start();
        let nodes: Vec<_> = (1..=count).map(|id| terminal.create(id)).collect();
        for (index, node) in nodes.iter().enumerate() {
            node.stop();
            let id = index + 1;
            terminal.type_in(&format!("exec {id} echo paid\n"));
        }
        (terminal, nodes)
    }

    fn create(&mut self, id: usize) -> Process {
        let count = |screen: &str| screen.matches("Ok: ").count();
        let before = count(&self.screen.lock().unwrap());
        self.type_in(&format!("create {id}\n"));
        eventually("a node is created", PATIENCE, || {
            let screen = self.screen.lock().unwrap();
            count(&screen) > before && screen.ends_with("> ")
        });
        let screen = self.screen.lock().unwrap();
        let pid = screen.rsplit("Ok: ").next().unwrap().lines().next().unwrap();
        Process::of(pid.parse().unwrap()).unwrap()
    }

    /// Has a node pay, behind which the prompt and what has been `typed` are to stand.
    fn collect(&mut self, id: usize, node: Process, typed: &str) {
        node.go_on();
        self.wait_for(&format!("Ok:{id}: paid\n"));
        self.wait_for_end(&format!("> {typed}"));
    }

    fn wait_for_end(&self, text: &str) {
        eventually(&format!("the screen ends with '{text}'"), PATIENCE, || {
            self.screen.lock().unwrap().ends_with(text)
        });
    }

    /// The keys that the terminal itself obeys.
    fn keys(&self) -> String {
        format!("{:?}", tcgetattr(&self.far).unwrap().special_codes)
    }

    fn wait_exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("hoptree exits", PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
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
    modes.input_modes.insert(InputModes::IUTF8);
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
    assert_eq!(terminal.wait_exit().code(), Some(0));
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
        let text = "y".repeat(length - command.len());
        terminal.type_in(&format!("{command}{text}\nexec 1 echo after {length}\n"));
        terminal.wait_for(&format!("Ok:1: after {length}"));
        // If it was asked for in the middle, it has come in two parts, neither of them cut.
        let whole = terminal.shows(&format!("Ok:1: {text}\n"));
        assert!(whole || terminal.shows("no more than 4095 bytes"), "{length}");
        assert!(whole || !terminal.shows("Ok:1: y"), "{length}");
        terminal.screen.lock().unwrap().clear();
    }
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

#[test]
fn a_notice_leaves_what_was_typed_behind_the_prompt() {
    let mut terminal = Terminal::start();
    let node = terminal.create(1);
    terminal.create(2);
    terminal.type_in("heartbeat 250\nexec 2 ec");
    terminal.wait_for("Ok\n");
    node.kill();
    terminal.wait_for("Heartbit: node 1 is unavailable now\n");
    terminal.wait_for_end("> exec 2 ec");
    terminal.type_in("ho one\nexec 2 echo two\n");
    terminal.wait_for("Ok:2: one");
    terminal.wait_for("Ok:2: two");
}

#[test]
fn a_line_is_run_as_it_was_typed_however_often_it_is_interrupted() {
    let (mut terminal, nodes) = Terminal::with_debtors(4);
    terminal.type_in("exec 1 ec");
    terminal.collect(1, nodes[0], "exec 1 ec");
    terminal.collect(2, nodes[1], "exec 1 ec");
    terminal.type_in("ho on");
    terminal.collect(3, nodes[2], "exec 1 echo on");
    terminal.type_in("e\nexec 1 echo two\n");
    terminal.wait_for("Ok:1: one\n");
    terminal.wait_for("Ok:1: two\n");
    terminal.collect(4, nodes[3], "");
}

#[test]
fn what_was_typed_before_a_reply_can_be_erased() {
    let (mut terminal, nodes) = Terminal::with_debtors(2);
    let before = terminal.keys();
    terminal.type_in("remove 1");
    terminal.collect(1, nodes[0], "remove 1");
    assert_ne!(terminal.keys(), before);
    terminal.type_in("\x7f");
    terminal.wait_for_end("> remove ");
    terminal.type_in(&"\x7f".repeat(20));
    terminal.type_in("exec 1 echo erased\n");
    terminal.wait_for("Ok:1: erased");

    terminal.type_in("remove 1 ");
    terminal.collect(2, nodes[1], "remove 1 ");
    terminal.type_in("\x15exec 1 echo killed\n");
    terminal.wait_for("Ok:1: killed");

    // Then the terminal erases again.
    eventually("the terminal has its keys back", PATIENCE, || terminal.keys() == before);
    terminal.type_in("exec 1 echo itselff\x7f\n");
    terminal.wait_for("Ok:1: itself\n");
}

#[test]
fn control_c_cancels_what_is_under_way() {
    let mut terminal = Terminal::start_in_control();
    terminal.create(1);
    terminal.create(2);
    terminal.screen.lock().unwrap().clear();
    terminal.type_in("exec --timeout none 1,2 wait-for 600000\n");
    terminal.wait_for("> ");
    terminal.type_in("wait\nexec 1 echo typed ahead\n\x03");
    terminal.wait_for("cancelled; not answered by 1-2\n");
    terminal.wait_for("Error:1: cancelled\n");
    terminal.wait_for("Error:2: cancelled\n");
    terminal.wait_for_end("> ");
    terminal.type_in("exec 1,2 echo still there\n");
    terminal.wait_for("Ok:1: still there\n");
    terminal.wait_for("Ok:2: still there\n");
    assert!(!terminal.shows("typed ahead") && !terminal.shows("second Ctrl-C"));
}

#[test]
fn control_c_with_nothing_under_way_clears_the_line() {
    let mut terminal = Terminal::start_in_control();
    terminal.create(1);
    terminal.type_in("remove 1");
    terminal.wait_for(HOW_TO_END);
    terminal.wait_for_end("> ");
    terminal.type_in(
        "exec 1 echo whole
",
    );
    terminal.wait_for(
        "Ok:1: whole
",
    );
}

/// A signal from elsewhere as well, at which the terminal itself drops nothing.
#[test]
fn an_interrupt_clears_what_was_typed_before_a_reply() {
    for is_key in [true, false] {
        let mut terminal = Terminal::start_in_control();
        let node = terminal.create(1);
        let before = terminal.keys();
        node.stop();
        terminal.type_in(
            "exec 1 echo paid
remove",
        );
        terminal.collect(1, node, "remove");
        if is_key {
            terminal.type_in(" 1");
        } else {
            terminal.process.signal(Signal::INT);
        }
        terminal.wait_for(HOW_TO_END);
        terminal.wait_for_end("> ");
        eventually("the terminal has its keys back", PATIENCE, || terminal.keys() == before);
        terminal.type_in(
            "exec 1 echo whole
",
        );
        terminal.wait_for(
            "Ok:1: whole
",
        );
    }
}

#[test]
fn control_c_twice_within_a_second_ends_the_tree() {
    let mut terminal = Terminal::start_in_control();
    let node = terminal.create(1);
    let mut status = None;
    eventually("hoptree exits", PATIENCE, || {
        terminal.type_in("");
        // What comes sooner counts as an echo of the first.
        pass(Duration::from_millis(150));
        status = terminal.child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().signal(), Some(Signal::INT.as_raw()));
    eventually("the tree ends", PATIENCE, || !node.runs());
}

/// However it ends: in order, at once, or after the user's end.
#[test]
fn the_terminal_is_left_as_it_was() {
    for end in ["SIGTERM", "SIGTERM twice", "control-D"] {
        let (mut terminal, nodes) = Terminal::with_debtors(2);
        let before = terminal.keys();
        terminal.type_in("# half a line");
        terminal.collect(1, nodes[0], "# half a line");
        assert_ne!(terminal.keys(), before);
        match end {
            "SIGTERM" => terminal.process.signal(Signal::TERM),
            "SIGTERM twice" => {
                // The node that is stopped holds up the end in order.
                terminal.process.signal(Signal::TERM);
                pass(Duration::from_millis(150));
                terminal.process.signal(Signal::TERM);
            }
            _ => {
                nodes[1].go_on();
                // The first hands over what has been typed of the line.
                terminal.type_in("\x04\x04");
            }
        }
        terminal.wait_exit();
        assert_eq!(terminal.keys(), before, "after {end}");
        nodes[1].go_on();
    }
}

/// Whatever is typed while replies come is run as it was typed: all of it, once, in order.
#[test]
fn nothing_typed_is_lost_or_doubled_among_replies() {
    let mut terminal = Terminal::start();
    terminal.create(1);
    let mut seed = 12_345_u32;
    for number in 0..300 {
        let command = format!("exec 1 echo {number}-the-quick-brown-fox\n");
        let mut rest = &command[..];
        while !rest.is_empty() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (now, later) = rest.split_at(rest.len().min(1 + (seed >> 24) as usize % 7));
            // Erased again: by the terminal, or by hoptree if a reply has come meanwhile.
            terminal.type_in(&format!("xž\x7f\x7f{now}"));
            rest = later;
        }
    }
    terminal.wait_for("Ok:1: 299-the-quick-brown-fox");
    let screen = terminal.screen.lock().unwrap().clone();
    let answers: Vec<_> = screen.lines().filter_map(|line| line.split_once("Ok:1: ")).collect();
    let expected: Vec<_> = (0..300).map(|number| format!("{number}-the-quick-brown-fox")).collect();
    let differ = answers.iter().zip(&expected).find(|((_, text), other)| text != other);
    assert_eq!((answers.len(), differ), (300, None));
}
