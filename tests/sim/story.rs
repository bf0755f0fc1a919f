//! One run: a tree comes about, commands and faults fall on it, then it is left in peace, and in the
//! end it must be whole.

use std::fmt::{self, Display};
use std::time::Duration;

use hoptree_core::{Exit, Life, NodeId, Registry};

use crate::checks::{Checks, Command, Counts, MARK, node_called};
use crate::complaints;
use crate::network::{Event, MICROSECOND, MS, Moment, Network, TIMEOUT, name};
use crate::probe::{self, text_of};
use crate::process::{CONTROL, Pid, private};
use crate::verdict;

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub nodes: u32,
    pub faults: u32,
    /// How many nodes are compromised from the beginning; with none, nobody ever is.
    pub traitors: u32,
}

/// What a run has come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub events: u64,
    pub counts: Counts,
}

impl Outcome {
    pub fn add(&mut self, other: Outcome) {
        self.events += other.events;
        self.counts.add(other.counts);
    }
}

/// How long after the last fault everything must be well: the deadline of a request twice over, or
/// the time in which an orphan gives up, and what heartbeats take to notice.
const CALM: Moment = 4_000 * MS;

/// How long the tree may take to come about, or to answer when all is well, and how much longer for
/// each line that is typed.
const PATIENCE: Moment = 20_000 * MS;
const PATIENCE_PER_LINE: Moment = MS;

/// How deep a tree comes about at most, roughly, when it has thousands of nodes.
const DEPTH_MAX: u64 = 100;

/// How long anyone is stopped or cut off at most.
const FAULT_MS_MAX: u64 = 900;

/// How many requests are made at once to fill the windows.
const FLOOD: u64 = 1_500;

/// The longest deadline of a single command, unless it has none.
const LIMIT_MS_MAX: u64 = 10_000;

/// How many lines a task streams at most that answers. Those of 6,000 bytes each are less than may wait at
/// their node.
const STREAMED_LINES_MAX: u64 = 40;

/// The run of a seed.
pub struct Story {
    pub network: Network,
    size: Size,
    /// How many tasks there were.
    tasks: usize,
    /// How often heartbeats come, if they do.
    pub beat: Option<u64>,
}

/// Runs a seed.
///
/// # Errors
///
/// What does not hold.
pub fn run(seed: u64, size: Size, registry: &Registry) -> Result<Outcome, String> {
    probe::forget();
    complaints::forget();
    let network = Network::new(seed, registry.clone());
    let mut story = Story { network, size, tasks: 0, beat: None };
    let phases = [
        Story::grow,
        Story::betray,
        Story::suffer,
        Story::calm,
        verdict::on_the_tree,
        verdict::on_the_end,
    ];
    for phase in phases {
        phase(&mut story);
        if let Some(violation) = story.network.checks.violation() {
            return Err(violation.to_owned());
        }
    }
    Ok(Outcome { events: story.network.events, counts: story.network.checks.counts })
}

impl Story {
    pub fn checks(&mut self) -> &mut Checks {
        &mut self.network.checks
    }

    /// Types a line, unless the run is over.
    pub fn enter(&mut self, line: impl Into<String>) {
        if self.checks().hold() {
            self.network.enter(line.into());
        }
    }

    /// The number of one more task.
    pub fn task(&mut self) -> usize {
        self.tasks += 1;
        self.tasks
    }

    /// Types lines, and waits for their answers.
    pub fn ask(&mut self, lines: impl IntoIterator<Item = String>) -> Vec<(Command, String)> {
        self.checks().forget_requests();
        let mut end = self.network.now + PATIENCE;
        for line in lines {
            self.enter(line);
            end += PATIENCE_PER_LINE;
        }
        while self.checks().hold() && !self.is_quiet() {
            if self.network.now >= end {
                let unanswered = self.checks().unanswered();
                self.checks().fail(format!("there is no answer to {unanswered}"));
            }
            self.network.run_for(MS);
        }
        std::mem::take(&mut self.checks().answers)
    }

