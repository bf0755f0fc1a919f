//! The loop that drives a node: turns what happens into inputs, and outputs into deeds.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant, SystemTime};

use hoptree_core::{
    Address, Birth, Event, Input, Inspection, Life, LinkId, Node, Output, ProcessId, Record,
    SendError, Start, Time, Transport, TransportError,
};
use hoptree_system::{require_descriptors, require_memory};

use crate::offload::{News, Offload};
use crate::process::{ChildProcesses, Reaped, inspect, machine};
use crate::signals::Signals;

/// How many lines a control node is fed in one turn, which keeps it short. The node itself wants no more
/// when they are for one node and a large frame has come of them.
pub const LINES_PER_TURN_MAX: usize = 1_024;

/// How many children are started in one turn, so that the transport can accept those that connect
/// before more do than fit in its listen backlog.
const SPAWNS_PER_TURN_MAX: usize = 8;

/// How often a turn asks the transport for more before it says that a deadline has come. Credit
/// bounds what neighbours can have sent meanwhile; this bounds it also when one breaks the rules.
const ROUNDS_PER_TURN_MAX: usize = 64;

/// How many descriptors a child takes that has joined: two with `ipc`, one with the others.
const DESCRIPTORS_PER_CHILD: usize = 2;

/// How many descriptors are left alone by those who start children: to start a process takes 4 for a
/// moment, to let it in 7. Orphans may want to be taken in as well.
const DESCRIPTORS_KEPT: usize = 12;

/// How much memory is left alone by those who start children, in bytes: to let one in takes less.
const MEMORY_KEPT: usize = 4 * 1024 * 1024;

/// How long blocking jobs may take to stop once the control node is gone: two seconds until they kill a
/// program that they run, and some for a machine that is busy.
const STOP_TIME_MAX: Duration = Duration::from_millis(2_500);

/// How long the end waits for the last frames to leave.
const FINISH_TIME_MAX: Duration = Duration::from_millis(500);

/// A node with all that surrounds it. What goes in beside what happens to links and processes, such
/// as lines, is fed by whoever has the driver, and what the node prints is left for them to take.
///
/// A turn is [`Driver::wait`], any number of [`Driver::feed`], and [`Driver::end_turn`].
pub struct Driver<N> {
    node: N,
    transport: Box<dyn Transport>,
    children: ChildProcesses,
    signals: Signals,
    offload: Offload,
    clock: Clock,
    /// The time of this turn.
    now: Time,
    outputs: Vec<Output>,
    /// The other vector for outputs: the node fills one while the other is carried out.
    spare: Vec<Output>,
    /// Whether the node was fed since it was last flushed.
    fed: bool,
    /// Children to be started; no more than creates can be under way at this node.
    spawns: VecDeque<(Birth, Start)>,
    /// Where this node listens, as its children know it.
    address: Option<Address>,
    /// What was seen of neighbours' processes, to be told in the next turn: what they had sent by
    /// then must be heard first.
    inspected: Vec<(LinkId, Inspection)>,
    printed: Vec<u8>,
    records: Vec<Record>,
    done: bool,
}

/// Whether a wait may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until something happens, or the node's deadline.
    Wait,
    /// The same, but no longer than until then.
    Until(Instant),
    /// No: there is something else to do.
    Look,
}

impl<N: Node> Driver<N> {
    /// A driver for `node`, which has the links of `transport`.
    pub fn new(
        node: N,
        transport: Box<dyn Transport>,
        children: ChildProcesses,
        signals: Signals,
    ) -> Driver<N> {
        let offload = Offload::new(transport.waker());
        let stop_jobs = offload.stopper();
        signals.do_last(move || stop_jobs(STOP_TIME_MAX));
        Driver {
            node,
            transport,
            children,
            signals,
            offload,
            clock: Clock(Instant::now()),
            now: Time::ZERO,
            outputs: Vec::new(),
            spare: Vec::new(),
            fed: true,
            spawns: VecDeque::new(),
            address: None,
            inspected: Vec::new(),
            printed: Vec::new(),
            records: Vec::new(),
            done: false,
        }
    }

