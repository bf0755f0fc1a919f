//! What this node has made of its parts of folded commands: a part that is asked for again, since the route
//! of the first request has broken, is not run again.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::answers::Answer;
use crate::{RequestId, Time};

/// How many parts are known that are over.
const KNOWN_MAX: usize = 1_024;

/// How long an answer is kept. The control node asks again much sooner, or not at all.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// How many bytes of answers are kept. It may be exceeded by one answer.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// The parts of one node, by their commands.
#[derive(Debug, Default)]
pub(super) struct Parts {
    by_command: FxHashMap<RequestId, Part>,
    /// The commands of the calls that are open.
    commands: FxHashMap<RequestId, RequestId>,
    /// The calls that are answered as another request than they have begun as.
    renamed: FxHashMap<RequestId, RequestId>,
    /// The commands that are over, the oldest first, and since when.
    over: VecDeque<(RequestId, Time)>,
    /// How many of the first of them have no answer any more.
    bare: usize,
    kept_bytes: usize,
    /// The latest command that was run. Of those up to this one, none is run any more.
    latest: Option<RequestId>,
}

/// One part.
#[derive(Debug)]
enum Part {
    /// Its call is open, and answers this request.
    Open { call: RequestId, request: RequestId },
    /// It is over, and this was its answer, unless that can't be given a second time.
    Over(Option<Answer>),
}

/// What must be done when a part is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It must be run.
    First,
    /// Its `call` is open, and answers the new request from now on in place of the `old` one.
    Open { call: RequestId, old: RequestId },
    /// It was answered so; none if that answer is lost.
    Over(Option<Answer>),
}

impl Parts {
    /// A request asks for the part of a command.
    pub fn ask(&mut self, command: RequestId, request: RequestId) -> Asked {
        match self.by_command.get_mut(&command) {
            // Later ones were run, and commands take effect in their order.
            None if Some(command) <= self.latest => Asked::Over(None),
            None => {
                self.latest = Some(command);
                self.by_command.insert(command, Part::Open { call: request, request });
                self.commands.insert(request, command);
                Asked::First
            }
            Some(Part::Open { call, request: current }) => {
                let (call, old) = (*call, std::mem::replace(current, request));
                self.renamed.remove(&old);
                self.renamed.insert(request, call);
                Asked::Open { call, old }
            }
            Some(Part::Over(answer)) => Asked::Over(answer.clone()),
        }
    }

    /// A command is run that is not folded.
    pub fn ran(&mut self, command: RequestId) {
        self.latest = self.latest.max(Some(command));
    }

    /// The request that a call answers.
    pub fn request_of(&self, call: RequestId) -> RequestId {
        match self.commands.get(&call).and_then(|command| self.by_command.get(command)) {
            Some(Part::Open { request, .. }) => *request,
            _ => call,
        }
    }

    /// The call that answers a request.
    pub fn call_of(&self, request: RequestId) -> RequestId {
        self.renamed.get(&request).copied().unwrap_or(request)
    }

    /// Whether a call is a part.
    pub fn has(&self, call: RequestId) -> bool {
        self.commands.contains_key(&call)
    }

    /// A call is answered so. Returns the request that it answers.
    pub fn answered(&mut self, now: Time, call: RequestId, answer: &Answer) -> RequestId {
        let request = self.request_of(call);
        let Some(command) = self.commands.remove(&call) else { return request };
        self.renamed.remove(&request);
        // Of one whose output was sent before, that is lost.
        let answer = answer.held.is_some().then(|| answer.clone());
        self.kept_bytes += answer.as_ref().map_or(0, Answer::bytes);
        self.by_command.insert(command, Part::Over(answer));
        self.over.push_back((command, now));
        self.forget();
        request
    }

    /// How many bytes of answers are kept.
    pub fn bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Forgets what there is no room for.
    fn forget(&mut self) {
        while self.kept_bytes > KEPT_BYTES_MAX && self.bare + 1 < self.over.len() {
            self.drop_answer();
        }
        while self.over.len() > KNOWN_MAX {
            if self.bare == 0 {
                self.drop_answer();
            }
            self.bare -= 1;
            if let Some((command, _)) = self.over.pop_front() {
                self.by_command.remove(&command);
            }
        }
    }

