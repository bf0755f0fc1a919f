//! One message that stands for requests to several nodes.

use super::{Allowance, Flags, Kind, Message, PIECE_BYTES_MAX, body};
use crate::{Life, RequestId};

/// The same request for several nodes, an Exec or an Ask, as one message for each link on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fan<'a> {
    pub kind: Kind,
    pub allowance: Allowance,
    /// Whether the body has its [`Terms`](super::Terms) in front.
    pub has_terms: bool,
    /// Who is asked, and the request that each of them answers, in ascending order of requests.
    pub parts: Vec<(Life, RequestId)>,
    /// What the body of each request would be.
    pub body: &'a [u8],
}

/// How many bytes the body of a request may have to be sent to several nodes as a [`Fan`].
pub(crate) const FAN_BODY_BYTES_MAX: usize = PIECE_BYTES_MAX / 2;

/// What a [`Fan`] has in front of its parts, in bytes: the kind, and how many parts there are.
const FAN_HEADER_BYTES_MAX: usize = 4;

impl<'a> Fan<'a> {
    /// How many bytes of parts, see [`Fan::part_bytes`], fit beside a body.
    pub fn room_beside(body: &[u8]) -> usize {
        PIECE_BYTES_MAX - FAN_HEADER_BYTES_MAX - body.len()
    }

    /// How many bytes a part takes that follows one with the request `before`.
    pub fn part_bytes(before: RequestId, (life, request): (Life, RequestId)) -> usize {
        let varint_bytes = |number: u64| (u64::BITS - (number | 1).leading_zeros()).div_ceil(7);
        let step = request.0.wrapping_sub(before.0);
        let Life { node, incarnation } = life;
        let numbers = [node.to_wire().into(), incarnation.0.into(), step];
        numbers.map(varint_bytes).iter().sum::<u32>() as usize
    }

    /// The message that it is, with a body by [`Fan::encode`].
    pub fn message<'b>(&self, body: &'b [u8]) -> Message<'b> {
        Message { flags: self.flags(), ..Message::neighbour(Kind::Fan, body) }
    }

    /// The request to one node that a part of it stands for.
    pub fn part(&self, life: Life, request: RequestId) -> Message<'a> {
        Message { flags: self.flags(), ..Message::new(self.kind, life, request, self.body) }
    }

    /// The flags of the message, and of the request to each node.
    pub fn flags(&self) -> Flags {
        Flags::request(self.allowance).with_terms(self.has_terms)
    }

    /// The body of the message. For the parts of a fan it is never longer than for the whole.
    pub fn encode(&self) -> Vec<u8> {
        let mut before = 0;
        let parts: Vec<_> = self
            .parts
            .iter()
            .map(|(life, request)| {
                (*life, request.0.wrapping_sub(std::mem::replace(&mut before, request.0)))
            })
            .collect();
        let mut bytes = body(&(self.kind as u8, parts));
        bytes.extend_from_slice(self.body);
        bytes
    }

    /// The fan that a message is, or `None` when it is none.
    pub fn decode(message: &Message<'a>) -> Option<Fan<'a>> {
        let (allowance, has_terms) = (message.flags.allowance(), message.flags.has_terms());
        let head = postcard::take_from_bytes::<(u8, Vec<(Life, u64)>)>(message.body);
        let (head, body) = head.ok()?;
        let kind = Kind::from_wire(head.0).filter(|kind| matches!(kind, Kind::Exec | Kind::Ask))?;
        let mut request = 0u64;
        let parts = head.1.into_iter().map(|(life, step)| {
            request = request.wrapping_add(step);
            (life, RequestId(request))
        });
        Some(Fan { kind, allowance, has_terms, parts: parts.collect(), body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NO_REQUEST;
    use crate::{Incarnation, NodeId};

    #[test]
    fn a_fan_survives_the_journey_and_fits_in_a_piece() {
        let body = vec![7; FAN_BODY_BYTES_MAX];
        let (mut parts, mut room) = (Vec::new(), Fan::room_beside(&body));
        let mut before = NO_REQUEST;
        loop {
            let step = 1u64 << (parts.len() % 50);
            let node = NodeId::compute(u32::try_from(parts.len()).unwrap().pow(2)).unwrap();
            let life = Life { node, incarnation: Incarnation(parts.len() as u32) };
            let part = (life, RequestId(before.0 + step));
            let Some(left) = room.checked_sub(Fan::part_bytes(before, part)) else { break };
            (room, before) = (left, part.1);
            parts.push(part);
        }
        let (kind, allowance, has_terms) = (Kind::Exec, Allowance::Medium, true);
        let fan = Fan { kind, allowance, has_terms, parts, body: &body };
        let bytes = fan.encode();
        assert!((PIECE_BYTES_MAX - 20..=PIECE_BYTES_MAX).contains(&bytes.len()), "{}", bytes.len());
        assert_eq!(Fan::decode(&fan.message(&bytes)), Some(fan.clone()));

        let part = Fan { parts: vec![fan.parts[3], fan.parts[99]], ..fan };
        assert_eq!(Fan::decode(&part.message(&part.encode())), Some(part));
        for body in [&[Kind::Ping as u8, 0][..], &[Kind::Exec as u8, 2, 1]] {
            assert_eq!(Fan::decode(&Message::neighbour(Kind::Fan, body)), None);
        }
    }
}
