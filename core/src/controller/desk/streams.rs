//! Output of commands as it comes in, and how much more of it may come.

use rustc_hash::FxHashMap;

use crate::credit::OUTPUT_BYTES_INITIAL;
use crate::{NodeId, RequestId, Stream};

/// How much output of all commands may be on its way, in bytes, once each has what it may send unasked: enough
/// for one to fill the quickest way through several nodes. All have the same share, and so much less
/// when there are many that answers of others never wait long behind them.
const POOL_BYTES: usize = 512 * 1024;

/// The least share of a command, in bytes.
const SHARE_BYTES_MIN: usize = 4 * 1024;

/// The longest line of output, in bytes. A longer one is printed as several, so that no command has to
/// be kept in memory until it ends its line.
pub(crate) const OUTPUT_LINE_BYTES_MAX: usize = 64 * 1024;

/// The commands that have sent output and are not answered.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    by_request: FxHashMap<RequestId, Streamed>,
    /// Those that may be granted more.
    hungry: Vec<RequestId>,
}

/// What has come of one command.
#[derive(Debug)]
struct Streamed {
    /// What its lines begin with, by their streams.
    prefixes: [String; 2],
    /// How much has come, and how much may have, in bytes.
    received: u64,
    granted: u64,
    is_hungry: bool,
    /// The beginnings of lines that have not ended, by their streams.
    unended: [Vec<u8>; 2],
}

/// More has come than may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excess;

impl Streams {
    /// Takes in output of a command that `node` runs, and adds to `lines` what it ends.
    ///
    /// # Errors
    ///
    /// When it is more than was granted.
    pub fn receive(
        &mut self,
        request: RequestId,
        node: NodeId,
        stream: Stream,
        bytes: &[u8],
        lines: &mut Vec<u8>,
    ) -> Result<(), Excess> {
        let Streams { by_request, hungry } = self;
        let streamed = by_request.entry(request).or_insert_with(|| Streamed::new(node));
        streamed.received += bytes.len() as u64;
        if streamed.received > streamed.granted {
            return Err(Excess);
        }
        if !std::mem::replace(&mut streamed.is_hungry, true) {
            hungry.push(request);
        }
        streamed.add(stream, bytes, lines);
        Ok(())
    }

    /// Whether any output of a command has come.
    pub fn has(&self, request: RequestId) -> bool {
        self.by_request.contains_key(&request)
    }

    /// A command is answered, or is not waited for any more: adds to `lines` what it has not ended.
    pub fn end(&mut self, request: RequestId, lines: &mut Vec<u8>) {
        if self.by_request.is_empty() {
            return;
        }
        let Some(mut streamed) = self.by_request.remove(&request) else { return };
        for stream in [Stream::Out, Stream::Err] {
            let rest = std::mem::take(&mut streamed.unended[stream as usize]);
            if !rest.is_empty() {
                streamed.print(stream, &[&rest], lines);
            }
        }
    }

    /// The commands that may send more, now that what they have sent is read, and how much each may have
    /// sent in all.
    pub fn take_grants(&mut self) -> Vec<(RequestId, u64)> {
        let share = (POOL_BYTES / self.by_request.len().max(1)).max(SHARE_BYTES_MIN);
        let hungry = std::mem::take(&mut self.hungry);
        let mut grants = Vec::new();
        for request in hungry {
            let Some(streamed) = self.by_request.get_mut(&request) else { continue };
            streamed.is_hungry = false;
            if streamed.is_low(share) {
                streamed.granted = streamed.granted.max(streamed.received + share as u64);
                grants.push((request, streamed.granted));
            }
        }
        grants
    }
}

impl Streamed {
    fn new(node: NodeId) -> Streamed {
        Streamed {
            prefixes: [format!("{node}: "), format!("{node}! ")],
            received: 0,
            granted: OUTPUT_BYTES_INITIAL as u64,
            is_hungry: false,
            unended: [Vec::new(), Vec::new()],
        }
    }

