//! The control node's state machine.
//!
//! [`Controller`] hands each input to those whom it concerns. Each command has a file of its own,
//! from its line to its reply: [`create`], [`remove`], [`exec`], [`exec_many`], [`cancel`], [`ping`],
//! [`tree`], [`help`], [`reading`] (`sleep`, `wait` and `exit`), and [`module_verb`] for those
//! of modules. [`upward`], [`answers`], [`reduced`], [`output`], [`news`], [`adrift`], [`deadlines`] and [`outcomes`]
//! tell them what became of their requests. All work on one [`desk`] of nouns, which know no command.

mod adrift;
mod answers;
mod cancel;
mod config;
mod create;
mod deadlines;
mod desk;
mod exec;
mod exec_many;
mod help;
mod language;
mod module_verb;
mod news;
mod node_set;
mod outcomes;
mod output;
mod ping;
mod reading;
mod reduced;
mod remove;
mod selection;
#[cfg(test)]
mod tests;
mod tree;
mod upward;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use config::{ControllerConfig, Order};
use desk::Desk;
use desk::outbox::{Outgoing, Part};
use desk::pending::{Operation, Pending};
use desk::records::Records;
use desk::replies::Replies;
use desk::reply::Reply;
use exec::Turn;
use language::Line;
use module_verb::Moment;
use reading::Reading;

use crate::children::Children;
use crate::clock::Clock;
use crate::context::Effect;
use crate::modules::Modules;
use crate::time::earliest;
use crate::wire::{Message, NO_REQUEST};
use crate::{
    Facts, Holdings, Input, LINE_BYTES_MAX, Life, Node, NodeId, Output, ProcessId, RequestId, Time,
    Traffic,
};

/// The control node: it understands the console's lines, sends what they ask for down the tree, and
/// prints one reply for each that has one.
pub struct Controller {
    process: ProcessId,
    transport: &'static str,
    since: Time,
    clock: Clock,
    children: Children,
    modules: Modules,
    desk: Desk,
    reading: Reading,
    /// What the user's own names for launchers stand for.
    launchers: BTreeMap<String, String>,
    /// More was printed than the user reads.
    output_blocked: bool,
    /// Nobody waits for replies any more.
    muted: bool,
    traffic: Traffic,
    closing: bool,
    done: bool,
}

impl Controller {
    /// A control node without any nodes below it.
    #[must_use]
    pub fn new(now: Time, config: ControllerConfig) -> Controller {
        Controller {
            process: config.process,
            transport: config.transport,
            since: now,
            clock: Clock::default(),
            children: Children::new(Life::CONTROL, config.process, config.token),
            modules: Modules::new(config.commands, config.timeout),
            desk: Desk::new(
                config.timeout,
                config.nodes_max,
                config.own_secret,
                Replies::new(config.order),
                Records::new(config.records),
            ),
            reading: Reading::default(),
            launchers: BTreeMap::new(),
            output_blocked: false,
            muted: false,
            traffic: Traffic::default(),
            closing: false,
            done: false,
        }
    }

    /// Has a create name launchers as the user does: whoever starts the node is told what the name stands
    /// for.
    #[must_use]
    pub fn with_launchers(self, launchers: BTreeMap<String, String>) -> Controller {
        Controller { launchers, ..self }
    }

    /// Whether it can accept another line; may change with every input, and with a flush, since
    /// what has been asked of one node must leave before too much has come together.
    #[must_use]
    pub fn wants_line(&self) -> bool {
        self.reading.wants_line()
            && self.desk.replies.has_room()
            && !self.desk.windows.is_blocking()
            && !self.children.has_enough_to_send()
    }

    /// Whether there is anything for [`Input::Cancel`] to stop.
    #[must_use]
    pub fn can_cancel(&self) -> bool {
        self.reading.can_interrupt() || cancel::is_under_way(&self.desk)
    }

    /// Whether the reply to any command so far was an error.
    #[must_use]
    pub fn any_failed(&self) -> bool {
        self.desk.replies.any_failed()
    }

