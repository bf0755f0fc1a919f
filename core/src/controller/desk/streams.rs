//! Output of commands as it comes in, and how much more of it may come.

use rustc_hash::FxHashMap;

use crate::credit::OUTPUT_BYTES_INITIAL;
use crate::{NodeId, RequestId, Stream};

/// How much output of one command may be on its way, in bytes, once the console has read any of it:
/// enough for the quickest way through several nodes. Only some commands may have that much at a time,
/// so that memory is bounded; others go on with what each has at first.
const WIDE_BYTES: usize = 1024 * 1024;
const WIDE_MAX: usize = 16;

/// The longest line of output, in bytes. A longer one is printed as several, so that no command has to
/// be kept in memory until it ends its line.
pub(crate) const OUTPUT_LINE_BYTES_MAX: usize = 64 * 1024;

/// The commands that have sent output and are not answered.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    by_request: FxHashMap<RequestId, Streamed>,
    /// How many of them may send [`WIDE_BYTES`].
    wide: usize,
    /// Those that may be granted more.
    hungry: Vec<RequestId>,
}

/// What has come of one command.
#[derive(Debug)]
struct Streamed {
    node: NodeId,
    /// How much has come, and how much may have, in bytes.
    received: u64,
    granted: u64,
    is_wide: bool,
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
        let Streams { by_request, wide, hungry } = self;
        let streamed = by_request.entry(request).or_insert_with(|| Streamed::new(node, wide));
        streamed.received += bytes.len() as u64;
        if streamed.received > streamed.granted {
            return Err(Excess);
        }
        if streamed.wants_more() {
            streamed.is_hungry = true;
            hungry.push(request);
        }
        streamed.add(stream, bytes, lines);
        Ok(())
    }

    /// A command is answered, or is not waited for any more: adds to `lines` what it has not ended.
    pub fn end(&mut self, request: RequestId, lines: &mut Vec<u8>) {
        if self.by_request.is_empty() {
            return;
        }
        let Some(mut streamed) = self.by_request.remove(&request) else { return };
        self.wide -= usize::from(streamed.is_wide);
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
        let hungry = std::mem::take(&mut self.hungry);
        let grants = hungry.into_iter().filter_map(|request| {
            let streamed = self.by_request.get_mut(&request)?;
            streamed.is_hungry = false;
            streamed.granted = streamed.received + streamed.window() as u64;
            Some((request, streamed.granted))
        });
        grants.collect()
    }
}

impl Streamed {
    fn new(node: NodeId, wide: &mut usize) -> Streamed {
        let is_wide = *wide < WIDE_MAX;
        *wide += usize::from(is_wide);
        Streamed {
            node,
            received: 0,
            granted: OUTPUT_BYTES_INITIAL as u64,
            is_wide,
            is_hungry: false,
            unended: [Vec::new(), Vec::new()],
        }
    }

    fn window(&self) -> usize {
        if self.is_wide { WIDE_BYTES } else { OUTPUT_BYTES_INITIAL }
    }

    /// Whether half of what may be on its way has come, and it is not known.
    fn wants_more(&self) -> bool {
        !self.is_hungry && self.granted - self.received <= self.window() as u64 / 2
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
        let mark = match stream {
            Stream::Out => ':',
            Stream::Err => '!',
        };
        lines.extend_from_slice(format!("{}{mark} ", self.node).as_bytes());
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
        assert!(lines.is_empty() && streams.wide == 0);
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
        let half = "x".repeat(OUTPUT_BYTES_INITIAL / 2);
        receive(&mut streams, Stream::Out, "x");
        receive(&mut streams, Stream::Out, &half);
        let read = half.len() as u64 + 1;
        assert_eq!(streams.take_grants(), [(A, read + WIDE_BYTES as u64)]);
        assert_eq!(streams.take_grants(), []);
        let all = vec![b'x'; WIDE_BYTES];
        let mut lines = Vec::new();
        assert_eq!(streams.receive(A, node(), Stream::Out, &all, &mut lines), Ok(()));
        assert_eq!(streams.receive(A, node(), Stream::Err, b"x", &mut lines), Err(Excess));
    }

    /// Or a thousand commands could fill the memory.
    #[test]
    fn only_some_have_a_wide_window() {
        let mut streams = Streams::default();
        let bytes = vec![b'x'; OUTPUT_BYTES_INITIAL];
        for request in 0..100 {
            let request = RequestId(request);
            streams.receive(request, node(), Stream::Out, &bytes, &mut Vec::new()).unwrap();
        }
        let granted: u64 = streams.take_grants().iter().map(|(_, granted)| granted).sum();
        let narrow = 100 - WIDE_MAX;
        let all = 100 * bytes.len() + WIDE_MAX * WIDE_BYTES + narrow * OUTPUT_BYTES_INITIAL;
        assert_eq!(granted, all as u64);
    }
}
