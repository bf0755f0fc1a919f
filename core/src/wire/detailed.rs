//! The answer to a command, with more than its text.

use super::{REDUCED_BYTES_MAX, Status, body};

/// The longest one that is reduced on its way, in bytes.
pub(crate) const DETAILED_BYTES_MAX: usize = REDUCED_BYTES_MAX - 32;

/// What a node has made of a command: the result or what was wrong, and what was emitted before it.
/// Two nodes have answered the same when these are equal, and the statuses of their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Detailed<'a> {
    pub text: &'a [u8],
    pub out: &'a [u8],
    pub err: &'a [u8],
}

impl<'a> Detailed<'a> {
    /// The body of the answer: the lengths of the text and of the first stream, then all three.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = body(&(self.text.len() as u64, self.out.len() as u64));
        [self.text, self.out, self.err].iter().for_each(|part| bytes.extend_from_slice(part));
        bytes
    }

    /// What a body says, or `None` when it is none.
    pub fn decode(body: &'a [u8]) -> Option<Detailed<'a>> {
        let ((text, out), rest) = postcard::take_from_bytes::<(u64, u64)>(body).ok()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(text).ok()?)?;
        let (out, err) = rest.split_at_checked(usize::try_from(out).ok()?)?;
        Some(Detailed { text, out, err })
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
        for (text, out, err) in [("exit 0", "one\n", ""), ("", "", "two"), ("", "", "")] {
            let [text, out, err] = [text, out, err].map(str::as_bytes);
            let detailed = Detailed { text, out, err };
            assert_eq!(Detailed::decode(&detailed.encode()), Some(detailed));
        }
        for wrong in [&[][..], &[1], &[1, 0], &[0, 3, b'x']] {
            assert_eq!(Detailed::decode(wrong), None);
        }
    }
}
