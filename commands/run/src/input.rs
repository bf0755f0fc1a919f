//! What a program reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hoptree_core::{Failure, shown};
use hoptree_system::explain;
use rustix::fs::{MemfdFlags, memfd_create};

/// The file that has nothing in it.
const NOTHING: &str = "/dev/null";

/// The standard input of a program.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// Its end, at once.
    Nothing,
    /// This text, and nothing behind it: no line end, unless it has one.
    Text(String),
    /// What is in the file with this path.
    File(String),
}

impl Input {
    /// As a user writes it: a text, or `@` and the path of a file. A text that begins with `@` is
    /// written with two of them.
    pub fn of(word: &str) -> Input {
        match word.strip_prefix('@') {
            Some(path) if !path.starts_with('@') => Input::File(path.to_owned()),
            Some(text) => Input::Text(text.to_owned()),
            None => Input::Text(word.to_owned()),
        }
    }

    /// Opens it. A relative path begins at `place`.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or there is no memory for the text.
    pub fn open(&self, place: &Path) -> Result<OwnedFd, Failure> {
        let opened = match self {
            Input::Nothing => File::open(NOTHING)
                .map_err(|error| format!("{NOTHING} can't be read: {}", explain(&error))),
            Input::Text(text) => text_file(text)
                .map_err(|error| format!("the text of --stdin can't be kept: {}", explain(&error))),
            Input::File(path) => open(&place.join(path)).map_err(|error| {
                format!("FILE '{}' can't be read: {}", shown(path), explain(&error))
            }),
        };
        opened.map(OwnedFd::from).map_err(Failure::from)
    }
}

/// A file without a name that holds a text, at its beginning. A pipe would have to be written to while
/// the program runs.
fn text_file(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Opens a regular file.
fn open(path: &Path) -> io::Result<File> {
    let check = |found: &fs::Metadata| match found {
        _ if found.is_file() => Ok(()),
        _ if found.is_dir() => Err(io::Error::other("it is a directory")),
        _ => Err(io::Error::other("it is not a regular file")),
    };
    // To open a pipe or a device may do something to it, so the first look is from outside.
    check(&fs::metadata(path)?)?;
    // Should there be another file by now: to open it does not wait for a writer.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_begins_a_file_and_two_a_text() {
        for (word, input) in [
            ("a@b", Input::Text("a@b".to_owned())),
            ("", Input::Text(String::new())),
            ("@@a", Input::Text("@a".to_owned())),
            ("@a", Input::File("a".to_owned())),
        ] {
            assert_eq!(Input::of(word), input, "{word}");
        }
    }

    #[test]
    fn only_regular_files_are_read() {
        let error = |path: &str| {
            let input = Input::File(path.to_owned());
            input.open(Path::new("/")).err().map(|failure| failure.text)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(error("proc/self/stat"), None);
        assert_eq!(error("proc"), text("FILE 'proc' can't be read: it is a directory"));
        let device = "FILE '/dev/zero' can't be read: it is not a regular file";
        assert_eq!(error("/dev/zero"), text(device));
        let missing = "FILE 'nosuch' can't be read: No such file or directory (os error 2)";
        assert_eq!(error("nosuch"), text(missing));
    }
}
