//! Where log lines go: warnings to stderr, which the whole tree shares, and more into files.
//!
//! Writing a log line never blocks. The thread that does the writing starts with the first line, so
//! that a quiet node has none.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hoptree_core::Life;
use log::LevelFilter;
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGUSR1, SIGXFSZ};
use simplelog::{CombinedLogger, ConfigBuilder, SharedLogger, WriteLogger};

use crate::failure::Failure;
use crate::logfile::LogFile;
use crate::visible::visible;
use crate::writer::{Unbuffered, Writer};

/// How much may wait to be written, for each of stderr and the file. Lines beyond that are dropped
/// and counted.
const BACKLOG_BYTES_MAX: usize = 256 * 1024;

/// The longest path of a directory for logs: every node is told it in its boot message.
pub const DIR_BYTES_MAX: usize = 1536;

/// How long the end of the process waits for each of them.
const FLUSH_TIME_MAX: Duration = Duration::from_millis(100);

/// What the user wants logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// How often `-v` was given: what the control node shows beyond warnings.
    pub verbosity: u8,
    /// The directory for log files; without it there are none.
    pub dir: Option<PathBuf>,
    /// How long each of them may get before another one is begun.
    pub file_bytes_max: u64,
}

impl LogConfig {
    fn stderr_level(&self) -> LevelFilter {
        match self.verbosity {
            0 => LevelFilter::Warn,
            1 => LevelFilter::Info,
            2 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        }
    }

    fn file_level(&self) -> LevelFilter {
        self.stderr_level().max(LevelFilter::Debug)
    }
}

/// Begins to log as the control node.
///
/// # Errors
///
/// When the log file can't be made, or the nodes could not be told where to write theirs.
pub fn start_control_node(config: &LogConfig) -> Result<(), Failure> {
    let mut loggers = vec![to_stderr("control node", config.stderr_level())];
    if let Some(dir) = &config.dir {
        if dir.to_str().is_none_or(|path| path.len() > DIR_BYTES_MAX) {
            return Err(Failure::Usage(format!(
                "can't write logs to {}: the path must be UTF-8 and have at most {DIR_BYTES_MAX} bytes",
                dir.display()
            )));
        }
        let path = dir.join("control.log");
        let mut file = LogFile::new("log", path.clone(), config.file_bytes_max);
        fs::create_dir_all(dir).and_then(|()| file.make()).map_err(|error| {
            Failure::Usage(format!("can't write logs to {}: {error}", path.display()))
        })?;
        loggers.push(to_file("control node", config.file_level(), file));
    }
    start(loggers);
    Ok(())
}

/// Begins to log as a compute node. Its log file is made with the first line for it.
pub fn start_compute_node(config: &LogConfig, life: Life) {
    start_process(config, &format!("node-{}", life.node), &format!("node {}", life.node));
}

/// Begins to log as another process of the tree, which the lines call `tag`, into a file whose name begins
/// with `name`.
pub fn start_process(config: &LogConfig, name: &str, tag: &str) {
    let mut loggers = vec![to_stderr(tag, LevelFilter::Warn)];
    if let Some(dir) = &config.dir {
        let path = dir.join(format!("{name}-{}.log", std::process::id()));
        let file = LogFile::new("log", path, config.file_bytes_max);
        loggers.push(to_file(tag, config.file_level(), file));
    }
    start(loggers);
}

/// Gives what was logged a moment to be written. To be called at the end of the process.
pub fn finish() {
    log::logger().flush();
}

fn start(loggers: Vec<Box<dyn SharedLogger>>) {
    outlive_signals();
    // Fails only where a logger has been set before, which then stays.
    let _ = CombinedLogger::init(loggers);
}

