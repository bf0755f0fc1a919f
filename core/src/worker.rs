//! The compute node's state machine.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::children::{Children, END_GRACE};
use crate::clock::Clock;
use crate::command::Effect;
use crate::healing::{Attempts, Healing};
use crate::link::{Link, Merge};
use crate::modules::Modules;
use crate::time::earliest;
use crate::wire::{
    self, ANCESTORS_MAX, Fan, Hello, Kind, Malformed, Message, Published, Settled, Status, Welcome,
};
use crate::{
    Address, Ancestor, Birth, Facts, Failure, Input, Inspection, LINE_BYTES_MAX, LinkId, Node,
    NodeId, Output, Registry, Reply, RequestId, Time, Token, Traffic, VALUE_BYTES_MAX, Watch,
};

/// How many places one message about those below names at most; keeps it below a piece.
const PLACES_PER_MESSAGE: usize = 400;

/// How many bytes of answers may wait for the parent before this node takes in no more: children
/// get no new credit, and its own requests wait.
pub(crate) const ANSWERS_WAITING_BYTES: usize = 256 * 1024;

/// What a compute node is told before it starts.
#[derive(Debug)]
pub struct WorkerConfig {
    /// Who it is, and who is above it.
    pub birth: Birth,
    /// What it shows its parent, and wants to see from its children.
    pub token: Token,
    /// Its process.
    pub pid: u32,
    /// The link to its parent, which need not be up yet.
    pub parent: LinkId,
    /// Where its parent listens.
    pub parent_address: Address,
    /// The name of its transport.
    pub transport: &'static str,
    /// The deadline of a request: how long anyone waits for its answer.
    pub timeout: Duration,
    /// The command modules.
    pub commands: Registry,
}

/// A compute node: it runs commands, passes on what is for the nodes below it, and starts and
/// watches its children.
pub struct Worker {
    hello: Hello,
    transport: &'static str,
    clock: Clock,
    /// When it came to be.
    since: Time,
    parent: Parent,
    /// Who is above the parent, the nearest first.
    ancestors: Vec<Ancestor>,
    /// How often it has moved from one parent to another.
    moves: u32,
    /// While it looks for another parent.
    healing: Option<Healing>,
    attempts: Attempts,
    watch: Option<Watch>,
    children: Children,
    modules: Modules,
    /// Requests in pieces, of which some are still to come. Bounded by the control node's window.
    partial: FxHashMap<RequestId, Vec<u8>>,
    /// Requests that wait until there is room for answers. Bounded by the control node's window.
    waiting: VecDeque<Request>,
    traffic: Traffic,
    ending: bool,
    done: bool,
}

/// The side towards the control node.
struct Parent {
    link: Link,
    /// The link stands, as far as is known, and what is sent on it may arrive.
    is_up: bool,
    ancestor: Ancestor,
    /// Its process, once it has said so.
    pid: Option<u32>,
}

impl Parent {
    /// Passes a message on towards the control node. Without a parent that is in vain: whoever was to
    /// have it knows that the way is gone, and will learn of those below when there is another.
    fn send(&mut self, message: &Message<'_>) {
        if !self.is_up {
            return;
        }
        match message.kind {
            Kind::Answer => self.link.send(message),
            Kind::Silent | Kind::Heard => {
                self.link.send_control(Merge::Silence(message.life), message);
            }
            _ => self.link.send_control(Merge::Never, message),
        }
    }
}

/// An Exec or an Ask for this node.
#[derive(Debug)]
struct Request {
    kind: Kind,
    id: RequestId,
    body: Vec<u8>,
}

impl Worker {
    /// A compute node that is about to join its parent.
    #[must_use]
    pub fn new(now: Time, config: WorkerConfig) -> Worker {
        let WorkerConfig { birth, token, pid, parent, parent_address, .. } = config;
        let WorkerConfig { transport, timeout, commands, .. } = config;
        let life = birth.life;
        let ancestor = Ancestor { node: birth.parent, address: parent_address };
        Worker {
            hello: Hello { version: wire::VERSION, token, life, pid, orphan: false },
            transport,
            clock: Clock::default(),
            since: now,
            parent: Parent { link: Link::new(parent, now), is_up: true, ancestor, pid: None },
            ancestors: birth.ancestors,
            moves: 0,
            healing: None,
            attempts: Attempts::default(),
            watch: None,
            children: Children::new(life, pid, token),
            modules: Modules::new(commands, timeout),
            partial: FxHashMap::default(),
            waiting: VecDeque::new(),
            traffic: Traffic::default(),
            ending: false,
            done: false,
        }
    }

