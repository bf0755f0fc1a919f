//! One connection to a neighbour: what waits to leave, what is unacknowledged, what is pending, and
//! whether the neighbour shows signs of life.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::time::earliest;
use crate::wire::{
    self, FRAME_HEADER_BYTES, Fan, HEADER_BYTES, Kind, Malformed, Message, Messages,
    PIECE_BYTES_MAX,
};
use crate::{Activity, FRAME_BYTES_MAX, Inspection, Life, LinkId, Output, RequestId, Time};

/// How many frames may be unacknowledged before data waits. Together with the next bound it keeps
/// every library from the point where its send blocks or its queue grows.
pub(crate) const CREDIT_FRAMES: usize = 64;

/// How many bytes of frames may be unacknowledged before data waits.
pub(crate) const CREDIT_BYTES: usize = 96 * 1024;

/// How many frames, and bytes of them, may be unacknowledged before control messages wait as well.
/// They pass waiting data, and are few, since those that wait are merged.
pub(crate) const CREDIT_FRAMES_CONTROL: usize = 128;
pub(crate) const CREDIT_BYTES_CONTROL: usize = 128 * 1024;

/// After how many frames, or bytes of them, an acknowledgement leaves that found no frame to travel
/// with. A sender out of credit has at least one of them out, so it is never stuck.
pub(crate) const ACK_FRAMES: u32 = 16;
pub(crate) const ACK_BYTES: usize = 16 * 1024;

/// How much longer than others a peer has at most that is kept from running.
const RESPITE_MAX: Duration = Duration::from_secs(2);

/// How long a peer is waited for before it is looked at again; an eighth of the time after which it is
/// overdue, half a beat, when that is less. Each further look comes after as long as all before: looks
/// take time of the processor, of which there is little then.
const RESPITE_FIRST_MAX: Duration = Duration::from_millis(50);
const RESPITE_FIRST_SHARE: u32 = 8;

/// Who has run for this share of a respite has had its chance.
const RUN_SHARE: u32 = 4;

/// Which control messages replace one another while they wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// It stands for itself.
    Never,
    /// Only the newest counts.
    Beat,
    /// Only the newest counts.
    Place,
    /// Only the newest of this module counts.
    Published(String),
    /// Only the newest about this life's silence counts.
    Silence(Life),
    /// Only the newest for this request counts.
    Offer(RequestId),
}

/// Which messages keep their order: those to one life on the way down, and the pieces of one answer
/// on the way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    To(Life),
    Answer(RequestId),
}

impl Stream {
    fn of(message: &Message<'_>) -> Stream {
        match message.kind {
            Kind::Answer => Stream::Answer(message.request),
            _ => Stream::To(message.life),
        }
    }
}

/// A link, as one of its two ends sees it.
#[derive(Debug)]
pub(crate) struct Link {
    id: LinkId,
    /// Control messages that wait, encoded. Bounded: see [`Merge`]; what does not merge comes once
    /// for each node below or each request.
    control: VecDeque<(Merge, Vec<u8>)>,
    control_bytes: usize,
    /// Whole messages that wait, as the frames that they will leave in. Bounded by the control
    /// node's windows.
    frames: VecDeque<Vec<u8>>,
    /// Long messages that wait, a lane for each stream, served in turn. Bounded likewise.
    lanes: VecDeque<Lane>,
    /// How many frames were queued, and how many of them have left.
    frames_queued: u64,
    frames_sent: u64,
    queued_bytes: usize,
    /// Whether the next data frame is to be a piece of a long message.
    lane_next: bool,
    unacked: VecDeque<usize>,
    unacked_bytes: usize,
    /// How many frames of ours the peer has acknowledged, modulo 2^32.
    acked: u32,
    /// How many frames came from the peer, how many of them we have acknowledged, and the bytes of
    /// the rest.
    received: u32,
    acknowledged: u32,
    unacknowledged_bytes: usize,
    /// The requests that went out on this link and are not answered, with their targets.
    pending: FxHashMap<RequestId, Life>,
    heard: Time,
    sent: Time,
    beat_every: Option<Duration>,
    silent_after: Option<Duration>,
    suspicion: Suspicion,
    silent: bool,
}

