//! One connection to a neighbour: what waits to leave, what is unacknowledged, what is pending, and
//! whether the neighbour shows signs of life.

mod acks;
mod control_queue;
pub(crate) mod distance;
mod in_flight;
mod outbox;
mod pulse;
mod suspicion;

use std::time::Duration;

use rustc_hash::FxHashMap;

use acks::OwedAcks;
use in_flight::InFlight;
use outbox::{Outbox, empty_frame};
use pulse::Pulse;

use crate::time::earliest;
use crate::wire::{self, Fan, Kind, Malformed, Message, Messages};
use crate::{Inspection, Life, LinkId, Output, RequestId, Time};

#[cfg(test)]
pub(crate) use acks::{ACK_BYTES, ACK_FRAMES};
pub(crate) use control_queue::Merge;
#[cfg(test)]
pub(crate) use in_flight::{
    CREDIT_BYTES, CREDIT_BYTES_CONTROL, CREDIT_FRAMES, CREDIT_FRAMES_CONTROL,
};

/// A link, as one of its two ends sees it.
#[derive(Debug)]
pub(crate) struct Link {
    id: LinkId,
    outbox: Outbox,
    in_flight: InFlight,
    acks: OwedAcks,
    /// The requests that went out on this link and are not answered, with their targets. Bounded by
    /// the control node's windows.
    pending: FxHashMap<RequestId, Life>,
    pulse: Pulse,
}

impl Link {
    pub fn new(id: LinkId, now: Time) -> Link {
        Link {
            id,
            outbox: Outbox::default(),
            in_flight: InFlight::default(),
            acks: OwedAcks::default(),
            pending: FxHashMap::default(),
            pulse: Pulse::new(now),
        }
    }

    pub fn id(&self) -> LinkId {
        self.id
    }

