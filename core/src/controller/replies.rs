//! The commands that wait to be answered or printed, and the order of the replies.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::gather::{Gather, Gathered, Told};
use super::task::{Task, Work};
use crate::wire::{Kind, NO_REQUEST};
use crate::{NodeId, Order, RequestId};

/// How many commands may wait to be answered or printed before the console stops reading.
pub(crate) const COMMANDS_MAX: usize = 4_096;

/// How many parts of commands for many nodes may wait to be answered before the console stops
/// reading.
const PARTS_MAX: usize = 65_536;

/// How many bytes of replies may wait for earlier ones, or for those of other nodes, before the
/// console stops reading.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many bytes of lines may wait to be sent before the console stops reading. It may be exceeded by
/// one line.
const UNSENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A longer text is not grown into, but given what it needs.
const LONG_BYTES_MIN: usize = 64 * 1024;

/// What is printed when a node takes no more.
pub(crate) const TOO_MANY: &str = "Too many requests are waiting";

/// A request's id holds the index of its slot in the lowest bits and a count above them, so that ids
/// grow in the order of the commands and the slot is found at once.
const SLOT_BITS: u32 = 16;

/// What is printed as the answer to a command.
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
    /// The node, or a request's way to it, is gone.
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
    fn is_error(&self) -> bool {
        !matches!(self, Reply::Ok(_) | Reply::OkOf(..) | Reply::Lines(_))
    }

    /// How many bytes of text there are that somebody else has written.
    pub fn text_bytes(&self) -> usize {
        match self {
            Reply::Ok(text) | Reply::Error(text) | Reply::Lines(text) => text.len(),
            Reply::OkOf(_, text) | Reply::ErrorOf(_, text) => text.len(),
            _ => 0,
        }
    }

    /// Adds what is printed: one line with its end, but for [`Reply::Lines`].
    pub fn write(&self, to: &mut Vec<u8>) {
        let written = match self {
            Reply::Ok(_) => write!(to, "Ok"),
            Reply::Error(_) => write!(to, "Error"),
            Reply::OkOf(node, _) => write!(to, "Ok:{node}"),
            Reply::ErrorOf(node, _) => write!(to, "Error:{node}"),
            Reply::UnavailableOf(node) => write!(to, "Error:{node}: Node is unavailable"),
            Reply::LateOf(node, after) => {
                write!(to, "Error:{node}: No answer within {} ms", after.as_millis())
            }
            Reply::RefusedOf(node) => write!(to, "Error:{node}: {TOO_MANY}"),
            Reply::NotFoundOf(node) => write!(to, "Error:{node}: Not found"),
            Reply::Lines(lines) => return to.extend_from_slice(lines.as_bytes()),
        };
        written.expect("writing to memory can't fail");
        match *self {
            Reply::Ok(text) | Reply::Error(text) => write_text(text.as_bytes(), to),
            Reply::OkOf(_, text) | Reply::ErrorOf(_, text) => write_text(text, to),
            _ => {}
        }
        to.push(b'\n');
    }
}

