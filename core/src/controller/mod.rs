//! The control node's state machine.
//!
//! [`Controller`] hands each input to whom it concerns. Below it each command has a file of its own,
//! from its line to its reply: [`create`], [`remove`], [`exec`], [`exec_many`], [`ping`], [`picture`]
//! and [`help`]; the commands of modules are here. What comes up the tree is told to them by [`upward`],
//! [`answers`], [`news`], [`deadlines`] and [`outcomes`]. All of them work on one [`desk`] of nouns,
//! which know nothing of each other but what they are given, and return what has changed.

mod abandoned;
mod answers;
mod create;
mod deadlines;
mod deferred;
mod desk;
mod exec;
mod exec_many;
mod gather;
mod help;
mod intake;
mod language;
mod news;
mod outbox;
mod outcomes;
mod picture;
mod ping;
mod printer;
mod probes;
mod remove;
mod replies;
mod reply;
mod requests;
mod task;
#[cfg(test)]
mod tests;
mod tree;
mod turns;
mod upward;
mod windows;

use std::sync::Arc;
use std::time::Duration;

use desk::Desk;
use exec::Turn;
use gather::Told;
use language::Line;
use outbox::{Outgoing, Part};
use replies::Replies;
use reply::Reply;
use task::{Task, Work};

use crate::children::Children;
use crate::clock::Clock;
use crate::command::Effect;
use crate::modules::Modules;
use crate::time::earliest;
use crate::wire::Message;
use crate::{
    Facts, Failure, Holdings, Input, LINE_BYTES_MAX, Life, Node, NodeId, Outcome, Output, Registry,
    RequestId, Secret, Time, Token, Traffic,
};

/// What the control node is told before it starts.
#[derive(Debug)]
pub struct ControllerConfig {
    /// What every node of this tree shows its neighbours.
    pub token: Token,
    /// What the [seeds](crate::Seed) of all lives are made from. Nobody else may know it, not even the
    /// nodes of the tree.
    pub own_secret: Secret,
    /// Its process.
    pub pid: u32,
    /// The name of its transport.
    pub transport: &'static str,
    /// The deadline of a request.
    pub timeout: Duration,
    /// The order of the replies.
    pub order: Order,
    /// How many compute nodes there may be.
    pub nodes_max: usize,
    /// The command modules.
    pub commands: Registry,
}

/// In which order replies are printed. Notices are printed at once in either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the commands were typed.
    Input,
    /// As they complete.
    Completion,
}

/// The control node: it understands the console's lines, sends what they ask for down the tree, and
/// prints one answer for each that has one.
pub struct Controller {
    pid: u32,
    transport: &'static str,
    since: Time,
    clock: Clock,
    children: Children,
    modules: Modules,
    desk: Desk,
    reading: Reading,
    /// More was printed than the user reads.
    output_blocked: bool,
    /// Nobody waits for replies any more.
    muted: bool,
    traffic: Traffic,
    closing: bool,
    done: bool,
}

/// Whether the console is to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Lines,
    /// `sleep`: not before this time.
    From(Time),
    /// `wait`: when everything is answered.
    Answered,
    /// There is nothing more to read.
    Ended,
}

impl Controller {
    /// A control node without any nodes below it.
    #[must_use]
    pub fn new(now: Time, config: ControllerConfig) -> Controller {
        Controller {
            pid: config.pid,
            transport: config.transport,
            since: now,
            clock: Clock::default(),
            children: Children::new(Life::CONTROL, config.pid, config.token),
            modules: Modules::new(config.commands, config.timeout),
            desk: Desk::new(
                config.timeout,
                config.nodes_max,
                config.own_secret,
                Replies::new(config.order),
            ),
            reading: Reading::Lines,
            output_blocked: false,
            muted: false,
            traffic: Traffic::default(),
            closing: false,
            done: false,
        }
    }

    /// Whether it can take in another line; may change with every input, and with a flush, since what
    /// has been asked of one node is to leave before too much has come together.
    #[must_use]
    pub fn wants_line(&self) -> bool {
        self.reading == Reading::Lines
            && self.desk.replies.has_room()
            && !self.desk.windows.is_blocking()
            && !self.children.has_enough_to_send()
    }

    /// Whether any command so far was answered with an error.
    #[must_use]
    pub fn any_failed(&self) -> bool {
        self.desk.replies.any_failed()
    }

