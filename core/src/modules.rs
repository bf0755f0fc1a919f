//! The module instances of one node, and what they ask of it.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::args::shown;
use crate::command::Effect;
use crate::offload::Stop;
use crate::time::earliest;
use crate::{
    Answer, Args, Call, Change, Command, Context, Facts, Failure, NodeId, Outcome, Registry, Reply,
    RequestId, Time, nearest,
};

/// One instance of each linked module, and the calls that they have not answered.
pub(crate) struct Modules {
    registry: Registry,
    /// In the order of [`Registry::modules`].
    instances: Vec<Box<dyn Command>>,
    effects: Vec<Effect>,
    /// How long a call may be open.
    timeout: Duration,
    /// The calls that modules will answer later. Bounded by the control node's windows.
    open: FxHashMap<RequestId, Open>,
    /// When calls were to be answered at the latest, in this order; some have been.
    expiring: VecDeque<(Time, RequestId)>,
    /// Since when no call expires.
    paused_since: Option<Time>,
}

/// A call that a module will answer later.
struct Open {
    /// What stands before the text of a failure.
    prefix: String,
    /// Tells the work that was offloaded for it.
    stop: Option<Stop>,
    /// It waits for other nodes, each of which has a deadline of its own.
    asks: bool,
}

impl Modules {
    pub fn new(registry: Registry, timeout: Duration) -> Modules {
        let instances = registry.modules().map(|module| (module.create)()).collect();
        Modules {
            registry,
            instances,
            effects: Vec::new(),
            timeout,
            open: FxHashMap::default(),
            expiring: VecDeque::new(),
            paused_since: None,
        }
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Answers what a user wrote after `exec ID`.
    pub fn exec(&mut self, now: Time, facts: &Facts, id: RequestId, line: &str) -> Outcome {
        let (word, rest) = split_word(line);
        let Some(module) = self.registry.module_of_word(word) else {
            return Err(self.unknown_word(word));
        };
        let prefix = match self.registry.has_word(word) {
            true => word,
            false => self.registry.module(module).name,
        };
        let deadline = now + self.timeout;
        let call = Call { id, word, args: arguments(prefix, rest)?, deadline };
        self.call(now, facts, module, &call, prefix)
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
        Some(args.and_then(|args| {
            self.call(now, facts, module, &Call { id, word: verb, args, deadline }, verb)
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
            return Err(Failure(format!("the module {name} is not linked here")));
        };
        let outcome =
            self.with(now, facts, module, |instance, cx| instance.asked(cx, id, question));
        self.note(now, id, outcome, "")
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
        let prefix = self.open.remove(&id).map(|open| open.prefix).unwrap_or_default();
        let outcome =
            self.with(now, facts, module, |instance, cx| instance.gathered(cx, id, answers));
        self.note(now, id, outcome, &prefix)
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
        let mut expired = Vec::new();
        while let Some((expiry, id)) = self.expiring.front().copied()
            && self.paused_since.is_none()
            && expiry <= now
        {
            self.expiring.pop_front();
            if let Entry::Occupied(open) = self.open.entry(id)
                && !open.get().asks
            {
                if let Some(stop) = open.remove().stop {
                    stop.want();
                }
                expired.push(id);
            }
        }
        expired
    }

    /// When there is something to do for [`Modules::timeout`].
    pub fn deadline(&self) -> Option<Time> {
        let expiring = self.expiring.front().filter(|_| self.paused_since.is_none());
        let expiry = expiring.map(|(expiry, _)| *expiry);
        self.instances.iter().map(|instance| instance.deadline()).fold(expiry, earliest)
    }

    /// Whether calls are to have all the time that they need: no work is begun for them, or what they
    /// come to is not taken. What they had left is theirs when that is over.
    pub fn pause(&mut self, now: Time, is_paused: bool) {
        match (self.paused_since, is_paused) {
            (None, true) => self.paused_since = Some(now),
            (Some(since), false) => {
                self.paused_since = None;
                let granted = now.since(since);
                self.expiring.iter_mut().for_each(|(expiry, _)| *expiry += granted);
            }
            _ => {}
        }
    }

    /// What an open call has come to; `None` when it is not open (any more).
    pub fn finish(
        &mut self,
        id: RequestId,
        outcome: Result<String, Failure>,
    ) -> Option<Result<String, Failure>> {
        let open = self.open.remove(&id)?;
        // Those that are answered sooner than they expire are to leave no timers behind.
        while self.expiring.front().is_some_and(|(_, id)| !self.open.contains_key(id)) {
            self.expiring.pop_front();
        }
        Some(outcome.map_err(|failure| prefixed(&open.prefix, failure)))
    }

    /// What the instances have asked for since the last call, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.effects);
        effects.retain(|effect| match effect {
            Effect::Offload(job) => {
                let open = self.open.get_mut(&job.call());
                open.map(|open| open.stop = Some(job.stop())).is_some()
            }
            Effect::AskAll(call, ..) => {
                self.open.get_mut(call).map(|open| open.asks = true).is_some()
            }
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
    ) -> Outcome {
        let outcome = self.with(now, facts, module, |instance, cx| instance.call(cx, call));
        self.note(now, call.id, outcome, prefix)
    }

    /// Notes that a call is open when it is, and completes the text of a failure.
    fn note(&mut self, now: Time, id: RequestId, outcome: Outcome, prefix: &str) -> Outcome {
        if outcome == Ok(Reply::Later) {
            let open = Open { prefix: prefix.to_owned(), stop: None, asks: false };
            self.open.insert(id, open);
            self.expiring.push_back((now + self.timeout, id));
        }
        outcome.map_err(|failure| prefixed(prefix, failure))
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
        Failure(match nearest {
            Some(known) => format!("unknown command '{word}': did you mean '{known}'?"),
            None => format!("unknown command '{word}': expected {}", self.words()),
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

fn prefixed(prefix: &str, Failure(text): Failure) -> Failure {
    Failure(if prefix.is_empty() { text } else { format!("{prefix}: {text}") })
}

/// The first word of a line and what follows it, without the blanks between them and around.
pub(crate) fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim_ascii();
    match line.find(|c: char| c.is_ascii_whitespace()) {
        Some(end) => (&line[..end], line[end..].trim_ascii_start()),
        None => (line, ""),
    }
}