    fn line(&mut self, now: Time, line: &[u8]) {
        let parsed = language::parse(line);
        if parsed != Ok(Line::Blank) {
            self.desk.records.count();
        }
        match parsed {
            Err(wrong) => self.reply_at_once(now, Reply::Error(&wrong)),
            Ok(Line::Blank) => {}
            Ok(Line::Create { node, parent, mut start }) => {
                if let Some(host) = &mut start.host
                    && let Some(meaning) = self.launchers.get(&host.launcher)
                {
                    host.launcher.clone_from(meaning);
                }
                create::begin(&mut self.desk, node, parent, start);
            }
            Ok(Line::Exec { line: "", .. } | Line::ExecMany { line: "", .. }) => {
                let wrong = format!("WORD is missing: expected {}", self.modules.words());
                self.reply_at_once(now, Reply::Error(&language::explain("exec", &wrong)));
            }
            Ok(Line::Exec { node, line, options }) => {
                self.desk.records.set_line(line);
                let (desk, children) = (&mut self.desk, &self.children);
                let terms = options.terms(desk.timeout, NO_REQUEST);
                let line = exec::with_terms(terms, line.as_bytes());
                if let Some(admitted) = exec::begin(desk, children, now, node, &line, options) {
                    self.send(now, &admitted.message(&line));
                }
            }
            Ok(Line::ExecMany { set, line, options }) => {
                self.desk.records.set_line(line);
                exec_many::begin(&mut self.desk, &self.children, now, &set, line, options);
            }
            Ok(Line::Cancel(set)) => cancel::begin(&mut self.desk, now, set.as_ref()),
            Ok(Line::Ping(node)) => ping::begin(&mut self.desk, now, node),
            Ok(Line::Remove(node)) => remove::begin(&mut self.desk, node),
            Ok(Line::Help(word)) => match help::text(word.as_deref(), self.modules.registry()) {
                Ok(help) => self.reply_at_once(now, Reply::Lines(&help)),
                Err(wrong) => self.reply_at_once(now, Reply::Error(&wrong)),
            },
            Ok(Line::Tree) => {
                let picture = tree::text(&self.desk, now);
                self.reply_at_once(now, Reply::Lines(&picture));
            }
            Ok(Line::Exit) => self.reading.end(),
            Ok(Line::Sleep(pause)) => self.reading.sleep(now + pause),
            Ok(Line::Wait) => self.reading.wait(),
            Ok(Line::Other { verb, rest }) => {
                let moment = self.moment(now);
                module_verb::begin(&mut self.desk, &mut self.modules, &moment, verb, rest);
            }
        }
    }

    fn moment(&self, now: Time) -> Moment {
        Moment { now, real: self.clock.real(now), facts: self.facts() }
    }

    fn facts(&self) -> Facts {
        Facts {
            node: NodeId::CONTROL,
            pid: self.process.pid,
            parent: NodeId::CONTROL,
            depth: 0,
            transport: self.transport,
            children: self.children.count(),
            below: self.children.below(),
            since: self.since,
            traffic: Traffic { answers_dropped: self.desk.abandoned.dropped(), ..self.traffic },
        }
    }

    fn reply_at_once(&mut self, now: Time, reply: Reply<'_>) {
        let request = self.desk.replies.open(Pending::verb(now));
        self.desk.reply(request, reply);
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
                            self.children.handle_request(now, &message, out, up);
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
        match desk.operation(request) {
            None | Some(Operation::Verb | Operation::Many(_)) => true,
            Some(Operation::Exec { .. }) => {
                let line = desk.replies.take_line(request);
                match exec::advance(desk, children, now, request, node, line.len()) {
                    Turn::Send(admitted) => self.send(now, &admitted.message(&line)),
                    Turn::Replied => {}
                    Turn::Wait => {
                        desk.replies.keep_line(request, &line);
                        return false;
                    }
                }
                true
            }
            Some(Operation::Part { command, kind, body, .. }) => {
                let part = Part { command: *command, kind: *kind, body: Arc::clone(body) };
                exec_many::advance(desk, children, now, request, node, part)
            }
            Some(Operation::Ping { .. }) => {
                ping::advance(desk, now, request, node);
                true
            }
            Some(Operation::Create { node, parent, .. }) => {
                let nodes = (*node, *parent);
                create::advance(desk, children, now, request, nodes)
            }
            Some(Operation::Remove { node, .. }) => {
                let node = *node;
                remove::advance(desk, now, request, node)
            }
        }
    }

    /// Does all that follows from what has happened.
    fn follow_up(&mut self, now: Time, out: &mut Vec<Output>) {
        loop {
            if !self.holds_back() {
                answers::take_offers(&mut self.desk, now);
                output::grant(&mut self.desk);
            }
            self.send_outbox(now, out);
            if let Some(node) = self.desk.turns.next_ready() {
                self.advance(now, node);
            } else if !self.tell_modules(now, out) {
                break;
            }
        }
        if self.desk.replies.all_closed() {
            self.reading.all_closed();
        }
    }