/// What keeps a peer from being held for silent, of which nothing has come for too long: that it may
/// have been kept from running.
#[derive(Clone, Copy, Debug, Default)]
struct Suspicion {
    /// Its process is being looked at.
    is_inspected: bool,
    /// How much longer it has than others.
    respite: Duration,
    /// What was seen first.
    first: Option<Inspection>,
}

/// A long message in pieces, and what must not overtake it.
#[derive(Debug)]
struct Lane {
    stream: Stream,
    /// How many frames are to leave before it, since they may hold earlier messages of its stream.
    frames_before: u64,
    messages: VecDeque<Vec<u8>>,
}

impl Link {
    pub fn new(id: LinkId, now: Time) -> Link {
        Link {
            id,
            control: VecDeque::new(),
            control_bytes: 0,
            frames: VecDeque::new(),
            lanes: VecDeque::new(),
            frames_queued: 0,
            frames_sent: 0,
            queued_bytes: 0,
            lane_next: false,
            unacked: VecDeque::new(),
            unacked_bytes: 0,
            acked: 0,
            received: 0,
            acknowledged: 0,
            unacknowledged_bytes: 0,
            pending: FxHashMap::default(),
            heard: now,
            sent: now,
            beat_every: None,
            silent_after: None,
            suspicion: Suspicion::default(),
            silent: false,
        }
    }

    pub fn id(&self) -> LinkId {
        self.id
    }

    /// How many bytes of data wait to leave.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// How many bytes wait to leave, of data and of control messages.
    pub fn waiting_bytes(&self) -> usize {
        self.queued_bytes + self.control_bytes
    }

    /// Queues data, in pieces when it is long. It leaves when the link has credit.
    pub fn send(&mut self, message: &Message<'_>) {
        if message.body.len() <= PIECE_BYTES_MAX {
            return self.queue(message);
        }
        let pieces = message.body.chunks(PIECE_BYTES_MAX);
        let last = pieces.len() - 1;
        for (index, body) in pieces.enumerate() {
            let flags = message.flags.piece(index == 0, index == last);
            self.queue(&Message { flags, body, ..*message });
        }
    }

    /// Queues data ahead of all that waits: what the peer must hear first on this link, or first after
    /// a hello, whatever was queued meanwhile. Never long.
    pub fn send_first(&mut self, message: &Message<'_>) {
        let mut frame = empty_frame(message.wire_bytes());
        message.encode(&mut frame);
        self.queued_bytes += frame.len();
        self.frames.push_front(frame);
        self.frames_queued += 1;
        self.lanes.iter_mut().for_each(|lane| lane.frames_before += 1);
        self.lane_next = false;
    }

    /// Queues one request for each of several nodes, as one message. Those for whom something
    /// waits in pieces go behind that, each by itself.
    pub fn send_fan(&mut self, mut fan: Fan<'_>) {
        if !self.lanes.is_empty() {
            let parts = std::mem::take(&mut fan.parts).into_iter();
            for (life, request) in parts {
                if self.lanes.iter().any(|lane| lane.stream == Stream::To(life)) {
                    self.queue(&fan.part(life, request));
                } else {
                    fan.parts.push((life, request));
                }
            }
        }
        if !fan.parts.is_empty() {
            let body = fan.encode();
            self.queue_whole(&fan.message(&body));
        }
    }

    /// Queues a message between neighbours or about the tree. It needs no credit for data.
    pub fn send_control(&mut self, merge: Merge, message: &Message<'_>) {
        debug_assert!(message.body.len() <= PIECE_BYTES_MAX);
        let mut bytes = Vec::with_capacity(message.wire_bytes());
        message.encode(&mut bytes);
        let waiting = match merge {
            Merge::Never => None,
            _ => self.control.iter_mut().find(|(other, _)| *other == merge),
        };
        self.control_bytes += bytes.len();
        match waiting {
            Some((_, old)) => self.control_bytes -= std::mem::replace(old, bytes).len(),
            None => self.control.push_back((merge, bytes)),
        }
    }

    /// Remembers that an answer to `request` is to come back on this link.
    pub fn expect_answer(&mut self, request: RequestId, from: Life) {
        self.pending.insert(request, from);
    }

