//! For the tests of command modules: one instance under a virtual clock.

use std::cell::RefCell;
use std::time::Duration;

use crate::context::Effect;
use crate::modules::{Finished, Modules, split_word};
use crate::{
    Answer, Change, CommandSpec, Facts, Failure, Job, NodeId, Outcome, Registry, Reply, RequestId,
    Stream, Time, Traffic, Watch,
};

/// The deadline of a call.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// One instance of one module on one node, whose replies and effects a test can look at; there is an
/// example at [`CommandSpec`].
pub struct Harness {
    modules: Modules,
    /// What the node knows of itself; a test may change it.
    pub facts: Facts,
    now: Time,
    calls: u64,
    jobs: Vec<Job>,
    output: Vec<(RequestId, Stream, Vec<u8>)>,
    answers: Vec<(RequestId, Result<String, String>)>,
    questions: Vec<(RequestId, &'static str, Vec<u8>)>,
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
        // Not zero, so that a module which takes zero for "never" is caught.
        let now = Time::ZERO + Duration::from_secs(1_000);
        let facts = Facts {
            node,
            pid: 1_234,
            parent: NodeId::CONTROL,
            depth: u32::from(!node.is_control()),
            transport: "testkit",
            children: 0,
            below: 0,
            since: now,
            traffic: Traffic::default(),
        };
        Harness {
            modules: Modules::new(registry, TIMEOUT),
            facts,
            now,
            calls: 0,
            jobs: Vec::new(),
            output: Vec::new(),
            answers: Vec::new(),
            questions: Vec::new(),
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
            self.modules.timeout(self.now, &self.facts);
            self.collect();
            let next = self.modules.deadline();
            assert_ne!(next, Some(deadline), "the module does not move its deadline on");
        }
        self.now = end;
    }

    /// What a user would get for `line`: a word and its arguments on a compute node, a verb and its
    /// arguments at the control node. Work that the module offloads is done at once.
    ///
    /// # Errors
    ///
    /// The text of the failure.
    ///
    /// # Panics
    ///
    /// When the module leaves the answer for later; [`Harness::start`] is for such calls.
    pub fn exec(&mut self, line: &str) -> Result<String, String> {
        let call = self.start(line);
        self.run_jobs();
        match self.answers.pop_if(|(other, _)| *other == call) {
            Some((_, answer)) => answer,
            None => panic!("'{line}' was left to be answered later"),
        }
    }

    /// Begins a call, as [`Harness::exec`] does, and says which it is; [`Harness::answers`] has what
    /// it comes to.
    ///
    /// # Panics
    ///
    /// When the module does not claim the verb.
    pub fn start(&mut self, line: &str) -> RequestId {
        let call = self.next_call();
        let outcome = if self.facts.node.is_control() {
            let (verb, rest) = split_word(line);
            let outcome = self.modules.verb(self.now, &self.facts, call, verb, rest);
            outcome.expect("the module claims the verb")
        } else {
            self.modules.exec(self.now, &self.facts, call, line, self.modules.terms_default())
        };
        self.note(call, outcome);
        call
    }

    /// Does the work that was offloaded and not done yet.
    pub fn run_jobs(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            let (call, credit) = (job.call(), job.credit());
            let emitted = RefCell::new(Vec::new());
            let outcome = job.run(|| (), &|stream, bytes| {
                emitted.borrow_mut().push((call, stream, bytes.to_vec()));
                credit.grant_more(bytes.len());
            });
            self.output.append(&mut emitted.into_inner());
            self.finish(call, outcome);
        }
    }

    /// What was emitted for calls since this was last asked, as text. All of it is read at once.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn output(&mut self) -> Vec<(Stream, String)> {
        let text = |bytes| String::from_utf8(bytes).expect("the module emits UTF-8");
        self.output.drain(..).map(|(_, stream, bytes)| (stream, text(bytes))).collect()
    }

    /// Cancels a call, as its deadline does. It is not answered.
    pub fn cancel(&mut self, call: RequestId) {
        self.modules.cancel(self.now, &self.facts, call);
        self.collect();
    }

    /// The calls that were answered since this was last asked.
    pub fn answers(&mut self) -> Vec<(RequestId, Result<String, String>)> {
        std::mem::take(&mut self.answers)
    }

    /// What the instance answers to a question of its twin at the control node.
    ///
    /// # Errors
    ///
    /// The text of the failure.
    ///
    /// # Panics
    ///
    /// When the module leaves the answer for later.
    pub fn ask(&mut self, question: &[u8]) -> Result<String, String> {
        let call = self.next_call();
        let name = self.modules.registry().module(0).name;
        let outcome = self.modules.asked(self.now, &self.facts, call, name, question);
        self.note(call, outcome);
        match self.answers.pop_if(|(other, _)| *other == call) {
            Some((_, answer)) => answer,
            None => panic!("a question was left to be answered later"),
        }
    }

    /// What the instance has asked all nodes and was not answered yet.
    pub fn questions(&self) -> Vec<Vec<u8>> {
        self.questions.iter().map(|(_, _, question)| question.clone()).collect()
    }

    /// Answers the oldest question to all nodes that is open; [`Harness::answers`] has what follows.
    ///
    /// # Panics
    ///
    /// When none is open.
    pub fn gather(&mut self, answers: Vec<(NodeId, Answer)>) {
        let (call, name, _) = self.questions.remove(0);
        let outcome = self.modules.gathered(self.now, &self.facts, call, name, answers);
        self.note(call, outcome);
    }

    /// Hands the instance a value as if its twin at the control node had published it.
    pub fn publish(&mut self, value: &[u8]) {
        let name = self.modules.registry().module(0).name;
        self.modules.published(self.now, &self.facts, name, value);
        self.collect();
    }

    /// Tells the instance what happened to a node.
    pub fn change(&mut self, node: NodeId, change: Change) {
        self.modules.node_changed(self.now, &self.facts, node, change);
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

    fn next_call(&mut self) -> RequestId {
        self.calls += 1;
        RequestId(self.calls)
    }

    fn note(&mut self, call: RequestId, outcome: Outcome) {
        match outcome {
            Ok(Reply::Now(result)) => self.answers.push((call, Ok(result))),
            Ok(Reply::Later) => {}
            Err(Failure { text, .. }) => self.answers.push((call, Err(text))),
        }
        self.collect();
    }

    fn finish(&mut self, call: RequestId, outcome: Result<String, Failure>) {
        if let Finished::Answered(outcome, _) = self.modules.finish(call, outcome) {
            self.answers.push((call, outcome.map_err(|failure| failure.text)));
        }
    }

    fn collect(&mut self) {
        for effect in self.modules.take_effects() {
            match effect {
                Effect::Answer(call, outcome) => self.finish(call, outcome),
                Effect::Emit(call, stream, bytes) => self.output.push((call, stream, bytes)),
                Effect::Offload(job) => self.jobs.push(job),
                Effect::AskAll(call, module, question) => {
                    self.questions.push((call, module, question));
                }
                Effect::Publish(_, value) => self.published.push(value),
                Effect::Watch(watch) => self.watches.push(watch),
                Effect::Notice(line) => self.notices.push(line),
            }
        }
    }
}
