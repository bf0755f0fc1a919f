//! A launcher's program while it runs, and its standard streams.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use hoptree_core::Exit;
use rustix::io::ioctl_fionbio;
use zeroize::Zeroizing;

use super::report::LineReader;

/// How much is read or written at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// How many lines of its standard error are kept for whoever asks why it has failed.
const ERRORS_KEPT: usize = 30;

/// A launcher's program. It is killed when this is dropped, if it still runs.
pub struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    reports: LineReader,
    errors: LineReader,
    last_errors: VecDeque<String>,
    /// What must be written next.
    outgoing: Zeroizing<Vec<u8>>,
    /// A file whose rest from here on must be written then, up to this size.
    upload: Option<(File, u64, u64)>,
}

impl Session {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn start(command: &[String]) -> io::Result<Session> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let session = Session {
            child,
            stdin: streams.0,
            stdout: streams.1,
            stderr: streams.2,
            reports: LineReader::default(),
            errors: LineReader::default(),
            last_errors: VecDeque::new(),
            outgoing: Zeroizing::default(),
            upload: None,
        };
        session.stdin.iter().try_for_each(|it| ioctl_fionbio(it, true))?;
        session.stdout.iter().try_for_each(|it| ioctl_fionbio(it, true))?;
        session.stderr.iter().try_for_each(|it| ioctl_fionbio(it, true))?;
        Ok(session)
    }

    /// Where its standard output and error can be waited for, as long as they are open, and its standard
    /// input while there is something to write.
    pub fn streams(&self) -> [Option<BorrowedFd<'_>>; 3] {
        let stdin = self.stdin.as_ref().filter(|_| self.has_outgoing());
        [
            self.stdout.as_ref().map(AsFd::as_fd),
            self.stderr.as_ref().map(AsFd::as_fd),
            stdin.map(AsFd::as_fd),
        ]
    }

    /// Has these bytes written, after all that was to be written before.
    pub fn send(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
    }

    /// Has a file written, which is of this size.
    pub fn upload(&mut self, file: File, size: u64) {
        self.upload = Some((file, 0, size));
    }

    /// How many bytes of the file were written, while some are left.
    pub fn uploaded(&self) -> Option<u64> {
        self.upload.as_ref().map(|(_, offset, _)| offset - self.outgoing.len() as u64)
    }

    /// Ends what its standard input says.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Writes as much as it takes.
    pub fn write(&mut self) {
        while let Some(stdin) = &mut self.stdin {
            if self.outgoing.is_empty() && !refill(&mut self.upload, &mut self.outgoing) {
                return;
            }
            match stdin.write(&self.outgoing) {
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Its end says why.
                Err(_) => self.stdin = None,
            }
        }
    }

    /// Reads its standard output and gives its lines.
    pub fn read_reports(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        read(&mut self.stdout, &mut self.reports, |line| lines.push(line.to_owned()));
        lines
    }

    /// Reads its standard error and gives its lines.
    pub fn read_errors(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        read(&mut self.stderr, &mut self.errors, |line| lines.push(line.to_owned()));
        for line in &lines {
            if self.last_errors.len() == ERRORS_KEPT {
                self.last_errors.pop_front();
            }
            self.last_errors.push_back(line.clone());
        }
        lines
    }

    /// The last lines of its standard error.
    pub fn errors(&self) -> String {
        self.last_errors.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<Exit> {
        let status = self.child.try_wait().ok()??;
        Some(match status.signal() {
            Some(signal) => Exit::Signal(signal),
            None => Exit::Status(status.code().unwrap_or_default()),
        })
    }

    fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty() || self.upload.is_some()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes the next block of a file; false when there is none.
fn refill(upload: &mut Option<(File, u64, u64)>, outgoing: &mut Vec<u8>) -> bool {
    let Some((file, offset, size)) = upload else { return false };
    let left = usize::try_from(*size - *offset).unwrap_or(usize::MAX);
    outgoing.resize(left.min(BLOCK_BYTES), 0);
    let read = file.read_at(outgoing, *offset).unwrap_or(0);
    outgoing.truncate(read);
    *offset += read as u64;
    if read == 0 {
        // A file that has become shorter is found out at the other end.
        *upload = None;
    }
    read > 0
}

/// Reads all that is there, and closes the stream at its end.
fn read(stream: &mut Option<impl Read>, lines: &mut LineReader, mut line: impl FnMut(&str)) {
    let mut block = [0; 4096];
    while let Some(open) = stream {
        match open.read(&mut block) {
            Ok(0) => {
                *stream = None;
                // What has no line end is a line as well.
                lines.take(b"\n", |rest| {
                    if !rest.is_empty() {
                        line(rest);
                    }
                });
            }
            Ok(count) => lines.take(&block[..count], &mut line),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => *stream = None,
        }
    }
}