    /// Whether an answer to `request` is still to come back on this link.
    pub fn is_pending(&self, request: RequestId) -> bool {
        self.pending.contains_key(&request)
    }

    /// From whom an answer to `request` is still to come back on this link.
    pub fn awaited_from(&self, request: RequestId) -> Option<Life> {
        self.pending.get(&request).copied()
    }

    /// Forgets a request that has been answered; says whether it was pending.
    pub fn settle(&mut self, request: RequestId) -> bool {
        self.pending.remove(&request).is_some()
    }

    /// Takes the pending requests to these lives, in ascending order.
    pub fn take_pending(&mut self, is_to: impl Fn(Life) -> bool) -> Vec<(RequestId, Life)> {
        let pending = self.pending.extract_if(|_, life| is_to(*life));
        let mut pending: Vec<_> = pending.collect();
        pending.sort_unstable();
        pending
    }

    /// Takes in a frame: its acknowledgement is noted, its messages are the caller's. Whoever sends more
    /// than it has credit for does not wait until there is room, and would fill any memory.
    pub fn receive<'f>(&mut self, now: Time, frame: &'f [u8]) -> Result<Messages<'f>, Malformed> {
        let (ack, messages) = wire::open(frame)?;
        let newly = ack.wrapping_sub(self.acked) as usize;
        if newly > self.unacked.len() {
            return Err(Malformed("an acknowledgement of what was never sent"));
        }
        self.acked = ack;
        self.unacked_bytes -= self.unacked.drain(..newly).sum::<usize>();
        self.hear(now);
        if !messages.is_empty() {
            self.received = self.received.wrapping_add(1);
            self.unacknowledged_bytes += frame.len();
            let frames = self.received.wrapping_sub(self.acknowledged) as usize;
            if frames > CREDIT_FRAMES_CONTROL || self.unacknowledged_bytes > CREDIT_BYTES_CONTROL {
                return Err(Malformed("more than it has credit for"));
            }
        }
        Ok(messages)
    }

    /// Sends what waits, as far as credit goes. With `acknowledge` unset the peer gets no new
    /// credit: what came from it has not found its way on.
    pub fn flush(&mut self, now: Time, acknowledge: bool, out: &mut Vec<Output>) {
        while let Some(mut frame) = self.next_frame() {
            self.fill_with_control(&mut frame);
            self.unacked.push_back(frame.len());
            self.unacked_bytes += frame.len();
            self.emit(now, frame, acknowledge, out);
        }
        let owed = self.received.wrapping_sub(self.acknowledged);
        if acknowledge && (owed >= ACK_FRAMES || self.unacknowledged_bytes >= ACK_BYTES) {
            self.emit(now, empty_frame(0), acknowledge, out);
        }
    }

    fn emit(&mut self, now: Time, mut frame: Vec<u8>, acknowledge: bool, out: &mut Vec<Output>) {
        if acknowledge {
            self.acknowledged = self.received;
            self.unacknowledged_bytes = 0;
        }
        frame[..FRAME_HEADER_BYTES].copy_from_slice(&self.acknowledged.to_le_bytes());
        self.sent = now;
        out.push(Output::Send(self.id, frame));
    }

    /// The next frame of data that there is credit for, or an empty one when only control messages
    /// may leave.
    fn next_frame(&mut self) -> Option<Vec<u8>> {
        let lane = self.next_lane();
        let bytes = match lane {
            Some(lane) => self.lanes[lane].messages.front().map(Vec::len),
            None => self.frames.front().map(Vec::len),
        };
        match bytes {
            Some(bytes) if self.has_credit(bytes) => {
                self.lane_next = lane.is_none();
                self.queued_bytes -= bytes;
                match lane {
                    Some(lane) => self.pop_lane(lane),
                    None => {
                        self.frames_sent += 1;
                        self.frames.pop_front()
                    }
                }
            }
            _ => {
                let bytes = self.control.front().map(|(_, message)| message.len())?;
                let has_credit = self.has_control_credit(FRAME_HEADER_BYTES + bytes);
                has_credit.then(|| empty_frame(bytes))
            }
        }
    }

    /// The lane whose turn it is, if it is that of a lane.
    fn next_lane(&self) -> Option<usize> {
        if !self.lane_next && !self.frames.is_empty() {
            return None;
        }
        self.lanes.iter().position(|lane| lane.frames_before <= self.frames_sent)
    }

    fn has_credit(&self, bytes: usize) -> bool {
        self.unacked.len() < CREDIT_FRAMES && self.unacked_bytes + bytes <= CREDIT_BYTES
    }

    fn has_control_credit(&self, bytes: usize) -> bool {
        self.unacked.len() < CREDIT_FRAMES_CONTROL
            && self.unacked_bytes + bytes <= CREDIT_BYTES_CONTROL
    }

    fn pop_lane(&mut self, lane: usize) -> Option<Vec<u8>> {
        let mut lane = self.lanes.remove(lane)?;
        let frame = lane.messages.pop_front();
        if !lane.messages.is_empty() {
            self.lanes.push_back(lane);
        }
        frame
    }

    fn fill_with_control(&mut self, frame: &mut Vec<u8>) {
        while let Some((_, message)) = self.control.front()
            && frame.len() + message.len() <= FRAME_BYTES_MAX
            && self.has_control_credit(frame.len() + message.len())
        {
            frame.extend_from_slice(message);
            self.control_bytes -= message.len();
            self.control.pop_front();
        }
    }

    fn queue(&mut self, message: &Message<'_>) {
        let stream = Stream::of(message);
        let lane = match self.lanes.iter().position(|lane| lane.stream == stream) {
            Some(lane) => Some(lane),
            None if message.flags.is_whole() => None,
            None => {
                let frames_before = match stream {
                    Stream::To(_) => self.frames_queued,
                    Stream::Answer(_) => self.frames_sent,
                };
                self.lanes.push_back(Lane { stream, frames_before, messages: VecDeque::new() });
                Some(self.lanes.len() - 1)
            }
        };
        let Some(lane) = lane else { return self.queue_whole(message) };
        let mut frame = empty_frame(message.wire_bytes());
        message.encode(&mut frame);
        self.queued_bytes += frame.len();
        self.lanes[lane].messages.push_back(frame);
    }

    fn queue_whole(&mut self, message: &Message<'_>) {
        let fits = |frame: &Vec<u8>| frame.len() + message.wire_bytes() <= FRAME_BYTES_MAX;
        if !self.frames.back().is_some_and(fits) {
            self.frames.push_back(empty_frame(message.wire_bytes()));
            self.frames_queued += 1;
            self.queued_bytes += FRAME_HEADER_BYTES;
        }
        let frame = self.frames.back_mut().expect("one was pushed if there was none");
        message.encode(frame);
        self.queued_bytes += message.wire_bytes();
    }
}

