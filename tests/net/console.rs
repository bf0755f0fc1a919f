//! A hoptree on a host, that a test types at.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::deadline::{LONG_PATIENCE, PATIENCE, holds_within};
use crate::host::{Host, Ran};
use crate::init::PROGRAM;
use crate::lines::Lines;
use crate::process::Process;

/// A running control node. Dropping it kills it, and its tree follows.
pub struct Console {
    child: Child,
    process: Process,
    /// Given up at the end of input.
    input: Option<ChildStdin>,
    output: Lines,
    errors: Lines,
    /// How many lines of the output were taken.
    taken: usize,
    typed: Vec<(Instant, String)>,
}

impl Console {
    /// Starts `hoptree` there with these arguments.
    pub fn on(host: &Host, args: &[&str]) -> Console {
        let mut command = Command::new(PROGRAM);
        command
            .args(["--listen", "eth0"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = host.spawn(&mut command);
        Console {
            process: Process::of(child.id().try_into().unwrap()).unwrap(),
            input: child.stdin.take(),
            output: Lines::of(child.stdout.take().unwrap()),
            errors: Lines::of(child.stderr.take().unwrap()),
            taken: 0,
            typed: Vec::new(),
            child,
        }
    }

    /// The control node.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Types a line.
    pub fn send(&mut self, line: &str) {
        self.typed.push((Instant::now(), line.to_owned()));
        let input = self.input.as_mut().expect("the input has not been ended");
        // An error means that the console has stopped reading, which its exit status will explain.
        let _ = writeln!(input, "{line}");
    }

    /// The next line of the output.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.line_within(PATIENCE)
    }

    /// The next line of the output, which may take this long to come.
    #[track_caller]
    pub fn line_within(&mut self, within: Duration) -> String {
        let Some(line) = self.output.wait_for(self.taken, Instant::now() + within) else {
            panic!("no further line within {within:?}\n{}", self.transcript());
        };
        self.taken += 1;
        line.text
    }

    /// Expects this line next.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        self.expect_within(PATIENCE, text);
    }

    /// Expects this line next, which may take this long to come.
    #[track_caller]
    pub fn expect_within(&mut self, within: Duration, text: &str) {
        let line = self.line_within(within);
        assert_eq!(line, text, "\n{}", self.transcript());
    }

    /// Expects an error next that says all of this.
    #[track_caller]
    pub fn expect_error(&mut self, texts: &[&str]) {
        let line = self.line();
        let is_it = line.starts_with("Error") && texts.iter().all(|text| says(&line, text));
        assert!(is_it, "expected an error that says {texts:?}\n{}", self.transcript());
    }

    /// Expects that nothing is printed for this long.
    #[track_caller]
    pub fn expect_silence(&mut self, time: Duration) {
        if let Some(line) = self.output.wait_for(self.taken, Instant::now() + time) {
            panic!("did not expect '{}'\n{}", line.text, self.transcript());
        }
    }

    /// Types a command and expects this one line as its answer.
    #[track_caller]
    pub fn ask(&mut self, command: &str, reply: &str) {
        self.send(command);
        self.expect(reply);
    }

    /// Types a create, and returns the process that it has started on this host, to which all of the
    /// program may have to be sent first.
    #[track_caller]
    pub fn create(&mut self, words: &str, host: &Host) -> Process {
        self.send(&format!("create {words}"));
        let line = self.line_within(LONG_PATIENCE);
        let pid = line.strip_prefix("Ok: ").and_then(|pid| pid.parse().ok());
        let Some(pid) = pid else { panic!("expected a process id\n{}", self.transcript()) };
        host.node(pid)
    }

    /// Ends the input and waits for the rest of the session.
    #[track_caller]
    pub fn finish(mut self) -> Ran {
        self.input = None;
        let mut status = None;
        holds_within(LONG_PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let Some(status) = status else {
            panic!("hoptree does not exit\n{}{}", self.process.activity(), self.transcript());
        };
        let deadline = Instant::now() + PATIENCE;
        let closed = self.output.wait_for_end(deadline) && self.errors.wait_for_end(deadline);
        assert!(closed, "somebody still holds the output open\n{}", self.transcript());
        Ran {
            status: status.code().or(status.signal().map(|signal| 128 + signal)).unwrap(),
            output: self.output.text(),
            errors: self.errors.text(),
        }
    }

    /// What was typed and what came, in the order of time.
    fn transcript(&self) -> String {
        let mut entries: Vec<_> =
            self.typed.iter().map(|(at, text)| (*at, "<-", text.clone())).collect();
        for (mark, lines) in [("->", &self.output), ("2>", &self.errors)] {
            entries.extend(lines.from(0).into_iter().map(|it| (it.at, mark, it.text)));
        }
        entries.sort();
        let mut text = String::new();
        for (at, mark, line) in &entries {
            let passed = at.duration_since(entries[0].0).as_millis();
            writeln!(text, "{passed:>6} ms {mark} {line}").unwrap();
        }
        text
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a text stands in a line, and not within a word: names of hosts are short.
fn says(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        let (before, behind) = (&line[..at], &line[at + text.len()..]);
        !before.ends_with(char::is_alphanumeric) && !behind.starts_with(char::is_alphanumeric)
    })
}
