//! What the control node is about to send.

use std::sync::Arc;

use crate::wire::{Allowance, FAN_BODY_BYTES_MAX, Fan, Flags, Kind, Message, NO_REQUEST, Status};
use crate::{Life, LinkId, RequestId};

/// Messages to be sent, in their order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Vec<Outgoing>,
}

/// What to send.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A message for one life.
    Message { kind: Kind, flags: Flags, to: Life, request: RequestId, body: Vec<u8> },
    /// Parts of a command for many nodes.
    Fan(Parts),
}

/// Parts of a command for many nodes, in the order of their requests.
#[derive(Debug)]
pub(crate) struct Parts {
    command: RequestId,
    flags: Flags,
    /// The control node's links that lead to the nodes, each of which carries it once.
    links: Vec<LinkId>,
    parts: Vec<(Life, RequestId)>,
    /// How many bytes of further parts fit in.
    room: usize,
    kind: Kind,
    body: Arc<[u8]>,
}

/// What a command for many nodes asks of each of them.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub command: RequestId,
    pub kind: Kind,
    pub body: Arc<[u8]>,
}

impl Parts {
    /// As they are written into a frame. They are taken out.
    pub fn take(&mut self) -> Fan<'_> {
        let (allowance, has_terms) = (self.flags.allowance(), self.flags.has_terms());
        let parts = std::mem::take(&mut self.parts);
        Fan { kind: self.kind, allowance, has_terms, parts, body: &self.body }
    }
}

impl Outbox {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What waits.
    pub fn take(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.waiting)
    }

    /// Adds a message to whose answer, if there is one, no allowance applies.
    pub fn post(&mut self, kind: Kind, to: Life, request: RequestId, body: Vec<u8>) {
        let flags = Flags::new(Status::Ok);
        self.waiting.push(Outgoing::Message { kind, flags, to, request, body });
    }

    /// Adds a request that is answered by its node.
    pub fn request(
        &mut self,
        kind: Kind,
        to: Life,
        request: RequestId,
        allowance: Allowance,
        body: Vec<u8>,
    ) {
        let flags = Flags::request(allowance);
        self.waiting.push(Outgoing::Message { kind, flags, to, request, body });
    }

    /// Adds a message that can't be sent before what waits.
    pub fn message(&mut self, message: &Message<'_>) {
        let Message { kind, flags, life: to, request, body } = *message;
        self.waiting.push(Outgoing::Message { kind, flags, to, request, body: body.to_vec() });
    }

    /// Adds a part that goes by this link, together with those of the same command that were added
    /// just before.
    pub fn part(
        &mut self,
        to: Life,
        request: RequestId,
        link: Option<LinkId>,
        flags: Flags,
        part: Part,
    ) {
        let Part { command, kind, body } = part;
        if body.len() > FAN_BODY_BYTES_MAX {
            let body = body.to_vec();
            return self.waiting.push(Outgoing::Message { kind, flags, to, request, body });
        }
        let part = (to, request);
        if let Some(Outgoing::Fan(last)) = self.waiting.last_mut()
            && (last.command, last.flags) == (command, flags)
            && let Some((_, before)) = last.parts.last()
            && let Some(left) = last.room.checked_sub(Fan::part_bytes(*before, part))
        {
            last.room = left;
            last.parts.push(part);
            last.links.extend(link.filter(|link| !last.links.contains(link)));
            return;
        }
        let room = Fan::room_beside(&body) - Fan::part_bytes(NO_REQUEST, part);
        let (links, parts) = (link.into_iter().collect(), vec![part]);
        let parts = Parts { command, flags, links, parts, room, kind, body };
        self.waiting.push(Outgoing::Fan(parts));
    }

    /// Whether a link carries this command already, one more part of which then costs no more on
    /// it.
    pub fn carries(&self, command: RequestId, link: LinkId) -> bool {
        match self.waiting.last() {
            Some(Outgoing::Fan(last)) => last.command == command && last.links.contains(&link),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId};

    const LINK: LinkId = LinkId(1);

    fn life(id: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
    }

    fn add(outbox: &mut Outbox, command: u64, ids: impl IntoIterator<Item = u32>, bytes: usize) {
        let part =
            Part { command: RequestId(command), kind: Kind::Exec, body: vec![b'x'; bytes].into() };
        for id in ids {
            let request = RequestId(command + u64::from(id));
            let flags = Flags::request(Allowance::Large);
            outbox.part(life(id), request, Some(LINK), flags, part.clone());
        }
    }

    /// How many parts each message has; 0 when it is not one for many nodes.
    fn taken(outbox: &mut Outbox) -> Vec<usize> {
        let parts = |outgoing| match outgoing {
            Outgoing::Fan(mut parts) => parts.take().parts.len(),
            Outgoing::Message { .. } => 0,
        };
        outbox.take().into_iter().map(parts).collect()
    }

    #[test]
    fn parts_of_one_command_go_together_and_those_of_another_apart() {
        let mut outbox = Outbox::default();
        add(&mut outbox, 100, 1..=3, 10);
        assert!(outbox.carries(RequestId(100), LINK) && !outbox.carries(RequestId(100), LinkId(2)));
        add(&mut outbox, 200, 1..=2, 10);
        assert!(!outbox.carries(RequestId(100), LINK));
        outbox.post(Kind::Ping, life(1), RequestId(9), Vec::new());
        assert!(!outbox.carries(RequestId(200), LINK));
        add(&mut outbox, 200, 3..=3, 10);
        assert_eq!(taken(&mut outbox), [3, 2, 0, 1]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_long_or_does_not_fit_goes_by_itself() {
        let mut outbox = Outbox::default();
        add(&mut outbox, 1_000, 1..=2, FAN_BODY_BYTES_MAX + 1);
        assert_eq!(taken(&mut outbox), [0, 0]);
        add(&mut outbox, 100_000, 1..=10_000, FAN_BODY_BYTES_MAX);
        let sizes = taken(&mut outbox);
        assert!(sizes.len() > 1 && sizes.iter().sum::<usize>() == 10_000, "{sizes:?}");
    }
}
