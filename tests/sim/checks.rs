//! What must hold whatever happens: the checkers, which see only what goes in and out of the nodes,
//! and what has really happened to processes and tasks.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use hoptree_core::{ExecEnding, NodeId, Record};

use crate::alike::{self, Alike};
use crate::flow::{Flow, STREAMS};
use crate::folds::Folds;
use crate::frame::Header;
use crate::network::{Moment, TIMEOUT};
use crate::outputs::{self, Outputs};
use crate::probe::{self, Run};
use crate::process::{Pid, private, public};
use crate::trace::cut;

/// A line that is answered at once, and by nothing else: it ends the answers to what came before.
pub const MARK: &str = "mark";

/// What was typed, as the checkers understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Create(NodeId),
    Remove(NodeId),
    Ping(NodeId),
    /// One task on one node.
    Task {
        node: NodeId,
        task: usize,
        padding: usize,
        kind: TaskKind,
    },
    /// A task on all nodes.
    TaskOnAll(usize, TaskKind),
    /// A task whose answers are folded, on one node or on all.
    Fold(Option<NodeId>, Alike),
    /// An end to what is under way on a node, or on all.
    Cancel(Option<NodeId>),
    Where(NodeId),
    Heartbeat,
    Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    Answers,
    /// It answers, but perhaps after the deadline.
    Late,
    Mute,
    /// It emits lines before it answers, or for ever.
    Streams(Flow),
    /// The nodes of a class answer alike.
    Alike(Alike),
}

/// How long an answer is waited for; until the task is cancelled without.
type Limit = Option<Duration>;

#[derive(Debug)]
struct Pending {
    command: Command,
    /// The nodes that it names.
    nodes: Vec<NodeId>,
    entered: Moment,
    limit: Limit,
    /// The user has said since that it is not wanted any more.
    is_cancelled: bool,
    /// The last node of a command for all nodes that has answered.
    last: Option<NodeId>,
}

impl Pending {
    /// Whether it is a task that a `cancel` of a node, or of all, ends.
    fn is_cancelled_by(&self, node: Option<NodeId>) -> bool {
        match self.command {
            Command::Task { .. } | Command::Where(_) => {
                node.is_none_or(|node| self.nodes.contains(&node))
            }
            Command::TaskOnAll(..) | Command::Fold(None, _) => true,
            Command::Fold(Some(other), _) => node.is_none_or(|node| node == other),
            _ => false,
        }
    }
}

/// A process of a node.
struct Being {
    node: NodeId,
    ended: Option<Moment>,
}

/// What the console last said about a node.
#[derive(Clone, Copy, Default)]
struct Notice {
    unavailable: bool,
    /// How often the node had joined by then.
    joins: usize,
}

/// How often what was answered, to see that a run is not idle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub ok: u64,
    pub unavailable: u64,
    pub late: u64,
    pub refused: u64,
    pub other: u64,
    pub cancelled: u64,
    /// Groups of answers that are folded.
    pub groups: u64,
    /// Lines of output.
    pub lines: u64,
    pub notices: u64,
    /// What was answered for nodes under suspicion, which may be anything.
    pub suspect: u64,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.ok += other.ok;
        self.unavailable += other.unavailable;
        self.late += other.late;
        self.refused += other.refused;
        self.other += other.other;
        self.cancelled += other.cancelled;
        self.groups += other.groups;
        self.lines += other.lines;
        self.notices += other.notices;
        self.suspect += other.suspect;
    }
}

#[derive(Default)]
pub struct Checks {
    pub now: Moment,
    pub counts: Counts,
    /// Nothing happens but what compromised nodes bring about.
    pub is_at_peace: bool,
    /// Who still ran when the control node ended.
    pub left_behind: Vec<Pid>,
    /// The answers to what was typed since this was last emptied.
    pub answers: Vec<(Command, String)>,
    pub outputs: Outputs,
    folds: Folds,
    /// How many nodes are in each group of the last answers that were folded.
    pub groups: Vec<usize>,
    violation: Option<String>,
    pending: VecDeque<Pending>,
    beings: BTreeMap<Pid, Being>,
    /// How often the control node was told that a node has joined.
    joins: HashMap<NodeId, usize>,
    /// Of whom it was told so in this turn. What it prints in the turn may be from before.
    joined_now: Vec<NodeId>,
    notices: BTreeMap<NodeId, Notice>,
    /// Which requests were passed on by whom.
    passed_on: HashSet<(u64, Pid)>,
    /// Which requests were answered by whom.
    answered: HashSet<(u64, Pid)>,
    /// Whose answers came to whom.
    brought: HashSet<(u64, Pid)>,
    /// The nodes under suspicion, and those that were: of them the console may have been told anything.
    suspects: HashSet<NodeId>,
    doubtful: HashSet<NodeId>,
}

