//! The replies to commands: those that are owed, those that wait for others, and those printed.

use super::gather::{Gather, Gathered, ModuleAnswers};
use super::pending::{Operation, Pending};
use super::printer::Printer;
use super::reply::Reply;
use super::requests::Requests;
use super::streams::{Excess, Streams};
use super::windows::Charge;
use crate::wire::{Detailed, Kind};
use crate::{Order, RequestId, Stream};

/// How many bytes of replies may wait for earlier ones, or for those of other nodes, before the
/// console stops reading.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The replies to all commands, from when a command is typed until its reply is printed.
pub(crate) struct Replies {
    requests: Requests,
    printer: Printer,
    streams: Streams,
    /// How many bytes of replies wait for those of other nodes.
    gathered_bytes: usize,
    /// What to tell modules.
    gathered: Vec<ModuleAnswers>,
}

impl Replies {
    pub fn new(order: Order) -> Replies {
        Replies {
            requests: Requests::default(),
            printer: Printer::new(order),
            streams: Streams::default(),
            gathered_bytes: 0,
            gathered: Vec::new(),
        }
    }

    /// Whether there is room for another command.
    pub fn has_room(&self) -> bool {
        self.requests.has_room() && self.held_bytes() < HELD_BYTES_MAX
    }

    /// How many bytes of replies wait for earlier ones, or for those of other nodes.
    pub fn held_bytes(&self) -> usize {
        self.printer.held_bytes() + self.gathered_bytes
    }

    /// Whether there is room for an answer of this many bytes where those of several nodes are
    /// gathered.
    pub fn has_room_for(&self, request: RequestId, bytes: usize) -> bool {
        self.gather_of(request).is_none_or(|gather| gather.has_room_for(bytes))
    }

    /// The command whose reply comes next, as far as the order of the replies goes.
    fn oldest(&self) -> Option<RequestId> {
        match self.printer.order() {
            Order::Input => self.printer.next(),
            Order::Completion => self.requests.oldest(),
        }
    }

    /// The request whose answer must come before anything else can be printed.
    pub fn first_awaited(&self) -> Option<RequestId> {
        let oldest = self.oldest()?;
        match &self.pending(oldest)?.operation {
            Operation::Many(gather) => gather.first_awaited(),
            _ => Some(oldest),
        }
    }

    /// Where the answer to a part is gathered.
    fn gather_of(&self, part: RequestId) -> Option<&Gather> {
        let Operation::Part { command, .. } = self.pending(part)?.operation else { return None };
        match &self.pending(command)?.operation {
            Operation::Many(gather) => Some(gather),
            _ => None,
        }
    }

    /// As [`Requests::keep_line`].
    pub fn keep_line(&mut self, request: RequestId, text: &[u8]) {
        self.requests.keep_line(request, text);
    }

    /// As [`Requests::take_line`].
    pub fn take_line(&mut self, request: RequestId) -> Vec<u8> {
        self.requests.take_line(request)
    }

    /// As [`Requests::all_closed`].
    pub fn all_closed(&self) -> bool {
        self.requests.all_closed()
    }

    /// Whether the reply to any command so far was an error.
    pub fn any_failed(&self) -> bool {
        self.printer.any_failed()
    }

    /// As [`Requests::detached`].
    pub fn detached(&mut self) -> RequestId {
        self.requests.detached()
    }

    /// Notes a command, which waits for its reply from now on.
    pub fn open(&mut self, pending: Pending) -> RequestId {
        let request = self.requests.open(pending);
        self.printer.expect(request);
        request
    }

    /// Notes a part of a command, which waits for its reply from now on.
    pub fn open_part(&mut self, pending: Pending) -> RequestId {
        let asked = match pending.operation {
            Operation::Part { command, node, .. } => Some((command, node)),
            _ => None,
        };
        let request = self.requests.open_part(pending);
        if let Some((command, node)) = asked
            && let Some(Pending { operation: Operation::Many(gather), .. }) =
                self.pending_mut(command)
        {
            gather.ask(node, request);
        }
        request
    }

