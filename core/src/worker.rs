//! The compute node's state machine.

mod answers;
mod inbox;
mod inquiry;
mod offers;
mod parent;
mod parent_search;

use std::time::Duration;

use answers::{Answer, Answers, CANCELLED, OUT_OF_MEMORY};
use inbox::{Inbox, OutOfMemory, Request};
use inquiry::Inquiry;
use parent::{Found, Parent};

use crate::children::{Children, END_GRACE, STOP_TIME_MAX};
use crate::clock::Clock;
use crate::command::Effect;
use crate::memory;
use crate::modules::{Finished, Held, Modules};
use crate::time::earliest;
use crate::wire::{
    self, Fan, Flags, Hello, Kind, Malformed, Message, Published, Status, Terms, Welcome,
};
use crate::{
    Address, Ancestor, Birth, Facts, Failure, Holdings, Input, Job, JobKind, Life, LinkId, Node,
    Outcome, Output, Registry, Reply, RequestId, Stream, Time, Token, Traffic,
};

pub(crate) use parent::ANSWERS_WAITING_BYTES;

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
    life: Life,
    pid: u32,
    transport: &'static str,
    clock: Clock,
    /// When it came to be.
    since: Time,
    parent: Parent,
    children: Children,
    modules: Modules,
    inbox: Inbox,
    answers: Answers,
    inquiry: Inquiry,
    traffic: Traffic,
    /// How many blocking jobs have not returned.
    blocking: usize,
    ending: bool,
    done: bool,
}