    /// Tells the modules what has changed, and carries out what they ask for. False when there was
    /// nothing to do.
    fn tell_modules(&mut self, now: Time, out: &mut Vec<Output>) -> bool {
        let changes = std::mem::take(&mut self.desk.changes);
        let moment = self.moment(now);
        for (node, change) in &changes {
            self.modules.node_changed(moment.real, &moment.facts, *node, *change);
        }
        let gathered = self.desk.replies.take_gathered();
        let had_news = !changes.is_empty() || !gathered.is_empty();
        for answers in gathered {
            module_verb::gathered(&mut self.desk, &mut self.modules, &moment, answers);
        }
        let effects = self.modules.take_effects();
        let had_work = had_news || !effects.is_empty();
        for effect in effects {
            match effect {
                Effect::Answer(call, outcome) => {
                    module_verb::finish(&mut self.desk, &mut self.modules, now, call, outcome);
                }
                Effect::Offload(job) => out.push(Output::Offload(job)),
                Effect::AskAll(call, module, question) => {
                    let (desk, children) = (&mut self.desk, &self.children);
                    let answers = exec_many::ask_all(desk, children, now, call, module, question);
                    if let Some(answers) = answers {
                        let moment = self.moment(now);
                        module_verb::gathered(&mut self.desk, &mut self.modules, &moment, answers);
                    }
                }
                Effect::Publish(module, value) => self.children.publish(module, &value),
                Effect::Watch(watch) => self.children.watch(now, watch),
                Effect::Notice(line) => self.desk.replies.notice(&line),
                Effect::Emit(..) => log::error!("a module emits output of a verb: ignored"),
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
        self.reading.timeout(now);
    }

    /// When it has something to do by its own clock.
    fn own_deadline(&self) -> Option<Time> {
        let deadlines = [deadlines::next(&self.desk), self.children.deadline()];
        deadlines.into_iter().fold(self.reading.deadline(), earliest)
    }

    /// Whether answers must stay where they are, since nobody reads those that have come.
    fn holds_back(&self) -> bool {
        self.output_blocked && !self.closing && !self.muted
    }

    /// The time in which this node judges others: it stands still while answers are held back,
    /// since nobody is late whose answer is not taken.
    fn read_clock(&mut self, now: Time) -> Time {
        self.clock.halt(self.holds_back());
        self.clock.read(now, self.own_deadline())
    }

    /// Ends the tree when there is nothing more to wait for.
    fn close_when_done(&mut self, now: Time, out: &mut Vec<Output>) {
        let over = self.muted || (self.reading.has_ended() && self.desk.replies.all_closed());
        if over && !std::mem::replace(&mut self.closing, true) {
            let grace = remove::end_grace(&self.desk, NodeId::CONTROL);
            self.children.end(now, grace, out);
        }
    }
}

impl Node for Controller {
    fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>) {
        self.desk.records.set_now(now);
        let now = self.read_clock(now);
        match input {
            Input::Line(line) if line.len() <= LINE_BYTES_MAX => self.line(now, line),
            Input::Line(_) | Input::LineTooLong => {
                let text = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                self.desk.records.count();
                self.reply_at_once(now, Reply::Error(&text));
            }
            Input::LineRefused(text) => {
                self.desk.records.count();
                self.reply_at_once(now, Reply::Error(text));
            }
            Input::EndOfInput => self.reading.end(),
            Input::OutputBlocked(is_blocked) => self.output_blocked = is_blocked,
            Input::Interrupt => {
                self.reading.end();
                self.muted = true;
            }
            Input::Cancel => {
                cancel::all(&mut self.desk);
                self.reading.interrupt();
            }
            Input::JobOutput(..) => log::error!("a job emits output of a verb: ignored"),
            Input::JobDone(call, _, outcome) => {
                module_verb::finish(&mut self.desk, &mut self.modules, now, call, outcome);
            }
            Input::OrphanExited(pid, exit) => {
                self.desk.tree.ended(ProcessId { pid, ..self.process }, exit);
                for node in self.desk.adrift.nodes() {
                    adrift::ended(&mut self.desk, node);
                }
            }
            Input::Timeout => self.timeout(now, out),
            input => {
                self.traffic.frames_received += u64::from(matches!(input, Input::Frame(..)));
                let desk = &mut self.desk;
                let up = &mut |message: Message<'_>| upward::message(desk, now, message);
                self.children.handle(now, input, out, up);
                self.children.send_reduced(up);
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
        out.extend(self.desk.records.take().into_iter().map(Output::Record));
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
