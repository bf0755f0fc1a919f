//! How a node that has lost its parent finds another: the nearest ancestor that takes it in. As in
//! RFC 8305 ("Happy Eyeballs") the candidates are asked one after the other, each a moment after
//! the one before, and the first that answers is chosen.
//!
//! A node only ever joins one of those above it, which it was told in advance, so no cycle can come
//! about, whatever other nodes move at the same time.

use std::time::Duration;

use crate::link::{Link, Merge};
use crate::wire::{Kind, Malformed, Message, Welcome};
use crate::{Ancestor, LinkId, Machine, NodeId, Output, Time};

/// How long an ancestor may take before the next one is asked as well: the Connection Attempt Delay
/// of RFC 8305.
const ATTEMPT_DELAY: Duration = Duration::from_millis(50);

/// How long an orphan looks for a parent before it ends, with all below it. Between machines the first packet
/// of a connection may be lost, and be sent again after 1 second, and after 3.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);
const GIVE_UP_AFTER_FAR: Duration = Duration::from_secs(4);

/// The search of a node for a parent.
#[derive(Debug)]
pub(super) struct ParentSearch {
    /// Who may take it in, the nearest of the same machine first, then the nearest of others.
    candidates: Vec<Ancestor>,
    /// Which of them is asked next.
    next: usize,
    /// When it is asked, if nobody answers before.
    next_at: Time,
    /// When it gives up.
    until: Time,
    attempts: Vec<Attempt>,
}

/// One candidate that is being asked.
#[derive(Debug)]
struct Attempt {
    number: u64,
    candidate: usize,
    /// Once it is known.
    link: Option<Link>,
    is_up: bool,
}

/// What an ancestor answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet.
    None,
    /// It takes the node in.
    Welcome(Welcome),
    /// The tree is about to end.
    Shutdown,
    /// It does not take the node in, or is another one: its address may have another owner by now.
    Refused,
}

/// Numbers attempts, each once in the life of a node.
#[derive(Debug, Default)]
pub(super) struct AttemptNumbers(u64);

impl ParentSearch {
    /// A search from this machine that has not begun. Those that run on it are asked first.
    pub fn new(now: Time, mut candidates: Vec<Ancestor>, machine: Machine) -> ParentSearch {
        candidates.sort_by_key(|ancestor| ancestor.machine != machine);
        let is_far = candidates.iter().any(|ancestor| ancestor.machine != machine);
        ParentSearch {
            candidates,
            next: 0,
            next_at: now,
            until: now + if is_far { GIVE_UP_AFTER_FAR } else { GIVE_UP_AFTER },
            attempts: Vec::new(),
        }
    }

    /// Asks the next one, when it is time to.
    pub fn ask_if_due(&mut self, now: Time, numbers: &mut AttemptNumbers, out: &mut Vec<Output>) {
        while now >= self.next_at {
            let candidate = self.next;
            let Some(ancestor) = self.candidates.get(candidate) else {
                // One that could not be reached just now may be on its way itself.
                (self.next, self.next_at) = (0, now + ATTEMPT_DELAY);
                return;
            };
            self.next += 1;
            if self.attempts.iter().any(|attempt| attempt.candidate == candidate) {
                continue;
            }
            numbers.0 += 1;
            let number = numbers.0;
            out.push(Output::Connect(number, ancestor.address.clone()));
            self.attempts.push(Attempt { number, candidate, link: None, is_up: false });
            self.next_at = now + ATTEMPT_DELAY;
        }
    }

    /// Whether nobody has taken the node in for so long that it must end. While the control node is
    /// there and does not answer, the user has stopped it, and everybody waits.
    pub fn is_hopeless(&mut self, now: Time) -> bool {
        if now < self.until {
            return false;
        }
        let waits_for_user = self.attempts.iter().any(|attempt| {
            attempt.is_up && self.candidates[attempt.candidate].node == NodeId::CONTROL
        });
        if waits_for_user {
            self.until = now + ATTEMPT_DELAY;
        }
        !waits_for_user
    }

    /// When there is something to do.
    pub fn deadline(&self) -> Time {
        self.next_at.min(self.until)
    }

    /// An attempt has this link. False when it is not one of this search.
    pub fn connecting(&mut self, number: u64, link: LinkId, now: Time) -> bool {
        let attempt = self.attempts.iter_mut().find(|attempt| attempt.number == number);
        attempt.map(|attempt| attempt.link = Some(Link::new(link, now))).is_some()
    }

    /// Whether a link is that of an attempt.
    pub fn has(&self, link: LinkId) -> bool {
        self.position(link).is_some()
    }

