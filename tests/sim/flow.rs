//! What a task streams: numbered lines, which follow from its number, so that whoever reads them sees
//! whether any is missing, damaged, or out of order.

use hoptree_core::Stream;

use crate::probe::text_of;

/// The streams, in the order of their numbers.
pub const STREAMS: [Stream; 2] = [Stream::Out, Stream::Err];

/// The output of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub task: usize,
    /// How many lines there are; 0 for lines without end.
    pub count: usize,
    /// How long the text of each is, beside its number.
    pub bytes: usize,
}

impl Flow {
    /// How many bytes its answer has beside what every task answers: some are so long that they travel in
    /// pieces, which could pass the output.
    pub fn answer_bytes(self) -> usize {
        if self.task.is_multiple_of(4) { 40_000 } else { 0 }
    }

    /// Whether it has no line with this number.
    pub fn is_over(&self, number: usize) -> bool {
        self.count != 0 && number >= self.count
    }

    /// The first line from this one on that goes to a stream, if there is one.
    pub fn next_on(&self, stream: Stream, from: usize) -> Option<usize> {
        let next = (from..).find(|number| stream_of(*number) == stream)?;
        Some(next).filter(|next| !self.is_over(*next))
    }

    /// A line, as a process emits it, without its end.
    pub fn line(&self, pid: u32, number: usize) -> String {
        let text = text_of(self.task + number, self.bytes);
        format!("{} by {pid}: {number} {text}", self.task)
    }

    /// A line as it is emitted, and where to. The last one of some tasks has no end.
    pub fn emitted(&self, pid: u32, number: usize) -> (Stream, String) {
        let is_ended = number + 1 != self.count || self.task.is_multiple_of(2);
        let end = if is_ended { "\n" } else { "" };
        (stream_of(number), self.line(pid, number) + end)
    }
}

/// Every third line is about what the others say.
fn stream_of(number: usize) -> Stream {
    if number % 3 == 2 { Stream::Err } else { Stream::Out }
}