    /// The node, to ask it things.
    pub fn node(&self) -> &N {
        &self.node
    }

    /// Why a link that the node wanted last did not come up, if that is known.
    pub fn refusal(&self) -> Option<String> {
        self.transport.refusal()
    }

    /// Whether the node wants the process to end.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What the node has printed since this was last emptied.
    pub fn printed(&mut self) -> &mut Vec<u8> {
        &mut self.printed
    }

    /// The records of the commands that have ended since the last call, and when each began.
    pub fn take_records(&mut self) -> Vec<(SystemTime, Record)> {
        let (records, now, today) =
            (mem::take(&mut self.records), self.clock.now(), SystemTime::now());
        let began = |record: &Record| today.checked_sub(now.since(record.started)).unwrap_or(today);
        records.into_iter().map(|record| (began(&record), record)).collect()
    }

    /// Begins a turn: waits, and feeds what has happened to links and processes. The time of the
    /// turn is that of the end of the wait.
    ///
    /// # Errors
    ///
    /// When the transport can't go on. Finish the driver then.
    pub fn wait(&mut self, patience: Patience) -> Result<(), TransportError> {
        let inspected = mem::take(&mut self.inspected);
        let has_news = self.offload.has_news() && self.node.has_room_for_outcomes();
        let is_expected = has_news || !self.spawns.is_empty() || !inspected.is_empty();
        let until = if patience == Patience::Look || is_expected {
            Some(self.clock.0)
        } else {
            let deadline = self.node.deadline().and_then(|deadline| self.clock.instant(deadline));
            match patience {
                Patience::Until(until) => {
                    Some(deadline.map_or(until, |deadline| deadline.min(until)))
                }
                _ => deadline,
            }
        };
        self.deliver(until)?;
        let late = self.is_due() || !inspected.is_empty();
        if late {
            // This process may have been stopped for longer than its neighbours' patience: what they
            // sent meanwhile is heard before they are judged.
            let mut rounds = 1..ROUNDS_PER_TURN_MAX;
            while rounds.next().is_some() && self.deliver(Some(self.clock.0))? > 0 {}
        }
        if self.signals.take_child() || late {
            self.reap();
        }
        self.feed_jobs();
        for (link, seen) in inspected {
            self.feed(Input::Inspected(link, seen));
        }
        Ok(())
    }

    /// Tells the node what has come of jobs, if that finds its way on.
    fn feed_jobs(&mut self) {
        if !self.node.has_room_for_outcomes() {
            return;
        }
        for news in self.offload.take_news() {
            match news {
                News::Output(call, stream, bytes) => {
                    self.feed(Input::JobOutput(call, stream, &bytes));
                }
                News::Done(call, kind, outcome) => self.feed(Input::JobDone(call, kind, outcome)),
            }
        }
    }

    /// Tells the node something, at the time of this turn.
    pub fn feed(&mut self, input: Input<'_>) {
        self.fed = true;
        self.node.handle(self.now, input, &mut self.outputs);
    }

    /// Ends a turn: tells the node that its deadline has come, if so, and does what it wants done.
    /// Does not block.
    pub fn end_turn(&mut self) {
        if self.is_due() {
            self.feed(Input::Timeout);
        }
        let mut spawns_left = SPAWNS_PER_TURN_MAX;
        while !self.done {
            if mem::take(&mut self.fed) {
                self.carry_out_all();
                self.offload.pause(!self.node.has_room_for_outcomes());
            } else if spawns_left > 0 && !self.spawns.is_empty() {
                spawns_left -= 1;
                self.spawn_next();
            } else {
                return;
            }
        }
    }

    /// Ends the transport, after giving the last frames up to `FINISH_TIME_MAX` to leave.
    pub fn finish(self) -> ChildProcesses {
        self.transport.finish(FINISH_TIME_MAX);
        self.children
    }

    /// Waits, and feeds what has happened to links; says how much that was.
    fn deliver(&mut self, until: Option<Instant>) -> Result<usize, TransportError> {
        let Driver { node, transport, clock, now, outputs, .. } = self;
        let mut events = 0;
        transport.wait(until, &mut |event| {
            if events == 0 {
                *now = clock.now();
            }
            events += 1;
            node.handle(*now, input(&event), outputs);
        })?;
        if events == 0 {
            *now = clock.now();
        } else {
            self.fed = true;
        }
        Ok(events)
    }

