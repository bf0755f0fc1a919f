//! The commands, and the parts of commands, that wait for their replies.

use rustc_hash::FxHashMap;

use super::pending::{Operation, Pending};
use crate::RequestId;
use crate::wire::NO_REQUEST;

/// How many commands may wait for their replies, or to be printed, before the console stops
/// reading.
pub(crate) const COMMANDS_MAX: usize = 4_096;

/// How many parts of commands for many nodes may wait for their replies before the console stops
/// reading.
const PARTS_MAX: usize = 65_536;

/// How many bytes of lines may wait to be sent before the console stops reading. It may be exceeded
/// by one line.
const UNSENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A request's id holds the index of its slot in the lowest bits and a count above them, so that
/// ids grow in the order of the commands and the slot is found at once.
const SLOT_BITS: u32 = 16;

/// The commands that are not printed yet, and the parts that have no replies yet.
#[derive(Default)]
pub(crate) struct Requests {
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// Parts of commands for many nodes, until they have their replies.
    parts: FxHashMap<RequestId, Pending>,
    /// How many requests there were.
    count: u64,
    /// How many commands are open.
    open: usize,
    /// How many bytes of lines wait to be sent.
    unsent_bytes: usize,
}

struct Slot {
    request: RequestId,
    /// `None` once the command has its reply.
    pending: Option<Pending>,
}

impl Requests {
    /// Whether there is room for another command.
    pub fn has_room(&self) -> bool {
        self.slots.len() - self.free.len() < COMMANDS_MAX
            && self.parts.len() < PARTS_MAX
            && self.unsent_bytes < UNSENT_BYTES_MAX
    }

    /// Whether every command has its reply.
    pub fn all_closed(&self) -> bool {
        self.open == 0
    }

    /// The id of a request that no command waits for.
    pub fn detached(&mut self) -> RequestId {
        self.next_id(u16::MAX)
    }

    /// Notes a command, which waits for its reply from now on.
    pub fn open(&mut self, pending: Pending) -> RequestId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { request: NO_REQUEST, pending: None });
            u16::try_from(self.slots.len() - 1).expect("the bound on commands is kept")
        });
        let request = self.next_id(index);
        self.slots[usize::from(index)] = Slot { request, pending: Some(pending) };
        self.open += 1;
        request
    }

    /// Notes a part of a command, which waits for its reply from now on.
    pub fn open_part(&mut self, pending: Pending) -> RequestId {
        let request = self.detached();
        self.parts.insert(request, pending);
        request
    }

    /// The state of a command, or of a part of one, that waits for its reply.
    pub fn pending(&self, request: RequestId) -> Option<&Pending> {
        match self.slots.get(index_of(request)) {
            Some(Slot { request: other, pending: Some(pending) }) if *other == request => {
                Some(pending)
            }
            _ => self.parts.get(&request),
        }
    }

    /// As [`Requests::pending`].
    pub fn pending_mut(&mut self, request: RequestId) -> Option<&mut Pending> {
        match self.slots.get_mut(index_of(request)) {
            Some(Slot { request: other, pending: Some(pending) }) if *other == request => {
                Some(pending)
            }
            _ => self.parts.get_mut(&request),
        }
    }

    /// The commands and parts of commands that wait for their replies, in no particular order.
    pub fn all_pending(&self) -> impl Iterator<Item = (RequestId, &Pending)> {
        let commands =
            self.slots.iter().filter_map(|slot| Some((slot.request, slot.pending.as_ref()?)));
        commands.chain(self.parts.iter().map(|(request, pending)| (*request, pending)))
    }

    /// The oldest command that waits for its reply.
    pub fn oldest(&self) -> Option<RequestId> {
        let open = self.slots.iter().filter(|slot| slot.pending.is_some());
        open.map(|slot| slot.request).min()
    }

    /// The state of a part of a command that has its reply now.
    pub fn close_part(&mut self, request: RequestId) -> Option<Pending> {
        self.parts.remove(&request)
    }

    /// The state of a command that has its reply now. Its id is kept until it is
    /// [freed](Self::free).
    pub fn close(&mut self, request: RequestId) -> Option<Pending> {
        let slot = self.slots.get_mut(index_of(request)).filter(|slot| slot.request == request)?;
        let pending = slot.pending.take()?;
        self.open -= 1;
        if let Operation::Exec { line, .. } = &pending.operation {
            self.unsent_bytes -= line.len();
        }
        Some(pending)
    }

    /// The reply to a command has been printed.
    pub fn free(&mut self, request: RequestId) {
        self.free.push(u16::try_from(index_of(request)).expect("it came from a slot"));
    }

    /// Keeps the line of a command until it is sent.
    pub fn keep_line(&mut self, request: RequestId, text: &[u8]) {
        if let Some(Pending { operation: Operation::Exec { line, .. }, .. }) =
            self.pending_mut(request)
        {
            *line = text.to_vec();
            self.unsent_bytes += text.len();
        }
    }

    /// The line of a command that may be sent now; it is not kept any more.
    pub fn take_line(&mut self, request: RequestId) -> Vec<u8> {
        let line = match self.pending_mut(request) {
            Some(Pending { operation: Operation::Exec { line, .. }, .. }) => std::mem::take(line),
            _ => Vec::new(),
        };
        self.unsent_bytes -= line.len();
        line
    }

    fn next_id(&mut self, index: u16) -> RequestId {
        self.count += 1;
        RequestId((self.count << SLOT_BITS) | u64::from(index))
    }
}