    /// Drops the oldest answer that is kept.
    fn drop_answer(&mut self) {
        let command = self.over.get(self.bare).map(|(command, _)| *command);
        self.bare += 1;
        if let Some(Part::Over(answer)) =
            command.and_then(|command| self.by_command.get_mut(&command))
        {
            self.kept_bytes -= answer.take().as_ref().map_or(0, Answer::bytes);
        }
    }

    /// Drops the answers that have been kept for long enough.
    pub fn timeout(&mut self, now: Time) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.drop_answer();
        }
    }

    /// When [`Parts::timeout`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        self.over.get(self.bare).map(|(_, since)| *since + KEPT_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;
    use crate::modules::Held;

    const NOW: Time = Time::ZERO;

    fn request(id: u64) -> RequestId {
        RequestId(id)
    }

    fn answer(command: u64, bytes: usize) -> Answer {
        let held = Some(Held::none(request(command)));
        Answer { held, ..Answer::from(Ok("x".repeat(bytes))) }
    }

    #[test]
    fn an_open_part_answers_the_request_that_came_last() {
        let mut parts = Parts::default();
        assert_eq!(parts.ask(request(1), request(10)), Asked::First);
        assert_eq!((parts.request_of(request(10)), parts.has(request(10))), (request(10), true));
        for (old, new) in [(10, 20), (20, 30)] {
            let (call, old) = (request(10), request(old));
            assert_eq!(parts.ask(request(1), request(new)), Asked::Open { call, old });
            assert_eq!(parts.call_of(request(new)), call);
            assert_eq!(parts.call_of(old), old);
        }
        assert_eq!(parts.answered(NOW, request(10), &answer(1, 3)), request(30));
        assert_eq!(parts.ask(request(1), request(40)), Asked::Over(Some(answer(1, 3))));
        assert!(!parts.has(request(10)) && parts.renamed.is_empty());
        assert_eq!(parts.answered(NOW, request(50), &answer(2, 3)), request(50), "no part");
    }

    #[test]
    fn what_was_sent_before_an_answer_can_not_be_told_again() {
        let mut parts = Parts::default();
        parts.ask(request(1), request(10));
        parts.answered(NOW, request(10), &Answer::from(Err(Failure::from("cancelled"))));
        assert_eq!(parts.ask(request(1), request(20)), Asked::Over(None));
    }

    #[test]
    fn answers_are_kept_for_a_while_and_parts_known_for_longer() {
        let mut parts = Parts::default();
        for id in 1..=10 {
            parts.ask(request(id), request(100 + id));
            parts.answered(NOW, request(100 + id), &answer(id, KEPT_BYTES_MAX / 4));
        }
        assert!(parts.kept_bytes <= KEPT_BYTES_MAX);
        assert_eq!(parts.ask(request(6), request(200)), Asked::Over(None));
        assert!(matches!(parts.ask(request(10), request(200)), Asked::Over(Some(_))));
        parts.timeout(NOW + KEPT_FOR);
        assert_eq!((parts.kept_bytes, parts.deadline()), (0, None));
        assert_eq!(parts.ask(request(10), request(200)), Asked::Over(None));
    }

    #[test]
    fn a_part_is_not_run_after_a_later_command() {
        let mut parts = Parts::default();
        parts.ran(request(3));
        assert_eq!(parts.ask(request(2), request(10)), Asked::Over(None));
        assert_eq!(parts.ask(request(4), request(11)), Asked::First);
    }

    /// Or a command could be run twice.
    #[test]
    fn a_part_that_is_not_known_any_more_is_not_run_again() {
        let mut parts = Parts::default();
        let last = KNOWN_MAX as u64 + 10;
        for id in 1..=last {
            assert_eq!(parts.ask(request(id), request(100_000 + id)), Asked::First);
            parts.answered(NOW, request(100_000 + id), &answer(id, 1));
        }
        assert_eq!((parts.over.len(), parts.by_command.len()), (KNOWN_MAX, KNOWN_MAX));
        assert_eq!(parts.ask(request(10), request(1)), Asked::Over(None));
        assert_eq!(parts.ask(request(last), request(1)), Asked::Over(Some(answer(last, 1))));
        assert_eq!(parts.ask(request(last + 1), request(1)), Asked::First);
    }
}
