//! The round trip of `echo`, from the line that is read to the reply that can be printed.

use std::time::Duration;

use hdrhistogram::Histogram;
use hoptree_core::{Registry, TransportSpec};

use super::crew::Crew;
use super::floor::Floor;
use super::frame::frame_bytes;
use super::raw::Raw;
use super::tree::Tree;
use super::{PATIENCE, table};
use crate::cli::print;
use crate::failure::Failure;

/// The lengths of the chains. The node at the end of one of length 1 is the control node's child.
const HOPS: [usize; 4] = [1, 2, 4, 8];

/// What the nodes are told to echo.
const TEXT: &str = "0123456789abcdef";

/// How many round trips one makes before it is the next one's turn: enough to be as warm as a chain
/// in use, and few enough for a disturbance of the machine to hit all alike.
const TRIPS_PER_TURN: u32 = 20;

/// Rounds that do not count.
const WARM_UP_ROUNDS: u32 = 20;

/// What makes a round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The whole of hoptree.
    Hoptree,
    /// Its transport alone.
    Raw,
    /// The transport's library in blocking calls.
    Floor,
}

impl Subject {
    /// What a reader of figures knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Hoptree => "hoptree",
            Subject::Raw => "raw",
            Subject::Floor => "floor",
        }
    }
}

/// The times that one subject took over one distance, in nanoseconds.
pub struct Cell {
    /// How many processes the trip goes through, there and back.
    pub hops: usize,
    /// What made the trips.
    pub subject: Subject,
    /// Its times.
    pub times: Histogram<u64>,
    /// Which chain it is.
    chain: usize,
}

/// Measures, prints what it has found, and says which signal has ended it early, if one has.
///
/// # Errors
///
/// When a subject fails, after ending all processes.
pub fn run(spec: &TransportSpec, commands: &Registry, rounds: u32) -> Result<Option<i32>, Failure> {
    let bytes = frame_bytes(&format!("exec 1 echo {TEXT}"), commands)
        .ok_or_else(|| Failure::Runtime("two nodes in memory do not talk".to_owned()))?;
    let crew = Crew::new(spec.name)?;
    let measured = Rig::open(spec, commands, &crew, bytes).and_then(|rig| rig.measure(rounds));
    crew.dismiss();
    let measured = measured?;
    let mut text = format!("\n{}: {} over {}\n", spec.name, (spec.library)(), spec.runs_over);
    if let Some(floor) = spec.floor {
        text.push_str(&format!("floor: {}\n", floor.about));
    }
    text.push_str(&format!(
        "round trip of echo in microseconds, frames of {bytes} bytes, {} trips each\n",
        measured.rounds * TRIPS_PER_TURN
    ));
    if measured.interrupt.is_some() {
        text.push_str(&format!("interrupted after {} of {rounds} rounds\n", measured.rounds));
    }
    table::write(&measured.cells, &mut text);
    print(&text)?;
    Ok(measured.interrupt)
}

/// All subjects, ready to go.
struct Rig {
    tree: Tree,
    raw: Raw,
    floor: Option<Floor>,
    /// What raw and floor send: as much as hoptree does.
    frame: Vec<u8>,
}

/// What a rig has measured.
struct Measured {
    cells: Vec<Cell>,
    /// How many rounds counted.
    rounds: u32,
    interrupt: Option<i32>,
}

impl Rig {
    fn open(
        spec: &TransportSpec,
        commands: &Registry,
        crew: &Crew,
        frame_bytes: usize,
    ) -> Result<Rig, Failure> {
        let tree = Tree::open(spec, commands, crew, &HOPS, TEXT)?;
        let children = crew.children();
        let raw = Raw::open(spec, &children, &HOPS)?;
        let floor = Floor::open(spec, &children)?;
        Ok(Rig { tree, raw, floor, frame: vec![0; frame_bytes] })
    }

    fn measure(mut self, rounds: u32) -> Result<Measured, Failure> {
        let mut cells = self.cells();
        for round in 0..WARM_UP_ROUNDS + rounds {
            if let interrupt @ Some(_) = self.tree.interrupt() {
                let rounds = round.saturating_sub(WARM_UP_ROUNDS);
                return Ok(Measured { cells, rounds, interrupt });
            }
            for turn in 0..cells.len() {
                // Nobody always goes first, or always after the same one.
                let cell_index = (turn + round as usize) % cells.len();
                let cell = &mut cells[cell_index];
                for _ in 0..TRIPS_PER_TURN {
                    let took = self.trip(cell)?;
                    if round >= WARM_UP_ROUNDS {
                        cell.times.saturating_record(nanoseconds(took));
                    }
                }
            }
        }
        Ok(Measured { cells, rounds, interrupt: None })
    }

    /// Every subject over every distance that it can go, without times yet.
    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (chain, hops) in HOPS.into_iter().enumerate() {
            let mut add = |subject| cells.push(Cell { hops, subject, times: times(), chain });
            add(Subject::Hoptree);
            add(Subject::Raw);
            if hops == 1 && self.floor.is_some() {
                add(Subject::Floor);
            }
        }
        cells
    }

    fn trip(&mut self, cell: &Cell) -> Result<Duration, Failure> {
        match cell.subject {
            Subject::Hoptree => self.tree.trip(cell.chain),
            Subject::Raw => self.raw.trip(cell.chain, &self.frame),
            Subject::Floor => {
                let floor = self.floor.as_mut().expect("without a floor it has no cell");
                floor.trip(&self.frame)
            }
        }
    }
}

/// Room for times of up to what anything may take, three digits of each.
fn times() -> Histogram<u64> {
    Histogram::new_with_max(nanoseconds(PATIENCE), 3).expect("these are valid bounds")
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
