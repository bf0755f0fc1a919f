//! The console's input: lines, read by a thread of its own.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use hoptree_core::{LINE_BYTES_MAX, Waker};
use hoptree_host::threads::named;
use hoptree_system::require_memory;
use memchr::{memchr, memrchr};

use crate::source::{Source, TERMINAL_LINE_BYTES};
use crate::terminal::Terminal;

/// How much is read in one go.
const READ_BYTES_MAX: usize = 64 * 1024;

/// How many chunks may wait for the console.
///
/// A chunk is no longer than a longest line and one read. So no more than five of them are in
/// memory: these, one that is being read, one that waits to be sent and one that is being fed.
const CHUNKS_MAX: usize = 2;

/// How often a line is in memory while it is put together, or sent and answered.
const COPIES: usize = 4;

const STACK_BYTES: usize = 64 * 1024;

/// The lines of standard input or a script, as far as they have been read.
pub struct Stdin {
    pieces: Receiver<(Clearing, Piece)>,
    terminal: Option<Arc<Terminal>>,
    clearings: Clearings,
    lines: Vec<u8>,
    /// Where in `lines` the next line begins.
    at: usize,
    next: Option<Piece>,
    ended: bool,
    failure: Option<String>,
}

/// How often everything that was read has been dropped. What was read before the last time is dropped
/// wherever it is found.
#[derive(Clone, Debug, Default)]
struct Clearings(Arc<AtomicU32>);

/// The time between two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Clearing(u32);

impl Clearings {
    fn last(&self) -> Clearing {
        Clearing(self.0.load(Ordering::Acquire))
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// What the console is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A line, without its line end.
    Line(&'a [u8]),
    /// A line of more than [`LINE_BYTES_MAX`] bytes, which was dropped.
    TooLong,
    /// The beginning of a line that is being typed: in place of what was said of it before.
    Typed(Vec<u8>),
    /// A line that can't be run for another reason, which the user is told.
    Refused(String),
    /// There are no more, or they can't be read.
    End,
}

/// What the thread hands over.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// Whole lines with their line ends, except perhaps the very last of the input.
    Lines(Vec<u8>),
    TooLong,
    Typed(Vec<u8>),
    /// A line that was dropped, for the reason that the user is told.
    Refused(String),
    End,
    /// Nothing more can be read, for the reason in the text.
    Failed(String),
}

impl Piece {
    fn is_end(&self) -> bool {
        matches!(self, Piece::End | Piece::Failed(_))
    }
}

impl Stdin {
    /// Reads `source` from now on. The waker is used whenever there is something new.
    pub fn read(source: Source, waker: Waker) -> io::Result<Stdin> {
        let (sender, pieces) = sync_channel(CHUNKS_MAX);
        let terminal = source.terminal().cloned();
        let stdin = Stdin::new(pieces, terminal);
        let clearings = stdin.clearings.clone();
        named("stdin")
            .stack_size(STACK_BYTES)
            .spawn(move || forward(source, &clearings, &sender, &waker))?;
        Ok(stdin)
    }

    fn new(pieces: Receiver<(Clearing, Piece)>, terminal: Option<Arc<Terminal>>) -> Stdin {
        Stdin {
            pieces,
            terminal,
            clearings: Clearings::default(),
            lines: Vec::new(),
            at: 0,
            next: None,
            ended: false,
            failure: None,
        }
    }

    /// Asks for what is being typed, if anything is: it follows as [`Entry::Typed`]. Does nothing
    /// while there are lines to take, behind which it is.
    pub fn reveal(&mut self) {
        if !self.is_ready()
            && let Some(terminal) = &self.terminal
        {
            terminal.reveal();
        }
    }

    /// Whether it is typed at a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Drops all that was typed, or read, and has not been taken, but not an end.
    pub fn clear(&mut self) {
        // First of all: what is read from now on is new.
        if let Some(terminal) = &self.terminal {
            terminal.clear();
        }
        self.clearings.add();
        (self.lines, self.at) = (Vec::new(), 0);
        self.next = self.next.take().filter(Piece::is_end);
    }

    /// Why there was an end before that of the input, if so, in words for the user.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether [`Stdin::take`] has something. Does not block.
    pub fn is_ready(&mut self) -> bool {
        if self.at < self.lines.len() || self.next.is_some() {
            return true;
        }
        if self.ended {
            return false;
        }
        self.next = self.receive();
        self.next.is_some()
    }

    /// The next piece that was not dropped.
    fn receive(&mut self) -> Option<Piece> {
        loop {
            match self.pieces.try_recv() {
                Ok((read, piece)) if read == self.clearings.last() || piece.is_end() => {
                    return Some(piece);
                }
                Ok(_) => {}
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some(Piece::End),
            }
        }
    }

