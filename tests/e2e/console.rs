//! A hoptree that a test types at.

use std::fmt::Write as _;
use std::io::{Write as _, empty};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::deadline::{LONG_PATIENCE, PATIENCE, holds_within};
use crate::lines::{Line, Lines};
use crate::process::Process;
use crate::scratch::Scratch;
use crate::transport;

const HOPTREE: &str = env!("CARGO_BIN_EXE_hoptree");

/// A running control node. Dropping it kills it, and whatever of its tree is left.
pub struct Console {
    child: Child,
    process: Process,
    /// Given up at the end of input.
    input: Option<Sender<Vec<u8>>>,
    output: Lines,
    errors: Lines,
    /// How many lines of the output were taken.
    taken: usize,
    typed: Vec<(Instant, String)>,
    /// Its working directory and the place for its temporary files.
    scratch: Scratch,
}

/// When a command was typed and when it was answered, as the test saw it.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    pub sent: Instant,
    pub answered: Instant,
}

impl Exchange {
    /// From the typing of the command to its answer.
    pub fn took(&self) -> Duration {
        self.answered - self.sent
    }
}

/// What a whole session came to.
pub struct Finished {
    /// The exit status as a shell shows it.
    pub status: i32,
    pub output: String,
    pub errors: String,
}

impl Finished {
    pub fn lines(&self) -> Vec<&str> {
        self.output.lines().collect()
    }
}