fn index_of(request: RequestId) -> usize {
    usize::from(request.0 as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;
    use crate::{NodeId, Time};

    #[test]
    fn the_id_of_a_command_that_is_over_means_nothing_any_more() {
        let mut requests = Requests::default();
        let first = requests.open(Pending::verb(Time::ZERO));
        assert!(requests.close(first).is_some() && requests.close(first).is_none());
        assert!(requests.all_closed());
        requests.free(first);
        let second = requests.open(Pending::verb(Time::ZERO));
        assert_eq!(index_of(first), index_of(second));
        assert!(requests.close(first).is_none() && requests.pending(first).is_none());
        assert!(first < second && requests.pending(second).is_some());
        assert_eq!(requests.oldest(), Some(second));
    }

    #[test]
    fn a_command_takes_its_place_until_it_is_printed() {
        let mut requests = Requests::default();
        let ids: Vec<_> =
            (0..COMMANDS_MAX).map(|_| requests.open(Pending::verb(Time::ZERO))).collect();
        assert!(!requests.has_room());
        assert!(requests.close(ids[1]).is_some());
        assert!(!requests.has_room(), "replied to, not printed");
        requests.free(ids[1]);
        assert!(requests.has_room());
    }

    #[test]
    fn the_parts_that_wait_are_bounded() {
        let mut requests = Requests::default();
        let (command, node) = (RequestId(1), NodeId::compute(1).unwrap());
        let part = || Operation::Part { command, node, kind: Kind::Exec, body: [].into() };
        let parts: Vec<_> =
            (0..PARTS_MAX).map(|_| requests.open_part(Pending::new(part()))).collect();
        assert!(!requests.has_room());
        assert!(requests.close_part(parts[0]).is_some());
        assert!(requests.has_room());
    }

    #[test]
    fn lines_that_wait_to_be_sent_take_room() {
        let mut requests = Requests::default();
        let node = NodeId::compute(1).unwrap();
        let exec = || Pending::new(Operation::Exec { node, line: Vec::new() });
        let (sent, closed) = (requests.open(exec()), requests.open(exec()));
        let line = vec![b'x'; UNSENT_BYTES_MAX];
        requests.keep_line(sent, &line);
        assert!(!requests.has_room());
        assert_eq!(requests.take_line(sent), line);
        assert!(requests.has_room());
        requests.keep_line(closed, &line);
        assert!(!requests.has_room());
        assert!(requests.close(closed).is_some());
        assert!(requests.has_room());
    }
}