    fn take_in(&mut self, now: Time, frame: &[u8], out: &mut Vec<Output>) -> Result<(), Malformed> {
        let messages = self.parent.link.receive(now, frame)?;
        if self.parent.link.broke_silence()
            && let Some(healing) = self.healing.take()
        {
            healing.end(out);
        }
        for message in messages {
            let message = message?;
            match message.kind {
                Kind::Welcome => {
                    let welcome = message.decode().ok_or(Malformed)?;
                    self.place(now, welcome);
                }
                Kind::Beat => {}
                Kind::Shutdown => {
                    let grace = message.decode().ok_or(Malformed)?;
                    self.end(now, grace, out);
                }
                Kind::Publish => {
                    let published = message.decode::<Published>().ok_or(Malformed)?;
                    self.published(now, &published);
                }
                Kind::Fan => {
                    let fan = Fan::decode(message.body).ok_or(Malformed)?;
                    self.fan(now, fan);
                }
                Kind::Exec
                | Kind::Ask
                | Kind::Ping
                | Kind::Create
                | Kind::Remove
                | Kind::Discard => self.request(now, &message, out),
                _ => return Err(Malformed),
            }
        }
        Ok(())
    }

    fn request(&mut self, now: Time, message: &Message<'_>, out: &mut Vec<Output>) {
        let parent = &mut self.parent;
        let up = &mut |message: Message<'_>| parent.send(&message);
        if message.life != self.hello.life {
            self.traffic.passed_on += 1;
            return self.children.forward(message, up);
        }
        match message.kind {
            Kind::Exec => self.exec(now, message),
            Kind::Ask => self.run_or_wait(now, message.kind, message.request, message.body),
            Kind::Ping => up(Message::answer(message.life, message.request, Status::Ok, &[])),
            _ => self.children.serve(now, message, out, up),
        }
    }

    /// Takes in a request for each of several nodes, of which this may be one.
    fn fan(&mut self, now: Time, mut fan: Fan<'_>) {
        let here = fan.parts.iter().position(|(life, _)| *life == self.hello.life);
        if let Some(here) = here {
            let (_, id) = fan.parts.remove(here);
            self.run_or_wait(now, fan.kind, id, fan.body);
        }
        if !fan.parts.is_empty() {
            self.traffic.passed_on += 1;
            let parent = &mut self.parent;
            self.children.forward_fan(fan, &mut |message| parent.send(&message));
        }
    }

    /// Takes in an exec, or a piece of one, for this node.
    fn exec(&mut self, now: Time, message: &Message<'_>) {
        let (id, flags) = (message.request, message.flags);
        if flags.is_whole() {
            return self.run_or_wait(now, Kind::Exec, id, message.body);
        }
        if flags.is_first() {
            self.partial.insert(id, message.body.to_vec());
            return;
        }
        let Some(line) = self.partial.get_mut(&id) else { return };
        line.extend_from_slice(message.body);
        if line.len() > LINE_BYTES_MAX {
            self.partial.remove(&id);
        } else if flags.is_last() {
            let line = self.partial.remove(&id).expect("it was there a moment ago");
            self.run_or_wait(now, Kind::Exec, id, &line);
        }
    }

    fn run_or_wait(&mut self, now: Time, kind: Kind, id: RequestId, body: &[u8]) {
        if self.is_congested() {
            self.waiting.push_back(Request { kind, id, body: body.to_vec() });
        } else {
            self.run(now, kind, id, body);
        }
    }

    fn run(&mut self, now: Time, kind: Kind, id: RequestId, body: &[u8]) {
        let now = self.clock.real(now);
        self.traffic.run += 1;
        let facts = self.facts();
        let outcome = if kind == Kind::Ask {
            match postcard::from_bytes::<Published>(body) {
                Ok(Published { module, value }) => {
                    self.modules.asked(now, &facts, id, &module, &value)
                }
                Err(_) => Err(Failure::from("a malformed question")),
            }
        } else {
            match std::str::from_utf8(body) {
                Ok(line) => self.modules.exec(now, &facts, id, line),
                Err(_) => Err(Failure::from("the command is not UTF-8")),
            }
        };
        match outcome {
            Ok(Reply::Now(result)) => self.answer(id, Ok(result)),
            Ok(Reply::Later) => {}
            Err(failure) => self.answer(id, Err(failure)),
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            node: self.hello.life.node,
            pid: self.hello.pid,
            parent: self.parent.ancestor.node,
            depth: self.children.depth(),
            transport: self.transport,
            children: self.children.count(),
            below: self.children.below(),
            since: self.since,
            traffic: self.traffic,
        }
    }