    fn line(&mut self, now: Time, line: &[u8]) {
        match language::parse(line) {
            Err(wrong) => self.answer_at_once(now, Reply::Error(&wrong)),
            Ok(Line::Blank) => {}
            Ok(Line::Create { node, parent, transport }) => {
                create::begin(&mut self.desk, node, parent, transport);
            }
            Ok(Line::Exec { line: "", .. } | Line::ExecMany { line: "", .. }) => {
                let wrong = format!("WORD is missing: expected {}", self.modules.words());
                self.answer_at_once(now, Reply::Error(&language::explain("exec", &wrong)));
            }
            Ok(Line::Exec { node, line }) => {
                let (desk, children) = (&mut self.desk, &self.children);
                if let Some(request) = exec::begin(desk, children, now, node, line.as_bytes()) {
                    self.send(now, &request);
                }
            }
            Ok(Line::ExecMany { targets, line }) => {
                exec_many::begin(&mut self.desk, &self.children, now, &targets, line);
            }
            Ok(Line::Ping(node)) => ping::begin(&mut self.desk, now, node),
            Ok(Line::Remove(node)) => remove::begin(&mut self.desk, node),
            Ok(Line::Help) => {
                let help = help::text(self.modules.registry());
                self.answer_at_once(now, Reply::Lines(&help));
            }
            Ok(Line::Tree) => {
                let picture = picture::text(&self.desk, now);
                self.answer_at_once(now, Reply::Lines(&picture));
            }
            Ok(Line::Exit) => self.reading = Reading::Ended,
            Ok(Line::Sleep(pause)) => self.reading = Reading::From(now + pause),
            Ok(Line::Wait) => self.reading = Reading::Answered,
            Ok(Line::Other { verb, rest }) => self.verb(now, verb, rest),
        }
    }

    fn verb(&mut self, now: Time, verb: &str, rest: &str) {
        let request = self.desk.replies.open(Task::verb(now));
        let (real, facts) = (self.clock.real(now), self.facts());
        match self.modules.verb(real, &facts, request, verb, rest) {
            Some(outcome) => self.verb_answered(now, request, outcome),
            None => {
                let text = language::unknown_verb(verb, self.modules.registry());
                self.desk.answer(request, Reply::Error(&text));
            }
        }
    }

    fn verb_answered(&mut self, now: Time, request: RequestId, outcome: Outcome) {
        match outcome {
            Ok(crate::Reply::Now(result)) => self.desk.answer(request, Reply::Ok(&result)),
            Ok(crate::Reply::Later) => self.desk.sent(now, request),
            Err(Failure(text)) => self.desk.answer(request, Reply::Error(&text)),
        }
    }

    /// Tells a module what it has asked for on behalf of a call.
    fn gathered(&mut self, now: Time, told: Told) {
        let Told { call, module, answers } = told;
        if let Some(task) = self.desk.replies.task_mut(call) {
            task.work = Work::Verb;
        }
        let (real, facts) = (self.clock.real(now), self.facts());
        let outcome = self.modules.gathered(real, &facts, call, module, answers);
        self.verb_answered(now, call, outcome);
    }

    /// Answers a call that was open; one that is not (any more) is not answered.
    fn finish(&mut self, now: Time, call: RequestId, outcome: Result<String, Failure>) {
        if let Some(outcome) = self.modules.finish(call, outcome) {
            self.verb_answered(now, call, outcome.map(crate::Reply::Now));
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            node: NodeId::CONTROL,
            pid: self.pid,
            parent: NodeId::CONTROL,
            depth: 0,
            transport: self.transport,
            children: self.children.count(),
            below: self.children.below(),
            since: self.since,
            traffic: Traffic { answers_dropped: self.desk.abandoned.dropped(), ..self.traffic },
        }
    }

    fn answer_at_once(&mut self, now: Time, reply: Reply<'_>) {
        let request = self.desk.replies.open(Task::verb(now));
        self.desk.answer(request, reply);
    }