    /// An attempt has come through: the candidate is told who asks.
    pub fn up(&mut self, link: LinkId, hello: &[u8]) {
        if let Some(at) = self.position(link)
            && let Attempt { link: Some(link), is_up, .. } = &mut self.attempts[at]
        {
            *is_up = true;
            link.send_control(Merge::Never, &Message::neighbour(Kind::Hello, hello));
        }
    }

    /// An attempt has failed, and the next one need not wait.
    pub fn down(&mut self, now: Time, link: LinkId) {
        if let Some(at) = self.position(link) {
            self.attempts.remove(at);
            if !self.attempts.iter().any(|attempt| attempt.is_up) && self.next > 0 {
                self.next_at = now;
            }
        }
    }

    /// Takes in what an ancestor answers.
    pub fn receive(&mut self, now: Time, link: LinkId, frame: &[u8]) -> Answer {
        let Some(at) = self.position(link) else { return Answer::None };
        let Attempt { candidate, link: Some(link), .. } = &mut self.attempts[at] else {
            return Answer::None;
        };
        let ancestor = self.candidates[*candidate].node;
        read_answer(ancestor, link, now, frame).unwrap_or(Answer::Refused)
    }

    /// Ends the search with one who was asked; the others are hung up on.
    pub fn choose(mut self, link: LinkId, out: &mut Vec<Output>) -> Option<(Ancestor, Link)> {
        let chosen = self.attempts.swap_remove(self.position(link)?);
        let ancestor = self.candidates.swap_remove(chosen.candidate);
        self.end(out);
        Some((ancestor, chosen.link?))
    }

    /// Ends the search with nobody.
    pub fn end(self, out: &mut Vec<Output>) {
        let links = self.attempts.iter().filter_map(|attempt| attempt.link.as_ref());
        out.extend(links.map(|link| Output::Close(link.id())));
    }

    /// Sends what waits for those who are asked.
    pub fn flush(&mut self, now: Time, out: &mut Vec<Output>) {
        for attempt in &mut self.attempts {
            if let Some(link) = attempt.link.as_mut().filter(|_| attempt.is_up) {
                link.flush(now, true, out);
            }
        }
    }

    fn position(&self, link: LinkId) -> Option<usize> {
        self.attempts
            .iter()
            .position(|attempt| attempt.link.as_ref().is_some_and(|own| own.id() == link))
    }
}

