//! Answers of one command from below, made less on their way up.

use rustc_hash::FxHashMap;

use crate::reduction::Reduction;
use crate::wire::{NUMBERS_MAX, Reduced, Up, Value};
use crate::{LinkId, RequestId};

/// How many bytes of values are remembered, to be compared with those that come later. Of others,
/// equal ones are passed on as they come.
const REMEMBERED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many values of one command are compared with those that come later. Of others, equal ones are passed
/// on as they come.
const COMPARED_MAX: usize = 16 * 1024;

/// How many values of one command are remembered that have answered nothing when they came. Requests that
/// are answered by others later are answered as if their nodes could not be reached.
const UNWANTED_MAX: usize = 4 * 1024;

/// The commands whose answers are reduced here, as long as any is awaited from below.
#[derive(Debug, Default)]
pub(super) struct Reducer {
    commands: FxHashMap<RequestId, Command>,
    /// The requests below that belong to one.
    members: FxHashMap<RequestId, RequestId>,
    /// How many bytes of values are here.
    kept_bytes: usize,
    /// The commands of which something waits to be sent.
    waiting: Vec<RequestId>,
}

/// One command.
#[derive(Debug, Default)]
struct Command {
    reduction: Reduction,
    /// How many of its requests are still to be answered.
    awaited: usize,
    values: Vec<Known>,
    /// How many of them have answered nothing when they came.
    unwanted: usize,
    /// The numbers that children have given to values, which are told by their places in `values`.
    of_children: FxHashMap<(LinkId, u32), usize>,
    /// How many values have been given numbers on the link to the parent.
    numbered: u32,
    is_waiting: bool,
}

/// A value that has come.
#[derive(Debug)]
struct Known {
    /// None when it has been sent and is not remembered.
    bytes: Option<Vec<u8>>,
    is_remembered: bool,
    /// Its number on the link to the parent.
    number: Option<u32>,
    /// The requests that it answers, and that were not told so far.
    members: Vec<RequestId>,
}

impl Reducer {
    /// A request that belongs to a command was sent down, or is for this node itself.
    pub fn expect(&mut self, command: RequestId, request: RequestId) {
        if self.members.insert(request, command).is_none() {
            self.commands.entry(command).or_default().awaited += 1;
        }
    }

    /// A request is answered, or will not be.
    pub fn answered(&mut self, request: RequestId) {
        let Some(command) = self.members.remove(&request) else { return };
        if let Some(state) = self.commands.get_mut(&command) {
            state.awaited -= 1;
        }
        self.forget_if_done(command);
    }

    /// A request of a command is answered by a value, which this node has made itself.
    pub fn add(&mut self, command: RequestId, request: RequestId, value: &[u8]) {
        if let Some(known) = self.learn(command, value, true) {
            self.hold(command, known, &[request]);
        }
        self.answered(request);
    }

    /// These requests are answered by a value of a command that a child has sent on this link. Says whether
    /// that value is known here.
    pub fn add_from(
        &mut self,
        command: RequestId,
        link: LinkId,
        members: &[RequestId],
        value: Value<'_>,
    ) -> bool {
        let has_members = !members.is_empty();
        if !has_members && !self.commands.contains_key(&command) {
            return true;
        }
        let known = match value {
            Value::New(number, bytes) => {
                let known = self.learn(command, bytes, has_members);
                if let (Some(known), Some(state)) = (known, self.commands.get_mut(&command)) {
                    state.of_children.insert((link, number), known);
                }
                known
            }
            Value::Known(number) => self
                .commands
                .get(&command)
                .and_then(|state| state.of_children.get(&(link, number)).copied()),
        };
        let known = known.filter(|known| self.has(command, *known));
        if let Some(known) = known.filter(|_| has_members) {
            self.hold(command, known, members);
        }
        members.iter().for_each(|member| self.answered(*member));
        self.forget_if_done(command);
        known.is_some()
    }

    /// Whether a value can still be sent.
    fn has(&self, command: RequestId, known: usize) -> bool {
        self.commands.get(&command).is_some_and(|state| state.values[known].can_be_sent())
    }