    /// Sends what waits in the outbox: down the tree, or to the control node itself as a parent.
    fn send_outbox(&mut self, now: Time, out: &mut Vec<Output>) {
        while !self.desk.outbox.is_empty() {
            for outgoing in self.desk.outbox.take() {
                let desk = &mut self.desk;
                let up = &mut |message: Message<'_>| upward::message(desk, now, message);
                match outgoing {
                    Outgoing::Message { kind, flags, to, request, body } => {
                        let message = Message { flags, ..Message::new(kind, to, request, &body) };
                        if to == Life::CONTROL {
                            self.children.serve(now, &message, out, up);
                        } else {
                            self.children.forward(&message, up);
                        }
                    }
                    Outgoing::Fan(mut parts) => self.children.forward_fan(parts.take(), up),
                }
            }
        }
    }

    /// Sends a request at once, or after what was decided on before it and waits to be sent.
    fn send(&mut self, now: Time, request: &Message<'_>) {
        let desk = &mut self.desk;
        if desk.outbox.is_empty() {
            let up = &mut |message: Message<'_>| upward::message(desk, now, message);
            self.children.forward(request, up);
        } else {
            desk.outbox.message(request);
        }
    }

    /// Lets the commands that wait for a node take effect, as far as it is their turn.
    fn advance(&mut self, now: Time, node: NodeId) {
        let waited_for = self.desk.windows.unblock(node);
        while let Some(request) = self.desk.turns.next(node) {
            if !self.take_turn(now, request, node) {
                break;
            }
            self.desk.turns.leave(node, request);
        }
        self.desk.forget_if_unused(node);
        if let Some(link) = waited_for {
            self.desk.windows.pass_on(link, node, &mut self.desk.turns);
        }
    }

    /// Lets a command take effect. False when it must wait all the same.
    fn take_turn(&mut self, now: Time, request: RequestId, node: NodeId) -> bool {
        let (desk, children) = (&mut self.desk, &self.children);
        match desk.work(request) {
            None | Some(Work::Verb | Work::Many(_)) => true,
            Some(Work::Exec { .. }) => {
                let line = desk.replies.take_line(request);
                match exec::advance(desk, children, now, request, node, &line) {
                    Turn::Send(message) => self.send(now, &message),
                    Turn::Answered => {}
                    Turn::Wait => {
                        desk.replies.keep_line(request, &line);
                        return false;
                    }
                }
                true
            }
            Some(Work::Part { command, kind, body, .. }) => {
                let part = Part { command: *command, kind: *kind, body: Arc::clone(body) };
                exec_many::advance(desk, children, now, request, node, part)
            }
            Some(Work::Ping { .. }) => {
                ping::advance(desk, now, request, node);
                true
            }
            Some(Work::Create { node, parent, .. }) => {
                let nodes = (*node, *parent);
                create::advance(desk, children, now, request, nodes)
            }
            Some(Work::Remove { node, .. }) => {
                let node = *node;
                remove::advance(desk, now, request, node)
            }
        }
    }

    /// Sees to all that follows from what has happened.
    fn follow_up(&mut self, now: Time, out: &mut Vec<Output>) {
        loop {
            if !self.holds_back() {
                answers::take_offers(&mut self.desk, now);
            }
            self.send_outbox(now, out);
            if let Some(node) = self.desk.turns.next_ready() {
                self.advance(now, node);
            } else if !self.tell_modules(now, out) {
                break;
            }
        }
        if self.reading == Reading::Answered && self.desk.replies.all_answered() {
            self.reading = Reading::Lines;
        }
    }

    /// Tells the modules what has changed, and carries out what they ask for. False when there was
    /// nothing to do.
    fn tell_modules(&mut self, now: Time, out: &mut Vec<Output>) -> bool {
        let changes = std::mem::take(&mut self.desk.changes);
        let (real, facts) = (self.clock.real(now), self.facts());
        for (node, change) in &changes {
            self.modules.node_changed(real, &facts, *node, *change);
        }
        let gathered = self.desk.replies.take_gathered();
        let had_news = !changes.is_empty() || !gathered.is_empty();
        for told in gathered {
            self.gathered(now, told);
        }
        let effects = self.modules.take_effects();
        let had_work = had_news || !effects.is_empty();
        for effect in effects {
            match effect {
                Effect::Answer(call, outcome) => self.finish(now, call, outcome),
                Effect::Offload(job) => out.push(Output::Offload(job)),
                Effect::AskAll(call, module, question) => {
                    let (desk, children) = (&mut self.desk, &self.children);
                    let told = exec_many::ask_all(desk, children, now, call, module, question);
                    if let Some(told) = told {
                        self.gathered(now, told);
                    }
                }
                Effect::Publish(module, value) => self.children.publish(module, &value),
                Effect::Watch(watch) => self.children.watch(now, watch),
                Effect::Notice(line) => self.desk.replies.notice(&line),
            }
        }
        had_work
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Output>) {
        let desk = &mut self.desk;
        self.children.timeout(now, out, &mut |message| upward::message(desk, now, message));
        deadlines::timeout(&mut self.desk, now);
        let (real, facts) = (self.clock.real(now), self.facts());
        // The deadlines of their commands are the desk's.
        let _ = self.modules.timeout(real, &facts);
        if let Reading::From(time) = self.reading
            && time <= now
        {
            self.reading = Reading::Lines;
        }
    }

