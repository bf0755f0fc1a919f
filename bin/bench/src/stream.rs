//! Commands that are under way at the same time.

use std::time::{Duration, Instant};

use hoptree_core::Input;
use hoptree_host::{Failure, LINES_PER_TURN_MAX, Patience};

use super::tree::{Ask, Tree};

/// How long the text of a stream is; it then begins anew.
const LINES: usize = 4_096;

/// What came of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// How many were answered: all that were sent.
    pub answered: usize,
    /// From the first that was sent to the last that was answered.
    pub took: Duration,
}

impl Flow {
    /// How many were answered in a second.
    pub fn per_second(self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }
}

/// The text of many commands, and that of their replies, as files would hold them.
pub struct Stream {
    lines: Vec<u8>,
    replies: Vec<u8>,
}

impl Stream {
    /// A stream of these, in turn.
    pub fn of(asks: &[Ask]) -> Stream {
        let mut stream = Stream { lines: Vec::new(), replies: Vec::new() };
        for ask in asks.iter().cycle().take(LINES.next_multiple_of(asks.len())) {
            stream.lines.extend_from_slice(ask.line.as_bytes());
            stream.lines.push(b'\n');
            stream.replies.extend_from_slice(ask.reply.as_bytes());
        }
        stream
    }

    /// Feeds lines for as long as this, with at most `window` unanswered, and waits for the rest of
    /// the replies.
    ///
    /// # Errors
    ///
    /// When a reply is not what it should be.
    pub fn flow(&self, tree: &mut Tree, window: usize, time: Duration) -> Result<Flow, Failure> {
        let (mut lines, mut replies) = (Reader::of(&self.lines), Reader::of(&self.replies));
        let (mut sent, mut answered) = (0, 0);
        let driver = tree.driver();
        driver.printed().clear();
        let start = Instant::now();
        let mut feeding = true;
        while feeding || answered < sent {
            let room = window - (sent - answered);
            let may_feed = feeding && room > 0 && driver.node().wants_line();
            let patience = if may_feed { Patience::Look } else { Patience::Wait };
            driver.wait(patience).map_err(Failure::doing("go on"))?;
            if may_feed {
                for _ in 0..room.min(LINES_PER_TURN_MAX) {
                    driver.feed(Input::Line(lines.line()));
                    sent += 1;
                    if !driver.node().wants_line() {
                        break;
                    }
                }
            }
            driver.end_turn();
            answered += replies.expect(driver.printed())?;
            driver.printed().clear();
            feeding = feeding && start.elapsed() < time;
        }
        Ok(Flow { answered, took: start.elapsed() })
    }
}

/// Reads a text of whole lines again and again.
struct Reader<'a> {
    text: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn of(text: &'a [u8]) -> Reader<'a> {
        Reader { text, rest: text }
    }

    /// The next line, without its end.
    fn line(&mut self) -> &'a [u8] {
        if self.rest.is_empty() {
            self.rest = self.text;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = self.rest.split_at(end.expect("every line has an end"));
        self.rest = &rest[1..];
        line
    }

    /// Reads on as far as `printed` goes, which must be the same, and says how many lines it is.
    fn expect(&mut self, mut printed: &[u8]) -> Result<usize, Failure> {
        let lines = printed.iter().filter(|byte| **byte == b'\n').count();
        while !printed.is_empty() {
            if self.rest.is_empty() {
                self.rest = self.text;
            }
            let length = printed.len().min(self.rest.len());
            if printed[..length] != self.rest[..length] {
                let text = String::from_utf8_lossy(printed);
                let line = text.lines().find(|line| !line.starts_with("Ok:")).unwrap_or_default();
                return Err(Failure::Runtime(format!("a command was answered with '{line}'")));
            }
            (printed, self.rest) = (&printed[length..], &self.rest[length..]);
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_again_and_replies_are_compared() {
        let mut lines = Reader::of(b"one\ntwo\n");
        let taken: Vec<_> = (0..5).map(|_| lines.line()).collect();
        assert_eq!(taken, [&b"one"[..], b"two", b"one", b"two", b"one"]);

        let mut replies = Reader::of(b"Ok:1\nOk:2\n");
        assert_eq!(replies.expect(b"Ok:1\nOk:2\nOk:1\n"), Ok(3));
        assert_eq!(replies.expect(b""), Ok(0));
        assert_eq!(replies.expect(b"Ok:2\n"), Ok(1));
        let Err(Failure::Runtime(text)) = replies.expect(b"Ok:1\nError:2\n") else { panic!() };
        assert!(text.contains("'Error:2'"), "{text}");
    }

    #[test]
    fn everyone_is_asked_as_often_as_the_others() {
        let ask = |line: &str| Ask { line: line.to_owned(), reply: "Ok\n".to_owned() };
        let stream = Stream::of(&[ask("a"), ask("b"), ask("c")]);
        let count = |byte| stream.lines.iter().filter(|other| **other == byte).count();
        assert!(count(b'a') * 3 >= LINES);
        assert_eq!((count(b'a'), count(b'a')), (count(b'b'), count(b'c')));
    }
}
