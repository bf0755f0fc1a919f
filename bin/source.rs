//! Where the console's commands come from.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use hoptree_host::Failure;
use memchr::memchr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::subcommand_near;
use crate::terminal::Terminal;

/// What some editors put at the beginning of a file in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What they put there in UTF-16, which no text in UTF-8 begins with.
const MARKS_OF_UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Stands for standard input on the command line.
const STANDARD_INPUT: &str = "-";

/// How much of a line a terminal hands over, without its line end. The rest is dropped, but for the
/// line end: Linux keeps a line that is being edited in a buffer of 4096 bytes.
pub const TERMINAL_LINE_BYTES: usize = 4095;

/// Standard input, or a script.
#[derive(Debug)]
pub struct Source {
    file: File,
    name: String,
    terminal: Option<Arc<Terminal>>,
    /// How long a file was when it was opened, when it has a length.
    length: u64,
    begun: bool,
}

impl Source {
    /// The script at `path`, or standard input.
    ///
    /// # Errors
    ///
    /// When it can't be opened, or can't be a script.
    pub fn open(path: Option<&Path>) -> Result<Source, Failure> {
        let Some(path) = path.filter(|path| path.as_os_str() != STANDARD_INPUT) else {
            let file = io::stdin()
                .as_fd()
                .try_clone_to_owned()
                .map_err(Failure::doing("open standard input"))?;
            return Ok(Source::of(file.into(), "standard input".to_owned()));
        };
        let name = format!("the script '{}'", path.display());
        match File::open(path).and_then(|file| Ok((file.metadata()?.is_dir(), file))) {
            Ok((false, file)) => Ok(Source::of(file, name)),
            Ok((true, _)) => Err(Failure::Usage(format!("can't read {name}: it is a directory"))),
            Err(error) => {
                let wrong = format!("can't read {name}: {error}");
                let not_found = error.kind() == ErrorKind::NotFound;
                Err(Failure::Usage(match subcommand_near(path).filter(|_| not_found) {
                    Some(meant) => format!("{wrong}; did you mean 'hoptree {meant}'?"),
                    None => wrong,
                }))
            }
        }
    }

    /// An open file, which the user knows as `name`.
    pub fn of(file: File, name: String) -> Source {
        let length = file.metadata().map_or(0, |it| if it.is_file() { it.len() } else { 0 });
        Source { terminal: Terminal::enter(&file), file, name, length, begun: false }
    }

    /// The terminal that somebody types it at, if so.
    pub fn terminal(&self) -> Option<&Arc<Terminal>> {
        self.terminal.as_ref()
    }

    /// Reads some of what follows, and says how much. Nothing is the end.
    ///
    /// # Errors
    ///
    /// Says to the user what can't be read, and why. That is not the end of the input: what follows
    /// is unknown, and a line that has begun may lack its rest.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<usize, String> {
        let read = if self.begun { self.read_some(bytes) } else { self.read_beginning(bytes) };
        self.begun = true;
        let read = read.and_then(|length| match length {
            0 => self.check_end().map(|()| 0),
            _ => Ok(length),
        });
        read.map_err(|error| format!("can't read {}: {error}", self.name))
    }

    /// Whether the terminal has dropped a part of the line that this, read in one go, begins with.
    ///
    /// A line of just that length can't be told from one that was cut.
    pub fn has_cut(&self, read: &[u8]) -> bool {
        memchr(b'\n', read).unwrap_or(read.len()) >= TERMINAL_LINE_BYTES
            && self.terminal.as_ref().is_some_and(|terminal| terminal.is_canonical())
    }

    /// Reads until a byte order mark would be complete, and leaves it out.
    fn read_beginning(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        loop {
            let more = self.read_some(&mut bytes[length..])?;
            length += more;
            let read = &bytes[..length];
            if MARKS_OF_UTF_16.iter().any(|mark| read.starts_with(mark)) {
                return Err(io::Error::other("it is not in UTF-8 but in UTF-16: convert it"));
            }
            if more == 0 {
                return Ok(length);
            }
            if read == BYTE_ORDER_MARK {
                return self.read_some(bytes);
            }
            if read.starts_with(BYTE_ORDER_MARK) {
                bytes.copy_within(BYTE_ORDER_MARK.len()..length, 0);
                return Ok(length - BYTE_ORDER_MARK.len());
            }
            let marks = MARKS_OF_UTF_16.iter().chain([&BYTE_ORDER_MARK]);
            if !marks.into_iter().any(|mark| mark.starts_with(read)) {
                return Ok(length);
            }
        }
    }

    /// One read, waited for also when somebody has made the file non-blocking.
    fn read_some(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Interrupted or not, the read is tried again.
                    let _ = poll(&mut [PollFd::new(&self.file, PollFlags::IN)], None);
                }
                done => return done,
            }
        }
    }

    /// Fails when nobody has ended the input: a terminal has hung up, or a file ends before the end
    /// that it had.
    fn check_end(&mut self) -> io::Result<()> {
        if self.terminal.is_some() && has_hung_up(&self.file) {
            return Err(io::Error::other("the terminal has hung up"));
        }
        if self.length == 0 {
            return Ok(());
        }
        let at = self.file.stream_position()?;
        if at >= self.length {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "it was cut to {at} of {} bytes while it was read",
            self.length
        )))
    }
}

