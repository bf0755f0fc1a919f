//! The module instances of one node, and what they ask of it.

mod calls;

use std::fmt::Write as _;
use std::time::Duration;

use calls::{Calls, Cancelled};
pub(crate) use calls::{Finished, Held, Send};

use crate::args::shown;
use crate::context::Effect;
use crate::time::earliest;
use crate::wire::Terms;
use crate::{
    Answer, Args, Call, Change, Command, Context, Facts, Failure, NodeId, Outcome, Registry, Reply,
    RequestId, Stream, Time, nearest,
};

/// The word that runs a program, if a module has it.
const RUN: &str = "run";

/// One instance of each linked module, and the calls that they have not answered.
pub(crate) struct Modules {
    registry: Registry,
    /// In the order of [`Registry::modules`].
    instances: Vec<Box<dyn Command>>,
    effects: Vec<Effect>,
    /// How long a call may be open, unless it says otherwise.
    timeout: Duration,
    calls: Calls,
}

impl Modules {
    pub fn new(registry: Registry, timeout: Duration) -> Modules {
        let instances = registry.modules().map(|module| (module.create)()).collect();
        Modules { registry, instances, effects: Vec::new(), timeout, calls: Calls::default() }
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What holds for a call that does not say otherwise.
    pub fn terms_default(&self) -> Terms {
        Terms { timeout: Some(self.timeout), fold: None }
    }

    /// Answers what a user wrote after `exec ID`.
    pub fn exec(
        &mut self,
        now: Time,
        facts: &Facts,
        id: RequestId,
        line: &str,
        terms: Terms,
    ) -> Outcome {
        let (word, rest) = split_word(line);
        let Some(module) = self.registry.module_of_word(word) else {
            return Err(self.unknown_word(word));
        };
        let prefix = match self.registry.has_word(word) {
            true => word,
            false => self.registry.module(module).name,
        };
        let deadline = now + terms.timeout.unwrap_or(Duration::MAX);
        let call = Call { id, word, args: arguments(prefix, rest)?, deadline };
        self.call(now, facts, module, &call, prefix, terms)
    }

    /// Answers a console command, or says `None` when no module claims its verb.
    pub fn verb(
        &mut self,
        now: Time,
        facts: &Facts,
        id: RequestId,
        verb: &str,
        rest: &str,
    ) -> Option<Outcome> {
        let module = self.registry.module_of_verb(verb)?;
        let (args, deadline) = (arguments(verb, rest), now + self.timeout);
        let terms = self.terms_default();
        Some(args.and_then(|args| {
            let call = Call { id, word: verb, args, deadline };
            self.call(now, facts, module, &call, verb, terms)
        }))
    }

    /// Answers a question of a module's instance at the control node.
    pub fn asked(
        &mut self,
        now: Time,
        facts: &Facts,
        id: RequestId,
        name: &str,
        question: &[u8],
    ) -> Outcome {
        let Some(module) = self.module_called(name) else {
            return Err(Failure::from(format!("the module {name} is not linked here")));
        };
        let outcome =
            self.with(now, facts, module, |instance, cx| instance.asked(cx, id, question));
        self.note(now, id, module, outcome, "", self.terms_default())
    }

    /// Hands a module the answers to what it has asked on behalf of an open call.
    pub fn gathered(
        &mut self,
        now: Time,
        facts: &Facts,
        id: RequestId,
        name: &str,
        answers: Vec<(NodeId, Answer)>,
    ) -> Outcome {
        let module = self.module_called(name).expect("it has asked");
        let prefix = self.calls.take_prefix(id).unwrap_or_default();
        let outcome =
            self.with(now, facts, module, |instance, cx| instance.gathered(cx, id, answers));
        self.note(now, id, module, outcome, &prefix, self.terms_default())
    }

    /// Hands a published value to the module that it belongs to, when this node has it.
    pub fn published(&mut self, now: Time, facts: &Facts, name: &str, value: &[u8]) {
        if let Some(module) = self.module_called(name) {
            self.with(now, facts, module, |instance, cx| instance.published(cx, value));
        }
    }

    /// Tells every module what happened to a compute node.
    pub fn node_changed(&mut self, now: Time, facts: &Facts, node: NodeId, change: Change) {
        for module in 0..self.instances.len() {
            self.with(now, facts, module, |instance, cx| instance.node_changed(cx, node, change));
        }
    }

    /// Calls the timeouts that are due, and gives up the calls that are open for too long: they are
    /// returned, and are not open any more.
    pub fn timeout(&mut self, now: Time, facts: &Facts) -> Vec<RequestId> {
        for module in 0..self.instances.len() {
            if self.instances[module].deadline().is_some_and(|deadline| deadline <= now) {
                self.with(now, facts, module, |instance, cx| instance.timeout(cx));
            }
        }
        let expired = self.calls.expired(now);
        for id in &expired {
            self.cancel(now, facts, *id);
        }
        expired
    }

    /// When there is something to do for [`Modules::timeout`].
    pub fn deadline(&self) -> Option<Time> {
        let expiry = self.calls.deadline();
        self.instances.iter().map(|instance| instance.deadline()).fold(expiry, earliest)
    }

    /// As [`Calls::pause`].
    pub fn pause(&mut self, now: Time, is_paused: bool) {
        self.calls.pause(now, is_paused);
    }

    /// Whether any call is open.
    pub fn has_open_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// As [`Calls::holds_output`].
    pub fn holds_output(&self, id: RequestId) -> bool {
        self.calls.holds_output(id)
    }

    /// As [`Calls::ids`].
    pub fn open_calls(&self) -> Vec<RequestId> {
        self.calls.ids()
    }

    /// Sends output of a call, or keeps it until there is credit for it.
    ///
    /// # Errors
    ///
    /// When too much waits. The call is not open any more then, as its module is told; this is its outcome.
    pub fn emit(
        &mut self,
        now: Time,
        facts: &Facts,
        id: RequestId,
        stream: Stream,
        bytes: Vec<u8>,
        send: &mut Send<'_>,
    ) -> Result<(), Failure> {
        let emitted = self.calls.emit(id, stream, bytes, send);
        emitted.map_err(|(module, failure)| {
            self.with(now, facts, module, |instance, cx| instance.cancelled(cx, id));
            failure
        })
    }

    /// As [`Calls::job_output`].
    pub fn job_output(&mut self, id: RequestId, stream: Stream, bytes: &[u8], send: &mut Send<'_>) {
        self.calls.job_output(id, stream, bytes, send);
    }

    /// As [`Calls::grant`].
    pub fn grant(
        &mut self,
        now: Time,
        id: RequestId,
        granted: u64,
        send: &mut Send<'_>,
    ) -> Option<Result<String, Failure>> {
        self.calls.grant(now, id, granted, send)
    }

    /// As [`Calls::finish`].
    pub fn finish(&mut self, id: RequestId, outcome: Result<String, Failure>) -> Finished {
        self.calls.finish(id, outcome)
    }

    /// Nobody waits for a call any more: tells its work, and its module unless that has answered it. Says
    /// whether it was open.
    pub fn cancel(&mut self, now: Time, facts: &Facts, id: RequestId) -> bool {
        let Some(Cancelled { module, is_answered }) = self.calls.cancel(id) else { return false };
        // It may have answered in this turn.
        let answers = |effect: &Effect| matches!(effect, Effect::Answer(other, _) if *other == id);
        if !is_answered && !self.effects.iter().any(answers) {
            self.with(now, facts, module, |instance, cx| instance.cancelled(cx, id));
        }
        true
    }

    /// What the instances have asked for since the last call, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.effects);
        effects.retain(|effect| match effect {
            Effect::Offload(job) => self.calls.has_job(job.call(), job.credit()),
            Effect::AskAll(call, ..) => self.calls.asks(*call),
            _ => true,
        });
        effects
    }

