//! The last words of a node that ends before it has joined, for the reply to whoever wanted it.
//!
//! A node has no link then. So each parent has one pipe, whose write end its children get as their
//! standard output. They put it away and write to it once at most, what fits in an atomic write. The
//! parent reads it when a child has ended.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read, pipe};
use std::os::fd::{OwnedFd, RawFd};
use std::process::Stdio;
use std::sync::OnceLock;

use rustix::io::{Errno, fcntl_dupfd_cloexec, ioctl_fionbio, write};
use rustix::stdio::stdout;
use signal_hook::consts::SIGABRT;
use signal_hook::low_level;

use super::boot::is_pipe;

/// How long the words may be. With what precedes them they fit in an atomic write to a pipe
/// (`PIPE_BUF`, 4096 bytes).
const WORDS_BYTES_MAX: usize = 512;

/// Nothing else is above the standard streams when a node puts its pipe away.
const LOWEST: RawFd = 3;

/// The parent's side.
#[derive(Debug)]
pub struct Farewells {
    reader: PipeReader,
    writer: PipeWriter,
    /// What was read and not asked for, by process id.
    heard: BTreeMap<i32, String>,
}

impl Farewells {
    /// Nothing was said yet.
    pub fn new() -> io::Result<Farewells> {
        let (reader, writer) = pipe()?;
        // Neither side ever waits for the other.
        ioctl_fionbio(&reader, true)?;
        ioctl_fionbio(&writer, true)?;
        Ok(Farewells { reader, writer, heard: BTreeMap::new() })
    }

    /// The standard output of a child.
    pub fn stdout(&self) -> io::Result<Stdio> {
        Ok(self.writer.try_clone()?.into())
    }

    /// What this process, which has ended, has said. Words of those who are no children, or were none
    /// when they ended, are dropped.
    pub fn take(&mut self, pid: i32, is_child: impl Fn(i32) -> bool) -> Option<String> {
        let mut bytes = Vec::new();
        // It ends with an error when the pipe is empty: the write end is open here.
        let _ = self.reader.read_to_end(&mut bytes);
        let mut rest = &bytes[..];
        while let Some((pid, words, more)) = decode(rest) {
            if is_child(pid) {
                self.heard.entry(pid).or_insert(words);
            }
            rest = more;
        }
        self.heard.remove(&pid)
    }
}

/// The child's side.
#[derive(Debug)]
struct Farewell {
    to_parent: OwnedFd,
    /// What is written when the process is aborted, when nothing can be put together any more.
    aborted: Vec<u8>,
}

static FAREWELL: OnceLock<Farewell> = OnceLock::new();

/// Puts the way to the parent away, if standard output is one, so that nothing else is written to
/// it. From now on an abort is told there. To be called once.
///
/// # Errors
///
/// When the system refuses.
pub fn prepare() -> io::Result<()> {
    if !is_pipe(stdout()) {
        return Ok(());
    }
    let to_parent = fcntl_dupfd_cloexec(stdout(), LOWEST)?;
    let farewell = FAREWELL.get_or_init(|| Farewell { to_parent, aborted: encode(&aborted()) });
    let tell = || {
        let _ = write(&farewell.to_parent, &farewell.aborted);
    };
    // SAFETY: a signal handler may make this system call, and the handler does nothing else.
    unsafe { low_level::register(SIGABRT, tell) }?;
    Ok(())
}

/// Tells the parent why this process ends; false when somebody else has to be told. The first words
/// count.
pub fn say(words: &str) -> bool {
    FAREWELL.get().is_some_and(|farewell| say_to(&farewell.to_parent, words))
}

/// When the parent is gone, it is no news to anybody that its child ends.
fn say_to(parent: &OwnedFd, words: &str) -> bool {
    matches!(write(parent, &encode(words)), Ok(_) | Err(Errno::PIPE))
}

/// What is left to say when a library aborts the process.
fn aborted() -> String {
    let limits = hoptree_system::limits();
    format!("a library has aborted it, and says why on the standard error ({limits})")
}

fn encode(words: &str) -> Vec<u8> {
    let words = &words[..words.floor_char_boundary(WORDS_BYTES_MAX)];
    let length = u16::try_from(words.len()).expect("it was cut");
    [&std::process::id().to_ne_bytes(), &length.to_ne_bytes()[..], words.as_bytes()].concat()
}

/// The process id and the words that these bytes begin with, and the bytes behind them.
fn decode(bytes: &[u8]) -> Option<(i32, String, &[u8])> {
    let (pid, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (words, rest) = rest.split_at_checked(usize::from(u16::from_ne_bytes(*length)))?;
    Some((i32::from_ne_bytes(*pid), String::from_utf8_lossy(words).into_owned(), rest))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_first_words_of_each_child_are_kept_until_they_are_asked_for() {
        let mut farewells = Farewells::new().unwrap();
        let said = |pid: i32, words: &str| {
            let mut bytes = encode(words);
            bytes[..4].copy_from_slice(&pid.to_ne_bytes());
            bytes
        };
        let is_child = |pid| pid < 10;
        assert_eq!(farewells.take(1, is_child), None, "nobody has said anything, and nobody waits");
        for (pid, words) in [(1, "one"), (2, "two"), (11, "eleven"), (1, "one more")] {
            farewells.writer.write_all(&said(pid, words)).unwrap();
        }
        assert_eq!(farewells.take(2, is_child).as_deref(), Some("two"));
        assert_eq!(farewells.take(1, is_child).as_deref(), Some("one"));
        assert_eq!(farewells.take(1, is_child), None);
        assert_eq!(farewells.take(11, |_| true), None, "it was no child when it was heard");
        assert!(farewells.heard.is_empty());
    }

    #[test]
    fn others_are_told_only_when_a_parent_that_lives_could_not_be() {
        let Farewells { reader, writer, .. } = Farewells::new().unwrap();
        let parent = OwnedFd::from(writer);
        let until_full = |_: &u32| say_to(&parent, &"x".repeat(WORDS_BYTES_MAX));
        assert!((0..100_000).take_while(until_full).count() < 100_000);
        drop(reader);
        assert!(say_to(&parent, "nobody is there"));
    }

    #[test]
    fn words_are_cut_where_a_character_ends() {
        let bytes = encode(&"é".repeat(WORDS_BYTES_MAX));
        let (pid, words, rest) = decode(&bytes).unwrap();
        assert_eq!(pid, i32::try_from(std::process::id()).unwrap());
        assert_eq!((words.len(), rest), (WORDS_BYTES_MAX, &[][..]));
        assert!(decode(&bytes[..bytes.len() - 1]).is_none());
    }
}