impl Worker {
    /// A compute node that is about to join its parent.
    #[must_use]
    pub fn new(now: Time, config: WorkerConfig) -> Worker {
        let WorkerConfig { birth, token, pid, parent, parent_address, .. } = config;
        let WorkerConfig { transport, timeout, commands, .. } = config;
        let Birth { life, seed, parent: node, ancestors } = birth;
        let hello = Hello { version: wire::VERSION, token, life, pid, newborn: seed.proof(0) };
        let ancestor = Ancestor { node, address: parent_address };
        Worker {
            life,
            pid,
            transport,
            clock: Clock::default(),
            since: now,
            parent: Parent::new(now, hello, seed, parent, ancestor, ancestors),
            children: Children::new(life, pid, token),
            modules: Modules::new(commands, timeout),
            inbox: Inbox::default(),
            answers: Answers::new(life),
            inquiry: Inquiry::default(),
            traffic: Traffic::default(),
            blocking: 0,
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

    /// What it could not end before it ended itself, in words for the user; its process then ends
    /// with [`LEFT_BEHIND_STATUS`](crate::LEFT_BEHIND_STATUS).
    #[must_use]
    pub fn left(&self) -> Option<&str> {
        self.children.left()
    }

    /// A frame came from the parent.
    fn received(
        &mut self,
        now: Time,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), Malformed> {
        let messages = self.parent.receive(now, frame, out)?;
        for message in messages {
            let message = message?;
            match message.kind {
                Kind::Welcome => {
                    let welcome = message.read::<Welcome>()?;
                    if welcome.parent != self.parent.node() {
                        return Err(Malformed("a welcome by another node"));
                    }
                    self.welcomed(now, welcome);
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
                | Kind::Take
                | Kind::Grant
                | Kind::Cancel => self.request(now, &message, out)?,
                _ => return Err(Malformed("a message that goes the other way")),
            }
        }
        Ok(())
    }

    fn request(
        &mut self,
        now: Time,
        message: &Message<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Malformed> {
        let parent = &mut self.parent;
        let up = &mut |message: Message<'_>| parent.send(&message);
        if message.life != self.life {
            self.traffic.passed_on += 1;
            self.children.forward(message, up);
            return Ok(());
        }
        match message.kind {
            Kind::Exec => match self.inbox.line(message) {
                Ok(Some(line)) => self.run_or_wait(now, &Message { body: &line, ..*message }),
                Ok(None) => {}
                Err(OutOfMemory) => {
                    let (id, allowance) = (message.request, message.flags.allowance());
                    let failure = Err(Failure::from(OUT_OF_MEMORY));
                    self.answers.send(now, id, allowance, failure.into(), parent);
                }
            },
            Kind::Ask => self.run_or_wait(now, message),
            Kind::Take => self.answers.give(now, message, parent),
            Kind::Grant => {
                let granted = message.read()?;
                self.granted(now, message.request, granted);
            }
            Kind::Cancel => self.cancelled(now, message.request),
            Kind::Ping => up(Message::answer(message.life, message.request, Status::Ok, &[])),
            _ => self.children.handle_request(now, message, out, up),
        }
        Ok(())
    }

    /// Takes in a request for each of several nodes, of which this may be one.
    fn fan(&mut self, now: Time, mut fan: Fan<'_>) {
        let here = fan.parts.iter().position(|(life, _)| *life == self.life);
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

    fn run_or_wait(&mut self, now: Time, message: &Message<'_>) {
        // What waits already was typed before.
        if self.inbox.is_empty() && self.has_room_for_outcomes() {
            let Message { kind, request, flags, body, .. } = *message;
            self.run(now, kind, request, flags, body);
        } else {
            self.inbox.push(Request::new(message));
        }
    }

    fn run(&mut self, now: Time, kind: Kind, id: RequestId, flags: Flags, body: &[u8]) {
        self.traffic.run += 1;
        let allowance = flags.allowance();
        let mut fold = None;
        let outcome = if !memory::has_room_for(body.len()) {
            Err(Failure::from(OUT_OF_MEMORY))
        } else if kind == Kind::Ask {
            self.question(now, id, body)
        } else {
            self.terms(flags, body).and_then(|(terms, line)| {
                fold = terms.fold;
                self.command(now, id, terms, line)
            })
        };
        let outcome = match outcome {
            Ok(Reply::Now(result)) => Ok(result),
            Ok(Reply::Later) => {
                self.inquiry.begin(now);
                return self.answers.expect(id, allowance);
            }
            Err(failure) => Err(failure),
        };
        let answer = Answer { held: fold.map(Held::none), ..Answer::from(outcome) };
        match answer.reduce() {
            Some((command, value)) => self.children.reduce(command, id, &value),
            None => self.answers.send(now, id, allowance, answer, &mut self.parent),
        }
    }

    /// The terms of a request, and its line.
    fn terms<'b>(&self, flags: Flags, body: &'b [u8]) -> Result<(Terms, &'b [u8]), Failure> {
        if !flags.has_terms() {
            return Ok((self.modules.terms_default(), body));
        }
        postcard::take_from_bytes(body).map_err(|_| Failure::from("a command without its terms"))
    }

    /// Answers a question of a module at the control node.
    fn question(&mut self, now: Time, id: RequestId, body: &[u8]) -> Outcome {
        let Published { module, value } = postcard::from_bytes(body)
            .map_err(|_| Failure::from("a question that names no module"))?;
        let (real, facts) = (self.clock.real(now), self.facts());
        self.modules.asked(real, &facts, id, &module, &value)
    }

    /// Runs the line of an exec.
    fn command(&mut self, now: Time, id: RequestId, terms: Terms, line: &[u8]) -> Outcome {
        let line = str::from_utf8(line).map_err(|_| Failure::from("the command is not UTF-8"))?;
        let (real, facts) = (self.clock.real(now), self.facts());
        self.modules.exec(real, &facts, id, line, terms)
    }

    fn facts(&self) -> Facts {
        Facts {
            node: self.life.node,
            pid: self.pid,
            parent: self.parent.node(),
            depth: self.children.depth(),
            transport: self.transport,
            children: self.children.count(),
            below: self.children.below(),
            since: self.since,
            traffic: self.traffic,
        }
    }

    fn offload(&mut self, job: Job, out: &mut Vec<Output>) {
        let is_blocking = job.kind() == JobKind::Blocking;
        if self.ending && is_blocking {
            // The end would wait for it.
            job.stop().want();
        }
        self.blocking += usize::from(is_blocking);
        out.push(Output::Offload(job));
    }

    /// A job has returned.
    fn job_done(
        &mut self,
        now: Time,
        id: RequestId,
        kind: JobKind,
        outcome: Result<String, Failure>,
    ) {
        self.blocking -= usize::from(kind == JobKind::Blocking);
        self.finish(now, id, outcome);
    }

    /// Answers a call that was open; one that is not (any more) is not answered.
    fn finish(&mut self, now: Time, id: RequestId, outcome: Result<String, Failure>) {
        match self.modules.finish(id, outcome) {
            Finished::Answered(outcome, held) => {
                self.send_later(now, id, Answer { held, ..Answer::from(outcome) });
            }
            Finished::Waits => {}
            Finished::Unknown => self.traffic.answers_dropped += 1,
        }
    }

    /// Sends the answer to a call that was answered later.
    fn send_later(&mut self, now: Time, id: RequestId, answer: Answer) {
        match answer.reduce() {
            Some((command, value)) => {
                self.answers.forget(id);
                self.children.reduce(command, id, &value);
            }
            None => self.answers.send_later(now, id, answer, &mut self.parent),
        }
    }

    /// Sends output that a job has emitted, which there was credit for.
    fn send_output(&mut self, id: RequestId, stream: Stream, bytes: &[u8]) {
        let (life, parent) = (self.life, &mut self.parent);
        self.modules.job_output(id, stream, bytes, &mut |stream, bytes| {
            parent.send(&Message::output(life, id, stream, bytes));
        });
    }

    /// A module has emitted output in this thread.
    fn emit(&mut self, now: Time, id: RequestId, stream: Stream, bytes: Vec<u8>) {
        let (real, facts) = (self.clock.real(now), self.facts());
        let (life, parent) = (self.life, &mut self.parent);
        let send = &mut |stream, bytes: &[u8]| {
            parent.send(&Message::output(life, id, stream, bytes));
        };
        if let Err(failure) = self.modules.emit(real, &facts, id, stream, bytes, send) {
            self.answers.send_later(now, id, Err(failure).into(), &mut self.parent);
        }
    }

    /// The control node has read output of a request: more may leave.
    fn granted(&mut self, now: Time, id: RequestId, granted: u64) {
        let (life, parent) = (self.life, &mut self.parent);
        let send = &mut |stream, bytes: &[u8]| {
            parent.send(&Message::output(life, id, stream, bytes));
        };
        let real = self.clock.real(now);
        if let Some(outcome) = self.modules.grant(real, id, granted, send) {
            self.answers.send_later(now, id, outcome.into(), &mut self.parent);
        }
    }

    /// Nobody waits for the answer to a request any more. Those on the way count it until there is one.
    fn cancelled(&mut self, now: Time, id: RequestId) {
        let (real, facts) = (self.clock.real(now), self.facts());
        let failure = Err(Failure::from(CANCELLED));
        if let Some(request) = self.inbox.cancel(id) {
            let allowance = request.flags.allowance();
            self.answers.send(now, id, allowance, failure.into(), &mut self.parent);
        } else if self.modules.cancel(real, &facts, id) {
            self.answers.send_later(now, id, failure.into(), &mut self.parent);
        }
    }

    /// Asks whether the answers to all open calls are still waited for: the route may have broken by which
    /// they have come.
    fn ask_after_calls(&mut self) {
        for id in self.modules.open_calls() {
            self.parent.send(&Message::output(self.life, id, Stream::Out, &[]));
        }
    }

    fn published(&mut self, now: Time, published: &Published) {
        let (now, facts) = (self.clock.real(now), self.facts());
        if self.children.has_published(&published.module, &published.value) {
            // A new parent says it once more; clocks that run must not start anew.
            return;
        }
        self.modules.published(now, &facts, &published.module, &published.value);
        self.children.publish(&published.module, &published.value);
    }

    /// Carries out what the modules asked for, and what they ask for meanwhile.
    fn apply_effects(&mut self, now: Time, out: &mut Vec<Output>) {
        loop {
            let effects = self.modules.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.apply(now, effect, out);
            }
        }
    }

    fn apply(&mut self, now: Time, effect: Effect, out: &mut Vec<Output>) {
        match effect {
            Effect::Answer(id, outcome) => self.finish(now, id, outcome),
            Effect::Emit(id, stream, bytes) => self.emit(now, id, stream, bytes),
            Effect::Offload(job) => self.offload(job, out),
            Effect::Watch(watch) => {
                self.parent.watch(now, watch);
                self.children.watch(now, watch);
                // The others may have been told long before, and count from then on.
                self.parent.beat();
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

    /// Takes in what the parent says of itself and those above it.
    fn welcomed(&mut self, now: Time, Welcome { pid, depth, ancestors, .. }: Welcome) {
        let of_children = self.parent.welcomed(pid, ancestors);
        self.children.set_place(depth, of_children);
        // There may be another route up, and what was on the old one may be lost: nobody may wait any
        // more for what is offered or under way.
        self.answers.offer_again(now);
        self.inquiry.again(now);
        self.ask_after_calls();
        let parent = &mut self.parent;
        self.children.report_silent(&mut |message| parent.send(&message));
    }

    /// The route is gone by which requests have come: the node that saw it go has answered them.
    fn forget_requests(&mut self) {
        self.inbox.clear();
        self.answers.forget_offers();
    }

    /// The link to the parent is gone: another one is looked for.
    fn orphaned(&mut self, now: Time, out: &mut Vec<Output>) {
        self.forget_requests();
        if !self.parent.lost(now, out) {
            self.end(now, END_GRACE, out);
        }
    }

    /// One that was asked to be the parent has answered.
    fn answered(&mut self, now: Time, link: LinkId, frame: &[u8], out: &mut Vec<Output>) {
        let had_parent = self.parent.is_up();
        match self.parent.answered(now, link, frame, out) {
            Found::None => {}
            Found::Parent(welcome) => {
                if had_parent {
                    self.forget_requests();
                }
                self.children.forget_sent();
                self.parent.send_places(&self.children.places());
                self.welcomed(now, welcome);
            }
            Found::Shutdown => self.end(now, END_GRACE, out),
        }
    }

    fn end(&mut self, now: Time, grace: Duration, out: &mut Vec<Output>) {
        self.parent.close(out);
        if !std::mem::replace(&mut self.ending, true) {
            self.children.end(now, grace, out);
            self.stop_calls(now);
        }
    }

    /// Nobody will learn what open calls come to.
    fn stop_calls(&mut self, now: Time) {
        let (real, facts) = (self.clock.real(now), self.facts());
        for id in self.modules.open_calls() {
            self.modules.cancel(real, &facts, id);
        }
        if self.blocking > 0 {
            self.parent.send(&Message::neighbour(Kind::Delay, &wire::body(&STOP_TIME_MAX)));
        }
    }

    fn own_deadline(&self) -> Option<Time> {
        let own = earliest(self.parent.deadline(), self.children.deadline());
        let own = earliest(own, self.answers.deadline());
        earliest(own, self.inquiry.deadline())
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.parent.timeout(now, out) {
            self.end(now, END_GRACE, out);
        }
        let parent = &mut self.parent;
        self.children.timeout(now, out, &mut |message| parent.send(&message));
        self.answers.timeout(now, &mut self.parent);
        if self.inquiry.is_due(now, self.modules.has_open_calls()) {
            self.ask_after_calls();
        }
        let (real, facts) = (self.clock.real(now), self.facts());
        for id in self.modules.timeout(real, &facts) {
            // Nobody waits for it, but the windows count it until it is answered.
            let outcome = Err(Failure::from("it took too long"));
            self.answers.send_later(now, id, outcome.into(), &mut self.parent);
        }
    }
}

impl Node for Worker {
    fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>) {
        let now = self.clock.read(now, self.own_deadline());
        if self.clock.was_late() && !self.ending {
            if self.parent.is_up() {
                self.parent.beat();
            }
            self.children.beat();
        }
        match input {
            Input::Up(link) if self.parent.is_asking(link) => self.parent.reached(link),
            Input::Frame(link, frame) if self.parent.is_asking(link) => {
                self.answered(now, link, frame, out);
            }
            Input::Down(link) if self.parent.is_asking(link) => {
                self.parent.not_reached(now, link, out);
            }
            Input::Connecting(number, link) => self.parent.connecting(now, number, link, out),
            Input::Up(link) if self.parent.is_at(link) => self.parent.say_hello(),
            Input::Frame(link, frame) if self.parent.is_at(link) => {
                self.traffic.frames_received += 1;
                if let Err(Malformed(what)) = self.received(now, frame, out) {
                    let own = self.life.node;
                    log::error!("node {own}: its parent does not speak our protocol: {what}");
                    out.push(Output::Close(link));
                    self.orphaned(now, out);
                }
            }
            Input::Down(link) if self.parent.is_at(link) => self.orphaned(now, out),
            Input::Inspected(link, seen) if self.parent.is_at(link) => {
                self.parent.inspected(now, seen, out);
            }
            Input::Timeout => self.timeout(now, out),
            Input::Interrupt => self.end(now, END_GRACE, out),
            Input::JobOutput(id, stream, bytes) => self.send_output(id, stream, bytes),
            Input::JobDone(id, kind, outcome) => self.job_done(now, id, kind, outcome),
            Input::Line(_)
            | Input::LineTooLong
            | Input::LineRefused(_)
            | Input::EndOfInput
            | Input::OutputBlocked(_)
            | Input::Cancel
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
            && let Some(Request { kind, id, flags, body }) = self.inbox.pop()
        {
            self.run(now, kind, id, flags, &body);
            self.apply_effects(now, out);
        }
        if !self.parent.is_congested() {
            let parent = &mut self.parent;
            self.children.send_reduced(&mut |message| parent.send(&message));
        }
        let before = out.len();
        // A child is welcomed before the control node hears of it: who hears that a node is there
        // may rely on it to know where to turn when this one is gone.
        self.children.flush(now, !self.parent.is_congested(), out);
        self.parent.flush(now, out);
        self.traffic.frames_sent += (out.len() - before) as u64;
        self.modules.pause(self.clock.real(now), !self.has_room_for_outcomes());
        let is_over = self.ending && self.children.is_empty() && self.blocking == 0;
        if is_over && !std::mem::replace(&mut self.done, true) {
            out.push(Output::Exit);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let own = self.own_deadline().map(|own| self.clock.real(own));
        earliest(own, self.modules.deadline())
    }

    fn has_room_for_outcomes(&self) -> bool {
        let is_jammed =
            self.parent.is_congested() || self.answers.offered_bytes() > ANSWERS_WAITING_BYTES;
        // What jobs come to leads nowhere at the end, which waits for them.
        self.ending || !is_jammed
    }

    fn holdings(&self) -> Holdings {
        let below = self.children.holdings();
        let waiting_bytes = below.waiting_bytes + self.parent.waiting_bytes();
        Holdings { waiting_bytes, ..below }
    }

    fn starting(&self) -> usize {
        self.children.starting()
    }
}

#[cfg(test)]
mod tests;