    /// A tree comes about: deep or broad, as the seed has it.
    fn grow(&mut self) {
        let reach = [2, 3, 8, 1_000][self.network.random.below(4) as usize];
        let reach = reach.max(2 * u64::from(self.size.nodes) / DEPTH_MAX);
        let mut lines = Vec::new();
        for node in 1..=self.size.nodes {
            let reach = u64::from(node).min(reach);
            let parent = u64::from(node) - self.network.random.between(1, reach);
            lines.push(match parent {
                0 => format!("create {node}"),
                parent => format!("create {node} {parent}"),
            });
        }
        for (command, answer) in self.ask(lines) {
            if !answer.starts_with("Ok: ") {
                self.checks().fail(format!("{command:?} fails in peace: {answer}"));
            }
        }
        let random = &mut self.network.random;
        self.beat = (!random.chance(10)).then(|| random.between(2, 10) * 10);
        self.network.failing_starts = random.below(2) * 5;
        self.network.held_ends = self.network.random.below(2) * 5;
        if let Some(beat) = self.beat {
            self.ask([format!("heartbeat {beat}")]);
            self.network.run_for(100 * MS);
        }
    }

    /// Nodes are compromised, and nothing else is wrong: of all others, everything is as it should be.
    fn betray(&mut self) {
        if self.size.traitors == 0 {
            return;
        }
        for _ in 0..self.size.traitors {
            self.compromise();
        }
        let failing_starts = std::mem::take(&mut self.network.failing_starts);
        self.checks().is_at_peace = true;
        for _ in 0..self.size.faults / 2 {
            let time = self.network.random.below(30 * MS);
            self.network.run_for(time);
            let lines = self.lines_for_the_trusted();
            for (command, answer) in self.ask(lines) {
                if !answer.starts_with("Ok") && !self.is_of_suspect(command) {
                    self.checks().fail(format!("{command:?} fails, with lies alone: {answer}"));
                }
            }
        }
        self.checks().is_at_peace = false;
        self.network.failing_starts = failing_starts;
    }

    /// Another node is compromised, as long as most are under no suspicion because of it.
    fn compromise(&mut self) {
        for _ in 0..10 {
            let Some(pid) = self.anybody() else { return };
            let trusted = self.network.trusted().len();
            let lost = self.network.below(pid).len() + 1;
            if !self.network.is_suspect(pid) && 2 * (trusted - lost.min(trusted)) > trusted {
                return self.network.compromise(pid);
            }
        }
    }

    fn lines_for_the_trusted(&mut self) -> Vec<String> {
        let trusted = self.network.trusted();
        let mut lines = Vec::new();
        for _ in 0..self.network.random.between(1, 4) {
            let Some(pid) = self.network.random.pick(&trusted).copied() else { break };
            let node = self.network.processes[pid].life.node;
            let (task, bytes) = (self.task(), self.network.random.between(1, 20_000) as usize);
            let line = match self.network.random.below(13) {
                12 => {
                    let classes = self.network.random.between(1, 2);
                    lines.push(format!("exec --fold * same {task} {classes} {bytes}"));
                    MARK.to_owned()
                }
                10 | 11 => {
                    let lines = self.network.random.between(1, STREAMED_LINES_MAX);
                    let word = if task.is_multiple_of(2) { "stream" } else { "pour" };
                    format!("exec {node} {word} {task} {} {lines}", bytes / 5)
                }
                0..4 => format!("exec {node} do {task} 0"),
                4 => format!("exec {node} do {task} {}", bytes * 4),
                5 => format!("exec {node} read {task} {bytes} {}", text_of(task, bytes)),
                6 => format!("exec {node} work {task}"),
                // No more than one: ids must not be chosen twice.
                7 if lines.is_empty() => match self.absent_node() {
                    Some(absent) => format!("create {absent} {node}"),
                    None => continue,
                },
                7 | 8 => format!("ping {node}"),
                _ => {
                    lines.push(format!("exec * do {task} 0"));
                    MARK.to_owned()
                }
            };
            lines.push(line);
        }
        lines
    }

    /// Whether the answer to a command may be anything.
    fn is_of_suspect(&self, command: Command) -> bool {
        let node = match command {
            Command::Create(node) | Command::Remove(node) | Command::Ping(node) => node,
            Command::Task { node, .. } | Command::Where(node) => node,
            Command::TaskOnAll(..) | Command::Fold(..) | Command::Heartbeat => return false,
            Command::Mark | Command::Cancel(_) => return true,
        };
        self.network.checks.is_suspect(node)
    }

    /// Faults and commands.
    fn suffer(&mut self) {
        let pace = [MS, 5 * MS, 15 * MS, 60 * MS][self.network.random.below(4) as usize];
        for _ in 0..self.size.faults {
            let time = self.network.random.below(pace);
            self.network.run_for(time);
            if !self.checks().hold() {
                return;
            }
            self.fault();
            for _ in 0..self.network.random.below(4) {
                let time = self.network.random.below(100 * MICROSECOND);
                self.network.run_for(time);
                self.command();
            }
        }
    }

