//! The compute node's state machine.

mod answers;
mod inbox;
mod inquiry;
mod offers;
mod parent;
mod parent_search;
mod parts;
mod running;

use std::time::Duration;

use answers::{Answers, OUT_OF_MEMORY};
use inbox::{Inbox, OutOfMemory, Request};
use inquiry::Inquiry;
use parent::{Found, Parent};
use parts::Parts;

use crate::children::{Children, END_GRACE};
use crate::clock::Clock;
use crate::modules::Modules;
use crate::time::earliest;
use crate::wire::{self, Fan, Hello, Kind, Malformed, Message, Published, Status, Welcome};
use crate::{
    Address, Ancestor, Birth, Facts, Failure, Holdings, Input, Life, LinkId, Node, Output,
    ProcessId, Registry, Time, Token, Traffic,
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
    pub process: ProcessId,
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
    process: ProcessId,
    transport: &'static str,
    clock: Clock,
    /// When it came to be.
    since: Time,
    parent: Parent,
    children: Children,
    modules: Modules,
    inbox: Inbox,
    answers: Answers,
    parts: Parts,
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
        let WorkerConfig { birth, token, process, parent, parent_address, .. } = config;
        let WorkerConfig { transport, timeout, commands, .. } = config;
        let Birth { life, seed, parent: node, machine, ancestors } = birth;
        let hello = Hello { version: wire::VERSION, token, life, process, newborn: seed.proof(0) };
        let ancestor = Ancestor { node, address: parent_address, machine };
        Worker {
            life,
            process,
            transport,
            clock: Clock::default(),
            since: now,
            parent: Parent::new(now, hello, seed, parent, ancestor, ancestors),
            children: Children::new(life, process, token),
            modules: Modules::new(commands, timeout),
            inbox: Inbox::default(),
            answers: Answers::new(life),
            parts: Parts::default(),
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

    fn facts(&self) -> Facts {
        Facts {
            node: self.life.node,
            pid: self.process.pid,
            parent: self.parent.node(),
            depth: self.children.depth(),
            transport: self.transport,
            children: self.children.count(),
            below: self.children.below(),
            since: self.since,
            traffic: self.traffic,
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

    /// Takes in what the parent says of itself and those above it.
    fn welcomed(&mut self, now: Time, Welcome { process, address, depth, ancestors, .. }: Welcome) {
        let of_children = self.parent.welcomed(now, process, address, ancestors);
        self.children.set_place(depth, of_children);
        // There may be another route up, and what was on the old one may be lost: nobody may wait any
        // more for what is offered or under way.
        self.answers.offer_again(now);
        self.inquiry.again(now);
        self.ask_after_calls(|parts, call| !parts.has(call));
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

    /// Whether answers pile up: requests and jobs wait.
    fn is_jammed(&self) -> bool {
        self.parent.is_congested() || self.answers.offered_bytes() > ANSWERS_WAITING_BYTES
    }

    fn own_deadline(&self) -> Option<Time> {
        let own = earliest(self.parent.deadline(), self.children.deadline());
        let own = earliest(own, self.answers.deadline());
        let own = earliest(own, self.parts.deadline());
        earliest(own, self.inquiry.deadline())
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.parent.timeout(now, out) {
            self.end(now, END_GRACE, out);
        }
        let parent = &mut self.parent;
        self.children.timeout(now, out, &mut |message| parent.send(&message));
        self.answers.timeout(now, &mut self.parent);
        self.parts.timeout(now);
        if self.inquiry.is_due(now, self.modules.has_open_calls()) {
            self.ask_after_calls(|_, _| true);
        }
        let (real, facts) = (self.clock.real(now), self.facts());
        for id in self.modules.timeout(real, &facts) {
            // Nobody waits for it, but the windows count it until it is answered.
            let outcome = Err(Failure::from("it took too long"));
            self.answer_later(now, id, outcome);
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
        while !self.is_jammed()
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

    /// Requests that wait come first: a job that writes would never leave room for them. At the end, which
    /// waits for jobs, what they come to leads nowhere.
    fn has_room_for_outcomes(&self) -> bool {
        self.ending || (self.inbox.is_empty() && !self.is_jammed())
    }

    fn holdings(&self) -> Holdings {
        let below = self.children.holdings();
        Holdings {
            waiting_bytes: below.waiting_bytes + self.parent.waiting_bytes(),
            answer_bytes: below.answer_bytes + self.parts.bytes(),
            ..below
        }
    }

    fn starting(&self) -> usize {
        self.children.starting()
    }
}

#[cfg(test)]
mod tests;
