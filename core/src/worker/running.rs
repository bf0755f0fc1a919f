//! How a compute node runs what it is asked, from a request to its answer.

use super::Worker;
use super::answers::{Answer, CANCELLED, OUT_OF_MEMORY};
use super::inbox::Request;
use super::parent::Parent;
use super::parts::{Asked, Parts};
use crate::children::STOP_TIME_MAX;
use crate::context::Effect;
use crate::memory;
use crate::modules::{Finished, Held};
use crate::wire::{self, Allowance, Flags, Kind, Message, Published, Status, Terms, UNAVAILABLE};
use crate::{Failure, Job, JobKind, Life, Outcome, Output, Reply, RequestId, Stream, Time};

impl Worker {
    pub(super) fn run_or_wait(&mut self, now: Time, message: &Message<'_>) {
        // What waits already was typed before.
        if self.inbox.is_empty() && !self.is_jammed() {
            let Message { kind, request, flags, body, .. } = *message;
            self.run(now, kind, request, flags, body);
        } else {
            self.inbox.push(Request::new(message));
        }
    }

    pub(super) fn run(&mut self, now: Time, kind: Kind, id: RequestId, flags: Flags, body: &[u8]) {
        self.traffic.run += 1;
        let allowance = flags.allowance();
        let mut fold = None;
        let outcome = if !memory::has_room_for(body.len()) {
            Err(Failure::from(OUT_OF_MEMORY))
        } else if kind == Kind::Ask {
            self.question(now, id, body)
        } else {
            match self.terms(flags, body) {
                Err(failure) => Err(failure),
                Ok((Terms { fold: Some(command), .. }, _))
                    if self.is_repeated(now, command, id, allowance) =>
                {
                    return;
                }
                Ok((terms, line)) => {
                    fold = terms.fold;
                    self.parts.ran(fold.unwrap_or(id));
                    self.command(now, id, terms, line)
                }
            }
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
        self.answer(now, id, allowance, answer);
    }

    /// The terms of a request, and its line.
    fn terms<'b>(&self, flags: Flags, body: &'b [u8]) -> Result<(Terms, &'b [u8]), Failure> {
        if !flags.has_terms() {
            return Ok((self.modules.terms_default(), body));
        }
        postcard::take_from_bytes(body).map_err(|_| Failure::from("a command without its terms"))
    }

    /// A request asks for the part of a folded command. When it does so again, it takes the place of the earlier
    /// one, whose route has broken.
    fn is_repeated(
        &mut self,
        now: Time,
        command: RequestId,
        id: RequestId,
        allowance: Allowance,
    ) -> bool {
        self.children.expect_own(command, id);
        match self.parts.ask(command, id) {
            Asked::First => return false,
            Asked::Over(Some(answer)) => self.answer(now, id, allowance, answer),
            Asked::Over(None) => self.answer(now, id, allowance, Err(UNAVAILABLE.into()).into()),
            Asked::Open { call, old } => {
                // Below where the route has broken, it is still waited for.
                self.children.answered_own(old);
                self.parent.send(&Message::answer(self.life, old, Status::Unavailable, &[]));
                self.answers.expect(call, allowance);
                if !self.modules.holds_output(call) {
                    self.cancel(now, call, UNAVAILABLE);
                }
            }
        }
        true
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
    pub(super) fn job_done(
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
                self.answer_later(now, id, Answer { held, ..Answer::from(outcome) });
            }
            Finished::Waits => {}
            Finished::Unknown => self.traffic.answers_dropped += 1,
        }
    }

    /// Sends the answer to a call that was answered later.
    pub(super) fn answer_later(&mut self, now: Time, id: RequestId, answer: impl Into<Answer>) {
        let allowance = self.answers.take_allowance(id);
        self.answer(now, id, allowance, answer.into());
    }

    /// Sends the answer to a call, which may become one with those of others below.
    fn answer(&mut self, now: Time, call: RequestId, allowance: Allowance, answer: Answer) {
        let id = self.parts.answered(now, call, &answer);
        match answer.reduce() {
            Some((command, value)) => self.children.reduce(command, id, &value),
            None => {
                self.children.answered_own(id);
                self.answers.send(now, id, allowance, answer, &mut self.parent);
            }
        }
    }

    /// Sends output that a job has emitted, which there was credit for.
    pub(super) fn send_output(&mut self, id: RequestId, stream: Stream, bytes: &[u8]) {
        let send = &mut output_of(self.life, self.parts.request_of(id), &mut self.parent);
        self.modules.job_output(id, stream, bytes, send);
    }

    /// A module has emitted output in this thread.
    fn emit(&mut self, now: Time, id: RequestId, stream: Stream, bytes: Vec<u8>) {
        let (real, facts) = (self.clock.real(now), self.facts());
        let emitted = self.modules.emit(
            real,
            &facts,
            id,
            stream,
            bytes,
            &mut output_of(self.life, self.parts.request_of(id), &mut self.parent),
        );
        if let Err(failure) = emitted {
            self.answer_later(now, id, Err(failure));
        }
    }

    /// The control node has read output of a request: more may leave.
    pub(super) fn granted(&mut self, now: Time, id: RequestId, granted: u64) {
        let (real, call) = (self.clock.real(now), self.parts.call_of(id));
        let mut send = output_of(self.life, id, &mut self.parent);
        let outcome = self.modules.grant(real, call, granted, &mut send);
        drop(send);
        if let Some(outcome) = outcome {
            self.answer_later(now, call, outcome);
        }
    }

    /// Nobody waits for the answer to a request any more. Those on the way count it until there is one.
    pub(super) fn cancelled(&mut self, now: Time, id: RequestId) {
        if let Some(request) = self.inbox.cancel(id) {
            let allowance = request.flags.allowance();
            self.answer(now, id, allowance, Err(CANCELLED.into()).into());
        } else {
            self.cancel(now, self.parts.call_of(id), CANCELLED);
        }
    }

    /// Ends a call if it is open, and answers so.
    fn cancel(&mut self, now: Time, call: RequestId, why: &str) {
        let (real, facts) = (self.clock.real(now), self.facts());
        if self.modules.cancel(real, &facts, call) {
            self.answer_later(now, call, Err(Failure::from(why)));
        }
    }

    /// Asks whether the answers to those open calls that `is_meant` names are still waited for: the route
    /// may have broken by which they have come.
    pub(super) fn ask_after_calls(&mut self, is_meant: impl Fn(&Parts, RequestId) -> bool) {
        for call in self.modules.open_calls() {
            if is_meant(&self.parts, call) {
                let id = self.parts.request_of(call);
                self.parent.send(&Message::output(self.life, id, Stream::Out, &[]));
            }
        }
    }

    /// Carries out what the modules asked for, and what they ask for meanwhile.
    pub(super) fn apply_effects(&mut self, now: Time, out: &mut Vec<Output>) {
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

    /// Nobody will learn what open calls come to.
    pub(super) fn stop_calls(&mut self, now: Time) {
        let (real, facts) = (self.clock.real(now), self.facts());
        for id in self.modules.open_calls() {
            self.modules.cancel(real, &facts, id);
        }
        if self.blocking > 0 {
            self.parent.send(&Message::neighbour(Kind::Delay, &wire::body(&STOP_TIME_MAX)));
        }
    }
}

/// Sends the output of a call to the parent.
fn output_of(own: Life, id: RequestId, parent: &mut Parent) -> impl FnMut(Stream, &[u8]) {
    move |stream, bytes| parent.send(&Message::output(own, id, stream, bytes))
}
