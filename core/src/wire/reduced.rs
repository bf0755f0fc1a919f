//! What several nodes have made of one command.

use serde::{Deserialize, Serialize};

use super::{Kind, Message, body};
use crate::RequestId;

/// The longest value that is reduced on its way, in bytes. A longer one is an answer like any other.
pub(crate) const REDUCED_BYTES_MAX: usize = 68 * 1024;

/// How many values of one command are numbered on a link.
pub(crate) const NUMBERS_MAX: u32 = 4_096;

/// One value, and the requests that are answered by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reduced<'a> {
    /// In ascending order.
    pub members: Vec<RequestId>,
    pub value: Value<'a>,
}

/// A value of a command, by its number on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// It has this number from now on.
    New(u32, &'a [u8]),
    /// It has been sent before.
    Known(u32),
}

/// What stands in front of a new value.
#[derive(Serialize, Deserialize)]
struct Head {
    /// Each as the difference to the one before.
    members: Vec<u64>,
    number: u32,
    is_new: bool,
}

impl<'a> Reduced<'a> {
    /// The body of the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut before = 0;
        let step =
            |member: &RequestId| member.0.wrapping_sub(std::mem::replace(&mut before, member.0));
        let members = self.members.iter().map(step).collect();
        let (number, bytes) = match self.value {
            Value::New(number, bytes) => (number, Some(bytes)),
            Value::Known(number) => (number, None),
        };
        let mut encoded = body(&Head { members, number, is_new: bytes.is_some() });
        encoded.extend_from_slice(bytes.unwrap_or_default());
        encoded
    }

    /// The message with this body, of a command.
    pub fn message(command: RequestId, body: &[u8]) -> Message<'_> {
        Message { request: command, ..Message::neighbour(Kind::Reduced, body) }
    }

    /// What a body says, or `None` when it is none.
    pub fn decode(body: &'a [u8]) -> Option<Reduced<'a>> {
        let (Head { members, number, is_new }, bytes) = postcard::take_from_bytes(body).ok()?;
        let value = if is_new { Value::New(number, bytes) } else { Value::Known(number) };
        let mut member = 0u64;
        let members = members.into_iter().map(|step| {
            member = member.wrapping_add(step);
            RequestId(member)
        });
        (number < NUMBERS_MAX).then(|| Reduced { members: members.collect(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_the_journey_or_is_none() {
        for value in [Value::New(7, b"value"), Value::New(0, b""), Value::Known(NUMBERS_MAX - 1)] {
            for members in [&[][..], &[1], &[3, 9, u64::MAX]] {
                let members = members.iter().copied().map(RequestId).collect();
                let reduced = Reduced { members, value };
                assert_eq!(Reduced::decode(&reduced.encode()), Some(reduced));
            }
        }
        let far = Reduced { members: Vec::new(), value: Value::Known(NUMBERS_MAX) };
        assert_eq!(Reduced::decode(&far.encode()), None);
        assert_eq!(Reduced::decode(&[1]), None);
    }
}
