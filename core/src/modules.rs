//! The module instances of one node, and what they ask of it.

use std::fmt::Write as _;

use crate::command::{Effect, shown};
use crate::time::earliest;
use crate::{
    Args, Call, Change, Command, Context, Failure, NodeId, Outcome, Registry, RequestId, Time,
};

/// One instance of each linked module.
pub(crate) struct Modules {
    node: NodeId,
    registry: Registry,
    /// In the order of [`Registry::modules`].
    instances: Vec<Box<dyn Command>>,
    effects: Vec<Effect>,
}

impl Modules {
    pub fn new(registry: Registry, node: NodeId) -> Modules {
        let instances = registry.modules().map(|module| (module.create)()).collect();
        Modules { node, registry, instances, effects: Vec::new() }
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Answers what a user wrote after `exec ID`.
    pub fn exec(&mut self, now: Time, id: RequestId, line: &str) -> Outcome {
        let (word, rest) = split_word(line);
        match self.registry.module_of_word(word) {
            Some(module) => self.call(now, module, id, word, rest),
            None => Err(self.unknown_word(word)),
        }
    }

    /// Answers a console command, or says `None` when no module claims its verb.
    pub fn verb(&mut self, now: Time, id: RequestId, verb: &str, rest: &str) -> Option<Outcome> {
        let module = self.registry.module_of_verb(verb)?;
        Some(self.call(now, module, id, verb, rest))
    }

    /// Hands a published value to the module that it belongs to, when this node has it.
    pub fn published(&mut self, now: Time, name: &str, value: &[u8]) {
        let module = self.registry.modules().position(|module| module.name == name);
        if let Some(module) = module {
            self.with(now, module, |instance, cx| instance.published(cx, value));
        }
    }

    /// Tells every module what happened to a compute node.
    pub fn node_changed(&mut self, now: Time, node: NodeId, change: Change) {
        for module in 0..self.instances.len() {
            self.with(now, module, |instance, cx| instance.node_changed(cx, node, change));
        }
    }

    /// Calls the timeouts that are due.
    pub fn timeout(&mut self, now: Time) {
        for module in 0..self.instances.len() {
            if self.instances[module].deadline().is_some_and(|deadline| deadline <= now) {
                self.with(now, module, |instance, cx| instance.timeout(cx));
            }
        }
    }

    /// When the next timeout is due.
    pub fn deadline(&self) -> Option<Time> {
        self.instances.iter().map(|instance| instance.deadline()).fold(None, earliest)
    }

    /// What the instances have asked for since the last call, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn call(&mut self, now: Time, module: usize, id: RequestId, word: &str, rest: &str) -> Outcome {
        let call = Call { id, word, args: Args::new(rest) };
        self.with(now, module, |instance, cx| instance.call(cx, &call))
    }

    fn with<T>(
        &mut self,
        now: Time,
        module: usize,
        work: impl FnOnce(&mut dyn Command, &mut Context<'_>) -> T,
    ) -> T {
        let name = self.registry.module(module).name;
        let mut cx = Context::new(now, self.node, name, &mut self.effects);
        work(self.instances[module].as_mut(), &mut cx)
    }

    fn unknown_word(&self, word: &str) -> Failure {
        Failure(format!("unknown command '{}': expected {}", shown(word), self.words()))
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

/// The first word of a line and what follows it, without the blanks between them and around.
pub(crate) fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim_ascii();
    match line.find(|c: char| c.is_ascii_whitespace()) {
        Some(end) => (&line[..end], line[end..].trim_ascii_start()),
        None => (line, ""),
    }
}