    /// The next entry, if one has been read. After [`Entry::End`] there is none.
    pub fn take(&mut self) -> Option<Entry<'_>> {
        if !self.is_ready() {
            return None;
        }
        match self.next.take() {
            None => {}
            Some(Piece::Lines(lines)) => (self.lines, self.at) = (lines, 0),
            Some(Piece::TooLong) => return Some(Entry::TooLong),
            Some(Piece::Typed(line)) => return Some(Entry::Typed(line)),
            Some(Piece::Refused(text)) => return Some(Entry::Refused(text)),
            Some(Piece::End) => {
                self.ended = true;
                return Some(Entry::End);
            }
            Some(Piece::Failed(text)) => {
                self.ended = true;
                self.failure = Some(text);
                return Some(Entry::End);
            }
        }
        let (line, length) = first_line(&self.lines[self.at..]);
        self.at += length;
        if line.len() > LINE_BYTES_MAX {
            return Some(Entry::TooLong);
        }
        Some(match require_room(line.len()) {
            Ok(()) => Entry::Line(line),
            Err(text) => Entry::Refused(text),
        })
    }
}

/// The first of these lines, and how long it is with its line end.
fn first_line(lines: &[u8]) -> (&[u8], usize) {
    let (line, length) = match memchr(b'\n', lines) {
        Some(end) => (&lines[..end], end + 1),
        None => (lines, lines.len()),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), length)
}

/// What is wrong with a line of which the terminal has dropped a part.
fn cut_line() -> String {
    format!(
        "the line was not run: a terminal takes no more than {TERMINAL_LINE_BYTES} bytes of a line, \
         and may have dropped the rest; put it into a script, or pipe it in"
    )
}

/// Makes sure that there is memory for a line of this many bytes and what becomes of it. The text tells
/// the user why not.
fn require_room(bytes: usize) -> Result<(), String> {
    if bytes <= READ_BYTES_MAX {
        return Ok(());
    }
    require_memory(COPIES * bytes).map_err(|why| format!("the line was not run: {why}"))
}

/// The thread: reads up to the end, or until nobody wants more.
fn forward(
    mut source: Source,
    clearings: &Clearings,
    pieces: &SyncSender<(Clearing, Piece)>,
    waker: &Waker,
) {
    let mut cutter = Cutter::default();
    let mut clearing = Clearing::default();
    let mut bytes = vec![0; READ_BYTES_MAX];
    let mut ended = false;
    while !ended {
        let read = source.read(&mut bytes);
        if mem::replace(&mut clearing, clearings.last()) != clearing {
            cutter = Cutter::default();
        }
        let cut = match read {
            Ok(length) => cut(&mut cutter, &source, &bytes[..length]),
            // A line that has begun is no line.
            Err(text) => [None, None, Some(Piece::Failed(text))],
        };
        for piece in cut.into_iter().flatten() {
            ended = piece.is_end();
            if pieces.send((clearing, piece)).is_err() {
                return;
            }
            waker.wake();
        }
    }
}

/// The pieces that are complete with what was read.
fn cut(cutter: &mut Cutter, source: &Source, read: &[u8]) -> [Option<Piece>; 3] {
    if source.has_cut(read) {
        return cutter.refuse(read);
    }
    match source.terminal() {
        Some(_) if read.is_empty() && cutter.hand_over() => [None, None, None],
        Some(terminal) if !read.is_empty() && terminal.is_canonical() => {
            let pieces = cutter.type_in(read, terminal);
            terminal.lend_keys(!cutter.partial.is_empty());
            pieces
        }
        _ => cutter.cut(read),
    }
}

/// Cuts what was read at line ends.
#[derive(Debug, Default)]
struct Cutter {
    /// The beginning of a line, of no more than [`LINE_BYTES_MAX`] bytes and a carriage return.
    partial: Vec<u8>,
    /// Whether the rest of a line that is too long is being dropped.
    skipping: bool,
    /// Whether the user has handed the beginning of a line over, with the key that ends the input
    /// where there is none.
    handed_over: bool,
}

impl Cutter {
    /// Whether the key that ends the input has handed over the beginning of a line instead, as it does
    /// once.
    fn hand_over(&mut self) -> bool {
        !self.partial.is_empty() && !mem::replace(&mut self.handed_over, true)
    }