    /// Every fault comes to its end, and time passes.
    fn calm(&mut self) {
        (self.network.failing_starts, self.network.held_ends) = (0, 0);
        self.network.end_suspects();
        self.network.heal();
        self.network.block_output(false);
        self.network.ends.end_delays();
        for pid in [CONTROL].into_iter().chain(self.network.living.clone()) {
            self.network.processes[pid].lateness = 0;
        }
        self.network.run_for(FAULT_MS_MAX * MS);
        // Somebody may have settled with one of them whose end it had yet to hear of.
        self.network.end_suspects();
        self.network.run_for(CALM);
        self.await_answers();
    }

    /// What was typed may wait in a long line: each command for the deadline of those before it, in the
    /// worst case.
    fn await_answers(&mut self) {
        let waiting = self.network.typed.len() + self.checks().unanswered_count();
        let each = waiting as Moment + 1;
        let end = self.network.now + each * TIMEOUT.as_nanos() as Moment + LIMIT_MS_MAX * MS;
        while self.checks().hold() && self.network.now < end && !self.is_quiet() {
            self.network.run_for(10 * MS);
            // What waits behind it may be so much that no more lines are read.
            if self.checks().waits_for_ever() {
                self.network.cancel();
            }
        }
        if !self.is_quiet() {
            let unanswered = self.checks().unanswered();
            self.checks().fail(format!("unanswered for long: {unanswered}"));
        }
        // What an answer has led to may be under way.
        self.network.run_for(CALM);
        self.check_open_calls();
        self.checks().trust_again();
    }

    /// Nobody works for those who do not wait any more.
    fn check_open_calls(&mut self) {
        let open = probe::open_calls().into_iter();
        let open = open.filter_map(|(pid, call)| Some((private(pid)?, call)));
        let mut open: Vec<_> = open.chain(self.network.jobs.open()).collect();
        open.retain(|(pid, _)| self.network.is_alive(*pid) && !self.network.is_suspect(*pid));
        open.sort_unstable();
        if let Some((pid, call)) = open.first() {
            let name = name(&self.network.processes[*pid]);
            self.checks().fail(format!("{name} works for {call:?}, and nobody waits for that"));
        }
    }

    /// Whether all that was typed is answered.
    fn is_quiet(&mut self) -> bool {
        self.network.typed.is_empty() && self.checks().all_answered()
    }

    fn anybody(&mut self) -> Option<Pid> {
        let is_known = |pid: &Pid| !self.network.processes[*pid].is_impostor;
        let known: Vec<_> = self.network.living.iter().copied().filter(is_known).collect();
        self.network.random.pick(&known).copied()
    }

    fn fault(&mut self) {
        if self.size.traitors > 0 && self.network.random.chance(4) {
            return match self.network.random.chance(50) {
                true => self.compromise(),
                false => self.remove_silent(),
            };
        }
        let time = self.network.random.between(1, FAULT_MS_MAX) * MS;
        match self.network.random.below(100) {
            0..30 => self.kill(),
            30..48 => self.hang(time),
            48..68 => self.cut(),
            68..78 => self.delay(time / 3),
            78..80 => self.part(time),
            80..86 => self.slow_down(),
            86..90 => self.be_late(),
            90..91 => self.hang_control(time),
            91..92 => self.read_no_more(time),
            92..94 => self.flood(),
            94..95 => self.flood_with_answers(),
            95..96 => self.break_in(),
            96..98 => self.remove(),
            _ => self.recreate(),
        }
    }

    fn kill(&mut self) {
        if let Some(pid) = self.anybody() {
            self.network.end(pid, Exit::Signal(9));
        }
    }

    fn hang(&mut self, time: Moment) {
        if let Some(pid) = self.anybody() {
            self.network.stop(pid);
            self.network.plan_in(time, pid, Event::GoOn);
        }
    }

    /// Only orphans notice, and wait.
    fn hang_control(&mut self, time: Moment) {
        self.network.stop(CONTROL);
        self.network.plan_in(time, CONTROL, Event::GoOn);
    }

    /// The user stops reading for a while: whatever is under way waits.
    fn read_no_more(&mut self, time: Moment) {
        self.network.block_output(true);
        self.network.plan_in(time, CONTROL, Event::Read);
    }

    fn cut(&mut self) {
        let Some(pid) = self.anybody() else { return };
        let Some(link) = self.network.random.pick(&self.network.processes[pid].links).copied()
        else {
            return;
        };
        let later = if self.network.random.chance(50) {
            0
        } else {
            self.network.random.below(FAULT_MS_MAX) * MS
        };
        self.network.cut(link, later);
    }