/// Writes the text of a reply, which is one line whatever a module returns.
fn write_text(text: &[u8], to: &mut Vec<u8>) {
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

/// The commands that are not printed yet.
pub(crate) struct Replies {
    order: Order,
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// Parts of commands for many nodes, until they are answered.
    parts: FxHashMap<RequestId, Task>,
    /// What to tell modules.
    gathered: Vec<Told>,
    /// With [`Order::Input`], the commands in the order of input.
    sequence: VecDeque<RequestId>,
    /// How many requests there were.
    count: u64,
    unanswered: usize,
    /// How many bytes of replies wait for earlier ones, or for those of other nodes.
    held_bytes: usize,
    /// How many bytes of lines wait to be sent.
    unsent_bytes: usize,
    printed: Vec<u8>,
    any_failed: bool,
}

struct Slot {
    request: RequestId,
    state: State,
}

enum State {
    Free,
    Open(Task),
    /// The reply waits for those of earlier commands.
    Answered(Vec<u8>),
}

impl Replies {
    pub fn new(order: Order) -> Replies {
        Replies {
            order,
            slots: Vec::new(),
            free: Vec::new(),
            parts: FxHashMap::default(),
            gathered: Vec::new(),
            sequence: VecDeque::new(),
            count: 0,
            unanswered: 0,
            held_bytes: 0,
            unsent_bytes: 0,
            printed: Vec::new(),
            any_failed: false,
        }
    }

    /// Whether there is room for another command.
    pub fn has_room(&self) -> bool {
        self.slots.len() - self.free.len() < COMMANDS_MAX
            && self.parts.len() < PARTS_MAX
            && self.held_bytes < HELD_BYTES_MAX
            && self.unsent_bytes < UNSENT_BYTES_MAX
    }

    /// How many bytes of replies wait for earlier ones, or for those of other nodes.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether there is room for an answer of this many bytes where those of several nodes are gathered.
    pub fn has_room_for(&self, request: RequestId, bytes: usize) -> bool {
        self.gather_of(request).is_none_or(|gather| gather.has_room_for(bytes))
    }

    /// The command whose reply comes next, as far as the order of the replies goes.
    fn oldest(&self) -> Option<RequestId> {
        match self.order {
            Order::Input => self.sequence.front().copied(),
            Order::Completion => {
                let is_open = |slot: &&Slot| matches!(slot.state, State::Open(_));
                self.slots.iter().filter(is_open).map(|slot| slot.request).min()
            }
        }
    }

    /// The request whose answer must come before anything else can be printed.
    pub fn first_awaited(&self) -> Option<RequestId> {
        let oldest = self.oldest()?;
        match &self.task(oldest)?.work {
            Work::Many(gather) => gather.first_awaited(),
            _ => Some(oldest),
        }
    }

    /// Where the answer to a part is gathered.
    fn gather_of(&self, part: RequestId) -> Option<&Gather> {
        let Work::Part { command, .. } = self.parts.get(&part)?.work else { return None };
        match &self.task(command)?.work {
            Work::Many(gather) => Some(gather),
            _ => None,
        }
    }

    /// Keeps the line of a command until it is sent.
    pub fn keep_line(&mut self, request: RequestId, text: &[u8]) {
        if let Some(Task { work: Work::Exec { line, .. }, .. }) = self.task_mut(request) {
            *line = text.to_vec();
            self.unsent_bytes += text.len();
        }
    }

    /// The line of a command that may be sent now; it is not kept any more.
    pub fn take_line(&mut self, request: RequestId) -> Vec<u8> {
        let line = match self.task_mut(request) {
            Some(Task { work: Work::Exec { line, .. }, .. }) => std::mem::take(line),
            _ => Vec::new(),
        };
        self.unsent_bytes -= line.len();
        line
    }

    /// Whether every command is answered.
    pub fn all_answered(&self) -> bool {
        self.unanswered == 0
    }

    /// Whether any command so far was answered with an error.
    pub fn any_failed(&self) -> bool {
        self.any_failed
    }

    /// The id of a request that no command waits for.
    pub fn detached(&mut self) -> RequestId {
        self.next_id(u16::MAX)
    }

    /// Takes in a part of a command, which waits for its answer from now on.
    pub fn open_part(&mut self, task: Task) -> RequestId {
        let request = self.detached();
        if let Work::Part { command, node, .. } = task.work
            && let Some(Task { work: Work::Many(gather), .. }) = self.task_mut(command)
        {
            gather.ask(node, request);
        }
        self.parts.insert(request, task);
        request
    }

    /// Takes in a command, which waits for its answer from now on.
    pub fn open(&mut self, task: Task) -> RequestId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { request: NO_REQUEST, state: State::Free });
            u16::try_from(self.slots.len() - 1).expect("the bound on commands is kept")
        });
        let request = self.next_id(index);
        self.slots[usize::from(index)] = Slot { request, state: State::Open(task) };
        self.unanswered += 1;
        if self.order == Order::Input {
            self.sequence.push_back(request);
        }
        request
    }

    /// The task of a command, or of a part of one, that waits for its answer.
    pub fn task(&self, request: RequestId) -> Option<&Task> {
        match self.slots.get(index_of(request)) {
            Some(Slot { request: other, state: State::Open(task) }) if *other == request => {
                Some(task)
            }
            _ => self.parts.get(&request),
        }
    }

    /// As [`Replies::task`].
    pub fn task_mut(&mut self, request: RequestId) -> Option<&mut Task> {
        match self.slots.get_mut(index_of(request)) {
            Some(Slot { request: other, state: State::Open(task) }) if *other == request => {
                Some(task)
            }
            _ => self.parts.get_mut(&request),
        }
    }

    /// The commands and parts of commands that wait for their answers, in no particular order.
    pub fn tasks(&self) -> impl Iterator<Item = (RequestId, &Task)> {
        let commands = self.slots.iter().filter_map(|slot| match &slot.state {
            State::Open(task) => Some((slot.request, task)),
            _ => None,
        });
        commands.chain(self.parts.iter().map(|(request, task)| (*request, task)))
    }

    /// Answers a command, or a part of one, and returns its task. Does nothing when it does not wait
    /// for an answer.
    pub fn answer(&mut self, request: RequestId, reply: Reply<'_>) -> Option<Task> {
        if let Some(part) = self.parts.remove(&request) {
            self.answer_part(&part, reply);
            return Some(part);
        }
        self.task(request)?;
        self.any_failed |= reply.is_error();
        if self.is_next(request) {
            reply.write(&mut self.printed);
            return Some(self.complete(request, State::Free));
        }
        let mut text = Vec::new();
        reply.write(&mut text);
        Some(self.complete(request, State::Answered(text)))
    }

    fn answer_part(&mut self, part: &Task, reply: Reply<'_>) {
        let Work::Part { command, node, kind, .. } = part.work else { return };
        let Some(Task { work: Work::Many(gather), .. }) = self.task_mut(command) else { return };
        let before = gather.bytes();
        let is_first = gather.is_first(node);
        gather.add(node, reply);
        let (after, all) = (gather.bytes(), gather.take());
        // What the answers to its questions come to is for a module to say.
        self.any_failed |= kind == Kind::Exec && reply.is_error();
        self.held_bytes -= before;
        match all {
            None => {
                self.held_bytes += after;
                if is_first && self.oldest() == Some(command) {
                    self.print_ready(command);
                }
            }
            Some(Gathered::Module(module, answers)) => {
                self.gathered.push(Told { call: command, module, answers });
            }
            Some(Gathered::Lines(lines)) if self.is_next(command) => {
                self.print(lines);
                self.complete(command, State::Free);
            }
            Some(Gathered::Lines(lines)) => {
                self.complete(command, State::Answered(lines));
            }
        }
    }

    /// Prints those lines of the oldest command that need not wait, if they are many.
    fn print_ready(&mut self, command: RequestId) {
        let Some(Task { work: Work::Many(gather), .. }) = self.task_mut(command) else { return };
        let before = gather.bytes();
        let Some(ready) = gather.take_ready() else { return };
        let after = gather.bytes();
        self.held_bytes = self.held_bytes - before + after;
        self.print(ready);
    }

    /// Prints whole lines, which are not copied when nothing else was printed.
    fn print(&mut self, lines: Vec<u8>) {
        if self.printed.is_empty() {
            self.printed = lines;
        } else {
            self.printed.extend_from_slice(&lines);
        }
    }

    /// What to tell modules since the last call.
    pub fn take_gathered(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.gathered)
    }

    /// Whether the reply to a command is not to wait for others.
    fn is_next(&self, request: RequestId) -> bool {
        self.order == Order::Completion || self.sequence.front() == Some(&request)
    }

    /// Ends the wait of a command that is open, and says what it was.
    fn complete(&mut self, request: RequestId, state: State) -> Task {
        self.unanswered -= 1;
        let is_printed = matches!(state, State::Free);
        if let State::Answered(text) = &state {
            self.held_bytes += text.len();
        }
        let slot = &mut self.slots[index_of(request)];
        let State::Open(task) = std::mem::replace(&mut slot.state, state) else {
            unreachable!("the slot was open a moment ago");
        };
        if let Work::Exec { line, .. } = &task.work {
            self.unsent_bytes -= line.len();
        }
        if is_printed {
            self.release(request);
            self.print_those_that_waited();
        }
        task
    }

    /// Prints a line that is no reply, at once.
    pub fn notice(&mut self, line: &str) {
        self.printed.extend_from_slice(line.as_bytes());
        self.printed.push(b'\n');
    }

    /// What was printed since the last call.
    pub fn take_printed(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.printed)
    }

    fn next_id(&mut self, index: u16) -> RequestId {
        self.count += 1;
        RequestId((self.count << SLOT_BITS) | u64::from(index))
    }

    fn release(&mut self, request: RequestId) {
        self.free.push(u16::try_from(index_of(request)).expect("it came from a slot"));
        if self.order == Order::Input {
            self.sequence.pop_front();
        }
    }

    fn print_those_that_waited(&mut self) {
        while let Some(request) = self.sequence.front().copied() {
            let slot = &mut self.slots[index_of(request)];
            let State::Answered(text) = &mut slot.state else { return };
            self.held_bytes -= text.len();
            let text = std::mem::take(text);
            slot.state = State::Free;
            self.print(text);
            self.release(request);
        }
    }
}