    fn module_called(&self, name: &str) -> Option<usize> {
        self.registry.modules().position(|module| module.name == name)
    }

    fn call(
        &mut self,
        now: Time,
        facts: &Facts,
        module: usize,
        call: &Call<'_>,
        prefix: &str,
        terms: Terms,
    ) -> Outcome {
        let outcome = self.with(now, facts, module, |instance, cx| instance.call(cx, call));
        self.note(now, call.id, module, outcome, prefix, terms)
    }

    /// Notes that a call is open when it is, and completes the text of a failure.
    fn note(
        &mut self,
        now: Time,
        id: RequestId,
        module: usize,
        outcome: Outcome,
        prefix: &str,
        terms: Terms,
    ) -> Outcome {
        let has_emitted = self.effects.iter().any(|effect| effect.emits_for(id));
        let answer = match outcome {
            Ok(Reply::Later) => None,
            // Its output comes first.
            Ok(Reply::Now(result)) if has_emitted => Some(Ok(result)),
            Err(failure) if has_emitted => Some(Err(failure)),
            outcome => return outcome.map_err(|failure| prefixed(prefix, failure)),
        };
        self.calls.open(now, id, module, prefix, terms);
        self.effects.extend(answer.map(|answer| Effect::Answer(id, answer)));
        Ok(Reply::Later)
    }

    fn with<T>(
        &mut self,
        now: Time,
        facts: &Facts,
        module: usize,
        work: impl FnOnce(&mut dyn Command, &mut Context<'_>) -> T,
    ) -> T {
        let name = self.registry.module(module).name;
        let mut cx = Context::new(now, name, *facts, &mut self.effects);
        work(self.instances[module].as_mut(), &mut cx)
    }

    fn unknown_word(&self, word: &str) -> Failure {
        let nearest = nearest(word, self.registry.word_spellings());
        let word = shown(word);
        Failure::from(match nearest {
            Some(known) => format!("unknown command '{word}': did you mean '{known}'?"),
            None => {
                // It names no node, so that the answers of many can be folded.
                let program = format!("; 'exec ID {RUN} {word}' runs a program");
                let hint = Some(program).filter(|_| self.registry.has_word(RUN));
                let words = self.words();
                format!("unknown command '{word}': expected {words}{}", hint.unwrap_or_default())
            }
        })
    }

    /// Every word that a user may write after `exec ID`.
    pub fn words(&self) -> String {
        let mut text = "one of".to_owned();
        for (index, word) in self.registry.words().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(text, "{comma} {}", word.claim).expect("writing to a String can't fail");
        }
        text
    }
}

fn arguments<'a>(prefix: &str, text: &'a str) -> Result<Args<'a>, Failure> {
    Args::parse(text).map_err(|failure| prefixed(prefix, failure))
}

fn prefixed(prefix: &str, failure: Failure) -> Failure {
    if prefix.is_empty() {
        return failure;
    }
    Failure { text: format!("{prefix}: {}", failure.text), ..failure }
}

/// The first word of a line and what follows it, without the blanks between them and around.
pub(crate) fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim_ascii();
    match line.find(|c: char| c.is_ascii_whitespace()) {
        Some(end) => (&line[..end], line[end..].trim_ascii_start()),
        None => (line, ""),
    }
}
