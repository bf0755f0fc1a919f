//! How a compute node answers: at once, as far as the answer may come unasked, or else when the
//! control node takes it.

use rustc_hash::FxHashMap;

use super::offers::Offers;
use super::parent::Parent;
use crate::memory;
use crate::modules::Held;
use crate::wire::{self, Allowance, DETAILED_BYTES_MAX, Detailed, Flags, Kind, Message, Status};
use crate::{Failure, Life, RequestId, Time, VALUE_BYTES_MAX};

/// What the answer to a command is when there is no memory for it.
pub(super) const OUT_OF_MEMORY: &str =
    "out of memory: the node has none for a command or an answer of this length";

/// What the answer to a command is for which nobody waits any more.
pub(super) const CANCELLED: &str = "cancelled";

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub outcome: Result<String, Failure>,
    /// The output that comes with it.
    pub held: Option<Held>,
}

impl From<Result<String, Failure>> for Answer {
    fn from(outcome: Result<String, Failure>) -> Answer {
        Answer { outcome, held: None }
    }
}

impl Answer {
    /// How many bytes there are of it.
    pub fn bytes(&self) -> usize {
        let text = match &self.outcome {
            Ok(result) => result,
            Err(Failure { text, .. }) => text,
        };
        text.len() + self.held.iter().flat_map(|held| &held.streams).map(Vec::len).sum::<usize>()
    }

    /// As it travels when it may be one with those of other nodes: the command, and the value. None when it
    /// is too long for that.
    pub fn reduce(&self) -> Option<(RequestId, Vec<u8>)> {
        let Held { command, streams: [out, err] } = self.held.as_ref()?;
        let (status, text, exit) = match &self.outcome {
            Ok(result) => (Status::Ok, result, None),
            Err(Failure { text, exit }) => (Status::Failed, text, *exit),
        };
        let detailed = Detailed { text: text.as_bytes(), exit, out, err };
        (detailed.bytes() <= DETAILED_BYTES_MAX).then(|| (*command, detailed.value(status)))
    }

    /// As it travels by itself.
    fn encode(self) -> (Flags, Vec<u8>) {
        let (status, text, exit) = match self.outcome {
            Ok(result) if result.len() > VALUE_BYTES_MAX => {
                (Status::Failed, format!("the answer is longer than {VALUE_BYTES_MAX} bytes"), None)
            }
            Ok(result) => (Status::Ok, result, None),
            Err(Failure { text, exit }) => (Status::Failed, text, exit),
        };
        let flags = Flags::new(status);
        if self.held.is_none() && exit.is_none() {
            return (flags, text.into_bytes());
        }
        let [out, err] = self.held.map(|held| held.streams).unwrap_or_default();
        (flags.detailed(), Detailed { text: text.as_bytes(), exit, out: &out, err: &err }.encode())
    }
}

/// The answers of one node that are still to come, or to be taken.
#[derive(Debug)]
pub(super) struct Answers {
    /// Whose they are.
    own: Life,
    /// What calls that are answered later may answer unasked, when that is not
    /// [`Allowance::Large`]. Bounded by the control node's window.
    allowances: FxHashMap<RequestId, Allowance>,
    offers: Offers,
}

impl Answers {
    pub fn new(own: Life) -> Answers {
        Answers { own, allowances: FxHashMap::default(), offers: Offers::default() }
    }

    /// A call is answered later.
    pub fn expect(&mut self, call: RequestId, allowance: Allowance) {
        match allowance {
            Allowance::Large => self.allowances.remove(&call),
            _ => self.allowances.insert(call, allowance),
        };
    }

    /// What the answer to a call that was answered later may have unasked. It is answered now.
    pub fn take_allowance(&mut self, call: RequestId) -> Allowance {
        self.allowances.remove(&call).unwrap_or(Allowance::Large)
    }

    /// Sends an answer, or offers it when it is too long to come unasked.
    pub fn send(
        &mut self,
        now: Time,
        id: RequestId,
        allowance: Allowance,
        answer: Answer,
        parent: &mut Parent,
    ) {
        let (flags, body) = answer.encode();
        if body.len() <= allowance.bytes() || !parent.is_up() {
            return parent.send(&self.answer(id, flags, &body));
        }
        let bytes = body.len();
        self.offers.add(now, id, flags, body);
        self.offer(id, bytes, parent);
    }

