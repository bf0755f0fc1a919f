//! The compute node's state machine.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::children::{Children, END_GRACE};
use crate::clock::Clock;
use crate::command::Effect;
use crate::link::{Link, Merge};
use crate::modules::Modules;
use crate::time::earliest;
use crate::wire::{self, Fan, Hello, Kind, Malformed, Message, Published, Status, Welcome};
use crate::{
    Facts, Failure, Input, LINE_BYTES_MAX, Life, LinkId, Node, NodeId, Output, Registry, Reply,
    RequestId, Time, Token, Traffic, VALUE_BYTES_MAX,
};

/// How many bytes of answers may wait for the parent before this node takes in no more: children
/// get no new credit, and its own requests wait.
const ANSWERS_WAITING_BYTES: usize = 256 * 1024;

/// What a compute node is told before it starts.
#[derive(Debug)]
pub struct WorkerConfig {
    /// Who it is.
    pub life: Life,
    /// What it shows its parent, and wants to see from its children.
    pub token: Token,
    /// Its process.
    pub pid: u32,
    /// The link to its parent, which need not be up yet.
    pub parent: LinkId,
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
    parent: Link,
    /// Who is at the other end of that link, once it is known.
    parent_node: NodeId,
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
        let WorkerConfig { life, token, pid, parent, transport, timeout, commands } = config;
        Worker {
            hello: Hello { version: wire::VERSION, token, life, pid },
            transport,
            clock: Clock::default(),
            since: now,
            parent: Link::new(parent, now),
            parent_node: NodeId::CONTROL,
            children: Children::new(life.node, token),
            modules: Modules::new(commands, timeout),
            partial: FxHashMap::default(),
            waiting: VecDeque::new(),
            traffic: Traffic::default(),
            ending: false,
            done: false,
        }
    }

    fn take_in(&mut self, now: Time, frame: &[u8], out: &mut Vec<Output>) -> Result<(), Malformed> {
        for message in self.parent.receive(now, frame)? {
            let message = message?;
            match message.kind {
                Kind::Welcome => {
                    let Welcome { parent, depth } = message.decode().ok_or(Malformed)?;
                    self.parent_node = parent;
                    self.children.set_depth(depth);
                }
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
        let up = &mut |message: Message<'_>| send_up(parent, &message);
        if message.node != self.hello.life.node {
            self.traffic.passed_on += 1;
            return self.children.forward(message, up);
        }
        match message.kind {
            Kind::Exec => self.exec(now, message),
            Kind::Ask => self.run_or_wait(now, message.kind, message.request, message.body),
            Kind::Ping => up(Message::answer(message.node, message.request, Status::Ok, &[])),
            _ => self.children.serve(now, message, out, up),
        }
    }

    /// Takes in a request for each of several nodes, of which this may be one.
    fn fan(&mut self, now: Time, mut fan: Fan<'_>) {
        let here = fan.parts.iter().position(|(node, _)| *node == self.hello.life.node);
        if let Some(here) = here {
            let (_, id) = fan.parts.remove(here);
            self.run_or_wait(now, fan.kind, id, fan.body);
        }
        if !fan.parts.is_empty() {
            self.traffic.passed_on += 1;
            let parent = &mut self.parent;
            self.children.forward_fan(fan, &mut |message| send_up(parent, &message));
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
            parent: self.parent_node,
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
        self.parent.send(&Message::answer(self.hello.life.node, id, status, text.as_bytes()));
    }

    /// Answers a call that was open; one that is not (any more) is not answered.
    fn finish(&mut self, id: RequestId, outcome: Result<String, Failure>) {
        if let Some(outcome) = self.modules.finish(id, outcome) {
            self.answer(id, outcome);
        }
    }

    fn published(&mut self, now: Time, published: &Published) {
        let (now, facts) = (self.clock.real(now), self.facts());
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
                    self.parent.beat_every(watch.map(|watch| watch.beat_every), now);
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
        self.parent.queued_bytes() > ANSWERS_WAITING_BYTES
    }

    fn end(&mut self, now: Time, grace: Duration, out: &mut Vec<Output>) {
        if !std::mem::replace(&mut self.ending, true) {
            self.children.end(now, grace, out);
        }
    }

    fn own_deadline(&self) -> Option<Time> {
        earliest(self.parent.deadline(), self.children.deadline())
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Output>) {
        self.parent.beat_if_due(now);
        let parent = &mut self.parent;
        self.children.timeout(now, out, &mut |message| send_up(parent, &message));
        let (now, facts) = (self.clock.real(now), self.facts());
        for id in self.modules.timeout(now, &facts) {
            // Nobody waits for it, but the windows count it until it is answered.
            self.answer(id, Err(Failure::from("it took too long")));
        }
    }
}

impl Node for Worker {
    fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>) {
        let now = self.clock.read(now, self.own_deadline());
        let is_parent = |link: LinkId| link == self.parent.id();
        match input {
            Input::Up(link) if is_parent(link) => {
                log::debug!("{} says hello to its parent", self.hello.life);
                let hello = wire::body(&self.hello);
                let hello = Message::neighbour(Kind::Hello, &hello);
                self.parent.send_control(Merge::Never, &hello);
            }
            Input::Frame(link, frame) if is_parent(link) => {
                self.traffic.frames_received += 1;
                if self.take_in(now, frame, out).is_err() {
                    log::error!("node {}: its parent sent nonsense", self.hello.life.node);
                    self.end(now, END_GRACE, out);
                }
            }
            Input::Down(link) if is_parent(link) => self.end(now, END_GRACE, out),
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
                    send_up(parent, &message);
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
        self.parent.flush(now, true, out);
        self.children.flush(now, !self.is_congested(), out);
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

/// Passes a message on towards the control node.
fn send_up(parent: &mut Link, message: &Message<'_>) {
    match message.kind {
        Kind::Answer => parent.send(message),
        Kind::Silent | Kind::Heard => parent.send_control(Merge::Silence(message.node), message),
        _ => parent.send_control(Merge::Never, message),
    }
}