    /// Whether it has used up half of its share.
    fn is_low(&self, share: usize) -> bool {
        self.granted - self.received <= share as u64 / 2
    }

    fn add(&mut self, stream: Stream, mut bytes: &[u8], lines: &mut Vec<u8>) {
        let mut begun = std::mem::take(&mut self.unended[stream as usize]);
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.print(stream, &[&begun, &bytes[..end]], lines);
            begun.clear();
            bytes = &bytes[end + 1..];
        }
        begun.extend_from_slice(bytes);
        if begun.len() >= OUTPUT_LINE_BYTES_MAX {
            self.print(stream, &[&begun], lines);
            begun.clear();
        }
        self.unended[stream as usize] = begun;
    }

    fn print(&self, stream: Stream, parts: &[&[u8]], lines: &mut Vec<u8>) {
        lines.extend_from_slice(self.prefixes[stream as usize].as_bytes());
        parts.iter().for_each(|part| lines.extend_from_slice(part));
        lines.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RequestId = RequestId(1);

    fn node() -> NodeId {
        NodeId::compute(7).unwrap()
    }

    fn receive(streams: &mut Streams, stream: Stream, text: &str) -> String {
        let mut lines = Vec::new();
        streams.receive(A, node(), stream, text.as_bytes(), &mut lines).unwrap();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn whole_lines_are_printed_and_the_rest_at_the_end() {
        let mut streams = Streams::default();
        assert_eq!(receive(&mut streams, Stream::Out, "one\ntw"), "7: one\n");
        assert_eq!(receive(&mut streams, Stream::Err, "wrong\nagain"), "7! wrong\n");
        assert_eq!(receive(&mut streams, Stream::Out, "o\n\nthree"), "7: two\n7: \n");
        let mut lines = Vec::new();
        streams.end(A, &mut lines);
        assert_eq!(lines, b"7: three\n7! again\n");
        lines.clear();
        streams.end(A, &mut lines);
        assert!(lines.is_empty() && streams.by_request.is_empty());
    }

    #[test]
    fn a_line_without_an_end_is_printed_in_parts() {
        let mut streams = Streams::default();
        let long = "x".repeat(OUTPUT_LINE_BYTES_MAX);
        assert_eq!(receive(&mut streams, Stream::Out, &long), format!("7: {long}\n"));
        streams.take_grants();
        assert_eq!(receive(&mut streams, Stream::Out, "rest\n"), "7: rest\n");
    }

    #[test]
    fn more_is_granted_as_it_is_read_and_nothing_beyond_may_come() {
        let mut streams = Streams::default();
        receive(&mut streams, Stream::Out, "x");
        let granted = 1 + POOL_BYTES as u64;
        assert_eq!(streams.take_grants(), [(A, granted)]);
        receive(&mut streams, Stream::Out, "x");
        assert_eq!(streams.take_grants(), [], "there is much left");
        let half = "x".repeat(POOL_BYTES / 2);
        receive(&mut streams, Stream::Out, &half);
        let granted = granted + 1 + half.len() as u64;
        assert_eq!(streams.take_grants(), [(A, granted)]);
        let all = vec![b'x'; POOL_BYTES];
        let mut lines = Vec::new();
        assert_eq!(streams.receive(A, node(), Stream::Out, &all, &mut lines), Ok(()));
        assert_eq!(streams.receive(A, node(), Stream::Err, b"x", &mut lines), Err(Excess));
    }

    /// Or a node would silence all that have to go by way of it.
    #[test]
    fn all_have_the_same_share_and_many_have_a_small_one() {
        let mut streams = Streams::default();
        for count in [1, 10, 10_000] {
            for request in 0..count {
                let mut lines = Vec::new();
                let taken =
                    streams.receive(RequestId(request), node(), Stream::Out, b"x", &mut lines);
                assert_eq!(taken, Ok(()));
            }
            for (_, granted) in streams.take_grants() {
                assert!(granted <= 3 + POOL_BYTES as u64 / count.min(256));
            }
        }
    }
}