    fn answer<'b>(&self, id: RequestId, flags: Flags, body: &'b [u8]) -> Message<'b> {
        Message { flags, ..Message::answer(self.own, id, Status::Ok, body) }
    }

    fn offer(&self, id: RequestId, bytes: usize, parent: &mut Parent) {
        let bytes = wire::body(&(bytes as u64));
        parent.send(&Message::new(Kind::Offer, self.own, id, &bytes));
    }

    /// Sends an answer that was offered, or another one in its place when nobody wants it any more:
    /// everyone on the way waits for one.
    pub fn give(&mut self, now: Time, take: &Message<'_>, parent: &mut Parent) {
        let id = take.request;
        let Some((flags, body)) = self.offers.take(now, id) else { return };
        let failed = Flags::new(Status::Failed);
        let answer = match take.decode() {
            Some(true) if memory::has_room_for(body.len()) => self.answer(id, flags, &body),
            Some(true) => self.answer(id, failed, OUT_OF_MEMORY.as_bytes()),
            _ => self.answer(id, failed, b"the answer was not taken"),
        };
        parent.send(&answer);
    }

    /// How many bytes wait to be taken.
    pub fn offered_bytes(&self) -> usize {
        self.offers.bytes()
    }

    /// Has all that is offered offered again as soon as may be.
    pub fn offer_again(&mut self, now: Time) {
        self.offers.offer_again(now);
    }

    /// Throws away what is offered: the route is gone by which it was asked for.
    pub fn forget_offers(&mut self) {
        self.offers.clear();
    }

    /// Offers again what has not been taken for long.
    pub fn timeout(&mut self, now: Time, parent: &mut Parent) {
        for (id, bytes) in self.offers.due_again(now) {
            self.offer(id, bytes, parent);
        }
    }

    /// When [`Answers::timeout`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        self.offers.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Hello;
    use crate::{
        Address, Ancestor, Incarnation, KEY_BYTES, LinkId, Machine, NodeId, Output, ProcessId,
        Secret, Seed, Token,
    };

    const NOW: Time = Time::ZERO;

    fn life() -> Life {
        Life { node: NodeId::compute(1).unwrap(), incarnation: Incarnation(1) }
    }

    fn parent() -> Parent {
        let seed = Seed::of(Secret::new(&[7; KEY_BYTES]), life());
        let (version, token) = (wire::VERSION, Token([1; 16]));
        let hello = Hello {
            version,
            token,
            life: life(),
            process: ProcessId::of(1),
            newborn: seed.proof(0),
        };
        let ancestor = Ancestor {
            node: NodeId::CONTROL,
            address: Address("above".to_owned()),
            machine: Machine::default(),
        };
        Parent::new(NOW, hello, seed, LinkId(1), ancestor, Vec::new())
    }

    /// The kinds, the status and the length of what leaves for the parent.
    fn sent(parent: &mut Parent) -> Vec<(Kind, Status, usize)> {
        let mut out = Vec::new();
        parent.flush(NOW, &mut out);
        let frames = out.iter().map(|output| match output {
            Output::Send(_, frame) => frame,
            other => panic!("{other:?}"),
        });
        let messages = frames.flat_map(|frame| wire::open(frame).unwrap().1).map(Result::unwrap);
        messages.map(|sent| (sent.kind, sent.flags.status(), sent.body.len())).collect()
    }

    #[test]
    fn a_long_answer_is_offered_and_given_when_it_is_taken() {
        for (wanted, answer) in [
            (true, (Kind::Answer, Status::Ok, 1_000)),
            (false, (Kind::Answer, Status::Failed, "the answer was not taken".len())),
        ] {
            let (mut answers, mut parent) = (Answers::new(life()), parent());
            let id = RequestId(7);
            answers.expect(id, Allowance::Small);
            let allowance = answers.take_allowance(id);
            answers.send(NOW, id, allowance, Ok("x".repeat(1_000)).into(), &mut parent);
            assert_eq!(sent(&mut parent), [(Kind::Offer, Status::Ok, 2)]);
            assert_eq!(answers.offered_bytes(), 1_000);
            let wanted = wire::body(&wanted);
            let take = Message::new(Kind::Take, life(), id, &wanted);
            answers.give(NOW, &take, &mut parent);
            answers.give(NOW, &take, &mut parent);
            assert_eq!(sent(&mut parent), [answer]);
        }
    }

    #[test]
    fn what_may_come_unasked_does() {
        let (mut answers, mut parent) = (Answers::new(life()), parent());
        answers.expect(RequestId(7), Allowance::Large);
        let allowance = answers.take_allowance(RequestId(7));
        answers.send(NOW, RequestId(7), allowance, Ok("x".repeat(1_000)).into(), &mut parent);
        let failure = Err(Failure::from("why")).into();
        answers.send(NOW, RequestId(8), Allowance::Small, failure, &mut parent);
        let expected = [(Kind::Answer, Status::Ok, 1_000), (Kind::Answer, Status::Failed, 3)];
        assert_eq!(sent(&mut parent), expected);
    }

    #[test]
    fn an_answer_that_is_too_long_for_anybody_is_a_failure() {
        let (mut answers, mut parent) = (Answers::new(life()), parent());
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        answers.send(NOW, RequestId(7), Allowance::Large, Ok(long).into(), &mut parent);
        assert!(matches!(sent(&mut parent)[..], [(Kind::Answer, Status::Failed, _)]));
    }
}