    /// A part of a command is asked for again: returns its new request, and what the old one takes of the
    /// windows.
    pub fn reopen_part(&mut self, request: RequestId) -> Option<(RequestId, Option<Charge>)> {
        let mut part = self.requests.close_part(request)?;
        let (charge, repeats) = (part.charge.take(), part.repeats + 1);
        Some((self.open_part(Pending { sent: None, repeats, ..part }), charge))
    }

    /// As [`Requests::pending`].
    pub fn pending(&self, request: RequestId) -> Option<&Pending> {
        self.requests.pending(request)
    }

    /// As [`Requests::pending`].
    pub fn pending_mut(&mut self, request: RequestId) -> Option<&mut Pending> {
        self.requests.pending_mut(request)
    }

    /// As [`Requests::all_pending`].
    pub fn all_pending(&self) -> impl Iterator<Item = (RequestId, &Pending)> {
        self.requests.all_pending()
    }

    /// Replies to a command, or to a part of one, and returns its state. Does nothing when it does
    /// not wait for a reply.
    pub fn reply(&mut self, request: RequestId, reply: Reply<'_>) -> Option<Pending> {
        self.end_output(request);
        if let Some(part) = self.requests.close_part(request) {
            self.gather_part(&part, reply);
            return Some(part);
        }
        let pending = self.requests.close(request)?;
        let requests = &mut self.requests;
        self.printer.reply(request, reply, |printed| requests.free(printed));
        Some(pending)
    }

    fn gather_part(&mut self, part: &Pending, reply: Reply<'_>) {
        let Operation::Part { command, node, kind, .. } = part.operation else { return };
        let Some(Pending { operation: Operation::Many(gather), .. }) =
            self.requests.pending_mut(command)
        else {
            return;
        };
        let before = gather.bytes();
        let is_first = gather.is_first(node);
        gather.add(node, reply);
        let (after, all) = (gather.bytes(), gather.take());
        if kind == Kind::Exec && reply.is_error() {
            // What the answers to its questions come to is for a module to say.
            self.printer.note_failure();
        }
        self.gathered_bytes -= before;
        match all {
            None => {
                self.gathered_bytes += after;
                if is_first && self.oldest() == Some(command) {
                    self.print_ready(command);
                }
            }
            Some(Gathered::Module(module, answers)) => {
                self.gathered.push(ModuleAnswers { call: command, module, answers });
            }
            Some(Gathered::Lines(lines)) => {
                self.requests.close(command);
                let requests = &mut self.requests;
                self.printer.lines(command, lines, |printed| requests.free(printed));
            }
        }
    }

    /// Prints those lines of the oldest command that need not wait, if they are many.
    fn print_ready(&mut self, command: RequestId) {
        let Some(Pending { operation: Operation::Many(gather), .. }) =
            self.requests.pending_mut(command)
        else {
            return;
        };
        let before = gather.bytes();
        let Some(ready) = gather.take_ready() else { return };
        self.gathered_bytes = self.gathered_bytes - before + gather.bytes();
        self.printer.print(ready);
    }

    /// As [`Gather::number`], for a command whose answers are folded. Whoever waits for replies notices the
    /// bytes.
    pub fn number(&mut self, command: RequestId, number: u32, reply: Reply<'_>) {
        let Some(Pending { operation: Operation::Many(gather), .. }) =
            self.requests.pending_mut(command)
        else {
            return;
        };
        let before = gather.bytes();
        gather.number(number, reply);
        self.gathered_bytes = self.gathered_bytes - before + gather.bytes();
    }

    /// As [`Gather::numbered`].
    pub fn numbered(&self, command: RequestId, number: u32) -> Option<(bool, Detailed<'_>)> {
        match &self.pending(command)?.operation {
            Operation::Many(gather) => gather.numbered(number),
            _ => None,
        }
    }

    /// Prints the lines that output of a command ends, at once. Does nothing when it does not wait for an
    /// answer.
    ///
    /// # Errors
    ///
    /// When more has come than may.
    pub fn output(
        &mut self,
        request: RequestId,
        stream: Stream,
        bytes: &[u8],
    ) -> Result<(), Excess> {
        let (Operation::Exec { node, .. } | Operation::Part { node, kind: Kind::Exec, .. }) =
            self.pending(request).map_or(&Operation::Verb, |pending| &pending.operation)
        else {
            return Ok(());
        };
        let (node, mut lines) = (*node, Vec::new());
        let received = self.streams.receive(request, node, stream, bytes, &mut lines);
        self.printer.print(lines);
        received
    }