    /// How many bytes of data wait to leave.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.data_bytes()
    }

    /// How many bytes wait to leave, of data and of control messages.
    pub fn waiting_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Queues data, in pieces when it is long. It leaves when the link has credit.
    pub fn send(&mut self, message: &Message<'_>) {
        self.outbox.push(message);
    }

    /// Queues data ahead of all that waits: what the peer must hear first on this link, or first
    /// after a hello, whatever was queued meanwhile. Never long.
    pub fn send_first(&mut self, message: &Message<'_>) {
        self.outbox.push_first(message);
    }

    /// Queues one request for each of several nodes, as one message. Those for whom something
    /// waits in pieces go behind that, each by itself.
    pub fn send_fan(&mut self, fan: Fan<'_>) {
        self.outbox.push_fan(fan);
    }

    /// Queues a message between neighbours or about the tree. It needs no credit for data.
    pub fn send_control(&mut self, merge: Merge, message: &Message<'_>) {
        self.outbox.push_control(merge, message);
    }

    /// Remembers that an answer to `request` must come back on this link.
    pub fn expect_answer(&mut self, request: RequestId, from: Life) {
        self.pending.insert(request, from);
    }

    /// Whether an answer to `request` is still to come back on this link.
    pub fn is_pending(&self, request: RequestId) -> bool {
        self.pending.contains_key(&request)
    }

    /// Whose answer to `request` is still to come back on this link.
    pub fn awaited_from(&self, request: RequestId) -> Option<Life> {
        self.pending.get(&request).copied()
    }

    /// Forgets a request that has been answered; says whether it was pending.
    pub fn answered(&mut self, request: RequestId) -> bool {
        self.pending.remove(&request).is_some()
    }

    /// Takes the pending requests to these lives, in ascending order.
    pub fn take_pending(&mut self, is_to: impl Fn(Life) -> bool) -> Vec<(RequestId, Life)> {
        let pending = self.pending.extract_if(|_, life| is_to(*life));
        let mut pending: Vec<_> = pending.collect();
        pending.sort_unstable();
        pending
    }

    /// Receives a frame: its acknowledgement is noted, its messages are the caller's.
    pub fn receive<'f>(&mut self, now: Time, frame: &'f [u8]) -> Result<Messages<'f>, Malformed> {
        let (ack, messages) = wire::open(frame)?;
        self.in_flight.acknowledge(ack)?;
        self.pulse.heard(now);
        if !messages.is_empty() {
            self.acks.receive(frame.len())?;
        }
        Ok(messages)
    }

    /// Sends what waits, as far as credit goes. With `acknowledge` unset the peer gets no new
    /// credit: what came from it has not found its way on.
    pub fn flush(&mut self, now: Time, acknowledge: bool, out: &mut Vec<Output>) {
        while let Some(frame) = self.outbox.pop(&self.in_flight) {
            self.in_flight.sent(frame.len());
            self.emit(now, frame, acknowledge, out);
        }
        if acknowledge && self.acks.are_due() {
            self.emit(now, empty_frame(0), acknowledge, out);
        }
    }

    fn emit(&mut self, now: Time, mut frame: Vec<u8>, acknowledge: bool, out: &mut Vec<Output>) {
        self.acks.stamp(&mut frame, acknowledge);
        self.pulse.sent(now);
        out.push(Output::Send(self.id, frame));
    }

    /// Sends a beat whenever nothing else has been sent for `every`. Starts its clock anew.
    pub fn beat_every(&mut self, every: Option<Duration>, now: Time) {
        self.pulse.beat_every(every, now);
    }

    /// Considers the peer silent when nothing has come from it for `after`. Starts its clock anew.
    pub fn silent_after(&mut self, after: Option<Duration>, now: Time) {
        self.pulse.silent_after(after, now);
    }

    /// When [`Link::beat_if_due`] or [`Link::inspect_if_due`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        // A beat waits for what must leave before it.
        let can_beat = self.outbox.is_open_for_beats(&self.in_flight);
        earliest(self.pulse.beat_at().filter(|_| can_beat), self.pulse.inspect_at())
    }

    /// Queues a beat when it is time for one, and says whether it did.
    pub fn beat_if_due(&mut self, now: Time) -> bool {
        let is_due = self.pulse.beat_at().is_some_and(|beat| now >= beat);
        if is_due {
            self.beat();
        }
        is_due
    }

    /// Queues a beat, if the peer expects any.
    pub fn beat(&mut self) {
        if self.pulse.has_beats() {
            self.send_control(Merge::Beat, &Message::neighbour(Kind::Beat, &[]));
        }
    }

    /// Whether it is time to look at the peer's process, since nothing has come from it for too
    /// long. [`Link::judge`] must follow, and nothing more is due before.
    pub fn inspect_if_due(&mut self, now: Time) -> bool {
        self.pulse.inspect_if_due(now)
    }

    /// Whether the peer, of whose process this was seen, has just turned out to be silent; true
    /// once for each silence. One that is kept from running has a respite.
    pub fn judge(&mut self, now: Time, seen: Inspection) -> bool {
        self.pulse.judge(now, seen)
    }

    /// Whether the peer is considered silent.
    pub fn is_silent(&self) -> bool {
        self.pulse.is_silent()
    }

    /// Whether the peer was considered silent until now; true once for each silence. To be called
    /// when something came from it.
    pub fn broke_silence(&mut self) -> bool {
        self.pulse.broke_silence()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FRAME_HEADER_BYTES, HEADER_BYTES, PIECE_BYTES_MAX};
    use crate::{FRAME_BYTES_MAX, Incarnation, NodeId};

    const NOW: Time = Time::ZERO;

    fn life(id: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
    }

    fn exec(to: u32, request: u64, body: &[u8]) -> Message<'_> {
        Message::new(Kind::Exec, life(to), RequestId(request), body)
    }

    fn flush(link: &mut Link) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        link.flush(NOW, true, &mut out);
        out.into_iter()
            .map(|output| match output {
                Output::Send(_, frame) => frame,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// Moves frames both ways until nothing moves, and says which requests arrived whole, with the
    /// length of their bodies.
    fn exchange(from: &mut Link, to: &mut Link) -> Vec<(u64, usize)> {
        let (mut arrived, mut open) = (Vec::new(), FxHashMap::default());
        loop {
            let frames = flush(from);
            for frame in &frames {
                assert!(frame.len() <= FRAME_BYTES_MAX);
                for message in to.receive(NOW, frame).unwrap() {
                    let message = message.unwrap();
                    let request = message.request.0;
                    assert_eq!(message.flags.is_first(), !open.contains_key(&request));
                    *open.entry(request).or_insert(0) += message.body.len();
                    if message.flags.is_last() {
                        arrived.push((request, open.remove(&request).unwrap()));
                    }
                }
            }
            let acks = flush(to);
            for ack in &acks {
                assert!(from.receive(NOW, ack).unwrap().is_empty());
            }
            if frames.is_empty() && acks.is_empty() {
                assert!(open.is_empty());
                return arrived;
            }
        }
    }

    fn pair() -> (Link, Link) {
        (Link::new(LinkId(1), NOW), Link::new(LinkId(2), NOW))
    }

    #[test]
    fn one_turn_leaves_in_one_frame() {
        let (mut link, mut peer) = pair();
        for request in 0..100 {
            link.send(&exec(1, request, b"time"));
        }
        assert_eq!(link.queued_bytes(), FRAME_HEADER_BYTES + 100 * (HEADER_BYTES + 4));
        let frames = flush(&mut link);
        assert_eq!(frames.len(), 1);
        assert_eq!(peer.receive(NOW, &frames[0]).unwrap().count(), 100);
        assert_eq!(link.queued_bytes(), 0);
    }

    #[test]
    fn nothing_leaves_beyond_the_credit() {
        let mut link = Link::new(LinkId(1), NOW);
        let mut frames = 0;
        for request in 0..1_000 {
            link.send(&exec(1, request, b"x"));
            frames += flush(&mut link).len();
        }
        assert_eq!(frames, CREDIT_FRAMES);

        let mut link = Link::new(LinkId(1), NOW);
        for request in 0..100 {
            link.send(&exec(1, request, &[0; 10_000]));
        }
        let bytes: usize = flush(&mut link).iter().map(Vec::len).sum();
        assert!(bytes <= CREDIT_BYTES && bytes > CREDIT_BYTES - FRAME_BYTES_MAX, "{bytes}");
    }

    #[test]
    fn acknowledgements_bring_everything_across() {
        let (mut link, mut peer) = pair();
        for request in 0..5_000 {
            link.send(&exec(1, request, &[0; 200]));
        }
        let arrived = exchange(&mut link, &mut peer);
        assert_eq!(arrived, (0..5_000).map(|request| (request, 200)).collect::<Vec<_>>());
        assert_eq!((link.queued_bytes(), link.in_flight.has_credit(1)), (0, true));
    }

    #[test]
    fn a_peer_that_withholds_acknowledgements_stops_the_sender() {
        let (mut link, mut peer) = pair();
        for request in 0..1_000 {
            link.send(&exec(1, request, &[0; 1_000]));
        }
        let mut answers = Vec::new();
        for frame in flush(&mut link) {
            peer.receive(NOW, &frame).unwrap();
            peer.flush(NOW, false, &mut answers);
        }
        assert_eq!(answers, []);
        assert!(flush(&mut link).is_empty(), "there is no credit left");

        for ack in flush(&mut peer) {
            link.receive(NOW, &ack).unwrap();
        }
        assert!(!flush(&mut link).is_empty());
    }

    /// It would fill the memory of a node that can't pass on as fast as it sends.
    #[test]
    fn a_peer_that_sends_more_than_it_has_credit_for_is_malformed() {
        for (bytes, fit) in [(0, CREDIT_FRAMES_CONTROL), (10_000, 13)] {
            let body = vec![0; bytes];
            let mut frame = empty_frame(0);
            exec(1, 1, &body).encode(&mut frame);
            let mut link = Link::new(LinkId(1), NOW);
            let taken_in = (0..).take_while(|_| link.receive(NOW, &frame).is_ok()).count();
            assert_eq!(taken_in, fit);

            let mut link = Link::new(LinkId(1), NOW);
            for _ in 0..1_000 {
                link.receive(NOW, &frame).unwrap();
                link.flush(NOW, true, &mut Vec::new());
            }
        }
    }

    #[test]
    fn what_waits_is_counted_whatever_it_is() {
        let mut link = Link::new(LinkId(1), NOW);
        let message = |body| Message::neighbour(Kind::Welcome, body);
        link.send_control(Merge::Never, &message(b"1234"));
        link.send_control(Merge::Place, &message(b"12"));
        link.send_control(Merge::Place, &message(b"1"));
        assert_eq!(link.waiting_bytes(), 2 * HEADER_BYTES + 5);
        link.send(&exec(1, 1, b"1"));
        assert_eq!(link.waiting_bytes(), link.queued_bytes() + 2 * HEADER_BYTES + 5);
        flush(&mut link);
        assert_eq!(link.waiting_bytes(), 0);
    }

    #[test]
    fn long_messages_share_the_link_with_others_and_keep_their_order() {
        let (mut link, mut peer) = pair();
        link.send(&exec(1, 1, &[0; 1_000_000]));
        link.send(&exec(1, 2, b"behind the long one"));
        link.send(&exec(2, 3, &[0; 500_000]));
        link.send(&exec(3, 4, b"to someone else"));
        let arrived = exchange(&mut link, &mut peer);
        let order: Vec<_> = arrived.iter().map(|(request, _)| *request).collect();
        assert_eq!(order, [4, 3, 1, 2]);
        assert_eq!(arrived[2], (1, 1_000_000));
    }

    #[test]
    fn a_long_message_does_not_overtake_an_earlier_one_to_its_life() {
        let (mut link, mut peer) = pair();
        for request in 0..90 {
            link.send(&exec(2, request, &[0; 1_000]));
        }
        link.send(&exec(1, 100, b"earlier"));
        link.send(&exec(1, 101, &[0; 20_000]));
        link.send(&exec(1, 102, b"later"));
        let arrived = exchange(&mut link, &mut peer);
        let order: Vec<_> = arrived.iter().map(|(request, _)| *request).collect();
        assert_eq!(order, (0..90).chain([100, 101, 102]).collect::<Vec<_>>());
    }

    fn fan<'a>(parts: &[(Life, RequestId)], body: &'a [u8]) -> Fan<'a> {
        let allowance = wire::Allowance::Large;
        Fan { kind: Kind::Exec, allowance, has_terms: false, parts: parts.to_vec(), body }
    }

    #[test]
    fn a_fan_is_one_message_and_overtakes_nothing_that_goes_to_its_nodes() {
        let (mut link, mut peer) = pair();
        let parts = [1, 2, 3].map(|id| (life(id), RequestId(id.into()))).to_vec();
        link.send_fan(fan(&parts, b"time"));
        link.send(&exec(2, 10, &[0; 100_000]));
        link.send_fan(fan(&parts, b"stop"));
        let mut order = Vec::new();
        loop {
            let frames = flush(&mut link);
            for message in frames.iter().flat_map(|frame| peer.receive(NOW, frame).unwrap()) {
                let message = message.unwrap();
                match Fan::decode(&message).filter(|_| message.kind == Kind::Fan) {
                    Some(fan) => order.push((fan.parts.len(), fan.body.len())),
                    None if message.flags.is_last() => order.push((1, message.body.len())),
                    None => {}
                }
            }
            for ack in flush(&mut peer) {
                link.receive(NOW, &ack).unwrap();
            }
            if frames.is_empty() {
                break;
            }
        }
        assert_eq!(order, [(3, 4), (2, 4), (1, 100_000 % PIECE_BYTES_MAX), (1, 4)]);
    }

    /// Whatever was queued before, and however it was sent.
    #[test]
    fn what_must_be_first_is_first() {
        let (mut link, mut peer) = pair();
        link.send(&exec(2, 1, &[0; 40_000]));
        link.send(&exec(1, 2, b"data"));
        link.send_control(Merge::Beat, &Message::neighbour(Kind::Beat, &[]));
        link.send_first(&Message::neighbour(Kind::Settled, b"first"));
        let frames = flush(&mut link);
        let messages = frames.iter().flat_map(|frame| peer.receive(NOW, frame).unwrap());
        let kinds: Vec<_> = messages.map(|message| message.unwrap().kind).collect();
        assert_eq!(kinds[0], Kind::Settled);
        assert_eq!(kinds.len(), 1 + 1 + 1 + 3);
    }

    #[test]
    fn answers_need_not_wait_for_a_long_one_of_the_same_life() {
        let (mut link, mut peer) = pair();
        let long = vec![0; 100_000];
        link.send(&Message::answer(life(1), RequestId(1), wire::Status::Ok, &long));
        link.send(&Message::answer(life(1), RequestId(2), wire::Status::Ok, b"short"));
        assert_eq!(exchange(&mut link, &mut peer), [(2, 5), (1, 100_000)]);
    }

    #[test]
    fn control_messages_pass_waiting_data_but_are_bounded_too() {
        let mut link = Link::new(LinkId(1), NOW);
        for request in 0..200 {
            link.send(&exec(1, request, &[0; 10_000]));
        }
        let data_frames = flush(&mut link).len();
        let mut control_frames = 0;
        for _ in 0..1_000 {
            link.send_control(Merge::Beat, &Message::neighbour(Kind::Beat, &[]));
            control_frames += flush(&mut link).len();
        }
        assert!(control_frames > 100);
        assert_eq!(data_frames + control_frames, CREDIT_FRAMES_CONTROL);
        let control_bytes = link.waiting_bytes() - link.queued_bytes();
        assert_eq!(control_bytes, HEADER_BYTES, "those that wait are merged");
    }

    #[test]
    fn control_messages_are_bounded_in_bytes_whether_alone_or_beside_data() {
        for data in [0, 100] {
            let mut link = Link::new(LinkId(1), NOW);
            for request in 0..data {
                link.send(&exec(1, request, &[0; 10_000]));
            }
            let lives = [0; 10_000];
            for request in 0..100 {
                let message = Message::new(Kind::Forget, life(1), RequestId(request), &lives);
                link.send_control(Merge::Never, &message);
            }
            let frames = flush(&mut link);
            assert!(frames.iter().all(|frame| frame.len() > FRAME_HEADER_BYTES));
            let bytes: usize = frames.iter().map(Vec::len).sum();
            let expected = CREDIT_BYTES_CONTROL - FRAME_BYTES_MAX..=CREDIT_BYTES_CONTROL;
            assert!(expected.contains(&bytes), "{bytes}");

            let mut peer = Link::new(LinkId(2), NOW);
            for frame in &frames {
                peer.receive(NOW, frame).unwrap();
            }
            for ack in flush(&mut peer) {
                link.receive(NOW, &ack).unwrap();
            }
            assert!(!flush(&mut link).is_empty(), "what waits leaves with new credit");
        }
    }

    #[test]
    fn a_beat_leaves_when_nothing_else_has() {
        let (mut link, every) = (Link::new(LinkId(1), NOW), Duration::from_millis(10));
        link.beat_every(Some(every), NOW);
        link.beat_if_due(NOW + every / 2);
        assert!(flush(&mut link).is_empty());
        link.beat_if_due(NOW + every);
        assert_eq!(flush(&mut link).len(), 1);
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_is_malformed() {
        let mut link = Link::new(LinkId(1), NOW);
        assert_eq!(
            link.receive(NOW, &9u32.to_le_bytes()).err().map(|Malformed(what)| what),
            Some("an acknowledgement of what was never sent")
        );
    }

    /// Its node would spin.
    #[test]
    fn a_beat_that_waits_for_a_long_message_without_credit_is_no_deadline() {
        let mut link = Link::new(LinkId(1), NOW);
        link.beat_every(Some(Duration::from_millis(100)), NOW);
        let body = vec![0; PIECE_BYTES_MAX];
        for _ in 0..=CREDIT_BYTES_CONTROL / PIECE_BYTES_MAX {
            link.send_control(Merge::Never, &Message::neighbour(Kind::Below, &body));
        }
        flush(&mut link);
        let later = NOW + Duration::from_millis(100);
        assert!(link.beat_if_due(later));
        let mut out = Vec::new();
        link.flush(later, true, &mut out);
        assert_eq!((out, link.deadline()), (Vec::new(), None));
    }
}
