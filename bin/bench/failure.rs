//! From the end of a process to the answer of what it owes.

use std::time::Duration;

use super::cell::Cell;
use super::crew::Crew;
use super::raw::Raw;
use super::rounds::Rounds;
use super::setting::Setting;
use super::socket::Socket;
use super::subject::Subject;
use super::table;
use super::tree::Tree;
use crate::cli::print;
use crate::failure::Failure;
use crate::process::Children;

/// Rounds that do not count.
const WARM_UP_ROUNDS: u32 = 2;

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
        "\nfailure: kill -9 to the answer of what is pending, in microseconds, {} kills each\n\
         floor: end-of-file on a TCP socket, blocking read\n",
        measured.rounds
    );
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
    socket: Socket,
    children: Children,
    /// What raw sends: as much as hoptree does.
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
        let children = crew.children();
        Ok(Rig {
            tree: Tree::open(setting, crew, &[])?,
            raw: Raw::open(setting.spec, &children, &[])?,
            socket: Socket::listen()?,
            children,
            frame: vec![0; frame_bytes],
        })
    }

    fn measure(mut self, setting: &Setting<'_>, rounds: u32) -> Result<Measured, Failure> {
        let subjects = [Subject::Hoptree, Subject::Raw, Subject::Floor];
        let mut cells = subjects.map(|subject| Cell::new(1, subject));
        let rounds = Rounds { warm_up: WARM_UP_ROUNDS, counted: rounds }.take(
            &mut cells,
            || setting.alarm.interrupt().is_some(),
            |cell| self.lose(cell.subject),
            |cell, took| cell.times.record(took),
        )?;
        Ok(Measured { cells: cells.into(), rounds })
    }

    fn lose(&mut self, subject: Subject) -> Result<Duration, Failure> {
        match subject {
            Subject::Hoptree => self.tree.lose_a_node(),
            Subject::Raw => self.raw.lose_a_relay(&self.children, &self.frame),
            Subject::Floor => self.socket.lose_a_peer(&self.children),
        }
    }
}