    fn delay(&mut self, time: Moment) {
        let Some(pid) = self.anybody() else { return };
        let link = self.network.random.pick(&self.network.processes[pid].links).copied();
        if let Some(link) = link {
            self.network.ends.end_mut(link).delay = time;
        }
    }

    fn part(&mut self, time: Moment) {
        if self.network.is_parted() {
            return;
        }
        let percent = self.network.random.between(1, 60);
        for pid in self.network.living.clone() {
            self.network.processes[pid].side = self.network.random.chance(percent);
        }
        self.network.part(time);
    }

    /// A process gets the processor only now and then.
    fn slow_down(&mut self) {
        let Some(pid) = self.anybody() else { return };
        let mut at = 0;
        for _ in 0..self.network.random.between(3, 15) {
            at += self.network.random.between(0, 10 * MS);
            self.network.plan_in(at, pid, Event::Preempt);
            at += self.network.random.between(MS, 40 * MS);
            self.network.plan_in(at, pid, Event::Schedule);
        }
    }

    fn be_late(&mut self) {
        if let Some(pid) = self.anybody() {
            self.network.processes[pid].lateness = self.network.random.between(0, 50) * MS;
        }
    }

    fn flood(&mut self) {
        let Some(node) = self.any_node() else { return };
        for _ in 0..FLOOD {
            let task = self.task();
            self.enter(format!("exec {node} do {task} 0"));
        }
    }

    /// A node gives more long answers than its link takes, and short ones behind them.
    fn flood_with_answers(&mut self) {
        let Some(node) = self.any_node() else { return };
        let long = self.network.random.between(8, 30);
        for index in 0..2 * long {
            let task = self.task();
            let bytes = if index < long { self.network.random.below(60_000) } else { 0 };
            self.enter(format!("exec {node} do {task} {bytes}"));
            let time = self.network.random.below(200 * MICROSECOND);
            self.network.run_for(time);
        }
    }

    /// Lines, and long ones behind them, are on their way to a node when one dies that may be a relay
    /// on that way.
    fn break_in(&mut self) {
        let Some(pid) = self.anybody() else { return };
        let node = self.network.processes[pid].life.node;
        for _ in 0..self.network.random.below(80) {
            self.read(node, 1_000, 12_000);
        }
        for (least, most) in [(15_000, 60_000), (100_000, 600_000), (100_000, 600_000)] {
            self.read(node, least, most);
        }
        let time = self.network.random.below(4 * MS);
        self.network.run_for(time);
        let steps = self.network.random.between(1, 4);
        let relay = (0..steps).fold(pid, |pid, _| self.network.processes[pid].spawner);
        if relay != CONTROL {
            self.network.end(relay, Exit::Signal(9));
        }
    }

    /// Enters a task with a text of this many bytes, or of a number between.
    fn read(&mut self, node: NodeId, least: u64, most: u64) {
        let (task, bytes) = (self.task(), self.network.random.between(least, most) as usize);
        self.enter(format!("exec {node} read {task} {bytes} {}", text_of(task, bytes)));
    }

    fn remove(&mut self) {
        let Some(node) = self.any_node() else { return };
        self.enter(format!("remove {node}"));
    }

    /// The user removes a node that hangs, and lives. That is refused as long as it is silent.
    fn remove_silent(&mut self) {
        let Some(pid) = self.anybody() else { return };
        let node = self.network.processes[pid].life.node;
        self.network.stop(pid);
        self.network.plan_in(FAULT_MS_MAX * MS, pid, Event::GoOn);
        self.network.run_for(self.beat.unwrap_or_default() * 5 * MS);
        self.enter(format!("remove {node}"));
    }

    /// The id of a node that is lost, stopped or just being ended gets another life.
    fn recreate(&mut self) {
        let Some(pid) = self.anybody() else { return };
        let node = self.network.processes[pid].life.node;
        match self.network.random.below(3) {
            0 => self.network.end(pid, Exit::Signal(9)),
            1 => {
                self.network.stop(pid);
                self.network.plan_in(FAULT_MS_MAX * MS, pid, Event::GoOn);
            }
            _ => {}
        }
        self.create(node);
    }

    fn create(&mut self, node: NodeId) {
        let parent = self.anybody().filter(|_| self.network.random.chance(90));
        match parent.map(|pid| self.network.processes[pid].life) {
            Some(Life { node: parent, .. }) => self.enter(format!("create {node} {parent}")),
            None => self.enter(format!("create {node}")),
        }
    }