/// Has a program end by signals, as by default. Whoever runs the tests may ignore some, as with nohup,
/// and what a program ignores, those that it starts ignore as well.
pub fn heed_signals(command: &mut Command) {
    let heed = || {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            // SAFETY: it changes nothing but what this signal does.
            unsafe { libc::signal(signal.as_raw(), libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: it makes no more than system calls, which may be made between fork and exec.
    unsafe { command.pre_exec(heed) };
}

impl Console {
    /// Starts `hoptree` with these arguments.
    pub fn start(args: &[&str]) -> Console {
        Console::start_prepared(args, |_| ())
    }

    /// Starts `hoptree` with an output that the test has its own plans for.
    pub fn start_writing_to(output: impl Into<Stdio>, args: &[&str]) -> Console {
        Console::start_prepared(args, |command| {
            command.stdout(output);
        })
    }

    /// Starts `hoptree` with these arguments and whatever else the test wants of the start.
    pub fn start_prepared(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Console {
        Console::start_command(Command::new(HOPTREE), args, prepare)
    }

    /// Starts `hoptree` with these arguments from a shell, after commands that may set limits, or
    /// change what is run, which is `"$@"`.
    pub fn start_after(commands: &str, args: &[&str]) -> Console {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{commands}\nexec \"$@\""), "sh", HOPTREE]);
        Console::start_command(shell, args, |_| ())
    }

    fn start_command(
        mut command: Command,
        args: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Console {
        let scratch = Scratch::new();
        command
            .args(args)
            .args(transport::options(args))
            .current_dir(scratch.path())
            .env("TMPDIR", scratch.path())
            .env("XDG_RUNTIME_DIR", scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        heed_signals(&mut command);
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        Console {
            process: Process::of(child.id().try_into().unwrap()).unwrap(),
            input: child.stdin.take().map(writer),
            output: child.stdout.take().map_or_else(|| Lines::of(empty()), Lines::of),
            errors: child.stderr.take().map_or_else(|| Lines::of(empty()), Lines::of),
            taken: 0,
            typed: Vec::new(),
            child,
            scratch,
        }
    }

    /// Runs a whole session with `script` piped in.
    pub fn run(args: &[&str], script: impl AsRef<[u8]>) -> Finished {
        let mut console = Console::start(args);
        console.send_bytes(script.as_ref());
        console.finish()
    }

    /// The control node.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Where it may leave files, and should not.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Types a line. Never blocks.
    pub fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Types bytes as they are. Never blocks.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.typed.push((Instant::now(), excerpt(&String::from_utf8_lossy(bytes))));
        let input = self.input.as_ref().expect("the input has not been ended");
        // An error means that the console has stopped reading, which its exit status will explain.
        let _ = input.send(bytes.to_vec());
    }

    /// Ends the input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// The next line of the output.
    #[track_caller]
    pub fn line(&mut self) -> Line {
        self.line_within(PATIENCE)
    }

    /// The next line of the output, which may take this long to come.
    #[track_caller]
    pub fn line_within(&mut self, within: Duration) -> Line {
        let Some(line) = self.output.wait_for(self.taken, Instant::now() + within) else {
            panic!("no further line within {within:?}\n{}", self.transcript());
        };
        self.taken += 1;
        line
    }

    /// The next `count` lines of the output.
    pub fn lines(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.line().text).collect()
    }

    /// Expects this line next, and says when it came.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> Instant {
        let line = self.line();
        if line.text != text {
            panic!("expected '{}'\n{}", excerpt(text), self.transcript());
        }
        line.at
    }

    /// Expects `Ok: PID` next.
    #[track_caller]
    pub fn expect_pid(&mut self) -> Process {
        let line = self.line().text;
        let pid = line.strip_prefix("Ok: ").and_then(|pid| pid.parse().ok());
        let Some(process) = pid.and_then(Process::of) else {
            panic!("expected the pid of a process\n{}", self.transcript());
        };
        process
    }

    /// Expects that nothing is printed for this long.
    #[track_caller]
    pub fn expect_silence(&mut self, time: Duration) {
        if let Some(line) = self.output.wait_for(self.taken, Instant::now() + time) {
            panic!("did not expect '{}'\n{}", excerpt(&line.text), self.transcript());
        }
    }

    /// Types a command and expects this one line as its answer.
    #[track_caller]
    pub fn ask(&mut self, command: &str, reply: &str) -> Exchange {
        let sent = Instant::now();
        self.send(command);
        Exchange { sent, answered: self.expect(reply) }
    }

    /// Creates a node, and returns its process.
    #[track_caller]
    pub fn create(&mut self, node: u32, parent: i32) -> Process {
        self.send(&format!("create {node} {parent}"));
        self.expect_pid()
    }

    /// Creates nodes 1 to `depth`, each below the one before.
    pub fn create_chain(&mut self, depth: u32) -> Vec<Process> {
        (1..=depth)
            .map(|node| self.create(node, if node == 1 { -1 } else { node as i32 - 1 }))
            .collect()
    }

    /// Waits for the process to end by itself, and for its output to be closed by everyone.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        self.wait_exit_within(PATIENCE)
    }

    /// Ends the input and waits for the rest of the session.
    pub fn finish(mut self) -> Finished {
        self.end_input();
        let status = self.wait_exit_within(LONG_PATIENCE);
        Finished {
            status: status.code().or(status.signal().map(|signal| 128 + signal)).unwrap(),
            output: self.output.text(),
            errors: self.errors.text(),
        }
    }

    /// All that was written to the standard error so far.
    pub fn errors(&self) -> String {
        self.errors.text()
    }

    fn wait_exit_within(&mut self, within: Duration) -> ExitStatus {
        let mut status = None;
        holds_within(within, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let Some(status) = status else {
            let (activity, transcript) = (self.process.activity(), self.transcript());
            panic!("hoptree does not exit within {within:?}\n{activity}{transcript}");
        };
        let deadline = Instant::now() + PATIENCE;
        let closed = self.output.wait_for_end(deadline) && self.errors.wait_for_end(deadline);
        assert!(closed, "somebody still holds the output open\n{}", self.transcript());
        status
    }

    /// What was typed and what came, the latest of it, in the order of time.
    fn transcript(&self) -> String {
        let mut entries: Vec<_> =
            self.typed.iter().map(|(at, text)| (*at, "<-", text.clone())).collect();
        for (mark, lines) in [("->", &self.output), ("2>", &self.errors)] {
            entries.extend(lines.from(0).into_iter().map(|it| (it.at, mark, excerpt(&it.text))));
        }
        entries.sort();
        let mut text = String::new();
        for (at, mark, line) in entries.iter().skip(entries.len().saturating_sub(40)) {
            let passed = at.duration_since(entries[0].0).as_millis();
            writeln!(text, "{passed:>6} ms {mark} {line}").unwrap();
        }
        text
    }
}

impl Drop for Console {
    /// By design the tree follows its control node. When it does not, or when the test failed while
    /// a node was stopped, this leaves nothing behind all the same.
    fn drop(&mut self) {
        let tree = self.process.descendants();
        let _ = self.child.kill();
        let _ = self.child.wait();
        tree.iter().for_each(Process::kill);
    }
}

/// Writes to the input from a thread of its own, so that a console that stops reading holds up only
/// that.
fn writer(mut input: ChildStdin) -> Sender<Vec<u8>> {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || receiver.iter().try_for_each(|bytes| input.write_all(&bytes)));
    sender
}

fn excerpt(text: &str) -> String {
    let text = text.trim_end_matches('\n');
    let shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() { format!("{shown}... ({} bytes)", text.len()) } else { shown }
}