/// Whether the other end of a terminal is gone. Whether a read has failed then, or nothing was read,
/// is a matter of chance.
fn has_hung_up(terminal: &File) -> bool {
    let mut fds = [PollFd::new(terminal, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::pipe::pipe;

    use super::*;

    /// What is read of an input that is written in these pieces.
    fn read_of(pieces: &[&[u8]]) -> Result<Vec<u8>, String> {
        let (read, write) = pipe().unwrap();
        let (mut source, mut write) = (Source::of(read.into(), "it".to_owned()), File::from(write));
        let (mut all, mut bytes) = (Vec::new(), [0; 100]);
        let writer = std::thread::spawn({
            let pieces: Vec<_> = pieces.iter().map(|piece| piece.to_vec()).collect();
            move || pieces.iter().for_each(|piece| write.write_all(piece).unwrap())
        });
        loop {
            match source.read(&mut bytes)? {
                0 => break,
                length => all.extend_from_slice(&bytes[..length]),
            }
        }
        writer.join().unwrap();
        Ok(all)
    }

    #[test]
    fn a_byte_order_mark_is_left_out_at_the_beginning_only() {
        let text = b"\xef\xbb\xbfcreate 1\n\xef\xbb\xbfping 1\n";
        assert_eq!(read_of(&[text]).unwrap(), &text[3..]);
        let single: Vec<_> = text.chunks(1).collect();
        assert_eq!(read_of(&single).unwrap(), &text[3..]);
        assert_eq!(read_of(&[BYTE_ORDER_MARK]).unwrap(), b"");
        assert_eq!(read_of(&[b"\xef\xbb"]).unwrap(), b"\xef\xbb");
        assert_eq!(read_of(&[b"\xef", b"x\n"]).unwrap(), b"\xefx\n");
        assert_eq!(read_of(&[]).unwrap(), b"");
    }

    #[test]
    fn utf_16_is_refused() {
        for text in [&b"\xff\xfep\0i\0n\0g\0"[..], b"\xfe\xff\0p\0i\0n\0g", b"\xff\xfe"] {
            let error = read_of(&[text]).unwrap_err();
            assert_eq!(error, "can't read it: it is not in UTF-8 but in UTF-16: convert it");
        }
        assert_eq!(read_of(&[b"ping\xff\xfe"]).unwrap(), b"ping\xff\xfe");
    }

    #[test]
    fn an_input_that_can_t_be_read_says_why() {
        let mut source = Source::of(File::open("/").unwrap(), "'/'".to_owned());
        let error = source.read(&mut [0; 10]).unwrap_err();
        assert!(error.starts_with("can't read '/': Is a directory"), "{error}");
    }

    #[test]
    fn a_file_that_gets_shorter_has_not_ended() {
        let path = std::env::temp_dir().join(format!("hoptree-source-{}", std::process::id()));
        std::fs::write(&path, "ping 1\nping 2\nremove 12\n").unwrap();
        let mut source = Source::open(Some(&path)).unwrap();
        let mut bytes = [0; 8];
        assert_eq!(source.read(&mut bytes), Ok(8));
        File::options().write(true).open(&path).unwrap().set_len(4).unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = source.read(&mut bytes).unwrap_err();
        assert!(error.ends_with("it was cut to 8 of 24 bytes while it was read"), "{error}");
    }

    /// Such files have no length.
    #[test]
    fn a_file_of_the_system_has_an_end() {
        let mut source = Source::open(Some(Path::new("/proc/self/stat"))).unwrap();
        let mut bytes = [0; 4096];
        assert!(source.read(&mut bytes).unwrap() > 0);
        assert_eq!(source.read(&mut bytes), Ok(0));
    }
}