    /// As [`Streams::has`].
    pub fn has_output(&self, request: RequestId) -> bool {
        self.streams.has(request)
    }

    /// Prints what a command has not ended of its output.
    fn end_output(&mut self, request: RequestId) {
        let mut lines = Vec::new();
        self.streams.end(request, &mut lines);
        self.printer.print(lines);
    }

    /// As [`Streams::take_grants`].
    pub fn take_grants(&mut self) -> Vec<(RequestId, u64)> {
        self.streams.take_grants()
    }

    /// What to tell modules since the last call.
    pub fn take_gathered(&mut self) -> Vec<ModuleAnswers> {
        std::mem::take(&mut self.gathered)
    }

    /// As [`Printer::notice`].
    pub fn notice(&mut self, line: &str) {
        self.printer.notice(line);
    }

    /// As [`Printer::take_printed`].
    pub fn take_printed(&mut self) -> Vec<u8> {
        self.printer.take_printed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeId, Time};

    fn printed(replies: &mut Replies) -> String {
        String::from_utf8(replies.take_printed()).unwrap()
    }

    #[test]
    fn no_command_has_two_replies() {
        let mut replies = Replies::new(Order::Input);
        let first = replies.open(Pending::verb(Time::ZERO));
        for text in ["once", "twice"] {
            replies.reply(first, Reply::Ok(text));
        }
        let second = replies.open(Pending::verb(Time::ZERO));
        replies.reply(first, Reply::Ok("late"));
        assert_eq!(printed(&mut replies), "Ok: once\n");
        assert!(!replies.all_closed() && replies.pending(second).is_some());
    }

    #[test]
    fn a_reply_that_waits_for_an_earlier_one_keeps_its_place() {
        let mut replies = Replies::new(Order::Input);
        let ids = [(); 2].map(|()| replies.open(Pending::verb(Time::ZERO)));
        replies.reply(ids[1], Reply::Error("second"));
        assert!(replies.any_failed() && replies.held_bytes() > 0);
        replies.reply(ids[0], Reply::Ok("first"));
        assert_eq!(printed(&mut replies), "Ok: first\nError: second\n");
        assert_eq!((replies.held_bytes(), replies.all_closed()), (0, true));
        let again = [(); 2].map(|()| replies.open(Pending::verb(Time::ZERO)));
        assert_eq!(again.map(|id| id.0 as u16), [ids[1], ids[0]].map(|id| id.0 as u16));
    }

    #[test]
    fn the_bytes_of_replies_that_wait_are_bounded() {
        let mut replies = Replies::new(Order::Input);
        let ids = [(); 2].map(|()| replies.open(Pending::verb(Time::ZERO)));
        replies.reply(ids[1], Reply::Ok(&"x".repeat(HELD_BYTES_MAX)));
        assert!(!replies.has_room());
        replies.reply(ids[0], Reply::Ok(""));
        assert!(replies.has_room());
    }

    #[test]
    fn the_answers_of_many_nodes_are_printed_together() {
        let mut replies = Replies::new(Order::Completion);
        let nodes = [1, 2].map(|id| NodeId::compute(id).unwrap());
        let gather = Box::new(Gather::lines(&nodes.into_iter().collect()));
        let command = replies.open(Pending::new(Operation::Many(gather)));
        let parts = nodes.map(|node| {
            let (kind, body) = (Kind::Exec, [].into());
            replies.open_part(Pending::new(Operation::Part { command, node, kind, body }))
        });
        assert_eq!(replies.first_awaited(), Some(parts[0]));
        replies.reply(parts[1], Reply::OkOf(nodes[1], b"two"));
        assert_eq!((printed(&mut replies), replies.held_bytes()), (String::new(), 3));
        replies.reply(parts[0], Reply::UnavailableOf(nodes[0]));
        assert_eq!(printed(&mut replies), "Error:1: Node is unavailable\nOk:2: two\n");
        assert!(replies.any_failed() && replies.all_closed());
        assert_eq!(replies.held_bytes(), 0);
    }
}