    fn reap(&mut self) {
        let Driver { node, children, now, outputs, fed, .. } = self;
        children.reap(|reaped| {
            *fed = true;
            let input = match reaped {
                Reaped::Child(life, exit, words) => Input::ChildExited(life, exit, words),
                Reaped::Orphan(pid, exit) => Input::OrphanExited(pid, exit),
            };
            node.handle(*now, input, outputs);
        });
    }

    fn is_due(&self) -> bool {
        self.node.deadline().is_some_and(|deadline| deadline <= self.now)
    }

    fn carry_out_all(&mut self) {
        self.node.flush(self.now, &mut self.outputs);
        let empty = mem::take(&mut self.spare);
        let mut outputs = mem::replace(&mut self.outputs, empty);
        for output in outputs.drain(..) {
            self.carry_out(output);
        }
        self.spare = outputs;
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(link, frame) => match self.transport.send(link, &frame) {
                // The transport itself tells the end of a link that is gone.
                Ok(()) | Err(SendError::Gone) => {}
                Err(SendError::Full) => {
                    log::warn!("a neighbour does not read, its link is closed");
                    self.transport.close(link);
                    self.feed(Input::Down(link));
                }
            },
            Output::Close(link) => self.transport.close(link),
            Output::Connect(number, address) => {
                let link = self.transport.connect(&address);
                self.feed(Input::Connecting(number, link));
            }
            Output::Adopt(life, pid) => self.children.adopt(life, pid),
            Output::Spawn(birth, start) => self.spawns.push_back((birth, start)),
            Output::Kill(life) => self.kill(life),
            Output::Inspect(link, process) => {
                let seen = self.look_at(link, process);
                self.inspected.push((link, seen));
            }
            Output::Offload(job) => self.offload.begin(job),
            // Seldom more than one a turn, and perhaps long.
            Output::Print(text) if self.printed.is_empty() => self.printed = text,
            Output::Print(text) => self.printed.extend_from_slice(&text),
            Output::Record(record) => self.records.push(record),
            Output::Exit => self.done = true,
        }
    }

    /// What a neighbour's process is doing, or the network between if it can't be seen from here.
    fn look_at(&self, link: LinkId, process: ProcessId) -> Inspection {
        if process.machine == machine() {
            return inspect(process.pid);
        }
        let round_trip = self.transport.round_trip(link).unwrap_or_default();
        Inspection { round_trip, ..Inspection::default() }
    }

    fn spawn_next(&mut self) {
        let Some((birth, start)) = self.spawns.pop_front() else { return };
        let life = birth.life;
        if let Err(text) = self.spawn(birth, &start) {
            self.feed(Input::SpawnFailed(life, &text));
        }
    }

    fn spawn(&mut self, birth: Birth, start: &Start) -> Result<(), String> {
        let address = match start.host {
            None => self.transport.listen(),
            Some(_) => self.transport.listen_beyond(),
        };
        let address = address.map_err(|error| error.to_string())?;
        if self.address.replace(address.clone()).is_some_and(|before| before != address) {
            self.feed(Input::Listening(address.clone()));
        }
        let joining = self.node.starting().saturating_sub(self.spawns.len());
        require_descriptors(DESCRIPTORS_KEPT + joining * DESCRIPTORS_PER_CHILD)
            .and_then(|()| require_memory(MEMORY_KEPT))
            .map_err(|why| format!("can't start a process: {why}"))?;
        self.children.spawn(birth, &address, start)
    }

    fn kill(&mut self, life: Life) {
        let waiting = self.spawns.len();
        self.spawns.retain(|(birth, _)| birth.life != life);
        if self.spawns.len() < waiting {
            self.feed(Input::SpawnFailed(life, "it was ended before it was started"));
        } else {
            self.children.kill(life);
        }
    }
}

fn input<'a>(event: &Event<'a>) -> Input<'a> {
    match *event {
        Event::Up(link) => Input::Up(link),
        Event::Frame(link, frame) => Input::Frame(link, frame),
        Event::Down(link) => Input::Down(link),
    }
}