    /// The pieces that are complete with these bytes; no bytes are the end of the input.
    fn cut(&mut self, mut bytes: &[u8]) -> [Option<Piece>; 3] {
        let ended = bytes.is_empty();
        if self.skipping {
            let end = memchr(b'\n', bytes);
            self.skipping = end.is_none();
            bytes = end.map_or(&[], |end| &bytes[end + 1..]);
        }
        let complete = memrchr(b'\n', bytes).map_or(0, |last| last + 1);
        let (lines, rest) = bytes.split_at(complete);
        let mut whole = Vec::new();
        if !lines.is_empty() || ended {
            self.partial.extend_from_slice(lines);
            whole = mem::take(&mut self.partial);
        }
        let dropped = self.keep(rest).err();
        if dropped.is_some() {
            (self.partial, self.skipping) = (Vec::new(), true);
        }
        [(!whole.is_empty()).then_some(Piece::Lines(whole)), dropped, ended.then_some(Piece::End)]
    }

    /// Adds to the beginning of a line, unless it has become too long, or there is no memory for it.
    fn keep(&mut self, more: &[u8]) -> Result<(), Piece> {
        let bytes = self.partial.len() + more.len();
        if bytes > LINE_BYTES_MAX + 1 {
            return Err(Piece::TooLong);
        }
        if bytes > self.partial.capacity() {
            require_room(bytes).map_err(Piece::Refused)?;
        }
        self.partial.extend_from_slice(more);
        Ok(())
    }

    /// The pieces that are complete with what was typed. The beginning of a line is one: a terminal
    /// hands it over only when it is told to.
    fn type_in(&mut self, read: &[u8], terminal: &Terminal) -> [Option<Piece>; 3] {
        self.handed_over = false;
        let mut lines = mem::take(&mut self.partial);
        terminal.edit(&mut lines, read);
        // No bytes would be the end of the input.
        let [whole, too_long, _] =
            if lines.is_empty() { [None, None, None] } else { self.cut(&lines) };
        let typed = !read.ends_with(b"\n") && !self.skipping;
        [whole, too_long, typed.then(|| Piece::Typed(self.partial.clone()))]
    }

    /// Drops the line that these bytes belong to.
    fn refuse(&mut self, bytes: &[u8]) -> [Option<Piece>; 3] {
        self.partial = Vec::new();
        let told = mem::replace(&mut self.skipping, !bytes.ends_with(b"\n"));
        [(!told).then(|| Piece::Refused(cut_line())), None, None]
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn send(sender: &SyncSender<(Clearing, Piece)>, pieces: [Option<Piece>; 3]) {
        for piece in pieces.into_iter().flatten() {
            sender.send((Clearing::default(), piece)).unwrap();
        }
    }

    /// What the console is told of an input that is read in these chunks; long lines as their
    /// length.
    fn entries(chunks: &[&[u8]]) -> Vec<String> {
        let (sender, pieces) = sync_channel(1000);
        let mut cutter = Cutter::default();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            send(&sender, cutter.cut(chunk));
        }
        send(&sender, cutter.cut(b""));
        let mut stdin = Stdin::new(pieces, None);
        let mut entries = Vec::new();
        while let Some(entry) = stdin.take() {
            entries.push(match entry {
                Entry::Line(line) if line.len() > 100 => line.len().to_string(),
                Entry::Line(line) => String::from_utf8_lossy(line).into_owned(),
                Entry::TooLong => "TOO LONG".to_owned(),
                Entry::Refused(text) => text,
                Entry::Typed(line) => String::from_utf8(line).unwrap(),
                Entry::End => "END".to_owned(),
            });
        }
        entries
    }

