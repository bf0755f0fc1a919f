//! The lines that a process writes, collected as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// All lines of a stream, read by a thread of its own so that the writer never has to wait.
#[derive(Clone, Default)]
pub struct Lines {
    shared: Arc<(Mutex<Collected>, Condvar)>,
}

#[derive(Default)]
struct Collected {
    lines: Vec<Line>,
    ended: bool,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// What it says, without its line end.
    pub text: String,
    /// Whether it had a line end.
    complete: bool,
}

impl Lines {
    /// Begins to read.
    pub fn of(stream: impl Read + Send + 'static) -> Lines {
        let lines = Lines::default();
        let collector = lines.clone();
        thread::spawn(move || collector.collect(BufReader::new(stream)));
        lines
    }

    /// The lines that came so far, from the one with number `first`.
    pub fn from(&self, first: usize) -> Vec<Line> {
        self.lock().lines[first..].to_vec()
    }

    /// Line number `index`, which has until `deadline` to come.
    pub fn wait_for(&self, index: usize, deadline: Instant) -> Option<Line> {
        self.wait(deadline, |collected| collected.lines.len() > index || collected.ended);
        self.lock().lines.get(index).cloned()
    }

    /// Whether the stream ends by `deadline`.
    pub fn wait_for_end(&self, deadline: Instant) -> bool {
        self.wait(deadline, |collected| collected.ended);
        self.lock().ended
    }

    /// All that was read so far, byte for byte (as far as it is UTF-8).
    pub fn text(&self) -> String {
        let collected = self.lock();
        let pieces = collected.lines.iter();
        pieces.flat_map(|line| [&*line.text, if line.complete { "\n" } else { "" }]).collect()
    }

    fn collect(&self, mut stream: impl BufRead) {
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let text = bytes.strip_suffix(b"\n");
            let line = Line {
                at: Instant::now(),
                text: String::from_utf8_lossy(text.unwrap_or(&bytes)).into_owned(),
                complete: text.is_some(),
            };
            self.lock().lines.push(line);
            self.shared.1.notify_all();
            bytes.clear();
        }
        self.lock().ended = true;
        self.shared.1.notify_all();
    }

    fn wait(&self, deadline: Instant, enough: impl Fn(&Collected) -> bool) {
        let mut collected = self.lock();
        while !enough(&collected) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return;
            }
            collected = self.shared.1.wait_timeout(collected, left).unwrap().0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.shared.0.lock().unwrap()
    }
}