    fn answer(&mut self, id: RequestId, outcome: Result<String, Failure>) {
        let (status, text) = match outcome {
            Ok(result) if result.len() > VALUE_BYTES_MAX => {
                (Status::Failed, format!("the answer is longer than {VALUE_BYTES_MAX} bytes"))
            }
            Ok(result) => (Status::Ok, result),
            Err(Failure(text)) => (Status::Failed, text),
        };
        let answer = Message::answer(self.hello.life, id, status, text.as_bytes());
        self.parent.send(&answer);
    }

    /// Answers a call that was open; one that is not (any more) is not answered.
    fn finish(&mut self, id: RequestId, outcome: Result<String, Failure>) {
        match self.modules.finish(id, outcome) {
            Some(outcome) => self.answer(id, outcome),
            None => self.traffic.answers_dropped += 1,
        }
    }

    fn published(&mut self, now: Time, published: &Published) {
        let (now, facts) = (self.clock.real(now), self.facts());
        if self.children.has_published(&published.module, &published.value) {
            // A new parent says it once more; clocks that run are not to start anew.
            return;
        }
        self.modules.published(now, &facts, &published.module, &published.value);
        self.children.publish(&published.module, &published.value);
    }

    /// Carries out what the modules asked for.
    fn apply_effects(&mut self, now: Time, out: &mut Vec<Output>) {
        for effect in self.modules.take_effects() {
            match effect {
                Effect::Answer(id, outcome) => self.finish(id, outcome),
                Effect::Offload(job) => out.push(Output::Offload(job)),
                Effect::Watch(watch) => {
                    self.watch = watch;
                    self.watch_parent(now);
                    self.children.watch(now, watch);
                }
                Effect::Publish(module, _) | Effect::AskAll(_, module, _) => {
                    log::error!("module {module} spoke to all on a compute node: ignored");
                }
                Effect::Notice(line) => {
                    log::error!("a module printed on a compute node: ignored: {line}");
                }
            }
        }
    }

    /// Whether answers pile up faster than the parent takes them.
    fn is_congested(&self) -> bool {
        self.parent.is_up && self.parent.link.queued_bytes() > ANSWERS_WAITING_BYTES
    }

    /// Beats to the parent, and notices when nothing comes from it. The control node's silence is
    /// never its death: the user may have stopped it.
    fn watch_parent(&mut self, now: Time) {
        let Parent { link, ancestor, .. } = &mut self.parent;
        link.beat_every(self.watch.map(|watch| watch.beat_every), now);
        let judged = self.watch.filter(|_| ancestor.node != NodeId::CONTROL);
        link.silent_after(judged.map(|watch| watch.silent_after), now);
    }

    /// Takes in what the parent says of itself and those above it.
    fn place(&mut self, now: Time, welcome: Welcome) {
        let Welcome { parent, pid, depth, ancestors } = welcome;
        self.parent.pid = Some(pid);
        if parent != self.parent.ancestor.node {
            self.parent.ancestor.node = parent;
            self.watch_parent(now);
        }
        self.ancestors = ancestors;
        let mut of_children = vec![self.parent.ancestor.clone()];
        of_children.extend_from_slice(&self.ancestors);
        if of_children.len() > ANCESTORS_MAX + 1 {
            // The nearest, and the control node, which is the last.
            of_children.drain(ANCESTORS_MAX..of_children.len() - 1);
        }
        self.children.set_place(depth, of_children);
        // There may be another way up, and what was on the old one may be lost.
        let parent = &mut self.parent;
        self.children.report_silent(&mut |message| parent.send(&message));
    }

    /// The link to the parent is gone: another one is looked for.
    fn orphaned(&mut self, now: Time, out: &mut Vec<Output>) {
        self.parent.is_up = false;
        self.partial.clear();
        self.waiting.clear();
        if self.ending {
            return self.end(now, END_GRACE, out);
        }
        if let Some(healing) = self.healing.take() {
            healing.end(out);
        }
        log::info!("node {} has lost its parent", self.hello.life.node);
        let mut candidates = vec![self.parent.ancestor.clone()];
        candidates.extend_from_slice(&self.ancestors);
        self.seek(now, candidates, out);
    }

