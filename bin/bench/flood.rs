//! Whether a node that does not read holds up others, or takes the memory of its parent.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::crew::Crew;
use super::family::Family;
use super::rounds::Rounds;
use super::setting::Setting;
use super::table;
use super::times::Times;
use super::usage::pss_kib;
use crate::cli::print;
use crate::failure::Failure;

/// How many lines of the flood come before each of the sibling's: enough to fill the window of a
/// node that does not read within 64 trips, and few enough for one that reads to keep up.
const LINES_PER_TRIP: usize = 16;

/// How long the text in each of them is. With it, as many requests as may wait for a node are also
/// about as many bytes as may.
const TEXT_BYTES: usize = 500;

/// How long the trips of one turn take.
const TURN_TIME: Duration = Duration::from_millis(300);

/// How often, meanwhile, the parent is weighed.
const WEIGHING_PERIOD: Duration = Duration::from_millis(50);

/// Rounds that do not count.
const WARM_UP_ROUNDS: u32 = 1;

/// Trips without a flood that take the parent to its ordinary size.
const WARM_UP_TRIPS: u32 = 100;

/// Measures, and prints what it has found, also when an interrupt ends it early.
///
/// # Errors
///
/// When a subject fails, after ending all processes.
pub fn run(setting: &Setting<'_>, rounds: u32) -> Result<(), Failure> {
    let measured = setting.with_crew(|crew| Rig::open(setting, crew)?.measure(setting, rounds))?;
    let mut text = format!(
        "\nflood: round trip of echo in microseconds, {} turns of {} ms each, while a sibling is sent\n\
         nothing, or {LINES_PER_TRIP} lines of {TEXT_BYTES} bytes a trip, which it reads when running\n",
        measured.rounds,
        TURN_TIME.as_millis()
    );
    if measured.rounds < rounds {
        let _ = writeln!(text, "interrupted after {} of {rounds} rounds", measured.rounds);
    }
    write_times(&measured.cases, &mut text);
    write_loads(&measured.cases, &mut text);
    let Weight { before_kib, most_kib } = measured.parent;
    let _ = writeln!(
        text,
        "\nparent: PSS of {before_kib} KiB before all floods, then at most {most_kib} KiB: {} KiB \
         more",
        most_kib.saturating_sub(before_kib)
    );
    print(&text)?;
    Ok(())
}

/// What happens to the sibling of the node that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    None,
    Running,
    Stopped,
}

impl Flood {
    /// What a reader of figures knows it by.
    fn name(self) -> &'static str {
        match self {
            Flood::None => "none",
            Flood::Running => "running",
            Flood::Stopped => "stopped",
        }
    }

    /// What it is to be compared with.
    fn base(self) -> Option<Flood> {
        match self {
            Flood::None => None,
            Flood::Running => Some(Flood::None),
            Flood::Stopped => Some(Flood::Running),
        }
    }

    fn lines_per_trip(self) -> usize {
        if self == Flood::None { 0 } else { LINES_PER_TRIP }
    }
}

/// The family, ready to go, and how heavy the parent has been so far.
struct Rig {
    family: Family,
    parent: Weight,
}

/// The memory of a process.
#[derive(Clone, Copy, Debug)]
struct Weight {
    before_kib: u64,
    most_kib: u64,
}

/// What a rig has measured.
struct Measured {
    cases: Vec<Case>,
    /// How many rounds counted.
    rounds: u32,
    /// In all rounds.
    parent: Weight,
}

/// What came of all turns under one flood.
struct Case {
    flood: Flood,
    times: Times,
    took: Duration,
    refused: usize,
    /// The most in one turn.
    held: Duration,
}

/// What came of one turn.
#[derive(Default)]
struct Turn {
    trips: Vec<Duration>,
    /// How long they took together, with the flood.
    took: Duration,
    /// How many lines of the flood were refused.
    refused: usize,
    /// For how long the console read nothing.
    held: Duration,
}

