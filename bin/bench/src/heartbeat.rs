//! How soon a node that hangs is noticed, and whether one that only waits is left in peace.

use std::thread;
use std::time::{Duration, Instant};

use hoptree_host::{Failure, Patience};

use super::crew::Crew;
use super::figure::{Figure, Found, Subject, Unit};
use super::load::Load;
use super::measure::Rig;
use super::setting::Setting;
use super::shape;
use super::tree::{Ask, Tree};
use super::victim::Victim;

/// How often nodes beat.
const INTERVALS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

/// How often they beat while the machine is busy.
const LOADED_INTERVAL: Duration = INTERVALS[0];

/// How many nodes there are then, all of them children of the control node.
const NODES: usize = 8;

/// For how long the machine is kept busy.
const LOADED_TIME: Duration = Duration::from_millis(300);

/// How many processes keep each core busy.
const LOADS_PER_CORE: usize = 2;

/// What the console says of a node that has fallen silent.
const NOTICE: &str = "is unavailable now";

/// The part of an interval by which each stop comes later in it than the one before: the golden
/// section, which leaves no part of the interval out for long.
const PHASE_STEP: f64 = 0.618;

/// Stops nodes, and keeps machines busy.
pub struct Heartbeat<'a> {
    setting: &'a Setting<'a>,
    /// How far into an interval the next stop comes, from 0 to 1.
    phase: f64,
}

impl<'a> Heartbeat<'a> {
    /// Has nothing to start beforehand. Each process begins with another part of the interval.
    pub fn new(setting: &'a Setting<'a>) -> Heartbeat<'a> {
        Heartbeat { setting, phase: (f64::from(std::process::id()) * PHASE_STEP).fract() }
    }

    /// Stops a node, and says how long it takes from SIGSTOP to the notice.
    fn hang(&mut self, interval: Duration) -> Result<Duration, Failure> {
        self.phase = (self.phase + PHASE_STEP).fract();
        let rest = interval.mul_f64(2.0 + self.phase);
        self.setting.with_crew(|crew| {
            let mut tree = beating(self.setting, crew, 1, interval)?;
            let victim = tree.processes()[0];
            crew.continue_at_the_end(victim.pid())?;
            let stopper = thread::spawn(move || stop_after(rest, victim));
            let told = await_notice(&mut tree);
            let stopped = stopper.join().expect("it does not panic")?;
            let told = told?;
            victim.kill()?;
            Ok(told.saturating_duration_since(stopped))
        })
    }

    /// Keeps the machine busy, and says how many nodes were taken for dead.
    fn false_alarms(&self) -> Result<f64, Failure> {
        self.setting.with_crew(|crew| {
            let mut tree = beating(self.setting, crew, NODES, LOADED_INTERVAL)?;
            let cores = thread::available_parallelism().map_or(1, usize::from);
            let _load = Load::start(&crew.children(), LOADS_PER_CORE * cores)?;
            let (start, mut notices) = (Instant::now(), 0);
            while start.elapsed() < LOADED_TIME {
                notices += notices_of(&mut tree)?;
            }
            let node_minutes = NODES as f64 * start.elapsed().as_secs_f64() / 60.0;
            Ok(notices as f64 / node_minutes)
        })
    }
}

impl Rig for Heartbeat<'_> {
    fn turns(&self) -> usize {
        INTERVALS.len() + 1
    }

    fn turn(&mut self, turn: usize) -> Result<Vec<Found>, Failure> {
        let Some(interval) = INTERVALS.get(turn) else {
            let figure = Figure::new("false alarms", Unit::PerMinute);
            let figure = figure.with_nodes(NODES).with_interval(LOADED_INTERVAL);
            return Ok(vec![figure.found(Subject::Hoptree, vec![self.false_alarms()?])]);
        };
        let took = self.hang(*interval)?;
        let intervals = took.div_duration_f64(*interval);
        let figure = Figure::new("stop to notice", Unit::Intervals).with_interval(*interval);
        Ok(vec![figure.found(Subject::Hoptree, vec![intervals])])
    }
}

/// Children of a control node, all of which beat.
fn beating(
    setting: &Setting<'_>,
    crew: &Crew,
    nodes: usize,
    interval: Duration,
) -> Result<Tree, Failure> {
    let mut tree = Tree::open(setting, crew, &shape::flat(nodes))?;
    let line = format!("heartbeat {}", interval.as_millis());
    tree.ask(&Ask { line, reply: "Ok\n".to_owned() })?;
    Ok(tree)
}

/// Stops a process after some time, and says when.
fn stop_after(time: Duration, victim: Victim) -> Result<Instant, Failure> {
    thread::sleep(time);
    let now = Instant::now();
    victim.stop()?;
    Ok(now)
}

/// Waits until a node is said to be unavailable.
fn await_notice(tree: &mut Tree) -> Result<Instant, Failure> {
    while notices_of(tree)? == 0 {}
    Ok(Instant::now())
}

/// Lets a turn pass, which beats keep from lasting, and says how many nodes have been found
/// unavailable.
fn notices_of(tree: &mut Tree) -> Result<usize, Failure> {
    tree.turn(Patience::Wait, None)?;
    let printed = String::from_utf8_lossy(tree.driver().printed()).into_owned();
    tree.driver().printed().clear();
    Ok(printed.lines().filter(|line| line.ends_with(NOTICE)).count())
}