/// Time, counted from when the driver was made. It does not go back, and goes on while the process
/// is stopped.
struct Clock(Instant);

impl Clock {
    fn now(&self) -> Time {
        Time::ZERO + self.0.elapsed()
    }

    /// The instant of a time; none when that is too far ahead ever to come.
    fn instant(&self, time: Time) -> Option<Instant> {
        self.0.checked_add(time.since(Time::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use hoptree_core::{
        Address, Holdings, Incarnation, KEY_BYTES, LinkId, NodeId, Secret, Seed, Waker,
    };

    use super::*;
    use crate::logging::LogConfig;
    use crate::process::Heritage;

    const LINK: LinkId = LinkId(1);

    /// A transport that delivers frames as told, at most two a wait, and takes none.
    struct Fake {
        frames: usize,
        refusal: SendError,
        closed: Rc<RefCell<Vec<LinkId>>>,
    }

    impl Transport for Fake {
        fn listen(&mut self) -> Result<Address, TransportError> {
            Err(TransportError("no place to listen".to_owned()))
        }

        fn connect(&mut self, _: &Address) -> LinkId {
            LINK
        }

        fn send(&mut self, _: LinkId, _: &[u8]) -> Result<(), SendError> {
            Err(self.refusal)
        }

        fn wait(
            &mut self,
            _: Option<Instant>,
            deliver: &mut dyn FnMut(Event<'_>),
        ) -> Result<(), TransportError> {
            let some = self.frames.min(2);
            self.frames -= some;
            (0..some).for_each(|_| deliver(Event::Frame(LINK, b"frame")));
            Ok(())
        }

        fn waker(&self) -> Waker {
            Waker::new(|| ())
        }

        fn close(&mut self, link: LinkId) {
            self.closed.borrow_mut().push(link);
        }

        fn finish(self: Box<Self>, _: Duration) {}
    }

    /// A node that notes its inputs, and has outputs prepared for its next flushes.
    #[derive(Default)]
    struct Recorder {
        heard: Vec<String>,
        wants: VecDeque<Vec<Output>>,
        deadline: Option<Time>,
    }

    impl Node for Recorder {
        fn handle(&mut self, _: Time, input: Input<'_>, _: &mut Vec<Output>) {
            if matches!(input, Input::Timeout) {
                self.deadline = None;
            }
            self.heard.push(match input {
                Input::Frame(..) => "frame".to_owned(),
                Input::SpawnFailed(_, text) => text.to_owned(),
                other => format!("{other:?}"),
            });
        }

        fn flush(&mut self, _: Time, out: &mut Vec<Output>) {
            out.extend(self.wants.pop_front().unwrap_or_default());
        }

        fn deadline(&self) -> Option<Time> {
            self.deadline
        }

        fn holdings(&self) -> Holdings {
            Holdings::default()
        }

        fn starting(&self) -> usize {
            0
        }
    }

    fn driver(node: Recorder, transport: Fake) -> Driver<Recorder> {
        let heritage = Heritage {
            transport: "fake".to_owned(),
            insecure: false,
            beyond: None,
            secret: Secret::new(&[0; 32]),
            lifeline: 3,
            directory: "/nonexistent/hoptree".into(),
            timeout: Duration::from_secs(5),
            logs: LogConfig::default(),
            descriptors: None,
        };
        Driver::new(node, Box::new(transport), ChildProcesses::new(heritage), Signals::default())
    }

    fn fake(frames: usize, refusal: SendError) -> Fake {
        Fake { frames, refusal, closed: Rc::default() }
    }

    fn birth(id: u32) -> Birth {
        let life = Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(0) };
        let seed = Seed::of(Secret::new(&[0; KEY_BYTES]), life);
        Birth { life, seed, parent: NodeId::CONTROL, machine: machine(), ancestors: Vec::new() }
    }

    fn send() -> Output {
        Output::Send(LINK, b"frame".to_vec())
    }

    fn turn(driver: &mut Driver<Recorder>) {
        driver.wait(Patience::Look).unwrap();
        driver.end_turn();
    }

    #[test]
    fn a_full_link_is_closed_and_told_as_down() {
        let transport = fake(0, SendError::Full);
        let closed = Rc::clone(&transport.closed);
        let wants = VecDeque::from([vec![send()], vec![Output::Print(b"after\n".to_vec())]]);
        let mut driver = driver(Recorder { wants, ..Recorder::default() }, transport);
        turn(&mut driver);
        assert_eq!(driver.node.heard, ["Down(LinkId(1))"]);
        assert_eq!(*closed.borrow(), [LINK]);
        assert_eq!(driver.printed(), b"after\n", "what Down led to is flushed in the same turn");
    }

    #[test]
    fn the_end_of_a_link_that_is_gone_is_left_to_the_transport() {
        let wants = VecDeque::from([vec![send()]]);
        let node = Recorder { wants, ..Recorder::default() };
        let mut driver = driver(node, fake(0, SendError::Gone));
        turn(&mut driver);
        assert!(driver.node.heard.is_empty());
    }

    #[test]
    fn a_deadline_comes_after_all_that_was_sent_before() {
        let node = Recorder { deadline: Some(Time::ZERO), ..Recorder::default() };
        let mut driver = driver(node, fake(5, SendError::Gone));
        turn(&mut driver);
        assert_eq!(driver.node.heard, ["frame", "frame", "frame", "frame", "frame", "Timeout"]);
    }

    #[test]
    fn a_deadline_comes_although_the_frames_do_not_end() {
        let node = Recorder { deadline: Some(Time::ZERO), ..Recorder::default() };
        let mut driver = driver(node, fake(usize::MAX, SendError::Gone));
        turn(&mut driver);
        assert_eq!(driver.node.heard.last().map(String::as_str), Some("Timeout"));
    }

    #[test]
    fn who_is_inspected_is_heard_first() {
        let wants = VecDeque::from([vec![Output::Inspect(
            LINK,
            ProcessId { machine: machine(), pid: u32::MAX },
        )]]);
        let node = Recorder { wants, ..Recorder::default() };
        let mut driver = driver(node, fake(0, SendError::Gone));
        turn(&mut driver);
        assert!(driver.node.heard.is_empty());
        driver.transport = Box::new(fake(5, SendError::Gone));
        turn(&mut driver);
        let (inspected, frames) = driver.node.heard.split_last().unwrap();
        assert_eq!(frames, ["frame"; 5]);
        assert!(inspected.starts_with("Inspected(LinkId(1), "), "{inspected}");
    }

    #[test]
    fn no_more_than_eight_children_are_started_a_turn() {
        let wants = VecDeque::from([(0..20)
            .map(|id| Output::Spawn(birth(id), Start::default()))
            .collect()]);
        let node = Recorder { wants, ..Recorder::default() };
        let mut driver = driver(node, fake(0, SendError::Gone));
        for heard in [8, 16, 20, 20] {
            turn(&mut driver);
            assert_eq!(driver.node.heard.len(), heard);
        }
        assert_eq!(driver.node.heard[0], "no place to listen");
    }

    #[test]
    fn a_child_that_waits_to_be_started_can_be_killed() {
        let mut wants: Vec<_> =
            (0..9).map(|id| Output::Spawn(birth(id), Start::default())).collect();
        wants.extend([Output::Kill(birth(0).life), Output::Kill(birth(77).life)]);
        let node = Recorder { wants: VecDeque::from([wants]), ..Recorder::default() };
        let mut driver = driver(node, fake(0, SendError::Gone));
        turn(&mut driver);
        assert_eq!(driver.node.heard[0], "it was ended before it was started");
        assert_eq!(driver.node.heard.len(), 9);
    }

    #[test]
    fn nothing_follows_the_exit() {
        let wants = VecDeque::from([
            vec![send(), Output::Exit],
            vec![Output::Spawn(birth(1), Start::default())],
        ]);
        let node = Recorder { wants, ..Recorder::default() };
        let mut driver = driver(node, fake(0, SendError::Full));
        turn(&mut driver);
        assert!(driver.is_done());
        assert_eq!(driver.node.heard, ["Down(LinkId(1))"]);
    }
}