fn index_of(request: RequestId) -> usize {
    usize::from(request.0 as u16)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::Time;

    fn answer(replies: &mut Replies, request: RequestId, text: &str) {
        replies.answer(request, Reply::Ok(text));
    }

    fn printed(replies: &mut Replies) -> String {
        String::from_utf8(replies.take_printed()).unwrap()
    }

    #[test]
    fn replies_come_in_the_order_of_input() {
        let mut replies = Replies::new(Order::Input);
        let ids: Vec<_> = (0..3).map(|_| replies.open(Task::verb(Time::ZERO))).collect();
        answer(&mut replies, ids[2], "c");
        answer(&mut replies, ids[1], "b");
        assert_eq!(printed(&mut replies), "");
        assert!(!replies.all_answered());
        replies.notice("notice");
        answer(&mut replies, ids[0], "");
        assert_eq!(printed(&mut replies), "notice\nOk\nOk: b\nOk: c\n");
        assert!(replies.all_answered() && replies.held_bytes == 0);
    }

    #[test]
    fn or_as_they_complete() {
        let mut replies = Replies::new(Order::Completion);
        let ids: Vec<_> = (0..2).map(|_| replies.open(Task::verb(Time::ZERO))).collect();
        answer(&mut replies, ids[1], "b");
        replies.answer(ids[0], Reply::ErrorOf(NodeId::compute(5).unwrap(), b"two\nlines"));
        assert_eq!(printed(&mut replies), "Ok: b\nError:5: two lines\n");
        assert!(replies.any_failed());
    }

    #[test]
    fn nothing_is_answered_twice() {
        let mut replies = Replies::new(Order::Input);
        let first = replies.open(Task::verb(Time::ZERO));
        answer(&mut replies, first, "once");
        answer(&mut replies, first, "twice");
        let second = replies.open(Task::verb(Time::ZERO));
        assert_eq!(index_of(first), index_of(second));
        answer(&mut replies, first, "late");
        assert_eq!(printed(&mut replies), "Ok: once\n");
        assert!(first < second && replies.task(second).is_some());
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut replies = Replies::new(Order::Input);
        let ids: Vec<_> = (0..COMMANDS_MAX).map(|_| replies.open(Task::verb(Time::ZERO))).collect();
        assert!(!replies.has_room());
        answer(&mut replies, ids[1], "answered, not printed");
        assert!(!replies.has_room());
        answer(&mut replies, ids[0], "");
        assert!(replies.has_room());
    }

    #[test]
    fn there_is_room_for_so_many_parts_and_no_more() {
        let mut replies = Replies::new(Order::Input);
        let node = NodeId::compute(1).unwrap();
        let gather = Gather::lines(&BTreeSet::from([node]));
        let command = replies.open(Task::new(Work::Many(Box::new(gather))));
        let part = |_| Work::Part { command, node, kind: Kind::Exec, body: Arc::from([]) };
        let parts = (0..PARTS_MAX).map(part).map(|work| replies.open_part(Task::new(work)));
        let parts: Vec<_> = parts.collect();
        assert!(!replies.has_room());
        replies.answer(parts[0], Reply::OkOf(node, b""));
        assert!(replies.has_room());
    }

    #[test]
    fn there_is_room_for_so_many_bytes_of_replies_and_of_lines() {
        let mut replies = Replies::new(Order::Input);
        let ids: Vec<_> = (0..2).map(|_| replies.open(Task::verb(Time::ZERO))).collect();
        answer(&mut replies, ids[1], &"x".repeat(HELD_BYTES_MAX));
        assert!(!replies.has_room());
        answer(&mut replies, ids[0], "");
        assert!(replies.has_room());

        let work = Work::Exec { node: NodeId::compute(1).unwrap(), line: Vec::new() };
        let waits = replies.open(Task::new(work));
        replies.keep_line(waits, &[b'x'; UNSENT_BYTES_MAX]);
        assert!(!replies.has_room());
        replies.take_line(waits);
        assert!(replies.has_room());
    }
}
