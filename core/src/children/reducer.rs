//! Answers of one command from below, made less on their way up.

use rustc_hash::FxHashMap;

use crate::reduction::Reduction;
use crate::wire::{NUMBERS_MAX, Reduced, Up, Value};
use crate::{LinkId, RequestId};

/// How many bytes of values are remembered, to be compared with those that come later. Of others,
/// equal ones are passed on as they come.
const REMEMBERED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The commands whose answers are reduced here, as long as any is awaited from below.
#[derive(Debug, Default)]
pub(super) struct Reducer {
    commands: FxHashMap<RequestId, Command>,
    /// The requests below that belong to one.
    members: FxHashMap<RequestId, RequestId>,
    remembered_bytes: usize,
    /// The commands of which something waits to be sent.
    waiting: Vec<RequestId>,
}

/// One command.
#[derive(Debug)]
struct Command {
    reduction: Reduction,
    /// How many of its requests are still to be answered from below.
    awaited: usize,
    values: Vec<Known>,
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
    /// A request that belongs to a command was sent down.
    pub fn expect(&mut self, command: RequestId, request: RequestId) {
        if self.members.insert(request, command).is_none() {
            self.commands.entry(command).or_insert_with(Command::new).awaited += 1;
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
        let known = self.learn(command, value);
        self.hold(command, known, &[request]);
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
        let known = match value {
            // Of what answers nobody, only that is noted which is known: a compromised node could send any
            // number of values.
            Value::New(_, bytes) if members.is_empty() => self.find(command, bytes),
            Value::New(_, bytes) => Some(self.learn(command, bytes)),
            Value::Known(number) => self
                .commands
                .get(&command)
                .and_then(|state| state.of_children.get(&(link, number)).copied()),
        };
        if let (Value::New(number, _), Some(known)) = (value, known)
            && let Some(state) = self.commands.get_mut(&command)
        {
            state.of_children.insert((link, number), known);
        }
        if let Some(known) = known.filter(|_| !members.is_empty()) {
            self.hold(command, known, members);
        }
        members.iter().for_each(|member| self.answered(*member));
        known.is_some()
    }

    /// Sends what has come together.
    pub fn send(&mut self, up: &mut Up<'_>) {
        for command in std::mem::take(&mut self.waiting) {
            let Some(state) = self.commands.get_mut(&command) else { continue };
            self.remembered_bytes -= state.send(command, up);
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

    /// Where a value is that can be one with this.
    fn find(&mut self, command: RequestId, bytes: &[u8]) -> Option<usize> {
        let state = self.commands.get_mut(&command)?;
        let reduction = state.reduction;
        state.values.iter_mut().position(|known| {
            let may_merge = reduction.can_stand_for_later() || known.number.is_none();
            let value = known.bytes.as_mut().filter(|_| may_merge);
            value.is_some_and(|value| reduction.merge(value, bytes))
        })
    }

    /// Where a value is that has come and answers requests.
    fn learn(&mut self, command: RequestId, bytes: &[u8]) -> usize {
        if let Some(known) = self.find(command, bytes) {
            return known;
        }
        let is_remembered = self.remembered_bytes + bytes.len() <= REMEMBERED_BYTES_MAX;
        self.remembered_bytes += bytes.len();
        let state = self.commands.entry(command).or_insert_with(Command::new);
        let (bytes, number, members) = (Some(bytes.to_vec()), None, Vec::new());
        state.values.push(Known { bytes, is_remembered, number, members });
        state.values.len() - 1
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
            self.remembered_bytes -= state.bytes();
        }
    }
}

impl Command {
    fn new() -> Command {
        Command {
            reduction: Reduction::Equal,
            awaited: 0,
            values: Vec::new(),
            of_children: FxHashMap::default(),
            numbered: 0,
            is_waiting: false,
        }
    }

    fn bytes(&self) -> usize {
        self.values.iter().filter_map(|known| known.bytes.as_ref()).map(Vec::len).sum()
    }

    /// Sends each value that answers requests. Returns how many bytes of values are not remembered any
    /// more.
    fn send(&mut self, command: RequestId, up: &mut Up<'_>) -> usize {
        let before = self.bytes();
        self.is_waiting = false;
        for at in 0..self.values.len() {
            if self.values[at].members.is_empty() {
                continue;
            }
            if self.values[at].number.is_none() && self.numbered == NUMBERS_MAX {
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
        assert_eq!(reducer.remembered_bytes, 0);
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

    /// A compromised node may send them without end.
    #[test]
    fn what_answers_nothing_is_not_kept_beyond_a_bound() {
        let mut reducer = reducer([1]);
        let value = "x".repeat(64 * 1024);
        for number in 0..1_000 {
            let value = format!("{number} {value}");
            add(&mut reducer, LINKS[0], &[], new(number, &value));
        }
        assert_eq!(reducer.remembered_bytes, 0);
        reducer.answered(RequestId(1));
        assert_eq!((reducer.commands.len(), reducer.remembered_bytes), (0, 0));
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
            assert!(reducer.remembered_bytes <= REMEMBERED_BYTES_MAX + value.len());
        }
    }
}
