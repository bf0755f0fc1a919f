//! A command module that remembers what ran where, and which calls are open, so that "ran exactly once" and
//! "was told to stop" can be checked.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hoptree_core::{
    Call, Claim, Command, CommandSpec, Context, Example, Failure, NodeId, Outcome, Reply,
    RequestId, Time, Word,
};

use crate::alike::{Alike, When};
use crate::flow::{Flow, STREAMS};

thread_local! {
    /// By the number of the task, who ran it. A run of the simulator has its thread to itself.
    static RUNS: RefCell<Vec<Vec<Run>>> = const { RefCell::new(Vec::new()) };
    /// By process, the task that ran there last. Tasks are numbered as they are typed.
    static LAST: RefCell<HashMap<u32, usize>> = RefCell::default();
    /// The calls that processes have not answered, as far as they are not answered by work beside them.
    static OPEN: RefCell<HashSet<(u32, RequestId)>> = RefCell::default();
    /// The calls that they were told to stop.
    static STOPPED: RefCell<HashSet<(u32, RequestId)>> = RefCell::default();
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
    OPEN.take();
    STOPPED.take();
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
    fail(wrong);
}

fn fail(wrong: String) {
    VIOLATION.with_borrow_mut(|violation| violation.get_or_insert(wrong).len());
}

/// The calls that are not over, with their processes.
pub fn open_calls() -> Vec<(u32, RequestId)> {
    OPEN.with_borrow(|open| open.iter().copied().collect())
}

/// Notes that a call is over, and says whether it was open.
fn close(pid: u32, call: RequestId) -> bool {
    OPEN.with_borrow_mut(|open| open.remove(&(pid, call)))
}

/// Notes that a call must stop: each is told so once, and only while it is open.
fn stop(pid: u32, call: RequestId, is_offloaded: bool) {
    if SUSPECTS.with_borrow(|suspects| suspects.contains(&pid)) {
        return;
    }
    if !STOPPED.with_borrow_mut(|stopped| stopped.insert((pid, call))) {
        fail(format!("process {pid} is told twice to stop {call:?}"));
    }
    if !close(pid, call) && !is_offloaded {
        fail(format!("process {pid} is told to stop {call:?}, which is over"));
    }
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
        Word {
            claim: Claim::Word("stream"),
            usage: "stream N BYTES COUNT",
            help: "run task N, emit COUNT lines, or lines without end",
        },
        Word {
            claim: Claim::Word("pour"),
            usage: "pour N BYTES COUNT",
            help: "the same beside the node",
        },
        Word {
            claim: Claim::Word("same"),
            usage: "same N CLASSES BYTES",
            help: "run task N, which all nodes of a class answer alike",
        },
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
    later: Vec<(Time, RequestId, Result<String, Failure>)>,
    flowing: Vec<Flowing>,
    /// The calls that are answered by work beside the node.
    offloaded: HashSet<RequestId>,
}

/// Lines that are being emitted.
struct Flowing {
    call: RequestId,
    flow: Flow,
    /// The number of the next one, and when it is due.
    next: usize,
    due: Time,
}

impl Flowing {
    /// Emits the next line, or answers when there is none. Says whether it has answered.
    fn go_on(&mut self, cx: &mut Context<'_>) -> bool {
        let (pid, flow) = (cx.facts().pid, self.flow);
        if flow.is_over(self.next) {
            cx.answer(self.call, Ok(answer(flow.task, pid) + &"x".repeat(flow.answer_bytes())));
            return true;
        }
        let (stream, line) = flow.emitted(pid, self.next);
        let (one, other) = line.split_at(line.len() / 2);
        cx.emit(self.call, stream, one);
        cx.emit(self.call, stream, other);
        self.next += 1;
        self.due = cx.now() + Duration::from_millis(1 + flow.task as u64 % 7);
        false
    }
}

fn answer(task: usize, pid: u32) -> String {
    format!("{task} by {pid}")
}

impl Probe {
    /// Emits lines beside the node.
    fn pour(&mut self, cx: &mut Context<'_>, call: RequestId, flow: Flow) -> Reply {
        let pid = cx.facts().pid;
        self.offloaded.insert(call);
        cx.offload_blocking(call, move |job| {
            for number in (0..).take_while(|number| !flow.is_over(*number)) {
                let (stream, line) = flow.emitted(pid, number);
                if job.emit(stream, line.as_bytes()).is_err() {
                    break;
                }
            }
            Ok(answer(flow.task, pid) + &"x".repeat(flow.answer_bytes()))
        })
    }