/// A frame with room for its acknowledgement, and for so many bytes of messages before it grows.
fn empty_frame(message_bytes: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + message_bytes);
    frame.resize(FRAME_HEADER_BYTES, 0);
    frame
}

// A piece, its frame's header, and some control messages beside it must fit in one frame.
const _: () = assert!(FRAME_HEADER_BYTES + HEADER_BYTES + PIECE_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(CREDIT_BYTES >= 2 * FRAME_BYTES_MAX && ACK_BYTES <= FRAME_BYTES_MAX);

/// Signs of life.
impl Link {
    /// Sends a beat whenever nothing else has been sent for `every`. Starts its clock anew.
    pub fn beat_every(&mut self, every: Option<Duration>, now: Time) {
        self.beat_every = every;
        self.sent = now;
    }

    /// Holds the peer for silent when nothing has come from it for `after`. Starts its clock anew.
    pub fn silent_after(&mut self, after: Option<Duration>, now: Time) {
        self.silent_after = after;
        self.hear(now);
    }

    fn hear(&mut self, now: Time) {
        self.heard = now;
        self.suspicion = Suspicion::default();
    }

    /// When [`Link::beat_if_due`] or [`Link::inspect_if_due`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        // A beat waits for what was to leave before it.
        let next_bytes = self.control.front().map_or(HEADER_BYTES, |(_, message)| message.len());
        let can_beat = self.has_control_credit(FRAME_HEADER_BYTES + next_bytes);
        let beat = self.beat_every.filter(|_| can_beat).map(|every| self.sent + every);
        let may_be_inspected = !self.silent && !self.suspicion.is_inspected;
        earliest(beat, self.verdict_at().filter(|_| may_be_inspected))
    }

    /// When the peer is held for silent, as things stand.
    fn verdict_at(&self) -> Option<Time> {
        self.silent_after.map(|after| self.heard + after + self.suspicion.respite)
    }

    /// Queues a beat when it is time for one, and says whether it did.
    pub fn beat_if_due(&mut self, now: Time) -> bool {
        let is_due = self.beat_every.is_some_and(|every| now >= self.sent + every);
        if is_due {
            self.beat();
        }
        is_due
    }

    /// Queues a beat, if any are to be sent.
    pub fn beat(&mut self) {
        if self.beat_every.is_some() {
            self.send_control(Merge::Beat, &Message::neighbour(Kind::Beat, &[]));
        }
    }

    /// Whether it is time to look at the peer's process, since nothing has come from it for too long.
    /// [`Link::judge`] is to follow, and nothing more is due before.
    pub fn inspect_if_due(&mut self, now: Time) -> bool {
        let is_due = !self.silent && self.verdict_at().is_some_and(|verdict| now >= verdict);
        is_due && !std::mem::replace(&mut self.suspicion.is_inspected, true)
    }

    /// Whether the peer, of whose process this was seen, has just turned out to be silent; true once
    /// for each silence. One that is kept from running has a respite.
    pub fn judge(&mut self, now: Time, seen: Inspection) -> bool {
        let was_inspected = std::mem::take(&mut self.suspicion.is_inspected);
        let Some(after) = self.silent_after.filter(|_| was_inspected) else { return false };
        let respite = self.suspicion.respite;
        let first = *self.suspicion.first.get_or_insert(seen);
        let is_kept_waiting = is_kept_waiting(first.neighbour, seen.neighbour, respite)
            || is_kept_waiting(first.delivery, seen.delivery, respite);
        if !is_kept_waiting || respite >= RESPITE_MAX {
            return !std::mem::replace(&mut self.silent, true);
        }
        let step = respite.max(RESPITE_FIRST_MAX.min(after / RESPITE_FIRST_SHARE));
        let waited = now.since(self.heard + after);
        self.suspicion.respite = RESPITE_MAX.min(waited + step);
        false
    }

    /// Whether the peer is held for silent.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether the peer was held for silent until now; true once for each silence. To be called
    /// when something came from it.
    pub fn broke_silence(&mut self) -> bool {
        std::mem::take(&mut self.silent)
    }
}

