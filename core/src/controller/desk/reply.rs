//! The reply to one command, or to one part of it: what is printed.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::Duration;

use crate::NodeId;
use crate::wire::Detailed;
pub(crate) use crate::wire::UNAVAILABLE;

/// A longer text is not grown into, but given what it needs.
const LONG_BYTES_MIN: usize = 64 * 1024;

/// What is printed when there is no such node.
pub(crate) const NOT_FOUND: &str = "Not found";

/// What is printed when a node takes no more.
pub(crate) const TOO_MANY: &str = "Too many requests are waiting";

/// What is printed when there is no memory for a command or its answer.
pub(crate) const OUT_OF_MEMORY: &[u8] =
    b"out of memory: the control node has none for a command or an answer of this length";

/// What is printed for a command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply<'a> {
    /// `Ok`, or `Ok: TEXT`.
    Ok(&'a str),
    /// `Error: TEXT`.
    Error(&'a str),
    /// `Ok:ID`, or `Ok:ID: TEXT`.
    OkOf(NodeId, &'a [u8]),
    /// `Error:ID: TEXT`.
    ErrorOf(NodeId, &'a [u8]),
    /// As these two, with more than the text; whether it is an error.
    DetailedOf(NodeId, bool, Detailed<'a>),
    /// As that, by the number of an answer that is the same; whether it is an error.
    NumberedOf(NodeId, bool, u32),
    /// The node, or a request's route to it, is gone.
    UnavailableOf(NodeId),
    /// The node lives, and has not answered for this long.
    LateOf(NodeId, Duration),
    /// Too many requests wait for the node, and it answers none of them.
    RefusedOf(NodeId),
    /// There is no such node.
    NotFoundOf(NodeId),
    /// Whole lines.
    Lines(&'a str),
}

impl Reply<'_> {
    /// Whether the command has failed.
    pub fn is_error(&self) -> bool {
        match self {
            Reply::Ok(_) | Reply::OkOf(..) | Reply::Lines(_) => false,
            Reply::DetailedOf(_, is_error, _) | Reply::NumberedOf(_, is_error, _) => *is_error,
            _ => true,
        }
    }

    /// How many bytes of text there are that somebody else has written.
    pub fn text_bytes(&self) -> usize {
        match self {
            Reply::Ok(text) | Reply::Error(text) | Reply::Lines(text) => text.len(),
            Reply::OkOf(_, text) | Reply::ErrorOf(_, text) => text.len(),
            Reply::DetailedOf(_, _, detailed) => detailed.bytes(),
            _ => 0,
        }
    }

    /// What stands behind who has answered.
    pub fn text(&self) -> Cow<'_, [u8]> {
        match *self {
            Reply::Ok(text) | Reply::Error(text) | Reply::Lines(text) => text.as_bytes().into(),
            Reply::OkOf(_, text) | Reply::ErrorOf(_, text) => text.into(),
            Reply::DetailedOf(_, _, detailed) => detailed.text.into(),
            Reply::NumberedOf(..) => [][..].into(),
            Reply::UnavailableOf(_) => UNAVAILABLE.as_bytes().into(),
            Reply::LateOf(_, after) => no_answer(after).into_bytes().into(),
            Reply::RefusedOf(_) => TOO_MANY.as_bytes().into(),
            Reply::NotFoundOf(_) => NOT_FOUND.as_bytes().into(),
        }
    }

    /// Adds what is printed: one line with its end, but for [`Reply::Lines`].
    pub fn write(&self, to: &mut Vec<u8>) {
        let written = match self {
            Reply::Ok(_) => write!(to, "Ok"),
            Reply::Error(_) => write!(to, "Error"),
            Reply::OkOf(node, _)
            | Reply::DetailedOf(node, false, _)
            | Reply::NumberedOf(node, false, _) => write!(to, "Ok:{node}"),
            Reply::ErrorOf(node, _)
            | Reply::DetailedOf(node, true, _)
            | Reply::NumberedOf(node, true, _)
            | Reply::UnavailableOf(node)
            | Reply::LateOf(node, _)
            | Reply::RefusedOf(node)
            | Reply::NotFoundOf(node) => write!(to, "Error:{node}"),
            Reply::Lines(lines) => return to.extend_from_slice(lines.as_bytes()),
        };
        written.expect("writing to memory can't fail");
        write_text(&self.text(), to);
        to.push(b'\n');
    }
}

/// What is printed when nothing was answered for this long.
pub(crate) fn no_answer(after: Duration) -> String {
    format!("No answer within {} ms", after.as_millis())
}

/// Writes the text of a reply, which is one line whatever a module returns.
pub(crate) fn write_text(text: &[u8], to: &mut Vec<u8>) {
    if text.is_empty() {
        return;
    }
    if text.len() > LONG_BYTES_MIN {
        // With its line end. It must not take twice its length.
        to.reserve_exact(text.len() + 3);
    }
    to.extend_from_slice(b": ");
    let start = to.len();
    to.extend_from_slice(text);
    // Every byte is written, which the compiler does for many at a time.
    for byte in &mut to[start..] {
        *byte = if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: Reply<'_>) -> String {
        let mut text = Vec::new();
        reply.write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_reply_is_one_line_whatever_its_text() {
        let node = NodeId::compute(5).unwrap();
        assert_eq!(written(Reply::Ok("")), "Ok\n");
        assert_eq!(written(Reply::Error("no\r\nway")), "Error: no  way\n");
        assert_eq!(written(Reply::OkOf(node, b"two\nlines")), "Ok:5: two lines\n");
        let long = "x".repeat(2 * LONG_BYTES_MIN);
        assert_eq!(written(Reply::ErrorOf(node, long.as_bytes())), format!("Error:5: {long}\n"));
    }

    #[test]
    fn lines_are_printed_as_they_are() {
        assert_eq!(written(Reply::Lines("one\ntwo\n")), "one\ntwo\n");
    }
}
