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
use crate::offers::Offers;
use crate::seed::MOVES_MAX;
use crate::time::earliest;
use crate::wire::{
    self, ANCESTORS_MAX, Allowance, Fan, Hello, Kind, Malformed, Message, Published, Settled,
    Status, Welcome,
};
use crate::{
    Address, Ancestor, Birth, Facts, Failure, Holdings, Input, Inspection, LINE_BYTES_MAX, LinkId,
    Node, NodeId, Output, Registry, Reply, RequestId, Seed, Time, Token, Traffic, VALUE_BYTES_MAX,
    Watch,
};

/// How many places one message about those below names at most; keeps it below a piece.
const PLACES_PER_MESSAGE: usize = 400;

/// How many bytes of answers and news may wait for the parent before this node takes in no more: children
/// get no new credit, and its own requests wait. As many may wait to be taken before those do.
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
    /// How often it has moved from one parent to another, and what it proves that with.
    moves: u32,
    seed: Seed,
    /// While it looks for another parent.
    healing: Option<Healing>,
    attempts: Attempts,
    watch: Option<Watch>,
    children: Children,
    modules: Modules,
    /// The request of which some pieces are still to come. There is one at most, since pieces for one
    /// life keep their order; when another begins, the way of the rest has broken.
    partial: Option<(RequestId, Vec<u8>)>,
    /// Requests that wait until there is room for answers. Bounded by the control node's window.
    waiting: VecDeque<Request>,
    /// Calls that are answered later, when their answers may not be [`Allowance::Large`] unasked.
    /// Bounded likewise.
    allowances: FxHashMap<RequestId, Allowance>,
    offers: Offers,
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
            Kind::Offer => self.link.send_control(Merge::Offer(message.request), message),
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
    allowance: Allowance,
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
            hello: Hello { version: wire::VERSION, token, life, pid, newborn: birth.seed.proof(0) },
            transport,
            clock: Clock::default(),
            since: now,
            parent: Parent { link: Link::new(parent, now), is_up: true, ancestor, pid: None },
            ancestors: birth.ancestors,
            moves: 0,
            seed: birth.seed,
            healing: None,
            attempts: Attempts::default(),
            watch: None,
            children: Children::new(life, pid, token),
            modules: Modules::new(commands, timeout),
            partial: None,
            waiting: VecDeque::new(),
            allowances: FxHashMap::default(),
            offers: Offers::default(),
            traffic: Traffic::default(),
            ending: false,
            done: false,
        }
    }

    /// Whether a parent has ever taken it in.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        // Only a parent tells it how deep it is.
        self.children.depth() > 0
    }

    /// What it could not end before it ended itself, in words for the user; its process then ends with
    /// [`LEFT_BEHIND_STATUS`](crate::LEFT_BEHIND_STATUS).
    #[must_use]
    pub fn left(&self) -> Option<&str> {
        self.children.left()
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
                    let welcome = message.read::<Welcome>()?;
                    if welcome.parent != self.parent.ancestor.node {
                        return Err(Malformed("a welcome by another node"));
                    }
                    self.place(now, welcome);
                }
                Kind::Beat => {}
                Kind::Shutdown => {
                    let grace = message.read()?;
                    self.end(now, grace, out);
                }
                Kind::Publish => {
                    let published = message.read::<Published>()?;
                    self.published(now, &published);
                }
                Kind::Fan => {
                    let fan = Fan::decode(&message).ok_or(Malformed("a fan that is none"))?;
                    self.fan(now, fan);
                }
                Kind::Exec
                | Kind::Ask
                | Kind::Ping
                | Kind::Create
                | Kind::Remove
                | Kind::Discard
                | Kind::Take => self.request(now, &message, out),
                _ => return Err(Malformed("a message that goes the other way")),
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
            Kind::Ask => self.run_or_wait(now, message),
            Kind::Take => self.give(now, message),
            Kind::Ping => up(Message::answer(message.life, message.request, Status::Ok, &[])),
            _ => self.children.serve(now, message, out, up),
        }
    }

    /// Takes in a request for each of several nodes, of which this may be one.
    fn fan(&mut self, now: Time, mut fan: Fan<'_>) {
        let here = fan.parts.iter().position(|(life, _)| *life == self.hello.life);
        if let Some(here) = here {
            let (life, id) = fan.parts.remove(here);
            self.run_or_wait(now, &fan.part(life, id));
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
        if flags.is_first() {
            self.partial = None;
        }
        if flags.is_whole() {
            return self.run_or_wait(now, message);
        }
        if flags.is_first() {
            self.partial = Some((id, message.body.to_vec()));
            return;
        }
        let Some((_, mut line)) = self.partial.take_if(|(begun, _)| *begun == id) else { return };
        line.extend_from_slice(message.body);
        if flags.is_last() {
            self.run_or_wait(now, &Message { body: &line, ..*message });
        } else if line.len() <= LINE_BYTES_MAX {
            self.partial = Some((id, line));
        }
    }

    fn run_or_wait(&mut self, now: Time, message: &Message<'_>) {
        let Message { kind, request: id, body, .. } = *message;
        let allowance = message.flags.allowance();
        // What waits already was typed before.
        if self.waiting.is_empty() && self.has_room_for_outcomes() {
            self.run(now, kind, id, allowance, body);
        } else {
            self.waiting.push_back(Request { kind, id, allowance, body: body.to_vec() });
        }
    }

    fn run(&mut self, now: Time, kind: Kind, id: RequestId, allowance: Allowance, body: &[u8]) {
        let real = self.clock.real(now);
        self.traffic.run += 1;
        let facts = self.facts();
        let outcome = if kind == Kind::Ask {
            match postcard::from_bytes::<Published>(body) {
                Ok(Published { module, value }) => {
                    self.modules.asked(real, &facts, id, &module, &value)
                }
                Err(_) => Err(Failure::from("a malformed question")),
            }
        } else {
            match std::str::from_utf8(body) {
                Ok(line) => self.modules.exec(real, &facts, id, line),
                Err(_) => Err(Failure::from("the command is not UTF-8")),
            }
        };
        match outcome {
            Ok(Reply::Now(result)) => self.answer(now, id, allowance, Ok(result)),
            Ok(Reply::Later) if allowance == Allowance::Large => {}
            Ok(Reply::Later) => drop(self.allowances.insert(id, allowance)),
            Err(failure) => self.answer(now, id, allowance, Err(failure)),
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

    /// Sends an answer, or offers it when it is too long to come unasked.
    fn answer(
        &mut self,
        now: Time,
        id: RequestId,
        allowance: Allowance,
        outcome: Result<String, Failure>,
    ) {
        let (status, text) = match outcome {
            Ok(result) if result.len() > VALUE_BYTES_MAX => {
                (Status::Failed, format!("the answer is longer than {VALUE_BYTES_MAX} bytes"))
            }
            Ok(result) => (Status::Ok, result),
            Err(Failure(text)) => (Status::Failed, text),
        };
        let life = self.hello.life;
        if text.len() <= allowance.bytes() || !self.parent.is_up {
            let answer = Message::answer(life, id, status, text.as_bytes());
            return self.parent.send(&answer);
        }
        let bytes = wire::body(&(text.len() as u64));
        self.offers.add(now, id, status, text);
        self.parent.send(&Message::new(Kind::Offer, life, id, &bytes));
    }

    /// Sends an answer that was offered, or another one in its place when nobody wants it any more:
    /// everyone on the way waits for one.
    fn give(&mut self, now: Time, take: &Message<'_>) {
        let Some((status, text)) = self.offers.take(now, take.request) else { return };
        let (life, id) = (self.hello.life, take.request);
        let answer = match take.decode() {
            Some(true) => Message::answer(life, id, status, text.as_bytes()),
            _ => Message::answer(life, id, Status::Failed, b"the answer was not taken"),
        };
        self.parent.send(&answer);
    }

    /// Answers a call that was open; one that is not (any more) is not answered.
    fn finish(&mut self, now: Time, id: RequestId, outcome: Result<String, Failure>) {
        match self.modules.finish(id, outcome) {
            Some(outcome) => self.answer_later(now, id, outcome),
            None => self.traffic.answers_dropped += 1,
        }
    }

    fn answer_later(&mut self, now: Time, id: RequestId, outcome: Result<String, Failure>) {
        let allowance = self.allowances.remove(&id).unwrap_or(Allowance::Large);
        self.answer(now, id, allowance, outcome);
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
                Effect::Answer(id, outcome) => self.finish(now, id, outcome),
                Effect::Offload(job) => out.push(Output::Offload(job)),
                Effect::Watch(watch) => {
                    self.watch = watch;
                    self.watch_parent(now);
                    self.children.watch(now, watch);
                    // The others may have been told long before, and count from then on.
                    self.parent.link.beat();
                    self.children.beat();
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

    /// Whether answers, or news of those below, pile up faster than the parent takes them.
    fn is_congested(&self) -> bool {
        self.parent.is_up && self.parent.link.waiting_bytes() > ANSWERS_WAITING_BYTES
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
        let Welcome { pid, depth, ancestors, .. } = welcome;
        self.parent.pid = Some(pid);
        self.ancestors = ancestors;
        let mut of_children = vec![self.parent.ancestor.clone()];
        of_children.extend_from_slice(&self.ancestors);
        if of_children.len() > ANCESTORS_MAX + 1 {
            // The nearest, and the control node, which is the last.
            of_children.drain(ANCESTORS_MAX..of_children.len() - 1);
        }
        self.children.set_place(depth, of_children);
        // There may be another way up, and what was on the old one may be lost: nobody may wait any
        // more for what is offered.
        self.offers.offer_again(now);
        let parent = &mut self.parent;
        self.children.report_silent(&mut |message| parent.send(&message));
    }

    /// The way is gone by which requests have come: they were answered by whoever saw it go.
    fn forget_requests(&mut self) {
        self.partial = None;
        self.waiting.clear();
        self.offers.clear();
    }

    /// The link to the parent is gone: another one is looked for.
    fn orphaned(&mut self, now: Time, out: &mut Vec<Output>) {
        self.parent.is_up = false;
        self.forget_requests();
        if self.ending {
            return self.end(now, END_GRACE, out);
        }
        if self.moves >= MOVES_MAX {
            log::error!("{} has moved {MOVES_MAX} times, and ends", self.hello.life);
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
        let may_move = !self.ending && self.moves < MOVES_MAX;
        if self.parent.is_up && self.parent.link.judge(now, seen) && may_move {
            log::info!("node {} hears nothing from its parent", self.hello.life.node);
            self.seek(now, self.ancestors.clone(), out);
        }
    }

    /// Somebody who was asked has answered.
    fn answered(&mut self, now: Time, link: LinkId, frame: &[u8], out: &mut Vec<Output>) {
        match self.healing.as_mut().and_then(|healing| healing.asked(link)) {
            None => {}
            Some((ancestor, asked)) => match read_welcome(ancestor, asked, now, frame) {
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
        let Some(proof) = self.seed.proof(self.moves + 1) else { return };
        if self.parent.is_up {
            out.push(Output::Close(self.parent.link.id()));
            self.forget_requests();
        }
        log::info!("node {} is taken in by node {}", self.hello.life.node, ancestor.node);
        self.moves += 1;
        self.parent = Parent { link, is_up: true, ancestor, pid: None };
        self.watch_parent(now);
        let settled = wire::body(&Settled { moves: self.moves, proof });
        self.parent.link.send_first(&Message::neighbour(Kind::Settled, &settled));
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
        let own = earliest(own, self.offers.deadline());
        earliest(own, self.healing.as_ref().map(Healing::deadline))
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.parent.is_up {
            self.parent.link.beat_if_due(now);
        }
        self.heal(now, out);
        let parent = &mut self.parent;
        self.children.timeout(now, out, &mut |message| parent.send(&message));
        for (id, bytes) in self.offers.due_again(now) {
            let life = self.hello.life;
            self.parent.send(&Message::new(Kind::Offer, life, id, &wire::body(&(bytes as u64))));
        }
        let (real, facts) = (self.clock.real(now), self.facts());
        for id in self.modules.timeout(real, &facts) {
            // Nobody waits for it, but the windows count it until it is answered.
            self.answer_later(now, id, Err(Failure::from("it took too long")));
        }
    }

    /// What happens to links that are to lead to a new parent.
    fn attempt(&mut self, now: Time, input: &Input<'_>, out: &mut Vec<Output>) {
        match *input {
            Input::Up(link) => {
                let hello = wire::body(&Hello { newborn: None, ..self.hello.clone() });
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
                if let Err(Malformed(what)) = self.take_in(now, frame, out) {
                    let own = self.hello.life.node;
                    log::error!("node {own}: its parent does not speak our protocol: {what}");
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
            Input::JobDone(id, outcome) => self.finish(now, id, outcome),
            Input::Line(_)
            | Input::LineTooLong
            | Input::LineRefused(_)
            | Input::EndOfInput
            | Input::OutputBlocked(_)
            | Input::OrphanExited(..) => {
                debug_assert!(false, "a compute node has no console, and inherits nobody");
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
        while self.has_room_for_outcomes()
            && let Some(Request { kind, id, allowance, body }) = self.waiting.pop_front()
        {
            self.run(now, kind, id, allowance, &body);
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
        self.modules.pause(self.clock.real(now), !self.has_room_for_outcomes());
        if self.ending && self.children.is_empty() && !std::mem::replace(&mut self.done, true) {
            out.push(Output::Exit);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let own = self.own_deadline().map(|own| self.clock.real(own));
        earliest(own, self.modules.deadline())
    }

    fn has_room_for_outcomes(&self) -> bool {
        !self.is_congested() && self.offers.bytes() <= ANSWERS_WAITING_BYTES
    }

    fn holdings(&self) -> Holdings {
        let below = self.children.holdings();
        let waiting_bytes = below.waiting_bytes + self.parent.link.waiting_bytes();
        Holdings { waiting_bytes, ..below }
    }

    fn starting(&self) -> usize {
        self.children.starting()
    }
}

/// What an ancestor answers to an orphan: `None` when it has not said anything, and what it has said
/// instead when that is no welcome by this very ancestor: its address may have another owner by now.
fn read_welcome(
    ancestor: NodeId,
    link: &mut Link,
    now: Time,
    frame: &[u8],
) -> Result<Option<Welcome>, Option<Kind>> {
    let mut welcome = None;
    for message in link.receive(now, frame).map_err(|_| None)? {
        let message = message.map_err(|_| None)?;
        // What has changed in the meantime is said at once.
        let read = Some(message).filter(|message| message.kind == Kind::Welcome);
        let read = read.and_then(|message| message.decode::<Welcome>());
        welcome = read.filter(|welcome| welcome.parent == ancestor);
        if welcome.is_none() {
            return Err(Some(message.kind));
        }
    }
    Ok(welcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Create;
    use crate::{
        Activity, Call, Claim, Command, CommandSpec, Context, Example, Incarnation, KEY_BYTES,
        Life, Outcome, Place, Secret, Word,
    };

    const PARENT: LinkId = LinkId(1);
    const CHILD: LinkId = LinkId(2);
    const TOKEN: Token = Token([1; 16]);

    fn life(id: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
    }

    fn seed(life: Life) -> Seed {
        Seed::of(Secret::new(&[7; KEY_BYTES]), life)
    }

    fn frame(messages: &[Message<'_>]) -> Vec<u8> {
        let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
        messages.iter().for_each(|message| message.encode(&mut frame));
        frame
    }

    fn worker(ancestors: Vec<Ancestor>) -> Worker {
        let (life, seed) = (life(1), seed(life(1)));
        let birth = Birth { life, seed, parent: NodeId::CONTROL, ancestors };
        let config = WorkerConfig {
            birth,
            token: TOKEN,
            pid: 1,
            parent: PARENT,
            parent_address: Address("above".to_owned()),
            transport: "test",
            timeout: Duration::from_secs(5),
            commands: Registry::new([&BYTES]).unwrap(),
        };
        Worker::new(Time::ZERO, config)
    }

    fn turn(worker: &mut Worker, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        worker.handle(Time::ZERO, input, &mut out);
        worker.flush(Time::ZERO, &mut out);
        out
    }

    /// The messages of all frames that leave for the parent, by kind and request.
    fn sent(out: &[Output]) -> Vec<(Kind, u64)> {
        let frames = out.iter().filter_map(|output| match output {
            Output::Send(PARENT, frame) => Some(frame),
            _ => None,
        });
        let messages = frames.flat_map(|frame| wire::open(frame).unwrap().1);
        messages
            .map(|message| message.unwrap())
            .map(|message| (message.kind, message.request.0))
            .collect()
    }

    /// Answers every command with as many bytes as it asks for.
    struct Bytes;

    static BYTES: CommandSpec = CommandSpec {
        name: "bytes",
        package: "test",
        summary: "for tests",
        words: &[Word { claim: Claim::Word("bytes"), usage: "bytes N", help: "N bytes" }],
        verbs: &[],
        examples: &[Example { line: "exec 1 bytes 0", reply: "Ok:1" }],
        create: || Box::new(Bytes),
    };

    impl Command for Bytes {
        fn call(&mut self, _: &mut Context<'_>, call: &Call<'_>) -> Outcome {
            let bytes: usize = call.args.only("N", "a number")?;
            Ok("x".repeat(bytes).into())
        }
    }

    fn exec(request: u64, line: &str) -> Message<'_> {
        Message::new(Kind::Exec, life(1), RequestId(request), line.as_bytes())
    }

    /// A request that comes when there is room again must not pass one that has waited for it.
    #[test]
    fn requests_run_in_the_order_in_which_they_came_also_in_a_jam() {
        let mut worker = worker(Vec::new());
        turn(&mut worker, Input::Up(PARENT));
        let long: Vec<_> = (1..=12).map(|request| exec(request, "bytes 40000")).collect();
        let mut out = turn(&mut worker, Input::Frame(PARENT, &frame(&long)));
        for request in 13..=30 {
            // All that has left is acknowledged, the hello as well.
            let acknowledged = u32::try_from(out.len() + 1).unwrap();
            let mut next = frame(&[exec(request, "bytes 0")]);
            next[..wire::FRAME_HEADER_BYTES].copy_from_slice(&acknowledged.to_le_bytes());
            out.extend(turn(&mut worker, Input::Frame(PARENT, &next)));
        }
        let answered = sent(&out).into_iter().map(|(_, request)| request);
        let short: Vec<_> = answered.filter(|request| *request > 12).collect();
        assert_eq!(short, (13..=30).collect::<Vec<_>>());
    }

    /// Its beginning is worth nothing when the way of the rest has broken.
    #[test]
    fn a_line_whose_rest_does_not_come_is_not_run() {
        let mut worker = worker(Vec::new());
        turn(&mut worker, Input::Up(PARENT));
        let flags = |first, last| wire::Flags::new(Status::Ok).piece(first, last);
        let blanks = " ".repeat(wire::PIECE_BYTES_MAX);
        let begun = Message { flags: flags(true, false), ..exec(1, &blanks) };
        let other = exec(2, "bytes 1");
        let rest = Message { flags: flags(false, true), ..exec(1, "bytes 3") };
        let out = turn(&mut worker, Input::Frame(PARENT, &frame(&[begun, other, rest])));
        assert_eq!(sent(&out), [(Kind::Answer, 2)]);
    }

    /// The address of an ancestor that is gone may have another owner by now.
    #[test]
    fn only_the_one_who_was_asked_is_taken_for_a_parent() {
        let address = Address("further up".to_owned());
        let grandparent = NodeId::compute(0).unwrap();
        let mut worker = worker(vec![Ancestor { node: grandparent, address }]);
        worker.parent.ancestor.node = NodeId::compute(9).unwrap();
        turn(&mut worker, Input::Down(PARENT));
        let link = LinkId(7);
        turn(&mut worker, Input::Connecting(1, link));
        turn(&mut worker, Input::Up(link));
        let welcome = |parent| {
            let welcome = Welcome { parent, pid: 1, depth: 1, ancestors: Vec::new() };
            frame(&[Message::neighbour(Kind::Welcome, &wire::body(&welcome))])
        };
        let out = turn(&mut worker, Input::Frame(link, &welcome(NodeId::compute(5).unwrap())));
        assert!(out.contains(&Output::Close(link)) && !worker.parent.is_up, "{out:?}");
    }

    /// Nobody would take it in.
    #[test]
    fn who_has_moved_as_often_as_it_can_ends() {
        let mut worker = worker(Vec::new());
        worker.moves = MOVES_MAX;
        assert_eq!(turn(&mut worker, Input::Down(PARENT)), [Output::Exit]);
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
        worker.parent.ancestor.node = node;
        worker.watch = Some(Watch { beat_every: 1_000 * MS, silent_after: 40 * MS });
        worker.watch_parent(Time::ZERO);
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
        let mut turn = |input: Input<'_>| turn(&mut worker, input);
        turn(Input::Up(PARENT));
        let seed = seed(life(2));
        let create = wire::body(&Create { life: life(2), seed, transport: None });
        let create = Message::new(Kind::Create, life(1), RequestId(1), &create);
        turn(Input::Frame(PARENT, &frame(&[create])));
        turn(Input::Up(CHILD));
        let (version, newborn) = (wire::VERSION, seed.proof(0));
        let hello = Hello { version, token: TOKEN, life: life(2), pid: 2, newborn };
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
        assert_eq!(worker.children.places()[0].place, place);
    }
}
