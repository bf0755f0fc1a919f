//! The round trip of `echo`, from the line that is read to the reply that can be printed.

use std::time::Duration;

use super::cell::Cell;
use super::crew::Crew;
use super::floor::Floor;
use super::raw::Raw;
use super::rounds::Rounds;
use super::setting::Setting;
use super::subject::Subject;
use super::table;
use super::tree::Tree;
use crate::cli::print;
use crate::failure::Failure;

/// The lengths of the chains. The node at the end of one of length 1 is the control node's child.
const HOPS: [usize; 4] = [1, 2, 4, 8];

/// How many round trips one makes before it is the next one's turn: enough to be as warm as a chain
/// in use, and few enough for a disturbance of the machine to hit all alike.
const TRIPS_PER_TURN: u32 = 20;

/// Rounds that do not count.
const WARM_UP_ROUNDS: u32 = 20;

/// Measures, and prints what it has found, also when an interrupt ends it early.
///
/// # Errors
///
/// When a subject fails, after ending all processes.
pub fn run(setting: &Setting<'_>, rounds: u32) -> Result<(), Failure> {
    let bytes = setting.frame_bytes()?;
    let measured =
        setting.with_crew(|crew| Rig::open(setting, crew, bytes)?.measure(setting, rounds))?;
    let mut text = format!(
        "\nrtt: round trip of echo in microseconds, frames of {bytes} bytes, {} trips each\n",
        measured.rounds * TRIPS_PER_TURN
    );
    if let Some(floor) = setting.spec.floor {
        text.push_str(&format!("floor: {}\n", floor.about));
    }
    if measured.rounds < rounds {
        text.push_str(&format!("interrupted after {} of {rounds} rounds\n", measured.rounds));
    }
    table::write(&measured.cells, &mut text);
    print(&text)?;
    Ok(())
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
}

impl Rig {
    fn open(setting: &Setting<'_>, crew: &Crew, frame_bytes: usize) -> Result<Rig, Failure> {
        let tree = Tree::open(setting, crew, &HOPS)?;
        let children = crew.children();
        let raw = Raw::open(setting.spec, &children, &HOPS)?;
        let floor = Floor::open(setting.spec, &children)?;
        Ok(Rig { tree, raw, floor, frame: vec![0; frame_bytes] })
    }

    fn measure(mut self, setting: &Setting<'_>, rounds: u32) -> Result<Measured, Failure> {
        let mut cells = self.cells();
        let rounds = Rounds { warm_up: WARM_UP_ROUNDS, counted: rounds }.take(
            &mut cells,
            || setting.alarm.interrupt().is_some(),
            |cell| (0..TRIPS_PER_TURN).map(|_| self.trip(cell)).collect::<Result<Vec<_>, _>>(),
            |cell, trips| trips.into_iter().for_each(|took| cell.times.record(took)),
        )?;
        Ok(Measured { cells, rounds })
    }

    /// Every subject over every distance that it can go, without times yet.
    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for hops in HOPS {
            cells.extend([Subject::Hoptree, Subject::Raw].map(|subject| Cell::new(hops, subject)));
            if hops == 1 && self.floor.is_some() {
                cells.push(Cell::new(hops, Subject::Floor));
            }
        }
        cells
    }

    fn trip(&mut self, cell: &Cell) -> Result<Duration, Failure> {
        let chain = HOPS.iter().position(|hops| *hops == cell.hops);
        let chain = chain.expect("cells have the lengths of the chains");
        match cell.subject {
            Subject::Hoptree => self.tree.trip(chain),
            Subject::Raw => self.raw.trip(chain, &self.frame),
            Subject::Floor => {
                let floor = self.floor.as_mut().expect("without a floor it has no cell");
                floor.trip(&self.frame)
            }
        }
    }
}
