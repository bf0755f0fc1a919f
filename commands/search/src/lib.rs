//! `exec ID search TEXT PATTERN`: where a text, or a file of the node's machine, has a pattern.

mod offsets;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use hoptree_core::{
    Call, Claim, Command, CommandSpec, Context, Example, Failure, Outcome, Stop, Word,
};

use crate::offsets::Offsets;

/// The longest text and pattern, together, that the node searches itself: it takes less than a
/// millisecond even when every byte is an answer.
const AT_ONCE_BYTES_MAX: usize = 32 * 1024;

/// How much of a text is searched between one look at [`Stop`] and the next, and how much of a file
/// is in memory: little enough to stay in a core's cache from the one to the other.
const CHUNK_BYTES: usize = 128 * 1024;

/// How much of a path an error repeats: as much as the system takes for one.
const PATH_BYTES_MAX: usize = 4096;

inventory::submit! {
    CommandSpec {
        name: "search",
        package: env!("CARGO_PKG_NAME"),
        summary: "finds a text in another or in a file",
        words: &[Word {
            claim: Claim::Word("search"),
            usage: "search TEXT PATTERN",
            help: "every offset, in bytes, at which PATTERN occurs in TEXT, or -1; TEXT may be \
                   @FILE, a file of the node's machine, and @@ at its beginning means @",
        }],
        verbs: &[],
        examples: &[
            Example { line: "exec 1 search abracadabra abra", reply: "Ok:1: 0;7" },
            Example { line: "exec 1 search abracadabra mmm", reply: "Ok:1: -1" },
            Example { line: "exec 1 search 'aa aa aa' 'a a'", reply: "Ok:1: 1;4" },
            Example { line: "exec 1 search aaaa aa", reply: "Ok:1: 0;1;2" },
            Example { line: "exec 1 search @@home @", reply: "Ok:1: 0" },
            Example {
                line: "exec 1 search abracadabra",
                reply: "Error:1: search: PATTERN is missing: expected a text to look for",
            },
            Example {
                line: "exec 1 search abracadabra ''",
                reply: "Error:1: search: PATTERN is empty: expected a text to look for",
            },
            Example {
                line: "exec 1 search @no-such-file abra",
                reply: "Error:1: search: FILE 'no-such-file' can't be read: No such file or \
                        directory (os error 2)",
            },
        ],
        create: || Box::new(Search),
    }
}

struct Search;

impl Command for Search {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let mut args = call.args.read();
        let text = args.text("TEXT", "a text or @FILE")?;
        let pattern = args.text("PATTERN", "a text to look for")?;
        args.end()?;
        if pattern.is_empty() {
            return Err(Failure::from("PATTERN is empty: expected a text to look for"));
        }
        let text = match text.strip_prefix('@') {
            Some(path) if !path.starts_with('@') => {
                let (path, pattern) = (path.to_owned(), pattern.to_owned());
                return Ok(cx.offload(call.id, move |job| in_file(&path, &pattern, job.stop())));
            }
            Some(text) => text,
            None => text,
        };
        if text.len() + pattern.len() <= AT_ONCE_BYTES_MAX {
            return Ok(at_once(text, pattern)?.into());
        }
        let (text, pattern) = (text.to_owned(), pattern.to_owned());
        Ok(cx.offload(call.id, move |job| in_text(&text, &pattern, job.stop())))
    }
}

fn at_once(text: &str, pattern: &str) -> Result<String, Failure> {
    let mut offsets = Offsets::new(pattern.as_bytes())?;
    offsets.read(text.as_bytes())?;
    Ok(offsets.answer())
}

fn in_text(text: &str, pattern: &str, stop: &Stop) -> Result<String, Failure> {
    search("TEXT", text.as_bytes(), text.len() as u64, pattern, stop)
}

/// Reads and does not map: a mapped file that is cut short meanwhile would end the process.
fn in_file(path: &str, pattern: &str, stop: &Stop) -> Result<String, Failure> {
    let name = format!("FILE '{}'", &path[..path.floor_char_boundary(PATH_BYTES_MAX)]);
    let (file, length) = open(path).map_err(|error| unreadable(&name, &error))?;
    search(&name, file, length, pattern, stop)
}

/// Opens a regular file, and says how long it is.
fn open(path: &str) -> io::Result<(File, u64)> {
    let check = |metadata: &fs::Metadata| match metadata {
        _ if metadata.is_file() => Ok(metadata.len()),
        _ if metadata.is_dir() => Err(io::Error::other("it is a directory")),
        _ => Err(io::Error::other("it is not a regular file")),
    };
    // To open a pipe or a device may do something to it, so the first look is from outside.
    check(&fs::metadata(path)?)?;
    // Should there be another file by now: to open it does not wait for a writer, nor does it make
    // a terminal that of the node, which has none.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let length = check(&file.metadata()?)?;
    // Files of /proc say that they are empty, and are not.
    if length == 0 && file.read(&mut [0])? > 0 {
        return Err(io::Error::other("it does not say how long it is"));
    }
    Ok((file, length))
}