    /// Sends what has come together.
    pub fn send(&mut self, up: &mut Up<'_>) {
        for command in std::mem::take(&mut self.waiting) {
            let Some(state) = self.commands.get_mut(&command) else { continue };
            self.kept_bytes -= state.send(command, up);
            self.forget_if_done(command);
        }
    }

    /// The parent is another one, which knows no number.
    pub fn renumber(&mut self) {
        self.commands.values_mut().for_each(Command::renumber);
    }

    /// The link of a child is gone.
    pub fn forget_link(&mut self, link: LinkId) {
        for state in self.commands.values_mut() {
            state.of_children.retain(|(other, _), _| *other != link);
        }
    }

    /// How many bytes of values are here.
    pub fn bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Whether nothing is awaited, and nothing kept.
    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.commands.is_empty() && self.members.is_empty() && self.kept_bytes == 0
    }

    /// Where a value is that has come, and whether it `is_wanted` by a request; `None` when there are too
    /// many.
    fn learn(&mut self, command: RequestId, bytes: &[u8], is_wanted: bool) -> Option<usize> {
        let is_remembered = self.kept_bytes + bytes.len() <= REMEMBERED_BYTES_MAX;
        let state = self.commands.entry(command).or_default();
        let reduction = state.reduction;
        for (at, known) in state.values.iter_mut().enumerate().take(COMPARED_MAX) {
            let may_merge = reduction.can_stand_for_later() || known.number.is_none();
            if let Some(value) = known.bytes.as_mut().filter(|_| may_merge)
                && reduction.merge(value, bytes)
            {
                return Some(at);
            }
        }
        if !is_wanted {
            if state.unwanted >= UNWANTED_MAX {
                return None;
            }
            state.unwanted += 1;
        }
        let bytes = Some(bytes.to_vec()).filter(|_| is_remembered || is_wanted);
        self.kept_bytes += bytes.as_ref().map_or(0, Vec::len);
        let (number, members) = (None, Vec::new());
        state.values.push(Known { bytes, is_remembered, number, members });
        Some(state.values.len() - 1)
    }

    fn hold(&mut self, command: RequestId, known: usize, members: &[RequestId]) {
        let Some(state) = self.commands.get_mut(&command) else { return };
        state.values[known].members.extend_from_slice(members);
        if !std::mem::replace(&mut state.is_waiting, true) {
            self.waiting.push(command);
        }
    }

    fn forget_if_done(&mut self, command: RequestId) {
        let is_done = |state: &Command| state.awaited == 0 && !state.is_waiting;
        if self.commands.get(&command).is_some_and(is_done)
            && let Some(state) = self.commands.remove(&command)
        {
            self.kept_bytes -= state.bytes();
        }
    }
}

impl Command {
    fn bytes(&self) -> usize {
        self.values.iter().filter_map(|known| known.bytes.as_ref()).map(Vec::len).sum()
    }

    /// Sends each value that answers requests. Returns how many bytes of values are not remembered any
    /// more.
    fn send(&mut self, command: RequestId, up: &mut Up<'_>) -> usize {
        let before = self.bytes();
        self.is_waiting = false;
        let is_held = |known: &&mut Known| !known.members.is_empty();
        // Those with a number first: they may be known by that alone, and then it must not be given anew
        // before.
        for known in self.values.iter_mut().filter(is_held).filter(|known| known.number.is_some()) {
            known.send(command, &mut self.numbered, up);
        }
        for at in 0..self.values.len() {
            if self.values[at].members.is_empty() {
                continue;
            }
            if self.numbered == NUMBERS_MAX {
                self.renumber();
            }
            self.values[at].send(command, &mut self.numbered, up);
        }
        before - self.bytes()
    }

    fn renumber(&mut self) {
        self.numbered = 0;
        self.values.iter_mut().for_each(|known| known.number = None);
    }
}

impl Known {
    /// Whether it is here, or known above.
    fn can_be_sent(&self) -> bool {
        self.bytes.is_some() || self.number.is_some()
    }