    /// When it has something to do by its own clock.
    fn own_deadline(&self) -> Option<Time> {
        let pause = match self.reading {
            Reading::From(time) => Some(time),
            _ => None,
        };
        [deadlines::next(&self.desk), self.children.deadline()].into_iter().fold(pause, earliest)
    }

    /// Whether answers are to stay where they are, since nobody reads those that have come.
    fn holds_back(&self) -> bool {
        self.output_blocked && !self.closing && !self.muted
    }

    /// The time in which this node judges others: it stands still while answers are held back, since
    /// nobody is late whose answer is not taken.
    fn read_clock(&mut self, now: Time) -> Time {
        self.clock.halt(self.holds_back());
        self.clock.read(now, self.own_deadline())
    }

    /// Ends the tree when there is nothing more to wait for.
    fn close_when_done(&mut self, now: Time, out: &mut Vec<Output>) {
        let over =
            self.muted || (self.reading == Reading::Ended && self.desk.replies.all_answered());
        if over && !std::mem::replace(&mut self.closing, true) {
            let grace = remove::end_grace(&self.desk, NodeId::CONTROL);
            self.children.end(now, grace, out);
        }
    }
}

impl Node for Controller {
    fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>) {
        let now = self.read_clock(now);
        match input {
            Input::Line(line) if line.len() <= LINE_BYTES_MAX => self.line(now, line),
            Input::Line(_) | Input::LineTooLong => {
                let text = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                self.answer_at_once(now, Reply::Error(&text));
            }
            Input::LineRefused(text) => self.answer_at_once(now, Reply::Error(text)),
            Input::EndOfInput => self.reading = Reading::Ended,
            Input::OutputBlocked(is_blocked) => self.output_blocked = is_blocked,
            Input::Interrupt => {
                self.reading = Reading::Ended;
                self.muted = true;
            }
            Input::JobDone(call, outcome) => self.finish(now, call, outcome),
            Input::OrphanExited(pid, exit) => self.desk.tree.ended(pid, exit),
            Input::Timeout => self.timeout(now, out),
            input => {
                self.traffic.frames_received += u64::from(matches!(input, Input::Frame(..)));
                let desk = &mut self.desk;
                let up = &mut |message: Message<'_>| upward::message(desk, now, message);
                self.children.handle(now, input, out, up);
            }
        }
        self.follow_up(now, out);
    }

    fn flush(&mut self, now: Time, out: &mut Vec<Output>) {
        let now = self.read_clock(now);
        self.close_when_done(now, out);
        let printed = self.desk.replies.take_printed();
        if !printed.is_empty() && !self.muted {
            out.push(Output::Print(printed));
        }
        let before = out.len();
        self.children.flush(now, !self.holds_back(), out);
        self.modules.pause(self.clock.real(now), self.holds_back());
        self.traffic.frames_sent += (out.len() - before) as u64;
        if self.closing && self.children.is_empty() && !std::mem::replace(&mut self.done, true) {
            log::info!(
                "{} answers came too late, or twice, and were dropped",
                self.desk.abandoned.dropped()
            );
            out.push(Output::Exit);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let own = self.own_deadline().filter(|_| !self.holds_back());
        earliest(own.map(|own| self.clock.real(own)), self.modules.deadline())
    }

    fn holdings(&self) -> Holdings {
        self.children.holdings()
    }

    fn starting(&self) -> usize {
        self.children.starting()
    }
}