    fn seek(&mut self, now: Time, candidates: Vec<Ancestor>, out: &mut Vec<Output>) {
        let mut healing = Healing::new(now, candidates);
        healing.step(now, &mut self.attempts, out);
        self.healing = Some(healing);
    }

    /// Goes on with the search for a parent.
    fn heal(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.parent.is_up && self.parent.link.inspect_if_due(now) {
            match self.parent.pid {
                Some(pid) => out.push(Output::Inspect(self.parent.link.id(), pid)),
                None => self.parent_inspected(now, Inspection::default(), out),
            }
        }
        let Some(healing) = &mut self.healing else { return };
        healing.step(now, &mut self.attempts, out);
        if !healing.is_hopeless(now) {
            return;
        }
        if self.parent.is_up {
            // The parent may come to itself, and whoever is above it as well.
            let again = Healing::new(now, self.ancestors.clone());
            if let Some(healing) = self.healing.replace(again) {
                healing.end(out);
            }
        } else {
            log::error!("node {}: nobody takes it in, so it ends", self.hello.life.node);
            self.end(now, END_GRACE, out);
        }
    }

    /// The process of the parent, of which nothing has come for too long, was looked at.
    fn parent_inspected(&mut self, now: Time, seen: Inspection, out: &mut Vec<Output>) {
        // One that is ending notes the silence as well, or its deadline would stay.
        if self.parent.is_up && self.parent.link.judge(now, seen) && !self.ending {
            log::info!("node {} hears nothing from its parent", self.hello.life.node);
            self.seek(now, self.ancestors.clone(), out);
        }
    }

    /// Somebody who was asked has answered.
    fn answered(&mut self, now: Time, link: LinkId, frame: &[u8], out: &mut Vec<Output>) {
        match self.healing.as_mut().and_then(|healing| healing.link(link)) {
            None => {}
            Some(asked) => match read_welcome(asked, now, frame) {
                Ok(Some(welcome)) => self.settle(now, link, welcome, out),
                Ok(None) => {}
                // The tree is about to end.
                Err(Some(Kind::Shutdown)) => self.end(now, END_GRACE, out),
                Err(_) => {
                    log::info!("node {}: an ancestor does not take it in", self.hello.life.node);
                    out.push(Output::Close(link));
                    if let Some(healing) = &mut self.healing {
                        healing.down(now, link);
                    }
                }
            },
        }
    }

    /// Makes whoever has answered the parent, and tells it of all below.
    fn settle(&mut self, now: Time, link: LinkId, welcome: Welcome, out: &mut Vec<Output>) {
        let healing = self.healing.take().expect("whoever has answered was asked");
        let Some((ancestor, link)) = healing.choose(link, out) else { return };
        if self.parent.is_up {
            out.push(Output::Close(self.parent.link.id()));
            self.partial.clear();
            self.waiting.clear();
        }
        log::info!("node {} is taken in by node {}", self.hello.life.node, ancestor.node);
        self.moves += 1;
        self.parent = Parent { link, is_up: true, ancestor, pid: None };
        self.watch_parent(now);
        let settled = wire::body(&Settled { moves: self.moves });
        self.parent.send(&Message::neighbour(Kind::Settled, &settled));
        for places in self.children.places().chunks(PLACES_PER_MESSAGE) {
            self.parent.send(&Message::neighbour(Kind::Below, &wire::body(&places)));
        }
        self.place(now, welcome);
    }

    fn end(&mut self, now: Time, grace: Duration, out: &mut Vec<Output>) {
        if let Some(healing) = self.healing.take() {
            healing.end(out);
        }
        if !std::mem::replace(&mut self.ending, true) {
            self.children.end(now, grace, out);
        }
    }

    fn own_deadline(&self) -> Option<Time> {
        let parent = self.parent.link.deadline().filter(|_| self.parent.is_up);
        let own = earliest(parent, self.children.deadline());
        earliest(own, self.healing.as_ref().map(Healing::deadline))
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.parent.is_up {
            self.parent.link.beat_if_due(now);
        }
        self.heal(now, out);
        self.children.timeout(now, out);
        let (now, facts) = (self.clock.real(now), self.facts());
        for id in self.modules.timeout(now, &facts) {
            // Nobody waits for it, but the windows count it until it is answered.
            self.answer(id, Err(Failure::from("it took too long")));
        }
    }

