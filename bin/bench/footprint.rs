//! What idle processes take of the machine.

use std::fmt::Write;
use std::time::{Duration, Instant};

use hoptree_core::Controller;
use rustix::process::Pid;

use super::crew::Crew;
use super::floor::Floor;
use super::raw::Raw;
use super::setting::Setting;
use super::subject::Subject;
use super::tree::Tree;
use super::usage::{Usage, cpu_time};
use super::victim::Victim;
use crate::cli::print;
use crate::driver::{Driver, Patience};
use crate::failure::Failure;

/// How many nodes there are, all of them children of the control node.
const NODES: usize = 64;

/// How often they beat; how often the control node beats wakes them as well.
const HEARTBEAT: &str = "heartbeat 1000";

/// How long a round is.
const ROUND_TIME: Duration = Duration::from_secs(1);

/// Rounds that do not count.
const WARM_UP_ROUNDS: u32 = 1;

/// Measures, and prints what it has found, also when an interrupt ends it early.
///
/// # Errors
///
/// When a subject fails, after ending all processes.
pub fn run(setting: &Setting<'_>, rounds: u32) -> Result<(), Failure> {
    let measured = setting.with_crew(|crew| Rig::open(setting, crew)?.measure(setting, rounds))?;
    let mut text = format!(
        "\nfootprint: {NODES} idle nodes with '{HEARTBEAT}', and one process each of raw and floor, \
         over {:.1} s\n",
        measured.took.as_secs_f64()
    );
    if measured.rounds < rounds {
        let _ = writeln!(text, "interrupted after {} of {rounds} rounds", measured.rounds);
    }
    if measured.rounds > 0 {
        write_table(&measured, &mut text);
    }
    print(&text)?;
    Ok(())
}

/// All subjects, at rest.
struct Rig {
    tree: Tree,
    groups: Vec<(Subject, Vec<Pid>)>,
    /// The near ends of the others.
    _others: (Raw, Option<Floor>),
}

/// What a rig has measured.
struct Measured {
    rows: Vec<Row>,
    /// How many rounds counted, and how long they took.
    rounds: u32,
    took: Duration,
}

/// What the processes of one subject take.
struct Row {
    subject: Subject,
    usages: Vec<Usage>,
    /// That of all of them, while they were watched.
    cpu_time: Duration,
}

impl Rig {
    fn open(setting: &Setting<'_>, crew: &Crew) -> Result<Rig, Failure> {
        let mut tree = Tree::open(setting, crew, &[1; NODES])?;
        tree.ask(HEARTBEAT, "Ok\n")?;
        let children = crew.children();
        let raw = Raw::open(setting.spec, &children, &[1])?;
        let mut floor = Floor::open(setting.spec, &children)?;
        if let Some(floor) = &mut floor {
            // It is at rest once it has answered.
            floor.trip(&[0])?;
        }
        let pids = |processes: &[Victim]| processes.iter().map(|process| process.pid()).collect();
        let mut groups =
            vec![(Subject::Hoptree, pids(tree.processes())), (Subject::Raw, pids(raw.processes()))];
        groups.extend(floor.as_ref().map(|floor| (Subject::Floor, vec![floor.process().pid()])));
        Ok(Rig { tree, groups, _others: (raw, floor) })
    }

    fn measure(mut self, setting: &Setting<'_>, rounds: u32) -> Result<Measured, Failure> {
        let mut cpu_times = self.cpu_times()?;
        let mut start = Instant::now();
        let (mut end, mut round) = (start, 0);
        while round < WARM_UP_ROUNDS + rounds && setting.alarm.interrupt().is_none() {
            if round == WARM_UP_ROUNDS {
                (start, cpu_times) = (Instant::now(), self.cpu_times()?);
            }
            let round_end = Instant::now() + ROUND_TIME;
            while Instant::now() < round_end && setting.alarm.interrupt().is_none() {
                rest(self.tree.driver())?;
            }
            round += 1;
            end = Instant::now();
        }
        // A round that was cut short does not count.
        if setting.alarm.interrupt().is_some() {
            round = round.saturating_sub(1);
        }
        let rows = self.rows(&cpu_times)?;
        Ok(Measured { rows, rounds: round.saturating_sub(WARM_UP_ROUNDS), took: end - start })
    }

    /// That of all processes of each group.
    fn cpu_times(&self) -> Result<Vec<Duration>, Failure> {
        let sum = |pids: &[Pid]| pids.iter().map(|pid| cpu_time(*pid)).sum::<Result<_, _>>();
        self.groups.iter().map(|(_, pids)| sum(pids)).collect()
    }

    fn rows(&self, cpu_times_before: &[Duration]) -> Result<Vec<Row>, Failure> {
        let cpu_times = self.cpu_times()?;
        let mut rows = Vec::new();
        for (index, (subject, pids)) in self.groups.iter().enumerate() {
            let usages = pids.iter().map(|pid| Usage::of(*pid)).collect::<Result<_, _>>()?;
            let cpu_time = cpu_times[index] - cpu_times_before[index];
            rows.push(Row { subject: *subject, usages, cpu_time });
        }
        Ok(rows)
    }
}

/// Lets a turn pass; beats keep it from lasting. Nobody is to fall silent.
fn rest(driver: &mut Driver<Controller>) -> Result<(), Failure> {
    driver.wait(Patience::Wait).map_err(Failure::doing("go on"))?;
    driver.settle();
    let printed = String::from_utf8_lossy(driver.printed()).trim_end().to_owned();
    driver.printed().clear();
    if printed.is_empty() { Ok(()) } else { Err(Failure::Runtime(printed)) }
}

/// Adds a line for each subject: what one of its processes takes.
fn write_table(measured: &Measured, text: &mut String) {
    text.push_str(
        "\nprocesses  what       PSS KiB   most KiB    threads  descriptors  CPU us/s   ratio of PSS\n",
    );
    for row in &measured.rows {
        let most = row.usages.iter().map(|usage| usage.pss_kib).max().unwrap_or_default();
        let per_second = row.cpu_time.as_secs_f64() * 1e6 / measured.took.as_secs_f64();
        let _ = write!(
            text,
            "{:>9}  {:<8} {:>9.0}  {most:>9}  {:>9.1}  {:>11.1}  {:>8.0}",
            row.usages.len(),
            row.subject.name(),
            row.mean(|usage| usage.pss_kib),
            row.mean(|usage| usage.threads),
            row.mean(|usage| usage.descriptors),
            per_second / row.usages.len() as f64,
        );
        let base = measured.rows.iter().find(|base| Some(base.subject) == row.subject.base());
        if let Some(base) = base {
            let pss = |row: &Row| row.mean(|usage| usage.pss_kib);
            let _ = write!(text, "   {:.2} of {}", pss(row) / pss(base), base.subject.name());
        }
        text.push('\n');
    }
}

impl Row {
    fn mean(&self, what: impl Fn(&Usage) -> u64) -> f64 {
        self.usages.iter().map(what).sum::<u64>() as f64 / self.usages.len() as f64
    }
}
