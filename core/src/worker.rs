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
use crate::wire::{self, Hello, Kind, Malformed, Message, Published, Status};
use crate::{
    Failure, Input, LINE_BYTES_MAX, Life, LinkId, Node, Output, Registry, Reply, RequestId, Time,
    Token,
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
    /// The command modules.
    pub commands: Registry,
}

/// A compute node: it runs commands, passes on what is for the nodes below it, and starts and
/// watches its children.
pub struct Worker {
    hello: Hello,
    clock: Clock,
    parent: Link,
    children: Children,
    modules: Modules,
    /// Requests in pieces, of which some are still to come. Bounded by the control node's window.
    partial: FxHashMap<RequestId, Vec<u8>>,
    /// Requests that wait until there is room for answers. Bounded by the control node's window.
    waiting: VecDeque<(RequestId, Vec<u8>)>,
    ending: bool,
    done: bool,
}

impl Worker {
    /// A compute node that is about to join its parent.
    #[must_use]
    pub fn new(config: WorkerConfig) -> Worker {
        let WorkerConfig { life, token, pid, parent, commands } = config;
        Worker {
            hello: Hello { version: wire::VERSION, token, life, pid },
            clock: Clock::default(),
            parent: Link::new(parent, Time::ZERO),
            children: Children::new(life.node, token),
            modules: Modules::new(commands, life.node),
            partial: FxHashMap::default(),
            waiting: VecDeque::new(),
            ending: false,
            done: false,
        }
    }

    fn take_in(&mut self, now: Time, frame: &[u8], out: &mut Vec<Output>) -> Result<(), Malformed> {
        for message in self.parent.receive(now, frame)? {
            let message = message?;
            match message.kind {
                Kind::Welcome => {}
                Kind::Shutdown => {
                    let grace = message.decode().ok_or(Malformed)?;
                    self.end(now, grace, out);
                }
                Kind::Publish => {
                    let published = message.decode::<Published>().ok_or(Malformed)?;
                    self.published(now, &published);
                }
                Kind::Exec | Kind::Ping | Kind::Create | Kind::Remove | Kind::Discard => {
                    self.request(now, &message, out);
                }
                _ => return Err(Malformed),
            }
        }
        Ok(())
    }

    fn request(&mut self, now: Time, message: &Message<'_>, out: &mut Vec<Output>) {
        let parent = &mut self.parent;
        let up = &mut |message: Message<'_>| send_up(parent, &message);
        if message.node != self.hello.life.node {
            return self.children.forward(message, up);
        }
        match message.kind {
            Kind::Exec => self.exec(now, message),
            Kind::Ping => up(Message::answer(message.node, message.request, Status::Ok, &[])),
            _ => self.children.serve(now, message, out, up),
        }
    }

    /// Takes in an exec, or a piece of one, for this node.
    fn exec(&mut self, now: Time, message: &Message<'_>) {
        let (id, flags) = (message.request, message.flags);
        if flags.is_whole() {
            return self.run_or_wait(now, id, message.body);
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
            self.run_or_wait(now, id, &line);
        }
    }

    fn run_or_wait(&mut self, now: Time, id: RequestId, line: &[u8]) {
        if self.is_congested() {
            self.waiting.push_back((id, line.to_vec()));
        } else {
            self.run(now, id, line);
        }
    }

    fn run(&mut self, now: Time, id: RequestId, line: &[u8]) {
        let now = self.clock.real(now);
        let outcome = match std::str::from_utf8(line) {
            Ok(line) => self.modules.exec(now, id, line),
            Err(_) => Err(Failure::from("the command is not UTF-8")),
        };
        match outcome {
            Ok(Reply::Now(result)) => self.answer(id, Ok(&result)),
            Ok(Reply::Later) => {}
            Err(failure) => self.answer(id, Err(&failure)),
        }
    }

    fn answer(&mut self, id: RequestId, outcome: Result<&str, &Failure>) {
        let (status, text) = match outcome {
            Ok(result) => (Status::Ok, result),
            Err(failure) => (Status::Failed, failure.0.as_str()),
        };
        self.parent.send(&Message::answer(self.hello.life.node, id, status, text.as_bytes()));
    }

    fn published(&mut self, now: Time, published: &Published) {
        self.modules.published(self.clock.real(now), &published.module, &published.value);
        self.children.publish(&published.module, &published.value);
    }

    /// Carries out what the modules asked for.
    fn apply_effects(&mut self, now: Time) {
        for effect in self.modules.take_effects() {
            match effect {
                Effect::Answer(id, Ok(result)) => self.answer(id, Ok(&result)),
                Effect::Answer(id, Err(failure)) => self.answer(id, Err(&failure)),
                Effect::Watch(watch) => {
                    self.parent.beat_every(watch.map(|watch| watch.beat_every), now);
                    self.children.watch(now, watch);
                }
                Effect::Publish(module, _) => {
                    log::error!("module {module} published on a compute node: ignored");
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
        self.modules.timeout(self.clock.real(now));
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
                if self.take_in(now, frame, out).is_err() {
                    log::error!("node {}: its parent sent nonsense", self.hello.life.node);
                    self.end(now, END_GRACE, out);
                }
            }
            Input::Down(link) if is_parent(link) => self.end(now, END_GRACE, out),
            Input::Timeout => self.timeout(now, out),
            Input::Interrupt => self.end(now, END_GRACE, out),
            Input::Line(_) | Input::LineTooLong | Input::EndOfInput => {
                debug_assert!(false, "a compute node has no console");
            }
            input => {
                let parent = &mut self.parent;
                let up = &mut |message: Message<'_>| send_up(parent, &message);
                self.children.handle(now, input, out, up);
            }
        }
        self.apply_effects(now);
    }

    fn flush(&mut self, now: Time, out: &mut Vec<Output>) {
        let now = self.clock.read(now, self.own_deadline());
        while !self.is_congested()
            && let Some((id, line)) = self.waiting.pop_front()
        {
            self.run(now, id, &line);
            self.apply_effects(now);
        }
        self.parent.flush(now, true, out);
        self.children.flush(now, !self.is_congested(), out);
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