    fn send(&mut self, command: RequestId, numbered: &mut u32, up: &mut Up<'_>) {
        let mut members = std::mem::take(&mut self.members);
        members.sort_unstable();
        let value = match (self.number, &self.bytes) {
            (Some(number), _) => Value::Known(number),
            (None, Some(bytes)) => {
                let number = *numbered;
                *numbered += 1;
                self.number = Some(number);
                Value::New(number, bytes)
            }
            // The requests came by a route that is gone, and have been answered.
            (None, None) => return,
        };
        let body = Reduced { members, value }.encode();
        up(Reduced::message(command, &body));
        if !self.is_remembered {
            self.bytes = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: RequestId = RequestId(100);
    const LINKS: [LinkId; 2] = [LinkId(1), LinkId(2)];

    /// A reducer that awaits answers to these requests.
    fn reducer(requests: impl IntoIterator<Item = u64>) -> Reducer {
        let mut reducer = Reducer::default();
        requests.into_iter().for_each(|request| reducer.expect(COMMAND, RequestId(request)));
        reducer
    }

    fn add(reducer: &mut Reducer, link: LinkId, members: &[u64], value: Value<'_>) -> bool {
        let members: Vec<_> = members.iter().copied().map(RequestId).collect();
        reducer.add_from(COMMAND, link, &members, value)
    }

    /// What is sent: the requests, the number, and the value when it is new.
    fn sent(reducer: &mut Reducer) -> Vec<(Vec<u64>, u32, Option<String>)> {
        let mut sent = Vec::new();
        reducer.send(&mut |message| {
            assert_eq!(message.request, COMMAND);
            let Reduced { members, value } = Reduced::decode(message.body).unwrap();
            let members = members.into_iter().map(|member| member.0).collect();
            sent.push(match value {
                Value::Known(number) => (members, number, None),
                Value::New(number, bytes) => {
                    (members, number, Some(String::from_utf8(bytes.to_vec()).unwrap()))
                }
            });
        });
        sent
    }

    fn new(number: u32, value: &str) -> Value<'_> {
        Value::New(number, value.as_bytes())
    }

    fn some(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn equal_values_are_sent_once_whoever_has_them() {
        let mut reducer = reducer(1..=6);
        add(&mut reducer, LINKS[0], &[3], new(0, "one"));
        add(&mut reducer, LINKS[1], &[1, 2], new(5, "one"));
        add(&mut reducer, LINKS[1], &[4], new(6, "two"));
        reducer.add(COMMAND, RequestId(9), b"one");
        let first = (vec![1, 2, 3, 9], 0, some("one"));
        assert_eq!(sent(&mut reducer), [first, (vec![4], 1, some("two"))]);
        assert_eq!(sent(&mut reducer), []);
        assert!(add(&mut reducer, LINKS[1], &[5], Value::Known(5)));
        assert_eq!(sent(&mut reducer), [(vec![5], 0, None)]);
        assert!(add(&mut reducer, LINKS[0], &[6], new(1, "two")));
        assert_eq!(sent(&mut reducer), [(vec![6], 1, None)]);
        assert!(reducer.commands.is_empty() && reducer.members.is_empty());
        assert_eq!(reducer.kept_bytes, 0);
    }

    #[test]
    fn another_parent_knows_no_number() {
        let mut reducer = reducer(1..=3);
        add(&mut reducer, LINKS[0], &[1], new(0, "one"));
        sent(&mut reducer);
        reducer.renumber();
        add(&mut reducer, LINKS[0], &[2], Value::Known(0));
        assert_eq!(sent(&mut reducer), [(vec![2], 0, some("one"))]);
    }

    /// Or requests would be answered by what others have answered.
    #[test]
    fn a_number_that_means_nothing_on_this_link_is_known_to_be_one() {
        let mut reducer = reducer(1..=4);
        add(&mut reducer, LINKS[0], &[1], new(0, "one"));
        assert!(!add(&mut reducer, LINKS[1], &[2], Value::Known(0)));
        reducer.forget_link(LINKS[0]);
        assert!(!add(&mut reducer, LINKS[0], &[3], Value::Known(0)));
        assert_eq!(sent(&mut reducer), [(vec![1], 0, some("one"))]);
        reducer.answered(RequestId(4));
        assert!(reducer.commands.is_empty() && reducer.members.is_empty());
    }

    /// Or a compromised node could keep all others from answering.
    #[test]
    fn values_that_answer_nothing_take_no_room_from_others() {
        let mut reducer = reducer(1..=2);
        for number in 0..UNWANTED_MAX + 100 {
            let value = number.to_string();
            add(&mut reducer, LINKS[0], &[], new(number as u32 % NUMBERS_MAX, &value));
        }
        assert!(reducer.commands[&COMMAND].values.len() <= UNWANTED_MAX);
        assert!(add(&mut reducer, LINKS[1], &[1], new(0, "of another")));
        reducer.add(COMMAND, RequestId(9), b"own");
        let expected = [(vec![1], 0, some("of another")), (vec![9], 1, some("own"))];
        assert_eq!(sent(&mut reducer), expected);
    }

    /// Or nobody would ever answer the requests.
    #[test]
    fn a_value_that_is_not_here_any_more_is_not_known() {
        let full = |reducer: &mut Reducer, requests: std::ops::Range<u64>| {
            for request in requests {
                let value = format!("{request} {}", "x".repeat(64 * 1024));
                add(reducer, LINKS[0], &[request], new(request as u32, &value));
            }
        };
        let mut reducer = reducer(0..200);
        full(&mut reducer, 0..100);
        sent(&mut reducer);
        assert!(add(&mut reducer, LINKS[0], &[100], Value::Known(99)));
        assert_eq!(sent(&mut reducer), [(vec![100], 99, None)]);
        reducer.renumber();
        assert!(!add(&mut reducer, LINKS[0], &[101], Value::Known(99)));
        add(&mut reducer, LINKS[1], &[], new(0, &"y".repeat(64 * 1024)));
        assert!(!add(&mut reducer, LINKS[1], &[102], Value::Known(0)));
    }

    #[test]
    fn numbers_that_are_given_anew_leave_nothing_unanswered() {
        let mut reducer = reducer(0..=u64::from(NUMBERS_MAX) + 100);
        add(&mut reducer, LINKS[0], &[], new(4_000, "one more"));
        // The last of these is not remembered.
        for request in 0..=64 {
            let value = format!("{request} {}", "x".repeat(64 * 1024));
            add(&mut reducer, LINKS[0], &[request], new(request as u32, &value));
        }
        sent(&mut reducer);
        for request in 65..u64::from(NUMBERS_MAX) {
            add(&mut reducer, LINKS[1], &[request], new(0, &request.to_string()));
        }
        sent(&mut reducer);
        add(&mut reducer, LINKS[0], &[4_100], Value::Known(4_000));
        add(&mut reducer, LINKS[0], &[4_101], Value::Known(64));
        assert_eq!(
            sent(&mut reducer),
            [(vec![4_101], 64, None), (vec![4_100], 0, some("one more"))]
        );
    }

    /// A compromised node may send them without end.
    #[test]
    fn what_answers_nothing_is_not_kept_beyond_a_bound() {
        let mut reducer = reducer([1]);
        let value = "x".repeat(64 * 1024);
        for number in 0..1_000 {
            let value = format!("{number} {value}");
            add(&mut reducer, LINKS[0], &[], new(number, &value));
        }
        assert!(reducer.kept_bytes <= REMEMBERED_BYTES_MAX);
        reducer.answered(RequestId(1));
        assert_eq!((reducer.commands.len(), reducer.kept_bytes), (0, 0));
        add(&mut reducer, LINKS[0], &[], new(0, "of no command"));
        assert!(reducer.commands.is_empty());
    }

    #[test]
    fn what_is_not_remembered_is_sent_even_so() {
        let mut reducer = reducer(0..200);
        for request in 0..200 {
            let value = format!("{request} {}", "x".repeat(64 * 1024));
            add(&mut reducer, LINKS[0], &[request], new(request as u32, &value));
            assert_eq!(sent(&mut reducer), [(vec![request], request as u32, some(&value))]);
            assert!(reducer.kept_bytes <= REMEMBERED_BYTES_MAX + value.len());
        }
    }
}