    /// What happens to links that are to lead to a new parent.
    fn attempt(&mut self, now: Time, input: &Input<'_>, out: &mut Vec<Output>) {
        match *input {
            Input::Up(link) => {
                let hello = wire::body(&Hello { orphan: true, ..self.hello.clone() });
                if let Some(healing) = &mut self.healing {
                    healing.up(link, &hello);
                }
            }
            Input::Frame(link, frame) => self.answered(now, link, frame, out),
            Input::Down(link) => {
                if let Some(healing) = &mut self.healing {
                    healing.down(now, link);
                    healing.step(now, &mut self.attempts, out);
                }
            }
            _ => {}
        }
    }
}

impl Node for Worker {
    fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>) {
        let now = self.clock.read(now, self.own_deadline());
        if self.clock.was_late() && !self.ending {
            if self.parent.is_up {
                self.parent.link.beat();
            }
            self.children.beat();
        }
        let is_parent = |link: LinkId| link == self.parent.link.id();
        let is_attempt =
            |link: LinkId| self.healing.as_ref().is_some_and(|healing| healing.has(link));
        match input {
            Input::Up(link) | Input::Frame(link, _) | Input::Down(link) if is_attempt(link) => {
                self.attempt(now, &input, out);
            }
            Input::Connecting(number, link) => {
                let healing = self.healing.as_mut();
                if !healing.is_some_and(|healing| healing.connecting(number, link, now)) {
                    out.push(Output::Close(link));
                }
            }
            Input::Up(link) if is_parent(link) => {
                log::debug!("{} says hello to its parent", self.hello.life);
                let hello = wire::body(&self.hello);
                self.parent.send(&Message::neighbour(Kind::Hello, &hello));
            }
            Input::Frame(link, frame) if is_parent(link) => {
                self.traffic.frames_received += 1;
                if self.take_in(now, frame, out).is_err() {
                    log::error!("node {}: its parent sent nonsense", self.hello.life.node);
                    out.push(Output::Close(link));
                    self.orphaned(now, out);
                }
            }
            Input::Down(link) if is_parent(link) => self.orphaned(now, out),
            Input::Inspected(link, seen) if is_parent(link) => {
                self.parent_inspected(now, seen, out);
            }
            Input::Timeout => self.timeout(now, out),
            Input::Interrupt => self.end(now, END_GRACE, out),
            Input::JobDone(id, outcome) => self.finish(id, outcome),
            Input::Line(_) | Input::LineTooLong | Input::EndOfInput => {
                debug_assert!(false, "a compute node has no console");
            }
            input => {
                self.traffic.frames_received += u64::from(matches!(input, Input::Frame(..)));
                let Worker { parent, traffic, .. } = self;
                let up = &mut |message: Message<'_>| {
                    traffic.passed_on += 1;
                    parent.send(&message);
                };
                self.children.handle(now, input, out, up);
            }
        }
        self.apply_effects(now, out);
    }

    fn flush(&mut self, now: Time, out: &mut Vec<Output>) {
        let now = self.clock.read(now, self.own_deadline());
        while !self.is_congested()
            && let Some(Request { kind, id, body }) = self.waiting.pop_front()
        {
            self.run(now, kind, id, &body);
            self.apply_effects(now, out);
        }
        let before = out.len();
        // A child is welcomed before the control node hears of it: whoever is told that a node is there
        // may rely on it to know where to turn when this one is gone.
        self.children.flush(now, !self.is_congested(), out);
        if self.parent.is_up {
            self.parent.link.flush(now, true, out);
        }
        if let Some(healing) = &mut self.healing {
            healing.flush(now, out);
        }
        self.traffic.frames_sent += (out.len() - before) as u64;
        if self.ending && self.children.is_empty() && !std::mem::replace(&mut self.done, true) {
            out.push(Output::Exit);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let own = self.own_deadline().map(|own| self.clock.real(own));
        earliest(own, self.modules.deadline())
    }
}