/// Keeps two signals from ending the process. SIGUSR1 asks for log files to be opened anew, which
/// they are anyway when somebody has moved them. And a file that may not grow says so to whoever
/// writes to it.
fn outlive_signals() {
    for signal in [SIGUSR1, SIGXFSZ] {
        // An error leaves the signal as it was.
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
}

fn to_stderr(tag: &str, level: LevelFilter) -> Box<dyn SharedLogger> {
    let config = plain().set_time_level(LevelFilter::Off).build();
    let mut lines = Lines::new(format!("hoptree: {tag}: "), Unbuffered(io::stderr()));
    lines.on_terminal = io::stderr().is_terminal();
    WriteLogger::new(level, config, lines)
}

fn to_file(tag: &str, level: LevelFilter, file: LogFile) -> Box<dyn SharedLogger> {
    // In UTC: learning the local offset is not safe beside other threads.
    let config = plain().set_time_format_rfc3339().build();
    WriteLogger::new(level, config, Lines::new(format!("{tag}: "), file))
}

fn plain() -> ConfigBuilder {
    let mut config = ConfigBuilder::new();
    config.set_thread_level(LevelFilter::Off).set_location_level(LevelFilter::Off);
    config
}

/// Puts what a logger writes piecemeal together to lines, each with the node's name in front.
struct Lines {
    tag: String,
    line: Vec<u8>,
    /// Whether a terminal shows them.
    on_terminal: bool,
    dropped: u64,
    writer: Writer,
}

impl Lines {
    fn new(tag: String, file: impl Write + Send + 'static) -> Lines {
        let writer = Writer::new("log", BACKLOG_BYTES_MAX, file, || ());
        Lines { tag, line: Vec::new(), on_terminal: false, dropped: 0, writer }
    }

    fn end_line(&mut self) {
        if self.writer.backlog() + self.line.len() > BACKLOG_BYTES_MAX {
            self.dropped += 1;
        } else {
            self.tell_dropped();
            let line = &self.line[..];
            self.writer.write(if self.on_terminal { visible(line) } else { line.into() });
        }
        self.line.clear();
    }

    fn tell_dropped(&mut self) {
        if self.dropped > 0 {
            let text = format!("{}[WARN] {} log lines were dropped here\n", self.tag, self.dropped);
            self.writer.write(text.as_bytes());
            self.dropped = 0;
        }
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.is_empty() {
                self.line.extend_from_slice(self.tag.as_bytes());
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.writer.drain(FLUSH_TIME_MAX) && self.dropped > 0 {
            self.tell_dropped();
            self.writer.drain(FLUSH_TIME_MAX);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead, BufReader, Read};
    use std::thread;

    use super::*;

    fn lines() -> (File, Lines) {
        let (read, write) = rustix::pipe::pipe().unwrap();
        (read.into(), Lines::new("node 7: ".to_owned(), Unbuffered(write)))
    }

    fn read(pipe: &mut File, length: usize) -> String {
        let mut bytes = vec![0; length];
        pipe.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_line_says_which_node() {
        let (mut pipe, mut lines) = lines();
        for part in ["[WARN] ", "first", "\n", "second\nthird", "\n"] {
            lines.write_all(part.as_bytes()).unwrap();
        }
        let expected = "node 7: [WARN] first\nnode 7: second\nnode 7: third\n";
        assert_eq!(read(&mut pipe, expected.len()), expected);
    }

    #[test]
    fn a_terminal_is_shown_what_can_be_seen() {
        let (mut pipe, mut lines) = lines();
        lines.write_all(b"\x1b[2J\n").unwrap();
        lines.on_terminal = true;
        lines.write_all(b"\x1b[2J\n").unwrap();
        let expected = "node 7: \x1b[2J\nnode 7: \\x1b[2J\n";
        assert_eq!(read(&mut pipe, expected.len()), expected);
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_counted() {
        let (pipe, mut lines) = lines();
        let line = format!("{}\n", "x".repeat(999));
        for _ in 0..1000 {
            lines.write_all(line.as_bytes()).unwrap();
            assert!(lines.writer.backlog() <= BACKLOG_BYTES_MAX);
        }

        let reader = thread::spawn(move || {
            let mut told = BufReader::new(pipe).lines().map(|line| lines_told_by(&line.unwrap()));
            let (mut sum, mut read) = (0, 0);
            while sum < 1000 {
                sum += told.next().unwrap();
                read += 1;
            }
            (sum, read)
        });
        while lines.dropped > 0 {
            lines.flush().unwrap();
        }
        let (sum, read) = reader.join().unwrap();
        assert_eq!(sum, 1000);
        assert!(read < 1000, "some were dropped");
    }

    /// How many of the lines that were logged a line in the output stands for.
    fn lines_told_by(line: &str) -> usize {
        match line.strip_suffix(" log lines were dropped here") {
            Some(line) => line.strip_prefix("node 7: [WARN] ").unwrap().parse().unwrap(),
            None => 1,
        }
    }

    #[test]
    fn levels() {
        let config = |verbosity| LogConfig { verbosity, ..LogConfig::default() };
        assert_eq!(config(0).stderr_level(), LevelFilter::Warn);
        assert_eq!(config(0).file_level(), LevelFilter::Debug);
        assert_eq!(config(9).stderr_level(), LevelFilter::Trace);
        assert_eq!(config(9).file_level(), LevelFilter::Trace);
    }
}