impl Rig {
    fn open(setting: &Setting<'_>, crew: &Crew) -> Result<Rig, Failure> {
        let mut family = Family::open(setting, crew, TEXT_BYTES)?;
        for _ in 0..WARM_UP_TRIPS {
            family.trip(0)?;
        }
        let before_kib = pss_kib(family.parent().pid())?;
        Ok(Rig { family, parent: Weight { before_kib, most_kib: before_kib } })
    }

    fn measure(mut self, setting: &Setting<'_>, rounds: u32) -> Result<Measured, Failure> {
        let mut cases = [Flood::None, Flood::Running, Flood::Stopped].map(Case::new);
        let rounds = Rounds { warm_up: WARM_UP_ROUNDS, counted: rounds }.take(
            &mut cases,
            || setting.alarm.interrupt().is_some(),
            |case| self.turn(case.flood),
            Case::add,
        )?;
        Ok(Measured { cases: cases.into(), rounds, parent: self.parent })
    }

    /// Has the sibling take its trips, one after the other, and leaves nothing unanswered. The time
    /// in which the console reads nothing prolongs the turn.
    fn turn(&mut self, flood: Flood) -> Result<Turn, Failure> {
        if flood == Flood::Stopped {
            self.family.flooded().stop()?;
        }
        let lines = flood.lines_per_trip();
        let mut turn = Turn::default();
        let start = Instant::now();
        let mut weighed = start;
        while start.elapsed() < TURN_TIME + turn.held {
            let trip = self.family.trip(lines)?;
            turn.trips.push(trip.took);
            turn.held += trip.held;
            if weighed.elapsed() >= WEIGHING_PERIOD {
                self.weigh()?;
                weighed = Instant::now();
            }
        }
        turn.took = start.elapsed() - turn.held;
        self.weigh()?;
        if flood == Flood::Stopped {
            self.family.flooded().go_on()?;
        }
        turn.refused = self.family.catch_up()?;
        self.weigh()?;
        Ok(turn)
    }

    fn weigh(&mut self) -> Result<(), Failure> {
        let now_kib = pss_kib(self.family.parent().pid())?;
        self.parent.most_kib = self.parent.most_kib.max(now_kib);
        Ok(())
    }
}

impl Case {
    fn new(flood: Flood) -> Case {
        let (took, held) = (Duration::ZERO, Duration::ZERO);
        Case { flood, times: Times::new(), took, refused: 0, held }
    }

    fn add(&mut self, turn: Turn) {
        turn.trips.into_iter().for_each(|took| self.times.record(took));
        self.took += turn.took;
        self.refused += turn.refused;
        self.held = self.held.max(turn.held);
    }

    /// How many lines of the flood were fed.
    fn lines(&self) -> u64 {
        self.times.count() * self.flood.lines_per_trip() as u64
    }
}

/// Adds a line for each case that has had a turn: how long the trips took.
fn write_times(cases: &[Case], text: &mut String) {
    text.push_str("\n trips  flood   ");
    table::write_names(text);
    text.push_str("   ratio of p99\n");
    for case in cases.iter().filter(|case| case.times.count() > 0) {
        let _ = write!(text, "{:>6}  {:<8}", case.times.count(), case.flood.name());
        table::write_times(&case.times, text);
        if let Some(base) = cases.iter().find(|base| Some(base.flood) == case.flood.base()) {
            let ratio = case.times.microseconds(0.99) / base.times.microseconds(0.99);
            let _ = write!(text, "   {ratio:.2} of {}", base.flood.name());
        }
        text.push('\n');
    }
}

/// Adds a line for each flood that has had a turn: how great it was, and what came of it.
fn write_loads(cases: &[Case], text: &mut String) {
    text.push_str("\n lines/s  flood     refused %  console held, ms a turn at most\n");
    for case in cases.iter().filter(|case| case.lines() > 0) {
        let lines = case.lines() as f64;
        let _ = writeln!(
            text,
            "{:>8.0}  {:<8}  {:>9.1}  {:>31.1}",
            lines / case.took.as_secs_f64(),
            case.flood.name(),
            case.refused as f64 / lines * 100.0,
            case.held.as_secs_f64() * 1e3,
        );
    }
}