/// What an ancestor answers to an orphan: `None` when it has not said anything, and what it has said
/// instead when that is no welcome.
fn read_welcome(link: &mut Link, now: Time, frame: &[u8]) -> Result<Option<Welcome>, Option<Kind>> {
    let mut welcome = None;
    for message in link.receive(now, frame).map_err(|_| None)? {
        let message = message.map_err(|_| None)?;
        // What has changed in the meantime is said at once.
        let read = Some(message).filter(|message| message.kind == Kind::Welcome);
        welcome = Some(read.and_then(|message| message.decode()).ok_or(Some(message.kind))?);
    }
    Ok(welcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activity, Incarnation, Life, Place};

    const PARENT: LinkId = LinkId(1);
    const CHILD: LinkId = LinkId(2);
    const TOKEN: Token = Token([1; 16]);

    fn life(id: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
    }

    fn frame(messages: &[Message<'_>]) -> Vec<u8> {
        let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
        messages.iter().for_each(|message| message.encode(&mut frame));
        frame
    }

    fn worker(ancestors: Vec<Ancestor>) -> Worker {
        let birth = Birth { life: life(1), parent: NodeId::CONTROL, ancestors };
        let config = WorkerConfig {
            birth,
            token: TOKEN,
            pid: 1,
            parent: PARENT,
            parent_address: Address("above".to_owned()),
            transport: "test",
            timeout: Duration::from_secs(5),
            commands: Registry::new([]).unwrap(),
        };
        Worker::new(Time::ZERO, config)
    }

    /// The control node may have been told that it is there.
    #[test]
    fn who_loses_its_parent_before_it_is_welcome_knows_where_to_turn() {
        let address = Address("further up".to_owned());
        let ancestor = Ancestor { node: NodeId::CONTROL, address: address.clone() };
        let mut worker = worker(vec![ancestor]);
        let mut out = Vec::new();
        worker.handle(Time::ZERO, Input::Down(PARENT), &mut out);
        worker.handle(Time::ZERO + Duration::from_millis(50), Input::Timeout, &mut out);
        let asked: Vec<_> = out
            .into_iter()
            .filter_map(|output| match output {
                Output::Connect(_, address) => Some(address),
                _ => None,
            })
            .collect();
        assert_eq!(asked, [Address("above".to_owned()), address]);
    }

    #[test]
    fn a_parent_that_is_kept_from_running_is_not_left() {
        const MS: Duration = Duration::from_millis(1);
        let node = NodeId::compute(7).unwrap();
        let above = Ancestor { node: NodeId::CONTROL, address: Address("above".to_owned()) };
        let mut worker = worker(Vec::new());
        worker.watch = Some(Watch { beat_every: 1_000 * MS, silent_after: 40 * MS });
        let welcome = Welcome { parent: node, pid: 77, depth: 2, ancestors: vec![above] };
        let welcome = frame(&[Message::neighbour(Kind::Welcome, &wire::body(&welcome))]);
        worker.handle(Time::ZERO, Input::Frame(PARENT, &welcome), &mut Vec::new());

        let mut turn = |ms: u32, input: Input<'_>| {
            let mut out = Vec::new();
            worker.handle(Time::ZERO + ms * MS, input, &mut out);
            out.retain(|output| !matches!(output, Output::Send(..)));
            out
        };
        assert_eq!(turn(39, Input::Timeout), []);
        assert_eq!(turn(40, Input::Timeout), [Output::Inspect(PARENT, 77)]);
        let neighbour = Activity { is_busy: true, ran: Duration::ZERO };
        let waits = Inspection { neighbour, ..Inspection::default() };
        assert_eq!(turn(40, Input::Inspected(PARENT, waits)), []);
        assert_eq!(turn(45, Input::Timeout), [Output::Inspect(PARENT, 77)]);
        let asked = turn(45, Input::Inspected(PARENT, Inspection::default()));
        assert!(matches!(&asked[..], [Output::Connect(_, _)]), "{asked:?}");
    }

    /// Otherwise it might be relied on at a moment when it does not know where to turn.
    #[test]
    fn a_child_is_welcomed_before_anybody_is_told_of_it() {
        let mut worker = worker(Vec::new());
        let mut turn = |input: Input<'_>| {
            let mut out = Vec::new();
            worker.handle(Time::ZERO, input, &mut out);
            worker.flush(Time::ZERO, &mut out);
            out
        };
        turn(Input::Up(PARENT));
        let create = wire::body(&(life(2), None::<String>));
        let create = Message::new(Kind::Create, life(1), RequestId(1), &create);
        turn(Input::Frame(PARENT, &frame(&[create])));
        turn(Input::Up(CHILD));
        let hello =
            Hello { version: wire::VERSION, token: TOKEN, life: life(2), pid: 2, orphan: false };
        let hello = wire::body(&hello);
        let out = turn(Input::Frame(CHILD, &frame(&[Message::neighbour(Kind::Hello, &hello)])));
        let links: Vec<_> = out
            .iter()
            .map(|output| match output {
                Output::Send(link, _) => *link,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(links, [CHILD, PARENT]);
        let place = Place { life: life(2), parent: life(1), moves: 0 };
        assert_eq!(worker.children.places(), [place]);
    }
}