/// Reads what comes from the one that is asked.
fn read_answer(
    ancestor: NodeId,
    link: &mut Link,
    now: Time,
    frame: &[u8],
) -> Result<Answer, Malformed> {
    let mut answer = Answer::None;
    for message in link.receive(now, frame)? {
        let message = message?;
        // What has changed in the meantime is said at once: the last welcome counts.
        let read = Some(message).filter(|message| message.kind == Kind::Welcome);
        let read = read.and_then(|message| message.decode::<Welcome>());
        answer = match read.filter(|welcome| welcome.parent == ancestor) {
            Some(welcome) => Answer::Welcome(welcome),
            None if message.kind == Kind::Shutdown => return Ok(Answer::Shutdown),
            None => return Ok(Answer::Refused),
        };
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;
    use crate::{Address, ProcessId};

    const NOW: Time = Time::ZERO;

    fn ancestors(nodes: &[u32]) -> Vec<Ancestor> {
        let ancestor = |id: &u32| {
            let node = NodeId::compute(*id).unwrap();
            Ancestor { node, address: Address(id.to_string()), machine: Machine::default() }
        };
        nodes.iter().map(ancestor).collect()
    }

    /// Who was asked: the numbers of the attempts, and the addresses.
    fn asked(out: &[Output]) -> Vec<(u64, &str)> {
        let asked = out.iter().map(|output| match output {
            Output::Connect(number, address) => (*number, address.0.as_str()),
            other => panic!("{other:?}"),
        });
        asked.collect()
    }

    fn welcome_by(node: u32) -> Vec<u8> {
        let parent = NodeId::compute(node).unwrap();
        let welcome = Welcome {
            parent,
            process: ProcessId::of(1),
            address: None,
            depth: 1,
            ancestors: Vec::new(),
        };
        frame(&Message::neighbour(Kind::Welcome, &wire::body(&welcome)))
    }

    fn frame(message: &Message<'_>) -> Vec<u8> {
        let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
        message.encode(&mut frame);
        frame
    }

    #[test]
    fn the_next_is_asked_after_a_delay_or_at_once_when_one_has_failed() {
        let mut search = ParentSearch::new(NOW, ancestors(&[3, 2, 1]), Machine::default());
        let (mut numbers, mut out) = (AttemptNumbers::default(), Vec::new());
        search.ask_if_due(NOW, &mut numbers, &mut out);
        assert_eq!((asked(&out), search.deadline()), (vec![(1, "3")], NOW + ATTEMPT_DELAY));
        search.ask_if_due(NOW + ATTEMPT_DELAY, &mut numbers, &mut out);
        assert_eq!(asked(&out), [(1, "3"), (2, "2")]);
        assert!(search.connecting(2, LinkId(7), NOW) && !search.connecting(9, LinkId(8), NOW));
        search.down(NOW + ATTEMPT_DELAY, LinkId(7));
        search.ask_if_due(NOW + ATTEMPT_DELAY, &mut numbers, &mut out);
        assert_eq!(asked(&out), [(1, "3"), (2, "2"), (3, "1")]);
    }

    #[test]
    fn the_first_that_answers_is_chosen_and_the_others_are_hung_up_on() {
        let mut search = ParentSearch::new(NOW, ancestors(&[3, 2]), Machine::default());
        let (mut numbers, mut out) = (AttemptNumbers::default(), Vec::new());
        for (number, link) in [(1, LinkId(6)), (2, LinkId(7))] {
            let now = NOW + ATTEMPT_DELAY * u32::try_from(number).unwrap();
            search.ask_if_due(now, &mut numbers, &mut out);
            assert!(search.connecting(number, link, now));
            search.up(link, b"hello");
        }
        assert_eq!(search.receive(NOW, LinkId(6), &frame_of_nothing()), Answer::None);
        assert!(matches!(search.receive(NOW, LinkId(7), &welcome_by(2)), Answer::Welcome(_)));
        let mut out = Vec::new();
        let (ancestor, link) = search.choose(LinkId(7), &mut out).unwrap();
        assert_eq!((ancestor.node, link.id()), (NodeId::compute(2).unwrap(), LinkId(7)));
        assert_eq!(out, [Output::Close(LinkId(6))]);
    }

    #[test]
    fn those_on_the_same_machine_are_asked_first_and_others_are_waited_for_longer() {
        let mut candidates = ancestors(&[4, 3, 2, 1]);
        for far in [0, 2] {
            candidates[far].machine = Machine(7);
        }
        let mut search = ParentSearch::new(NOW, candidates, Machine::default());
        let (mut numbers, mut out) = (AttemptNumbers::default(), Vec::new());
        for step in 0..4 {
            search.ask_if_due(NOW + step * ATTEMPT_DELAY, &mut numbers, &mut out);
        }
        assert_eq!(asked(&out), [(1, "3"), (2, "1"), (3, "4"), (4, "2")]);
        assert!(!search.is_hopeless(NOW + GIVE_UP_AFTER));
        assert!(search.is_hopeless(NOW + GIVE_UP_AFTER_FAR));
    }

    fn frame_of_nothing() -> Vec<u8> {
        vec![0; wire::FRAME_HEADER_BYTES]
    }

    #[test]
    fn whatever_is_no_welcome_by_the_one_that_was_asked_is_a_refusal() {
        let shutdown = frame(&Message::neighbour(Kind::Shutdown, &[]));
        let beat = frame(&Message::neighbour(Kind::Beat, &[]));
        for (frame, answer) in [
            (welcome_by(5), Answer::Refused),
            (beat, Answer::Refused),
            (vec![9], Answer::Refused),
            (shutdown, Answer::Shutdown),
        ] {
            let mut search = ParentSearch::new(NOW, ancestors(&[3]), Machine::default());
            search.ask_if_due(NOW, &mut AttemptNumbers::default(), &mut Vec::new());
            search.connecting(1, LinkId(6), NOW);
            search.up(LinkId(6), b"hello");
            assert_eq!(search.receive(NOW, LinkId(6), &frame), answer);
        }
    }

    #[test]
    fn a_search_is_given_up_unless_the_control_node_is_there_and_waits() {
        for (node, is_hopeless) in [(3, true), (0, false)] {
            let ancestor = Ancestor {
                node: NodeId::CONTROL,
                address: Address(String::new()),
                machine: Machine::default(),
            };
            let candidates = if node == 0 { vec![ancestor] } else { ancestors(&[node]) };
            let mut search = ParentSearch::new(NOW, candidates, Machine::default());
            search.ask_if_due(NOW, &mut AttemptNumbers::default(), &mut Vec::new());
            search.connecting(1, LinkId(6), NOW);
            search.up(LinkId(6), b"hello");
            let late = NOW + GIVE_UP_AFTER;
            assert!(!search.is_hopeless(NOW));
            assert_eq!(search.is_hopeless(late), is_hopeless);
        }
    }
}