/// Searches no more than `length` bytes, beside the node: a file may grow for as long as it is read.
fn search(
    name: &str,
    text: impl Read,
    length: u64,
    pattern: &str,
    stop: &Stop,
) -> Result<String, Failure> {
    if length < pattern.len() as u64 {
        return Ok("-1".to_owned());
    }
    let mut offsets = Offsets::new(pattern.as_bytes())?;
    let mut text = text.take(length);
    let mut chunk = vec![0; length.min(CHUNK_BYTES as u64) as usize];
    while !stop.is_wanted() {
        match text.read(&mut chunk) {
            Ok(0) => return Ok(offsets.answer()),
            Ok(bytes) => offsets.read(&chunk[..bytes])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(name, &error)),
        }
    }
    Err(Failure::from("it was stopped"))
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::from(format!("{name} can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::{env, process};

    use hoptree_core::NodeId;
    use hoptree_core::testkit::Harness;

    use super::*;

    fn node() -> Harness {
        Harness::new("search", NodeId::compute(1).unwrap())
    }

    #[track_caller]
    fn assert_found(line: &str, offsets: &str) {
        assert_eq!(node().exec(line).as_deref(), Ok(offsets));
    }

    #[track_caller]
    fn assert_error(line: &str, error: &str) {
        assert_eq!(node().exec(line), Err(format!("search: {error}")));
    }

    /// A directory of its own, removed when it is dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = env::temp_dir().join(format!("hoptree-search-{}-{name}", process::id()));
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn path(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_owned()
        }

        fn file(&self, content: &str) -> String {
            let path = self.path("file");
            fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn offsets_are_counted_in_bytes() {
        assert_found("search äöä ä", "0;4");
        assert_found("search naïve ve", "4");
        assert_found("search 🙂🙂 🙂", "0;4");
    }

    #[test]
    fn a_text_that_is_shorter_than_the_pattern_has_none() {
        assert_found("search '' a", "-1");
        assert_found("search ab abc", "-1");
    }

    #[test]
    fn two_ats_begin_a_text_and_one_a_file() {
        assert_found("search @@a @a", "0");
        assert_found("search @@@@ @", "0;1;2");
        assert_found("search a@b @", "1");
        let error = "FILE 'no-such-file' can't be read: No such file or directory (os error 2)";
        assert_error("search '@no-such-file' a", error);
    }

    #[test]
    fn arguments_are_two_and_no_pattern_is_empty() {
        assert_error("search", "TEXT is missing: expected a text or @FILE");
        assert_error("search a", "PATTERN is missing: expected a text to look for");
        assert_error("search a ''", "PATTERN is empty: expected a text to look for");
        assert_error("search @no-such-file ''", "PATTERN is empty: expected a text to look for");
        assert_error("search a b c", "unexpected argument 'c'");
    }

    #[test]
    fn a_file_is_searched_across_its_chunks() {
        let scratch = Scratch::new("chunks");
        let filling = "-".repeat(CHUNK_BYTES - 2);
        let path = scratch.file(&format!("{filling}abra{filling}abracadabra\n"));
        let (first, second) = (CHUNK_BYTES - 2, 2 * CHUNK_BYTES);
        let line = format!("search @{path} abra");
        assert_found(&line, &format!("{first};{second};{}", second + 7));
        assert_found(&format!("search @{path} mmm"), "-1");
        assert_found(&format!("search @{path} {filling}abra"), &format!("0;{}", first + 4));
    }

    #[test]
    fn a_file_may_be_empty() {
        let scratch = Scratch::new("empty");
        let path = scratch.file("");
        assert_found(&format!("search @{path} a"), "-1");
    }

    #[test]
    fn only_regular_files_are_read() {
        let scratch = Scratch::new("kinds");
        let (pipe, socket) = (scratch.path("pipe"), scratch.path("socket"));
        assert!(process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = UnixListener::bind(&socket).unwrap();
        for path in [pipe.as_str(), &socket, "/dev/zero"] {
            let error = format!("FILE '{path}' can't be read: it is not a regular file");
            assert_error(&format!("search @{path} a"), &error);
        }
        assert_error("search @/ a", "FILE '/' can't be read: it is a directory");
        let unknown = "FILE '/proc/self/stat' can't be read: it does not say how long it is";
        assert_error("search @/proc/self/stat a", unknown);
    }

    #[test]
    fn no_more_is_read_than_there_was_at_first() {
        assert_eq!(search("", io::repeat(b'a'), 4, "aa", &Stop::default()), Ok("0;1;2".to_owned()));
    }

    #[test]
    fn a_search_that_nobody_waits_for_ends() {
        struct Endless(Stop, u32);

        impl Read for &mut Endless {
            fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
                self.1 += 1;
                if self.1 == 3 {
                    self.0.want();
                }
                chunk.fill(b'a');
                Ok(chunk.len())
            }
        }

        let stop = Stop::default();
        let mut text = Endless(stop.clone(), 0);
        assert!(search("", &mut text, u64::MAX, "ab", &stop).is_err());
        assert_eq!(text.1, 3);
    }

    #[test]
    fn long_texts_and_files_are_searched_beside_the_node() {
        let mut node = node();
        node.start(&format!("search {} b", "a".repeat(AT_ONCE_BYTES_MAX - 1)));
        assert_eq!(node.answers().len(), 1);
        for text in ["a".repeat(AT_ONCE_BYTES_MAX), "@no-such-file".to_owned()] {
            node.start(&format!("search {text} b"));
            assert_eq!(node.answers().len(), 0);
            node.run_jobs();
            assert_eq!(node.answers().len(), 1);
        }
    }
}