    /// A node that may exist.
    fn any_node(&mut self) -> Option<NodeId> {
        let id = self.network.random.between(1, u64::from(self.size.nodes) * 6 / 5);
        node_called(&id.to_string())
    }

    /// A node that does not live, if one is found soon.
    fn absent_node(&mut self) -> Option<NodeId> {
        for _ in 0..5 {
            let node = self.any_node()?;
            if !self.network.has_process(node) {
                return Some(node);
            }
        }
        None
    }

    fn command(&mut self) {
        let Some(node) = self.any_node() else { return };
        let task = self.task();
        match self.network.random.below(100) {
            0..30 => self.exec(node, format_args!("do {task} 0")),
            30..34 => {
                let bytes = self.network.random.below(100_000);
                self.exec(node, format_args!("do {task} {bytes}"));
            }
            34..36 => self.read(node, 10_000, 200_000),
            36..41 => {
                let ms = self.network.random.below(TIMEOUT.as_millis() as u64 + 200);
                self.exec(node, format_args!("later {task} {ms}"));
            }
            41..46 => self.exec(node, format_args!("work {task}")),
            46..49 => self.exec(node, format_args!("mute {task}")),
            49..52 => self.task_on_all(),
            52..63 => {
                let flow = self.flow(task);
                self.exec(node, format_args!("{flow}"));
            }
            63..65 => {
                let flow = self.flow(task);
                self.exec("*", format_args!("{flow}"));
                self.enter(MARK);
            }
            76..79 => self.fold(node, task),
            65..66 => self.enter("cancel"),
            66..68 => self.enter(format!("cancel {node}")),
            68..76 => self.enter(format!("ping {node}")),
            79..98 => {
                let absent = self.absent_node().unwrap_or(node);
                self.create(absent);
            }
            _ => self.change_beat(),
        }
    }

    /// Types a task, sometimes with a deadline of its own, or none.
    fn exec(&mut self, ids: impl Display, task: fmt::Arguments<'_>) {
        let line = match self.network.random.below(100) {
            0..70 => format!("exec {ids} {task}"),
            70..85 => {
                let ms = self.network.random.between(1, TIMEOUT.as_millis() as u64);
                format!("exec --timeout {ms} {ids} {task}")
            }
            85..95 => {
                let ms = self.network.random.between(1_000, LIMIT_MS_MAX);
                format!("exec --timeout {ms} {ids} {task}")
            }
            _ => format!("exec --timeout none {ids} {task}"),
        };
        self.enter(line);
    }

    /// A task whose answers are folded, on one node or on all.
    fn fold(&mut self, node: NodeId, task: usize) {
        let random = &mut self.network.random;
        let classes = [1, 1, 2, 3, 9][random.below(5) as usize];
        let (set, bytes) = match random.below(100) {
            0..60 => ("*".to_owned(), random.below(300)),
            60..70 => ("*".to_owned(), random.below(20_000)),
            // Around the longest that relays make one.
            70..76 => ("*".to_owned(), random.between(60_000, 75_000)),
            // Around what a node holds.
            76..80 => (node.to_string(), random.between(1_000_000, 1_100_000)),
            _ => (node.to_string(), random.below(80_000)),
        };
        self.exec(format_args!("--fold {set}"), format_args!("same {task} {classes} {bytes}"));
        self.enter(MARK);
    }

    /// A task that streams lines, in its node's thread or beside it, some of them without end.
    fn flow(&mut self, task: usize) -> String {
        let random = &mut self.network.random;
        let bytes = [20, 200, 2_000, 6_000][random.below(4) as usize];
        let bytes = random.between(1, bytes);
        match random.below(10) {
            0 => format!("stream {task} {} 0", bytes / 10),
            1 | 2 => format!("pour {task} {bytes} 0"),
            3..6 => format!("stream {task} {bytes} {}", random.between(1, STREAMED_LINES_MAX)),
            _ => format!("pour {task} {} {}", bytes * 5, random.between(1, STREAMED_LINES_MAX)),
        }
    }

    pub fn task_on_all(&mut self) {
        let task = self.task();
        self.enter(format!("exec * do {task} 0"));
        self.enter(MARK);
    }

    fn change_beat(&mut self) {
        if self.beat.is_some() {
            let beat = self.network.random.between(2, 10) * 10;
            self.beat = Some(beat);
            self.enter(format!("heartbeat {beat}"));
        }
    }
}

// An orphan's patience, and that of a peer for a hello, is over before the calm is.
const _: () = assert!(Duration::from_nanos(CALM).as_millis() > 2 * TIMEOUT.as_millis());
