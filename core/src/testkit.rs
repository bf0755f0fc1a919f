//! For the tests of command modules: one instance under a virtual clock.

use std::time::Duration;

use crate::command::Effect;
use crate::modules::Modules;
use crate::{Change, CommandSpec, NodeId, Registry, Reply, RequestId, Time, Watch};

/// One instance of one module on one node, whose replies and effects a test can look at; there is an
/// example at [`CommandSpec`].
pub struct Harness {
    modules: Modules,
    node: NodeId,
    now: Time,
    calls: u64,
    notices: Vec<String>,
    published: Vec<Vec<u8>>,
    watches: Vec<Option<Watch>>,
}

impl Harness {
    /// An instance of the linked module with this name.
    ///
    /// # Panics
    ///
    /// When no such module is linked, or it breaks a rule of [`Registry::new`].
    #[must_use]
    pub fn new(module: &str, node: NodeId) -> Harness {
        let spec = inventory::iter::<CommandSpec>
            .into_iter()
            .find(|spec| spec.name == module)
            .unwrap_or_else(|| panic!("no module '{module}' is linked"));
        let registry = Registry::new([spec]).unwrap_or_else(|error| panic!("{error}"));
        Harness {
            modules: Modules::new(registry, node),
            node,
            // Not zero, so that a module which takes zero for "never" is caught.
            now: Time::ZERO + Duration::from_secs(1_000),
            calls: 0,
            notices: Vec::new(),
            published: Vec::new(),
            watches: Vec::new(),
        }
    }

    /// Moves the clock, and calls the module's timeout at each of its deadlines on the way.
    ///
    /// # Panics
    ///
    /// When the module leaves a deadline that has come as it is.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(deadline) = self.modules.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.modules.timeout(self.now);
            self.collect();
            let next = self.modules.deadline();
            assert_ne!(next, Some(deadline), "the module does not move its deadline on");
        }
        self.now = end;
    }

    /// What a user would get for `line`: a word and its arguments on a compute node, a verb and its
    /// arguments at the control node.
    ///
    /// # Errors
    ///
    /// The text of the failure.
    ///
    /// # Panics
    ///
    /// When the module leaves the answer for later.
    pub fn exec(&mut self, line: &str) -> Result<String, String> {
        let id = RequestId(self.calls);
        self.calls += 1;
        let outcome = if self.node.is_control() {
            let (verb, rest) = crate::modules::split_word(line);
            self.modules.verb(self.now, id, verb, rest).expect("the module claims the verb")
        } else {
            self.modules.exec(self.now, id, line)
        };
        self.collect();
        match outcome {
            Ok(Reply::Now(result)) => Ok(result),
            Ok(Reply::Later) => panic!("'{line}' was left to be answered later"),
            Err(failure) => Err(failure.0),
        }
    }

    /// Hands the instance a value as if its twin at the control node had published it.
    pub fn publish(&mut self, value: &[u8]) {
        let name = self.modules.registry().module(0).name;
        self.modules.published(self.now, name, value);
        self.collect();
    }

    /// Tells the instance what happened to a node.
    pub fn change(&mut self, node: NodeId, change: Change) {
        self.modules.node_changed(self.now, node, change);
        self.collect();
    }

    /// What it printed at the console since the last call.
    pub fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// What it published since the last call.
    pub fn published(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.published)
    }

    /// How it asked its node to watch since the last call.
    pub fn watches(&mut self) -> Vec<Option<Watch>> {
        std::mem::take(&mut self.watches)
    }

    fn collect(&mut self) {
        for effect in self.modules.take_effects() {
            match effect {
                // No call was left open, see `Harness::exec`.
                Effect::Answer(..) => {}
                Effect::Publish(_, value) => self.published.push(value),
                Effect::Watch(watch) => self.watches.push(watch),
                Effect::Notice(line) => self.notices.push(line),
            }
        }
    }
}