impl Checks {
    /// Whether nothing was found so far.
    pub fn hold(&self) -> bool {
        self.violation.is_none()
    }

    /// Notes the first violation; what follows from it is of no interest.
    pub fn fail(&mut self, violation: String) {
        self.violation.get_or_insert(violation);
    }

    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// What is answered for a node may be anything from now on.
    pub fn suspect(&mut self, node: NodeId) {
        self.suspects.insert(node);
        for pending in &self.pending {
            if let (Command::Create(child), Some(parent)) = (pending.command, pending.nodes.get(1))
                && self.suspects.contains(parent)
            {
                self.suspects.insert(child);
            }
        }
    }

    pub fn is_suspect(&self, node: NodeId) -> bool {
        self.suspects.contains(&node)
    }

    /// Nobody is compromised any more.
    pub fn trust_again(&mut self) {
        self.doubtful = std::mem::take(&mut self.suspects);
    }

    /// Whether every command was answered.
    pub fn all_answered(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many commands have no answer.
    pub fn unanswered_count(&self) -> usize {
        self.pending.len()
    }

    /// The oldest command without an answer.
    pub fn unanswered(&self) -> String {
        format!("{:?}", self.pending.front())
    }

    /// Whether the oldest command without an answer is waited for until it is cancelled.
    pub fn waits_for_ever(&self) -> bool {
        self.pending.front().is_some_and(|pending| pending.limit.is_none())
    }

    /// The user wants nothing more of what is under way on a node, or on all.
    pub fn cancelled(&mut self, node: Option<NodeId>) {
        for pending in &mut self.pending {
            pending.is_cancelled |= pending.is_cancelled_by(node);
        }
    }

    /// Whether the console has said last that a node is unavailable.
    pub fn is_reported(&self, node: NodeId) -> bool {
        self.notices.get(&node).is_some_and(|notice| notice.unavailable)
    }

    pub fn started(&mut self, node: NodeId, pid: Pid) {
        self.beings.insert(pid, Being { node, ended: None });
    }

    /// A turn of the control node begins.
    pub fn turn_begins(&mut self) {
        self.joined_now.clear();
    }

    /// The control node hears something: that a node has joined, perhaps.
    pub fn heard(&mut self, sender: NodeId, header: &Header<'_>) {
        let joined = match header.name() {
            "Hello" => Some(sender),
            "Joined" => NodeId::compute(header.node),
            _ => None,
        };
        if let Some(node) = joined {
            *self.joins.entry(node).or_default() += 1;
            self.joined_now.push(node);
        }
    }

    pub fn ended(&mut self, pid: Pid) {
        if let Some(being) = self.beings.get_mut(&pid) {
            being.ended = Some(self.now);
        }
    }

    /// A process sends a request on: once, or it goes round in a circle.
    pub fn passed_on(&mut self, by: Pid, header: &Header<'_>) {
        if !self.passed_on.insert((header.request, by)) {
            let (name, request) = (header.name(), header.request);
            self.fail(format!("{name} #{request:x} passes process {} twice", public(by)));
        }
    }

    /// A process answers a request to itself: once, whatever it has said.
    pub fn answered_by(&mut self, by: Pid, header: &Header<'_>) {
        if !self.answered.insert((header.request, by)) {
            let request = header.request;
            self.fail(format!("process {} answers request {request:x} twice", public(by)));
        }
    }

    /// An answer comes to a process, which may pass it on.
    pub fn brought(&mut self, to: Pid, header: &Header<'_>) {
        self.brought.insert((header.request, to));
    }

    /// A process sends the answer of another node on: it must have come to it.
    pub fn answer_passed_on(&mut self, by: Pid, header: &Header<'_>) {
        if !self.brought.contains(&(header.request, by)) {
            let (node, request) = (header.node, header.request);
            self.fail(format!("process {} answers {request:x} for node {node}", public(by)));
        }
    }

    /// Forgets the requests so far, all of which have been answered: a tree of 100,000 nodes makes
    /// millions of them, and each goes a long way.
    pub fn forget_requests(&mut self) {
        self.passed_on = HashSet::new();
        self.answered = HashSet::new();
        self.brought = HashSet::new();
        self.answers = Vec::new();
        self.outputs.forget_requests();
    }

    /// A process that is not under suspicion sends a message.
    pub fn sent(&mut self, by: Pid, is_own: bool, header: &Header<'_>) {
        let is_honest = self.suspects.is_empty() && self.doubtful.is_empty();
        if let Err(wrong) = self.outputs.sent(by, is_own, is_honest, header) {
            self.fail(wrong);
        }
    }

    pub fn entered(&mut self, line: &str) {
        let (limit, line) = &without_timeout(line);
        match parse(line) {
            Some(command) => {
                let nodes = nodes_of(line);
                match command {
                    Command::Cancel(node) => self.cancelled(node),
                    Command::Task { node, kind: TaskKind::Streams(flow), .. } => {
                        self.outputs.entered(flow, Some(node));
                    }
                    Command::TaskOnAll(_, TaskKind::Streams(flow)) => {
                        self.outputs.entered(flow, None);
                    }
                    Command::Fold(_, alike) => self.folds.entered(alike),
                    _ => {}
                }
                if let (Command::Create(node), Some(parent)) = (command, nodes.get(1))
                    && self.is_suspect(*parent)
                {
                    self.suspect(node);
                }
                let (entered, limit) = (self.now, *limit);
                let (is_cancelled, last) = (false, None);
                let pending = Pending { command, nodes, entered, limit, is_cancelled, last };
                self.pending.push_back(pending);
            }
            None => self.fail(format!("the simulator types nonsense: {line}")),
        }
    }

    pub fn printed(&mut self, line: &str) {
        if let Some(notice) = line.strip_prefix("Heartbit: node ") {
            self.notice(notice);
        } else if let Some(line) = line.strip_prefix("  ") {
            self.folds.goes_on(line);
        } else if let Some((node, stream, text)) = outputs::parse(line) {
            self.counts.lines += 1;
            if self.is_suspect(node) {
                return;
            }
            let printed = match alike::task_of(text) {
                Some(_) => self.folds.streamed(node, stream, text),
                None => self.outputs.printed(node, stream, text),
            };
            if let Err(wrong) = printed {
                self.fail(wrong);
            }
        } else if !line.starts_with("cancelled; not answered by ") {
            self.answer(line);
        }
    }

    /// A notice: one for each loss, and one for each return.
    fn notice(&mut self, notice: &str) {
        self.counts.notices += 1;
        let Some((node, text)) = notice.split_once(' ') else {
            return self.fail(format!("a strange notice: {notice}"));
        };
        let Some(node) = node_called(node) else {
            return self.fail(format!("a notice of nobody: {notice}"));
        };
        let joins = self.joins.get(&node).copied().unwrap_or_default();
        let last = self.notices.get(&node).copied().unwrap_or_default();
        let unavailable = text == "is unavailable now";
        if self.is_suspect(node) || self.doubtful.remove(&node) {
            self.notices.insert(node, Notice { unavailable, joins });
            return;
        }
        if self.is_at_peace {
            self.fail(format!("node {node} {text}, without a reason"));
        }
        if !unavailable && text != "is available again" {
            self.fail(format!("a strange notice: {notice}"));
        }
        // A new life is one of which nothing was said.
        let was_said = last.unavailable && (last.joins == joins || !unavailable);
        if was_said == unavailable {
            self.fail(format!("node {node} {text}, which was said already, or not before"));
        }
        let now = self.joined_now.iter().filter(|joined| **joined == node).count();
        self.notices.insert(node, Notice { unavailable, joins: joins - now });
    }

    fn answer(&mut self, line: &str) {
        let is_of_node = line.split_once(':').is_some_and(|(_, rest)| !rest.starts_with(' '));
        if let Some(Pending { command: Command::Fold(_, alike), .. }) = self.pending.front() {
            let alike = *alike;
            if is_of_node {
                let begun = self.folds.begins(line);
                return begun.unwrap_or_else(|wrong| self.fail(wrong));
            }
            self.end_of_fold(alike);
            if line.starts_with("Error: exec: ") {
                return;
            }
        }
        if let Some(Pending { command: Command::TaskOnAll(task, _), .. }) = self.pending.front() {
            let task = *task;
            let is_refused = line == "Error: exec: there is no node"
                || line == "Error: exec: the set '*' is empty: no node is in it now";
            if is_of_node {
                return self.answer_of_one(line);
            }
            self.pending.pop_front();
            self.outputs.all_answered(task);
            if is_refused {
                return;
            }
        }
        let Some(pending) = self.pending.pop_front() else {
            return self.fail(format!("an answer to nothing: {}", cut(line)));
        };
        if pending.nodes.iter().any(|node| self.is_suspect(*node)) {
            self.counts.suspect += 1;
            if let Command::Task { task, .. } = pending.command {
                self.outputs.all_answered(task);
            }
        } else if let Err(why) = self.check(&pending, line) {
            let entered = pending.entered;
            let command = pending.command;
            let line = cut(line);
            self.fail(format!("'{line}' is wrong for {command:?}, entered at {entered}: {why}"));
        }
        self.answers.push((pending.command, line.to_owned()));
    }

    /// All answers to a command are printed that are folded.
    fn end_of_fold(&mut self, alike: Alike) {
        let Some(fold) = self.pending.pop_front() else { return };
        let groups = match self.folds.end(alike) {
            Ok(groups) => groups,
            Err(wrong) => return self.fail(wrong),
        };
        self.groups = groups.iter().map(|group| group.nodes.len()).collect();
        self.counts.groups += groups.len() as u64;
        for group in groups {
            let status = if group.is_ok { "Ok" } else { "Error" };
            for node in group.nodes.iter().copied() {
                if self.is_suspect(node) {
                    self.counts.suspect += 1;
                    continue;
                }
                let kind = TaskKind::Alike(alike);
                let command = Command::Task { node, task: alike.task, padding: 0, kind };
                let pending = Pending { command, nodes: vec![node], ..fold };
                let line = format!("{status}:{node}: {}", group.text);
                let is_own = is_own(alike, node, (group.is_ok, &group.text));
                let checked = self.check(&pending, &line);
                let checked = checked.and_then(|()| self.folds.check(alike, node, &group, is_own));
                if let Err(why) = checked {
                    self.fail(format!("'{}' is wrong for {command:?}: {why}", cut(&line)));
                }
                self.answers.push((command, line));
            }
        }
    }

    /// What became of a command at a node was recorded: of what a node itself has made of a task whose
    /// answers are folded, how its program ended too.
    pub fn recorded(&mut self, record: &Record) {
        let Record { node, line, received_bytes, ending, .. } = record;
        let command = parse(&format!("exec --fold {node} {line}"));
        let Some(Command::Fold(_, alike)) = command.filter(|_| !self.is_suspect(*node)) else {
            return;
        };
        let (text, own) = match alike.outcome(*node) {
            Ok(text) => (text, ExecEnding::Ok),
            Err(text) => (format!("same: {text}"), ExecEnding::Failed(Some(alike.exit()))),
        };
        let output = STREAMS.map(|stream| alike.output(*node, stream).len());
        let is_own = *received_bytes == text.len() + output.iter().sum::<usize>();
        let is_other = matches!(ending, ExecEnding::Failed(None) | ExecEnding::Unanswered);
        if *ending != own && (is_own || !is_other) {
            self.fail(format!(
                "node {node} is recorded to have ended task {alike:?} as {ending:?}"
            ));
        }
    }

    /// A line of the answer to a command for all nodes.
    fn answer_of_one(&mut self, line: &str) {
        let Some(pending) = self.pending.front_mut() else { return };
        let Command::TaskOnAll(task, kind) = pending.command else { return };
        let node = line.split(':').nth(1).and_then(node_called);
        let (entered, limit, is_cancelled) = (pending.entered, pending.limit, pending.is_cancelled);
        if node <= pending.last {
            return self.fail(format!("'{line}' is out of order, or comes twice"));
        }
        pending.last = node;
        let Some(node) = node else { return };
        if self.is_suspect(node) {
            self.counts.suspect += 1;
            return;
        }
        let padding = match kind {
            TaskKind::Streams(flow) => flow.answer_bytes(),
            _ => 0,
        };
        let command = Command::Task { node, task, padding, kind };
        let (nodes, last) = (vec![node], None);
        let pending = Pending { command, nodes, entered, limit, is_cancelled, last };
        if let Err(why) = self.check(&pending, line) {
            self.fail(format!("'{}' is wrong for {command:?}: {why}", cut(line)));
        }
        self.answers.push((command, line.to_owned()));
    }

    /// Whether a line may be the answer to a command.
    fn check(&mut self, pending: &Pending, line: &str) -> Result<(), String> {
        match pending.command {
            Command::Task { node, task, padding, kind } => {
                let text = of_node(line, node)?;
                self.outputs.answered(task, node, text.0)?;
                self.check_task((node, task, padding, kind), pending, text)
            }
            Command::TaskOnAll(..) | Command::Fold(..) => Err("it is for all".to_owned()),
            Command::Cancel(node) => {
                let unknown = node.map(|node| format!("Error: cancel: there is no node {node}"));
                expect(line, &["Ok", &unknown.unwrap_or_default()])
            }
            Command::Ping(node) => self.check_ping(node, pending.entered, line),
            Command::Create(node) => self.check_create(node, pending.entered, line),
            Command::Remove(node) => {
                let left_behind = format!("Error: node {node}, process ");
                if line.starts_with(&left_behind) && line.ends_with(" within 2000 ms") {
                    return Ok(());
                }
                expect(line, &["Ok", "Error: Not found", "Error: Node is unavailable"])
            }
            Command::Where(node) => of_node(line, node).map(drop),
            Command::Heartbeat => expect(line, &["Ok"]),
            Command::Mark if line.starts_with("Error: unknown command") => Ok(()),
            Command::Mark => Err("a mark is no command".to_owned()),
        }
    }

    /// A task runs once at most, and has run once if it is said to have.
    fn check_task(
        &mut self,
        (node, task, padding, kind): (NodeId, usize, usize, TaskKind),
        pending: &Pending,
        (is_ok, text): (bool, &str),
    ) -> Result<(), String> {
        let runs = probe::runs(task);
        let runs: Vec<Run> = runs.into_iter().filter(|run| run.node == node).collect();
        if runs.len() > 1 {
            return Err(format!("it has run as {runs:?}"));
        }
        if let TaskKind::Alike(alike) = kind
            && is_own(alike, node, (is_ok, text))
        {
            self.counts.ok += 1;
            return runs.first().map(drop).ok_or_else(|| "it has not run".to_owned());
        }
        if is_ok {
            self.counts.ok += 1;
            let Some(run) = runs.first() else { return Err("it has not run".to_owned()) };
            let right = format!("{task} by {}{}", run.pid, "x".repeat(padding));
            return if text == right && kind != TaskKind::Mute && !is_endless(kind) {
                Ok(())
            } else {
                Err(format!("right would be {}", cut(&right)))
            };
        }
        let late = pending.limit.map(|limit| format!("No answer within {} ms", limit.as_millis()));
        match text {
            "Node is unavailable" => self.counts.unavailable += 1,
            "cancelled" if pending.is_cancelled => self.counts.cancelled += 1,
            // A control node that was stopped may hear it from the node first.
            "it took too long" if kind != TaskKind::Answers || pending.limit != Some(TIMEOUT) => {
                self.counts.late += 1;
            }
            text if Some(text) == late.as_deref() => self.counts.late += 1,
            // The node was about to end.
            text if text.ends_with(": it came too late to be begun") => self.counts.other += 1,
            // Its thread can't be held up.
            "stream: it emits more than the console reads" if is_endless(kind) => {
                self.counts.other += 1;
            }
            "Not found" | "Too many requests are waiting" if runs.is_empty() => {
                self.counts.refused += 1;
            }
            _ => return Err(format!("it can't be that, having run as {runs:?}")),
        }
        Ok(())
    }

    fn check_ping(&mut self, node: NodeId, entered: Moment, line: &str) -> Result<(), String> {
        if line != "Ok: 1" {
            return expect(line, &["Ok: 0", "Error: Not found"]);
        }
        let lived = |being: &Being| being.ended.is_none_or(|ended| ended >= entered);
        if self.beings.values().any(|being| being.node == node && lived(being)) {
            Ok(())
        } else {
            Err("it was dead by then".to_owned())
        }
    }

    fn check_create(&mut self, node: NodeId, entered: Moment, line: &str) -> Result<(), String> {
        let pid = line.strip_prefix("Ok: ").and_then(|pid| pid.parse().ok()).and_then(private);
        if let Some(pid) = pid {
            return match self.beings.get(&pid) {
                Some(being) if being.node == node => match being.ended {
                    Some(ended) if ended < entered => Err("it was dead by then".to_owned()),
                    _ => Ok(()),
                },
                _ => Err("that is not its process".to_owned()),
            };
        }
        self.counts.other += 1;
        let late = format!("Error: No answer within {} ms", TIMEOUT.as_millis());
        let ended = format!("Error: node {node} ended before it joined: ");
        if line.starts_with(&ended) {
            return Ok(());
        }
        let known = [
            "Error: Already exists",
            "Error: Parent not found",
            "Error: Parent is unavailable",
            "Error: Too many requests are waiting",
            "Error: no more processes",
            &late,
        ];
        expect(line, &known)
    }

    /// No task has run twice on a node, whatever its answer was.
    pub fn check_all_runs(&mut self) {
        for (task, runs) in probe::all_runs().into_iter().enumerate() {
            let nodes = runs.iter().map(|run| run.node);
            let mut nodes: Vec<_> = nodes.filter(|node| !self.is_suspect(*node)).collect();
            nodes.sort_unstable();
            if nodes.windows(2).any(|pair| pair[0] == pair[1]) {
                self.fail(format!("task {task} has run as {runs:?}"));
            }
        }
    }
}

/// Whether a text is what a node itself has made of a task.
fn is_own(alike: Alike, node: NodeId, (is_ok, text): (bool, &str)) -> bool {
    match alike.outcome(node) {
        Ok(right) => is_ok && text == right,
        Err(right) => !is_ok && text.strip_prefix("same: ") == Some(&right),
    }
}

/// Whether a task never answers, and emits lines.
fn is_endless(kind: TaskKind) -> bool {
    matches!(kind, TaskKind::Streams(Flow { count: 0, .. }))
}

/// How long the answer to a line is waited for, and the line without what says so.
fn without_timeout(line: &str) -> (Limit, Cow<'_, str>) {
    let Some((time, rest)) =
        line.strip_prefix("exec --timeout ").and_then(|rest| rest.split_once(' '))
    else {
        return (Some(TIMEOUT), Cow::Borrowed(line));
    };
    (time.parse().ok().map(Duration::from_millis), Cow::Owned(format!("exec {rest}")))
}

fn parse(line: &str) -> Option<Command> {
    let mut words = line.split(' ');
    let mut word = || words.next();
    match (word()?, word()) {
        ("create", Some(id)) => node_called(id).map(Command::Create),
        ("remove", Some(id)) => node_called(id).map(Command::Remove),
        ("ping", Some(id)) => node_called(id).map(Command::Ping),
        ("heartbeat", Some(_)) => Some(Command::Heartbeat),
        (MARK, None) => Some(Command::Mark),
        ("cancel", None) => Some(Command::Cancel(None)),
        ("cancel", Some(id)) => node_called(id).map(|node| Command::Cancel(Some(node))),
        ("exec", Some("--fold")) => {
            let node = match word()? {
                "*" => None,
                id => Some(node_called(id)?),
            };
            word().filter(|word| *word == "same")?;
            let mut number = || word()?.parse().ok();
            let alike = Alike { task: number()?, classes: number()?, bytes: number()? };
            Some(Command::Fold(node, alike))
        }
        ("exec", Some(id)) => {
            let name = word()?;
            if name == "where" {
                return node_called(id).map(Command::Where);
            }
            let mut number = || word()?.parse().ok();
            let task = number()?;
            let (padding, kind) = match name {
                "do" => (number()?, TaskKind::Answers),
                "mute" => (0, TaskKind::Mute),
                "later" => (0, TaskKind::Late),
                "stream" | "pour" => {
                    let flow = Flow { task, bytes: number()?, count: number()? };
                    (flow.answer_bytes(), TaskKind::Streams(flow))
                }
                _ => (0, TaskKind::Answers),
            };
            match id {
                "*" => Some(Command::TaskOnAll(task, kind)),
                id => node_called(id).map(|node| Command::Task { node, task, padding, kind }),
            }
        }
        _ => None,
    }
}

/// The nodes that a line names: whose answer it wants, and for a create the parent.
fn nodes_of(line: &str) -> Vec<NodeId> {
    let count = if line.starts_with("create ") { 2 } else { 1 };
    line.split(' ').skip(1).take(count).filter_map(node_called).collect()
}

pub fn node_called(id: &str) -> Option<NodeId> {
    id.parse().ok().and_then(NodeId::compute)
}

fn expect(line: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&line) { Ok(()) } else { Err("it can't be that".to_owned()) }
}

/// The text of an answer of this node, and whether it is a result.
fn of_node(line: &str, node: NodeId) -> Result<(bool, &str), String> {
    let (status, rest) = line.split_once(':').ok_or("it names no node")?;
    let (id, text) = rest.split_once(": ").unwrap_or((rest, ""));
    match status {
        "Ok" | "Error" if node_called(id) == Some(node) => Ok((status == "Ok", text)),
        _ => Err("it is not of that node".to_owned()),
    }
}
