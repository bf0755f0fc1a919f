//! A log file that has an end.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use memchr::memrchr;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::failure::tell;

/// How many full files are kept beside the one that is written to: FILE.1, the latest, to FILE.3.
pub const FULL_FILES_MAX: u32 = 3;

/// A file for whole lines. When it is full it is renamed, and the oldest of those that were is
/// removed. When somebody else has renamed or removed it, as programs that rotate logs do, it is made
/// anew.
///
/// What can't be written is dropped, and the user told once; what comes later is tried again.
#[derive(Debug)]
pub struct LogFile {
    /// What users call such a file.
    name: &'static str,
    path: PathBuf,
    bytes_max: u64,
    open: Option<File>,
    /// Whether the user has been told that it can't be written, since it last could be.
    told: bool,
}

impl LogFile {
    /// The file at `path`, which users know as this kind of log. It is made when the first line is written.
    pub fn new(name: &'static str, path: PathBuf, bytes_max: u64) -> LogFile {
        LogFile { name, path, bytes_max, open: None, told: false }
    }

    /// Makes the file now.
    ///
    /// # Errors
    ///
    /// When it can't be made.
    pub fn make(&mut self) -> io::Result<()> {
        // To open a pipe that nobody reads would wait for a reader.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = File::options();
        let options = options.append(true).create(true).custom_flags(nonblocking);
        let file = options.open(&self.path).map_err(|error| match error.raw_os_error() {
            Some(code) if code == Errno::NXIO.raw_os_error() => {
                io::Error::other("it is a pipe that nobody reads")
            }
            _ => error,
        })?;
        let flags = fcntl_getfl(&file)?;
        fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        self.open = Some(file);
        Ok(())
    }

    /// Adds lines, to the file that is at the path and has room.
    fn add(&mut self, lines: &[u8]) -> io::Result<()> {
        let at_path = found(fs::metadata(&self.path))?;
        let length = at_path.as_ref().map_or(0, Metadata::len);
        if length > 0 && length + lines.len() as u64 > self.bytes_max {
            self.open = None;
            self.rotate()?;
        } else if !self.is_open(at_path.as_ref())? {
            self.open = None;
        }
        if self.open.is_none() {
            self.make()?;
        }
        self.open.as_mut().expect("it has just been made").write_all(lines)
    }

    /// Whether the file that is at the path is the open one.
    fn is_open(&self, at_path: Option<&Metadata>) -> io::Result<bool> {
        let (Some(file), Some(at_path)) = (&self.open, at_path) else { return Ok(false) };
        let open = file.metadata()?;
        Ok((open.dev(), open.ino()) == (at_path.dev(), at_path.ino()))
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (1..FULL_FILES_MAX).rev() {
            found(fs::rename(self.full(number), self.full(number + 1)))?;
        }
        found(fs::rename(&self.path, self.full(1)))?;
        Ok(())
    }

    /// The path of a full file.
    fn full(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }

    fn tell(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.told, true) {
            // A log line about it would come back here; the thread that writes logs may block.
            let (name, path) = (self.name, self.path.display());
            tell(&format!(
                "can't write the {name} {path}: {error}; it goes on once that is put right"
            ));
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = memrchr(b'\n', bytes).map_or(bytes.len(), |last| last + 1);
        match self.add(&bytes[..length]) {
            Ok(()) => self.told = false,
            Err(error) => self.tell(&error),
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was done, unless there was nothing to do it to.
fn found<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// A directory of its own for a test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let name = format!("hoptree-logfile-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap()
        }

        fn count(&self) -> usize {
            fs::read_dir(&self.0).unwrap().count()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// It would wait for ever, and nothing would be said.
    #[test]
    fn a_pipe_that_nobody_reads_is_refused() {
        let scratch = Scratch::new("pipe");
        let path = scratch.path("pipe");
        let (kind, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
        mknodat(CWD, &path, kind, mode, 0).unwrap();
        let error = log(&path).make().unwrap_err();
        assert_eq!(error.to_string(), "it is a pipe that nobody reads");
    }

    fn log(path: &Path) -> LogFile {
        LogFile::new("log", path.to_owned(), 20)
    }

    #[test]
    fn a_full_file_is_renamed_and_the_oldest_removed() {
        let scratch = Scratch::new("full");
        let mut log = log(&scratch.path("log"));
        for number in 0..20 {
            log.write_all(format!("line {number:03}\n").as_bytes()).unwrap();
        }
        assert_eq!(scratch.count() as u32, 1 + FULL_FILES_MAX);
        assert_eq!(scratch.text("log"), "line 018\nline 019\n");
        assert_eq!(scratch.text("log.1"), "line 016\nline 017\n");
        assert_eq!(scratch.text("log.3"), "line 012\nline 013\n");

        // One that is longer than it may be goes on in the next.
        log.write_all(&[b'x'; 100]).unwrap();
        log.write_all(b"\n").unwrap();
        assert_eq!(scratch.text("log.1").len(), 100);
        assert_eq!(scratch.text("log"), "\n");
    }

    #[test]
    fn lines_are_not_parted() {
        let scratch = Scratch::new("whole");
        let mut log = log(&scratch.path("log"));
        log.write_all(b"one\ntwo\nlong enough\n...").unwrap();
        assert_eq!(scratch.text("log.1"), "one\ntwo\nlong enough\n");
        assert_eq!(scratch.text("log"), "...");
    }

    #[test]
    fn what_was_there_before_counts() {
        let scratch = Scratch::new("before");
        fs::write(scratch.path("log"), "of another program\n").unwrap();
        let mut log = log(&scratch.path("log"));
        log.make().unwrap();
        log.write_all(b"line\n").unwrap();
        assert_eq!(scratch.text("log.1"), "of another program\n");
        assert_eq!(scratch.text("log"), "line\n");
    }

    #[test]
    fn a_file_that_others_have_moved_is_made_anew() {
        let scratch = Scratch::new("moved");
        let mut log = log(&scratch.path("log"));
        log.write_all(b"one\n").unwrap();
        fs::rename(scratch.path("log"), scratch.path("old")).unwrap();
        log.write_all(b"two\n").unwrap();
        fs::remove_file(scratch.path("log")).unwrap();
        log.write_all(b"three\n").unwrap();
        // And one that they have put in its place is used.
        fs::write(scratch.path("new"), "four\n").unwrap();
        fs::rename(scratch.path("new"), scratch.path("log")).unwrap();
        log.write_all(b"five\n").unwrap();
        assert_eq!(scratch.text("old"), "one\n");
        assert_eq!(scratch.text("log"), "four\nfive\n");
    }

    #[test]
    fn what_can_t_be_written_is_dropped_until_it_can_be() {
        let scratch = Scratch::new("away");
        let mut log = log(&scratch.path("logs").join("log"));
        log.write_all(b"one\n").unwrap();
        assert!(log.told);
        fs::create_dir(scratch.path("logs")).unwrap();
        log.write_all(b"two\n").unwrap();
        assert!(!log.told);
        assert_eq!(scratch.text("logs/log"), "two\n");
    }
}