    #[test]
    fn lines_come_whole_however_they_were_read() {
        let text = b"create 1\r\n\nping 1\n  \nlast";
        let expected = ["create 1", "", "ping 1", "  ", "last", "END"];
        assert_eq!(entries(&[text]), expected);
        assert_eq!(entries(&text.chunks(1).collect::<Vec<_>>()), expected);
        assert_eq!(entries(&text.chunks(7).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn the_last_line_may_lack_its_end() {
        assert_eq!(entries(&[b"a\n"]), ["a", "END"]);
        assert_eq!(entries(&[b"a"]), ["a", "END"]);
        assert_eq!(entries(&[b"a\r"]), ["a", "END"]);
        assert_eq!(entries(&[]), ["END"]);
        assert_eq!(entries(&[b"\n"]), ["", "END"]);
        assert_eq!(entries(&[b"a\r\r\nb\rc\n"]), ["a\r", "b\rc", "END"]);
    }

    #[test]
    fn the_longest_line_passes_and_a_longer_one_is_reported_once() {
        let longest = vec![b'x'; LINE_BYTES_MAX];
        let longer = vec![b'x'; LINE_BYTES_MAX + 1];
        let huge = vec![b'x'; 5 * LINE_BYTES_MAX];
        let length = LINE_BYTES_MAX.to_string();
        for size in [1000, READ_BYTES_MAX, 10 * LINE_BYTES_MAX] {
            for end in ["\n", "\r\n"] {
                let text = [&longest, &longer[..], &huge, b"a"].join(end.as_bytes());
                let chunks: Vec<_> = text.chunks(size).collect();
                assert_eq!(entries(&chunks), [&length, "TOO LONG", "TOO LONG", "a", "END"]);
            }
            let unended: Vec<_> = huge.chunks(size).collect();
            assert_eq!(entries(&unended), ["TOO LONG", "END"]);
        }
    }

    /// Control-D behind half a line does not end the input, though the line was read before.
    #[test]
    fn half_a_line_is_handed_over_once() {
        let mut cutter = Cutter { partial: b"ping 7".to_vec(), ..Cutter::default() };
        assert!(cutter.hand_over() && !cutter.hand_over());
        assert!(!Cutter::default().hand_over());
    }

    #[test]
    fn what_was_read_before_it_was_dropped_is_dropped_wherever_it_is() {
        let (sender, pieces) = sync_channel(10);
        let mut stdin = Stdin::new(pieces, None);
        let piece = |text: &[u8]| Piece::Lines(text.to_vec());
        let before = stdin.clearings.last();
        sender.send((before, piece(b"one\ntwo\n"))).unwrap();
        assert_eq!(stdin.take(), Some(Entry::Line(b"one")));
        sender.send((before, piece(b"three\n"))).unwrap();
        stdin.clear();
        assert_eq!(stdin.take(), None);

        sender.send((before, Piece::Typed(b"was being sent".to_vec()))).unwrap();
        sender.send((stdin.clearings.last(), piece(b"four\n"))).unwrap();
        assert_eq!(stdin.take(), Some(Entry::Line(b"four")));
        sender.send((before, Piece::End)).unwrap();
        assert!(stdin.is_ready());
        stdin.clear();
        assert_eq!(stdin.take(), Some(Entry::End));
    }

    #[test]
    fn memory_is_bounded_by_the_longest_line() {
        let mut cutter = Cutter::default();
        for _ in 0..100 {
            for piece in cutter.cut(&[b'x'; READ_BYTES_MAX]).into_iter().flatten() {
                assert_eq!(piece, Piece::TooLong);
            }
            assert!(cutter.partial.capacity() <= 2 * (LINE_BYTES_MAX + READ_BYTES_MAX));
        }
    }

    #[test]
    fn a_complete_line_comes_while_the_input_stays_open() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut write = File::from(write);
        let (woken, wakes) = mpsc::channel();
        let waker = Waker::new(move || woken.send(()).unwrap());
        let mut stdin = Stdin::read(Source::of(read.into(), "it".to_owned()), waker).unwrap();
        for line in ["one\n", "two\nthr", "ee\n"] {
            write.write_all(line.as_bytes()).unwrap();
            wakes.recv_timeout(Duration::from_secs(10)).unwrap();
            let ended = line.trim_end().rsplit('\n').next_back().unwrap();
            let expected = if ended == "ee" { "three" } else { ended };
            assert_eq!(stdin.take(), Some(Entry::Line(expected.as_bytes())));
        }
        assert_eq!(stdin.take(), None);
        drop(write);
        wakes.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(stdin.take(), Some(Entry::End));
        assert_eq!(stdin.take(), None);
    }

    #[test]
    fn a_line_that_was_cut_is_refused_once_and_the_next_one_runs() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.cut(b"beginning, "), [None, None, None]);
        assert_eq!(cutter.refuse(b"rest"), [Some(Piece::Refused(cut_line())), None, None]);
        assert_eq!(cutter.refuse(b"more of it"), [None, None, None]);
        assert_eq!(cutter.cut(b"and more\nnext"), [None, None, None]);
        assert_eq!(cutter.cut(b"\n")[0], Some(Piece::Lines(b"next\n".to_vec())));
        assert_eq!(cutter.refuse(b"all of it\n"), [Some(Piece::Refused(cut_line())), None, None]);
        assert_eq!(cutter.cut(b"next\n")[0], Some(Piece::Lines(b"next\n".to_vec())));
    }

    #[test]
    fn an_input_that_fails_is_not_one_that_ends() {
        let directory = Source::of(File::open("/").unwrap(), "'/'".to_owned());
        let (woken, wakes) = mpsc::channel();
        let waker = Waker::new(move || woken.send(()).unwrap());
        let mut stdin = Stdin::read(directory, waker).unwrap();
        assert_eq!(stdin.failure(), None);
        wakes.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(stdin.take(), Some(Entry::End));
        assert!(stdin.failure().is_some_and(|text| text.contains("Is a directory")));
    }
}
