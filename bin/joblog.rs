//! The job log: a line for each command and node that was answered, in the columns of GNU parallel.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hoptree_core::{ExecEnding, Exit, Record, Waker};
use hoptree_host::Failure;
use hoptree_host::logfile::LogFile;
use hoptree_host::writer::Writer;

const HEADER: &[u8] =
    b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// No more lines of the console are read while more than this waits to be written. It is exceeded by
/// what is answered meanwhile.
const ROOM_BYTES: usize = 1024 * 1024;

/// How long the end of the program waits for the file.
const FINISH_TIME_MAX: Duration = Duration::from_secs(1);

/// The file of a job log. What can't be written is dropped, and the user told once, as with other logs.
pub struct JobFile {
    path: PathBuf,
    file: LogFile,
    has_begun: bool,
}

impl JobFile {
    /// Opens the file, to add to what is in it.
    ///
    /// # Errors
    ///
    /// When it can't be opened.
    pub fn open(path: &Path) -> Result<JobFile, Failure> {
        let mut file = LogFile::new("job log", path.to_owned(), u64::MAX);
        file.make().map_err(|error| {
            Failure::Usage(format!("can't write the job log {}: {error}", path.display()))
        })?;
        Ok(JobFile { path: path.to_owned(), file, has_begun: false })
    }

    /// Whether what is written next begins the file: it is empty, or will be made anew. A pipe has no
    /// length.
    fn is_new(&self) -> bool {
        match fs::metadata(&self.path) {
            Ok(found) if found.is_file() => found.len() == 0,
            Ok(_) => !self.has_begun,
            Err(_) => true,
        }
    }
}

impl Write for JobFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let is_new = self.is_new();
        self.has_begun = true;
        if !is_new {
            return self.file.write(lines);
        }
        // In one write: the file may be made at any moment. There is a whole line after the header, since
        // whatever is handed over ends with one, and no line is as long as what is written in one go.
        let written = self.file.write(&[HEADER, lines].concat())?;
        Ok(written - HEADER.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A job log, which a thread of its own writes.
pub struct JobLog {
    writer: Writer,
    lines: String,
}

impl JobLog {
    /// A log in `file`, a [`JobFile`]. The waker is used when there is room again.
    ///
    /// # Errors
    ///
    /// When the thread can't be started.
    pub fn new(file: impl Write + Send + 'static, waker: Waker) -> io::Result<JobLog> {
        let writer = Writer::new("joblog", ROOM_BYTES, file, move || waker.wake());
        writer.start()?;
        Ok(JobLog { writer, lines: String::new() })
    }

    /// Whether the file keeps up with what is logged.
    pub fn has_room(&self) -> bool {
        self.writer.has_room()
    }

    /// Adds a line for a command that began at this time.
    pub fn add(&mut self, started: SystemTime, record: &Record) {
        let Record { number, node, line, sent_bytes, received_bytes, .. } = record;
        let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let runtime = record.ended.since(record.started).as_secs_f64();
        let (status, signal) = exit(record.ending);
        writeln!(
            self.lines,
            "{number}\t{node}\t{started:.3}\t{runtime:.3}\t{sent_bytes}\t{received_bytes}\t{status}\t{signal}\t{line}"
        )
        .expect("writing to memory can't fail");
    }

    /// Hands over what was added.
    pub fn flush(&mut self) {
        self.writer.write(mem::take(&mut self.lines).into_bytes());
    }

    /// Gives what was logged a moment to be written.
    pub fn finish(&self) {
        self.writer.drain(FINISH_TIME_MAX);
    }
}

/// The exit status and the signal that stand for how a command ended.
fn exit(ending: ExecEnding) -> (i32, i32) {
    match ending {
        ExecEnding::Ok => (0, 0),
        // A failure is never told as a success, whatever its node says.
        ExecEnding::Failed(None | Some(Exit::Status(0) | Exit::Signal(0))) => (1, 0),
        ExecEnding::Failed(Some(Exit::Status(status))) => (status, 0),
        ExecEnding::Failed(Some(Exit::Signal(signal))) => (0, signal),
        ExecEnding::Unanswered => (-1, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use hoptree_core::{NodeId, RECORDED_BYTES_MAX, Time};

    use super::*;

    /// A file that takes nothing until it is told to.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Once the sender is gone, it takes everything.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn record(line: &str) -> Record {
        Record {
            number: 1,
            node: NodeId::compute(1).unwrap(),
            line: line.into(),
            started: Time::ZERO,
            ended: Time::ZERO,
            sent_bytes: line.len(),
            received_bytes: 0,
            ending: ExecEnding::Ok,
        }
    }

    #[test]
    fn a_file_that_takes_nothing_stops_what_would_be_logged() {
        let (go_on, stuck) = mpsc::channel();
        let (woken, wakes) = mpsc::channel();
        let waker = Waker::new(move || woken.send(()).unwrap());
        let mut log = JobLog::new(Stuck(stuck), waker).unwrap();
        let record = record(&"x".repeat(RECORDED_BYTES_MAX));
        let mut lines = 0;
        while log.has_room() {
            log.add(UNIX_EPOCH, &record);
            log.flush();
            lines += 1;
        }
        assert!(lines * RECORDED_BYTES_MAX <= ROOM_BYTES, "{lines}");
        drop(go_on);
        wakes.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(log.has_room());
    }

    #[test]
    fn a_line_has_a_column_for_each_thing() {
        let (_, taken) = mpsc::channel();
        let mut log = JobLog::new(Stuck(taken), Waker::new(|| ())).unwrap();
        let ended = Time::ZERO + Duration::from_millis(1_250);
        log.add(UNIX_EPOCH + Duration::from_millis(1_500), &Record { ended, ..record("echo\ta") });
        assert_eq!(log.lines, "1\t1\t1.500\t1.250\t6\t0\t0\t0\techo\ta\n");
    }

    #[test]
    fn how_a_command_ended_is_told_as_a_shell_would() {
        for (ending, columns) in [
            (ExecEnding::Ok, (0, 0)),
            (ExecEnding::Unanswered, (-1, 0)),
            (ExecEnding::Failed(None), (1, 0)),
            (ExecEnding::Failed(Some(Exit::Status(127))), (127, 0)),
            (ExecEnding::Failed(Some(Exit::Signal(11))), (0, 11)),
            (ExecEnding::Failed(Some(Exit::Status(0))), (1, 0)),
            (ExecEnding::Failed(Some(Exit::Signal(0))), (1, 0)),
        ] {
            assert_eq!(exit(ending), columns, "{ending:?}");
        }
    }
}
