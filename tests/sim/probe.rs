//! A command module that remembers what ran where, so that "ran exactly once" can be checked.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hoptree_core::{
    Call, Claim, Command, CommandSpec, Context, Example, NodeId, Outcome, Reply, RequestId, Time,
    Word,
};

thread_local! {
    /// By the number of the task, who ran it. A run of the simulator has its thread to itself.
    static RUNS: RefCell<Vec<Vec<Run>>> = const { RefCell::new(Vec::new()) };
    /// By process, the task that ran there last. Tasks are numbered as they are typed.
    static LAST: RefCell<HashMap<u32, usize>> = RefCell::default();
    /// Processes that may do what they like.
    static SUSPECTS: RefCell<HashSet<u32>> = RefCell::default();
    /// The first thing that was wrong with a run.
    static VIOLATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A task has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub node: NodeId,
    pub pid: u32,
}

/// Forgets all runs.
pub fn forget() {
    RUNS.take();
    LAST.take();
    SUSPECTS.take();
    VIOLATION.take();
}

/// What a process runs is of no interest from now on.
pub fn suspect(pid: u32) {
    SUSPECTS.with_borrow_mut(|suspects| suspects.insert(pid));
}

/// What was wrong with a run, if anything: a node runs its tasks in the order in which they were
/// typed, and each as it was typed.
pub fn take_violation() -> Option<String> {
    VIOLATION.take()
}

/// The text of a long task: what it is follows from its number and length, so that a node sees
/// whether any of it is missing.
pub fn text_of(task: usize, bytes: usize) -> String {
    let letter = |at: usize| char::from(b'a' + ((at / 1_000 + at + task) % 26) as u8);
    (0..bytes).map(letter).collect()
}

/// Notes that a task runs, and what is wrong with that.
fn note(task: usize, run: Run, is_whole: bool) {
    if SUSPECTS.with_borrow(|suspects| suspects.contains(&run.pid)) {
        return;
    }
    RUNS.with_borrow_mut(|runs| {
        runs.resize_with(runs.len().max(task + 1), Vec::new);
        runs[task].push(run);
    });
    let before = LAST.with_borrow_mut(|last| last.insert(run.pid, task));
    let wrong = match before {
        Some(before) if before > task => format!("task {task} runs after task {before} at {run:?}"),
        _ if !is_whole => format!("task {task} is damaged when it runs at {run:?}"),
        _ => return,
    };
    VIOLATION.with_borrow_mut(|violation| violation.get_or_insert(wrong).len());
}

/// Who ran a task.
pub fn runs(task: usize) -> Vec<Run> {
    RUNS.with_borrow(|runs| runs.get(task).cloned().unwrap_or_default())
}

/// All runs, by the number of the task.
pub fn all_runs() -> Vec<Vec<Run>> {
    RUNS.with_borrow(Clone::clone)
}

pub static PROBE: CommandSpec = CommandSpec {
    name: "probe",
    package: "simulator",
    summary: "for the simulator",
    words: &[
        Word { claim: Claim::Word("do"), usage: "do N BYTES", help: "run task N" },
        Word {
            claim: Claim::Word("read"),
            usage: "read N BYTES TEXT",
            help: "run task N, with a long text",
        },
        Word {
            claim: Claim::Word("later"),
            usage: "later N MS",
            help: "run task N, answer after MS",
        },
        Word { claim: Claim::Word("work"), usage: "work N", help: "run task N beside the node" },
        Word { claim: Claim::Word("mute"), usage: "mute N", help: "run task N, never answer" },
        Word {
            claim: Claim::Word("where"),
            usage: "where",
            help: "parent, depth, children, below",
        },
    ],
    verbs: &[],
    examples: &[Example { line: "exec 1 where", reply: "Ok:1: -1 1 0 0" }],
    create: || Box::new(Probe::default()),
};

#[derive(Default)]
struct Probe {
    /// What it must answer, and when.
    later: Vec<(Time, RequestId, String)>,
}

impl Command for Probe {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let facts = *cx.facts();
        if call.word == "where" {
            let hoptree_core::Facts { parent, depth, children, below, .. } = facts;
            return Ok(format!("{parent} {depth} {children} {below}").into());
        }
        let mut numbers = call.args.iter().map(|word| word.parse::<usize>().unwrap_or_default());
        let (task, more) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let is_whole =
            call.word != "read" || call.args.iter().nth(2) == Some(&*text_of(task, more));
        note(task, Run { node: facts.node, pid: facts.pid }, is_whole);
        let answer = format!("{task} by {}", facts.pid);
        match call.word {
            "do" => Ok((answer + &"x".repeat(more)).into()),
            "later" => {
                let due = cx.now() + Duration::from_millis(more as u64);
                self.later.push((due, call.id, answer));
                Ok(Reply::Later)
            }
            "read" => Ok(answer.into()),
            "work" => Ok(cx.offload(call.id, |_| Ok(answer))),
            _ => Ok(Reply::Later),
        }
    }

    fn timeout(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        for (_, call, answer) in self.later.extract_if(.., |(due, ..)| *due <= now) {
            cx.answer(call, Ok(answer));
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.later.iter().map(|(due, ..)| *due).min()
    }
}
