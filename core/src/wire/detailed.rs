//! The answer to a command, with more than its text.

use super::{REDUCED_BYTES_MAX, Status, body};
use crate::Exit;

/// The longest one that is reduced on its way, in bytes.
pub(crate) const DETAILED_BYTES_MAX: usize = REDUCED_BYTES_MAX - 32;

/// What a node has made of a command: the result or what was wrong, and what was emitted before it.
/// Two nodes have answered the same when these are equal, and the statuses of their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Detailed<'a> {
    pub text: &'a [u8],
    /// How a program ended, if its failure is what was wrong.
    pub exit: Option<Exit>,
    pub out: &'a [u8],
    pub err: &'a [u8],
}

impl<'a> Detailed<'a> {
    /// The body of the answer: the end of the program, the lengths of the text and of the first stream,
    /// then all three.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = body(&(self.exit, self.text.len() as u64, self.out.len() as u64));
        [self.text, self.out, self.err].iter().for_each(|part| bytes.extend_from_slice(part));
        bytes
    }

    /// What a body says, or `None` when it is none.
    pub fn decode(body: &'a [u8]) -> Option<Detailed<'a>> {
        let ((exit, text, out), rest) =
            postcard::take_from_bytes::<(Option<Exit>, u64, u64)>(body).ok()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(text).ok()?)?;
        let (out, err) = rest.split_at_checked(usize::try_from(out).ok()?)?;
        Some(Detailed { text, exit, out, err })
    }

    /// The value that is reduced on its way up: its status, and the body.
    pub fn value(&self, status: Status) -> Vec<u8> {
        let mut value = vec![status as u8];
        value.extend_from_slice(&self.encode());
        value
    }

    /// What a value says, and whether it is a failure; `None` when it is none.
    pub fn from_value(value: &'a [u8]) -> Option<(bool, Detailed<'a>)> {
        let (status, body) = value.split_first()?;
        Some((*status != Status::Ok as u8, Detailed::decode(body)?))
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.out.len() + self.err.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_the_journey_or_is_none() {
        for (text, exit, out, err) in [
            ("exit 0", None, "one\n", ""),
            ("exit 3", Some(Exit::Status(3)), "", "two"),
            ("", Some(Exit::Signal(i32::MIN)), "", ""),
        ] {
            let [text, out, err] = [text, out, err].map(str::as_bytes);
            let detailed = Detailed { text, exit, out, err };
            assert_eq!(Detailed::decode(&detailed.encode()), Some(detailed));
        }
        let endless = [1, 0, 255, 255, 255, 255, 255, 0, 0];
        for wrong in
            [&[][..], &[0, 1], &[0, 1, 0], &[0, 0, 3, b'x'], &[1, 2, 0, 0, 0], &[2, 0, 0], &endless]
        {
            assert_eq!(Detailed::decode(wrong), None);
        }
    }
}