/// Whether those of which this was seen, in the beginning of a respite and now, want to run and have
/// hardly done so in it.
fn is_kept_waiting(first: Activity, seen: Activity, respite: Duration) -> bool {
    let has_run = !respite.is_zero() && seen.ran >= first.ran + respite / RUN_SHARE;
    seen.is_busy && !has_run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, NodeId};

    const NOW: Time = Time::ZERO;
    const MS: Duration = Duration::from_millis(1);
    const IDLE: Activity = Activity { is_busy: false, ran: Duration::ZERO };
    const ASLEEP: Inspection = Inspection { neighbour: IDLE, delivery: IDLE };

    /// What is seen when the neighbour is busy, or else the delivery of its frames, and what they have
    /// run so far.
    fn busy(neighbour: bool, ran: Duration) -> Inspection {
        let activity = |is_busy| Activity { is_busy, ran };
        Inspection { neighbour: activity(neighbour), delivery: activity(!neighbour) }
    }

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
        assert_eq!((link.queued_bytes(), link.unacked_bytes < CREDIT_BYTES), (0, true));
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

    /// It would fill the memory of whoever can't pass on as fast as it sends.
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
        Fan { kind: Kind::Exec, allowance, parts: parts.to_vec(), body }
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
        flush(&mut link);
        let mut control_frames = 0;
        for _ in 0..1_000 {
            link.send_control(Merge::Beat, &Message::neighbour(Kind::Beat, &[]));
            control_frames += flush(&mut link).len();
        }
        assert!(control_frames > 100 && link.unacked.len() == CREDIT_FRAMES_CONTROL);
        assert_eq!(link.control.len(), 1, "those that wait are merged");
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
            let bytes = CREDIT_BYTES_CONTROL - FRAME_BYTES_MAX..=CREDIT_BYTES_CONTROL;
            assert!(bytes.contains(&link.unacked_bytes), "{}", link.unacked_bytes);

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
    fn silence_is_told_once_and_so_is_its_end() {
        let after = Duration::from_millis(40);
        let mut link = Link::new(LinkId(1), NOW);
        link.silent_after(Some(after), NOW);
        assert_eq!(link.deadline(), Some(NOW + after));
        assert!(!link.inspect_if_due(NOW + after - Duration::from_nanos(1)));
        assert!(link.inspect_if_due(NOW + after) && !link.inspect_if_due(NOW + after));
        assert_eq!(link.deadline(), None);
        assert!(link.judge(NOW + after, ASLEEP) && !link.judge(NOW + after, ASLEEP));
        assert!(!link.inspect_if_due(NOW + after));
        assert_eq!(link.deadline(), None);
        assert!(link.broke_silence() && !link.broke_silence());
    }

    /// Looks at a peer at each moment when that is due, and says when it was held for silent.
    fn verdict(link: &mut Link, mut seen: impl FnMut(Time) -> Inspection) -> Time {
        for _ in 0..100 {
            let now = link.deadline().unwrap();
            assert!(link.inspect_if_due(now));
            if link.judge(now, seen(now)) {
                return now;
            }
        }
        panic!("there is no verdict");
    }

    fn watching(after: Duration) -> Link {
        let mut link = Link::new(LinkId(1), NOW);
        link.silent_after(Some(after), NOW);
        link
    }

    #[test]
    fn who_is_kept_from_running_has_a_respite() {
        for after in [40 * MS, 4_000 * MS, 86_400_000 * 4 * MS] {
            for neighbour in [true, false] {
                let mut looks = 0;
                let waits = |_| {
                    looks += 1;
                    busy(neighbour, 7 * MS)
                };
                assert_eq!(verdict(&mut watching(after), waits), NOW + after + RESPITE_MAX);
                assert!(looks < 12, "{looks} looks");
            }
        }
    }

    #[test]
    fn who_stops_or_falls_asleep_meanwhile_has_none_left() {
        let after = 40 * MS;
        let until = NOW + after + 9 * MS;
        let seen = |now| if now < until { busy(true, Duration::ZERO) } else { ASLEEP };
        assert_eq!(verdict(&mut watching(after), seen), NOW + after + 10 * MS);
    }

    #[test]
    fn who_runs_and_says_nothing_is_silent_within_another_beat() {
        for after in [40 * MS, 400 * MS, 40_000 * MS] {
            for neighbour in [true, false] {
                let runs = |now: Time| busy(neighbour, now.since(NOW));
                let silent = verdict(&mut watching(after), runs);
                assert!(silent > NOW + after && silent <= NOW + after * 5 / 4, "{silent:?}");
            }
        }
    }

    /// Traffic with others is no sign that the neighbour could have run.
    #[test]
    fn a_neighbour_is_waited_for_while_frames_of_others_are_delivered() {
        let after = 40 * MS;
        let seen = |now: Time| Inspection {
            neighbour: Activity { is_busy: true, ran: Duration::ZERO },
            delivery: Activity { is_busy: true, ran: now.since(NOW) },
        };
        assert_eq!(verdict(&mut watching(after), seen), NOW + after + RESPITE_MAX);
    }

    #[test]
    fn a_sign_of_life_ends_a_respite() {
        let after = 40 * MS;
        let mut link = watching(after);
        assert!(link.inspect_if_due(NOW + after));
        link.judge(NOW + after, busy(true, Duration::ZERO));
        let heard = NOW + 44 * MS;
        link.receive(heard, &empty_frame(0)).unwrap();
        assert_eq!(link.deadline(), Some(heard + after));

        // Also when it comes between a look and the verdict.
        assert!(link.inspect_if_due(heard + after));
        link.receive(heard + after, &empty_frame(0)).unwrap();
        assert!(!link.judge(heard + after, ASLEEP));
        assert_eq!(link.deadline(), Some(heard + after * 2));
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
