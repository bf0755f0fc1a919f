//! The control node's state machine.

mod abandoned;
mod answers;
mod board;
mod deadlines;
mod dispatch;
mod gather;
mod intake;
mod language;
mod lives;
mod outbox;
mod picture;
mod printer;
mod probes;
mod replies;
mod reply;
mod requests;
mod task;
mod tree;
mod turns;
mod windows;

use std::fmt::Write as _;
use std::time::Duration;

use board::Board;
use gather::Told;
use language::{CONSOLE_HELP, Line};
use outbox::Outgoing;
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
    own_secret: Secret,
    transport: &'static str,
    since: Time,
    clock: Clock,
    children: Children,
    modules: Modules,
    board: Board,
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
            own_secret: config.own_secret,
            transport: config.transport,
            since: now,
            clock: Clock::default(),
            children: Children::new(Life::CONTROL, config.pid, config.token),
            modules: Modules::new(config.commands, config.timeout),
            board: Board::new(config.timeout, config.nodes_max, Replies::new(config.order)),
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
            && self.board.replies.has_room()
            && !self.board.windows.is_blocking()
            && !self.children.has_enough_to_send()
    }

    /// Whether any command so far was answered with an error.
    #[must_use]
    pub fn any_failed(&self) -> bool {
        self.board.replies.any_failed()
    }

    fn line(&mut self, now: Time, line: &[u8]) {
        match language::parse(line) {
            Err(wrong) => self.answer_at_once(now, Reply::Error(&wrong)),
            Ok(Line::Blank) => {}
            Ok(Line::Create { node, parent, transport }) => self.create(node, parent, transport),
            Ok(Line::Exec { line: "", .. } | Line::ExecMany { line: "", .. }) => {
                let wrong = format!("WORD is missing: expected {}", self.modules.words());
                self.answer_at_once(now, Reply::Error(&language::explain("exec", &wrong)));
            }
            Ok(Line::Exec { node, line }) => self.exec(now, node, line),
            Ok(Line::ExecMany { targets, line }) => self.exec_many(now, &targets, line),
            Ok(Line::Ping(node)) => self.ping(now, node),
            Ok(Line::Remove(node)) => self.remove(node),
            Ok(Line::Help) => {
                let help = self.help();
                self.answer_at_once(now, Reply::Lines(&help));
            }
            Ok(Line::Tree) => {
                let picture = self.board.picture(now);
                self.answer_at_once(now, Reply::Lines(&picture));
            }
            Ok(Line::Exit) => self.reading = Reading::Ended,
            Ok(Line::Sleep(pause)) => self.reading = Reading::From(now + pause),
            Ok(Line::Wait) => self.reading = Reading::Answered,
            Ok(Line::Other { verb, rest }) => self.verb(now, verb, rest),
        }
    }

    fn verb(&mut self, now: Time, verb: &str, rest: &str) {
        let request = self.board.replies.open(Task::verb(now));
        let (real, facts) = (self.clock.real(now), self.facts());
        match self.modules.verb(real, &facts, request, verb, rest) {
            Some(outcome) => self.verb_answered(now, request, outcome),
            None => {
                let text = language::unknown_verb(verb, self.modules.registry());
                self.answer(request, Reply::Error(&text));
            }
        }
    }

    fn verb_answered(&mut self, now: Time, request: RequestId, outcome: Outcome) {
        match outcome {
            Ok(crate::Reply::Now(result)) => self.answer(request, Reply::Ok(&result)),
            Ok(crate::Reply::Later) => self.board.sent(now, request),
            Err(Failure(text)) => self.answer(request, Reply::Error(&text)),
        }
    }

    /// Tells a module what it has asked for on behalf of a call.
    fn gathered(&mut self, now: Time, told: Told) {
        let Told { call, module, answers } = told;
        if let Some(task) = self.board.replies.task_mut(call) {
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
            traffic: Traffic { answers_dropped: self.board.abandoned.dropped(), ..self.traffic },
        }
    }

    fn answer_at_once(&mut self, now: Time, reply: Reply<'_>) {
        let request = self.board.replies.open(Task::verb(now));
        self.answer(request, reply);
    }

    fn help(&self) -> String {
        let registry = self.modules.registry();
        let mut help = String::new();
        for (usage, what) in CONSOLE_HELP {
            add_help(&mut help, usage, what);
        }
        for verb in registry.verbs() {
            add_help(&mut help, verb.usage, verb.help);
        }
        for word in registry.words() {
            add_help(&mut help, &format!("exec ID {}", word.usage), word.help);
        }
        help
    }

    /// Sends what waits in the outbox: down the tree, or to the control node itself as a parent.
    fn send_outbox(&mut self, now: Time, out: &mut Vec<Output>) {
        while !self.board.outbox.is_empty() {
            for outgoing in self.board.outbox.take() {
                let board = &mut self.board;
                let up = &mut |message: Message<'_>| board.message(now, message);
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

    /// Sees to all that follows from what has happened.
    fn follow_up(&mut self, now: Time, out: &mut Vec<Output>) {
        loop {
            if !self.holds_back() {
                self.board.take_offers(now);
            }
            self.send_outbox(now, out);
            if let Some(node) = self.board.turns.next_ready() {
                self.advance(now, node);
            } else if !self.tell_modules(now, out) {
                break;
            }
        }
        if self.reading == Reading::Answered && self.board.replies.all_answered() {
            self.reading = Reading::Lines;
        }
    }

    /// Tells the modules what has changed, and carries out what they ask for. False when there was
    /// nothing to do.
    fn tell_modules(&mut self, now: Time, out: &mut Vec<Output>) -> bool {
        let changes = std::mem::take(&mut self.board.changes);
        let (real, facts) = (self.clock.real(now), self.facts());
        for (node, change) in &changes {
            self.modules.node_changed(real, &facts, *node, *change);
        }
        let gathered = self.board.replies.take_gathered();
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
                    self.ask_all(now, call, module, question);
                }
                Effect::Publish(module, value) => self.children.publish(module, &value),
                Effect::Watch(watch) => self.children.watch(now, watch),
                Effect::Notice(line) => self.board.replies.notice(&line),
            }
        }
        had_work
    }

    fn timeout(&mut self, now: Time, out: &mut Vec<Output>) {
        let board = &mut self.board;
        self.children.timeout(now, out, &mut |message| board.message(now, message));
        self.board.timeout(now);
        let (real, facts) = (self.clock.real(now), self.facts());
        // The deadlines of their commands are the board's.
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
        [self.board.deadline(), self.children.deadline()].into_iter().fold(pause, earliest)
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
            self.muted || (self.reading == Reading::Ended && self.board.replies.all_answered());
        if over && !std::mem::replace(&mut self.closing, true) {
            let grace = self.board.end_grace(NodeId::CONTROL);
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
            Input::OrphanExited(pid, exit) => self.board.orphan_ended(pid, exit),
            Input::Timeout => self.timeout(now, out),
            input => {
                self.traffic.frames_received += u64::from(matches!(input, Input::Frame(..)));
                let board = &mut self.board;
                let up = &mut |message: Message<'_>| board.message(now, message);
                self.children.handle(now, input, out, up);
            }
        }
        self.follow_up(now, out);
    }

    fn flush(&mut self, now: Time, out: &mut Vec<Output>) {
        let now = self.read_clock(now);
        self.close_when_done(now, out);
        let printed = self.board.replies.take_printed();
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
                self.board.abandoned.dropped()
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

fn add_help(help: &mut String, usage: &str, what: &str) {
    writeln!(help, "  {usage:<28} {what}").expect("writing to a String can't fail");
}