    /// Answers as the other nodes of the same class.
    fn same(&mut self, cx: &mut Context<'_>, call: RequestId, alike: Alike) -> Outcome {
        let node = cx.facts().node;
        let failure = |text| Failure { text, exit: Some(alike.exit()) };
        let outcome = alike.outcome(node).map_err(failure);
        let output = STREAMS.map(|stream| (stream, alike.output(node, stream)));
        if alike.when(node) == When::Beside {
            self.offloaded.insert(call);
            return Ok(cx.offload_blocking(call, move |job| {
                for (stream, text) in &output {
                    job.emit(*stream, text.as_bytes())?;
                }
                outcome
            }));
        }
        for (stream, text) in output.into_iter().filter(|(_, text)| !text.is_empty()) {
            cx.emit(call, stream, text);
        }
        match alike.when(node) {
            When::Later(ms) => {
                self.later.push((cx.now() + Duration::from_millis(ms), call, outcome));
                self.leave(cx, call)
            }
            _ => Ok(outcome?.into()),
        }
    }

    /// Leaves the answer to a call for later.
    fn leave(&mut self, cx: &Context<'_>, call: RequestId) -> Outcome {
        OPEN.with_borrow_mut(|open| open.insert((cx.facts().pid, call)));
        Ok(Reply::Later)
    }
}

impl Command for Probe {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let facts = *cx.facts();
        if call.word == "where" {
            let hoptree_core::Facts { parent, depth, children, below, .. } = facts;
            return Ok(format!("{parent} {depth} {children} {below}").into());
        }
        let mut numbers = call.args.iter().map(|word| word.parse::<usize>().unwrap_or_default());
        let mut number = || numbers.next().unwrap_or_default();
        let (task, more) = (number(), number());
        let is_whole =
            call.word != "read" || call.args.iter().nth(2) == Some(&*text_of(task, more));
        note(task, Run { node: facts.node, pid: facts.pid }, is_whole);
        let answer = answer(task, facts.pid);
        match call.word {
            "do" => Ok((answer + &"x".repeat(more)).into()),
            "later" => {
                let due = cx.now() + Duration::from_millis(more as u64);
                self.later.push((due, call.id, Ok(answer)));
                self.leave(cx, call.id)
            }
            "read" => Ok(answer.into()),
            "work" => {
                self.offloaded.insert(call.id);
                Ok(cx.offload(call.id, |_| Ok(answer)))
            }
            "stream" => {
                let flow = Flow { task, bytes: more, count: number() };
                let mut flowing = Flowing { call: call.id, flow, next: 0, due: cx.now() };
                flowing.go_on(cx);
                self.flowing.push(flowing);
                self.leave(cx, call.id)
            }
            "pour" => {
                let flow = Flow { task, bytes: more, count: number() };
                Ok(self.pour(cx, call.id, flow))
            }
            "same" => {
                let alike = Alike { task, classes: more, bytes: number() };
                self.same(cx, call.id, alike)
            }
            _ => self.leave(cx, call.id),
        }
    }

    fn cancelled(&mut self, cx: &mut Context<'_>, call: RequestId) {
        stop(cx.facts().pid, call, self.offloaded.remove(&call));
        self.later.retain(|(_, other, _)| *other != call);
        self.flowing.retain(|flowing| flowing.call != call);
    }

    fn timeout(&mut self, cx: &mut Context<'_>) {
        let (now, pid) = (cx.now(), cx.facts().pid);
        for (_, call, answer) in self.later.extract_if(.., |(due, ..)| *due <= now) {
            close(pid, call);
            cx.answer(call, answer);
        }
        self.flowing.retain_mut(|flowing| {
            let is_answered = flowing.due <= now && flowing.go_on(cx);
            if is_answered {
                close(pid, flowing.call);
            }
            !is_answered
        });
    }

    fn deadline(&self) -> Option<Time> {
        let flowing = self.flowing.iter().map(|flowing| flowing.due);
        self.later.iter().map(|(due, ..)| *due).chain(flowing).min()
    }
}
