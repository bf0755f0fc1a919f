//! The output of one program, through one node and through a chain of them, to a console that discards
//! it.

use std::time::{Duration, Instant};

use hoptree_core::Input;
use hoptree_host::{Failure, Patience};
use rustix::process::getpid;

use super::crew::Crew;
use super::figure::{Figure, Found, Subject, Unit};
use super::measure::Rig;
use super::program::{self, Program};
use super::raw::Raw;
use super::setting::Setting;
use super::shape;
use super::tree::Tree;
use super::usage::peak_kib;

/// The lengths of the chains.
const HOPS: [usize; 2] = [1, 4];

/// How much is read from a pipe at a time: as much as it holds.
const READ_BYTES: usize = 64 * 1024;

/// All that output comes through.
pub struct Streaming {
    tree: Tree,
    raw: Raw,
    turns: Vec<Turn>,
    /// Keeps the processes alive.
    _crew: Crew,
}

/// Whose turn it is.
#[derive(Clone, Copy)]
struct Turn {
    subject: Subject,
    chain: usize,
}

/// What has been printed of a program's output.
struct Printed {
    /// What its lines begin with.
    prefix: String,
    /// What is printed when it has ended.
    reply: String,
    /// How much of it has come.
    bytes: usize,
    has_ended: bool,
}

impl Streaming {
    /// Starts all of it.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(setting: &Setting<'_>) -> Result<Streaming, Failure> {
        let crew = setting.crew()?;
        let tree = Tree::open(setting, &crew, &shape::chains(&HOPS))?;
        let raw = Raw::open_sources(setting.spec, &crew.children(), &HOPS)?;
        Ok(Streaming { tree, raw, turns: turns(), _crew: crew })
    }

    /// Has the node at the end of a chain run a program, and says how long it takes from the line that
    /// is read to the reply that can be printed.
    fn run(&mut self, chain: usize) -> Result<Duration, Failure> {
        let node = shape::ends(&HOPS)[chain];
        // A debug build may need longer than a command has.
        let line = format!("exec --timeout 1m {node} run {}", program::command().join(" "));
        let mut printed = Printed::of(node);
        let driver = self.tree.driver();
        driver.printed().clear();
        driver.wait(Patience::Look).map_err(Failure::doing("go on"))?;
        let start = Instant::now();
        driver.feed(Input::Line(line.as_bytes()));
        driver.end_turn();
        while !printed.has_ended {
            driver.wait(Patience::Wait).map_err(Failure::doing("go on"))?;
            driver.end_turn();
            printed.take(driver.printed())?;
            driver.printed().clear();
        }
        let took = start.elapsed();
        if printed.bytes == program::BYTES {
            return Ok(took);
        }
        Err(Failure::Runtime(format!("'{line}' has written {} bytes", printed.bytes)))
    }

    /// Reads what the program writes without anything between, and says how long it takes.
    fn read_pipe() -> Result<Duration, Failure> {
        let start = Instant::now();
        let mut program = Some(Program::start()?);
        let mut buffer = vec![0; READ_BYTES];
        while let Some(mut running) = program {
            running.read(&mut buffer)?;
            program = running.go_on()?;
        }
        Ok(start.elapsed())
    }

    /// The most memory that any process from the console to the end of a chain has had so far.
    fn peak_kib(&self, chain: usize) -> Result<u64, Failure> {
        let before = HOPS[..chain].iter().sum();
        let nodes = self.tree.processes().iter().skip(before).take(HOPS[chain]);
        let mut peak = peak_kib(getpid())?;
        for node in nodes {
            peak = peak.max(peak_kib(node.pid())?);
        }
        Ok(peak)
    }
}

impl Rig for Streaming {
    fn turns(&self) -> usize {
        self.turns.len()
    }

    fn turn(&mut self, turn: usize) -> Result<Vec<Found>, Failure> {
        let Turn { subject, chain } = self.turns[turn];
        let figure = |what, unit| Figure::new(what, unit).with_hops(HOPS[chain]);
        let took = match subject {
            Subject::Hoptree => self.run(chain)?,
            Subject::Pipe => Streaming::read_pipe()?,
            _ => self.raw.drain(chain)?,
        };
        let rate = program::BYTES as f64 / 1e6 / took.as_secs_f64();
        let mut found = vec![figure("output", Unit::MegabytesPerSecond).found(subject, vec![rate])];
        if subject == Subject::Hoptree {
            let peak = self.peak_kib(chain)? as f64;
            found.push(figure("most memory", Unit::KiB).found(subject, vec![peak]));
        }
        Ok(found)
    }
}

impl Printed {
    /// Nothing yet of a program that this node runs.
    fn of(node: i32) -> Printed {
        let (prefix, reply) = (format!("{node}: "), format!("Ok:{node}: exit 0"));
        Printed { prefix, reply, bytes: 0, has_ended: false }
    }

    /// Takes in what is printed: whole lines.
    fn take(&mut self, mut text: &[u8]) -> Result<(), Failure> {
        while let Some(end) = memchr::memchr(b'\n', text) {
            let line = &text[..end];
            if let Some(output) = line.strip_prefix(self.prefix.as_bytes()) {
                self.bytes += output.len();
            } else if line == self.reply.as_bytes() {
                self.has_ended = true;
            } else {
                let line = String::from_utf8_lossy(line);
                return Err(Failure::Runtime(format!("a program was answered with '{line}'")));
            }
            text = &text[end + 1..];
        }
        Ok(())
    }
}

fn turns() -> Vec<Turn> {
    let mut turns = Vec::new();
    for (chain, hops) in HOPS.into_iter().enumerate() {
        let raw = if hops == 1 { Subject::Raw } else { Subject::RawChain };
        turns.extend([Subject::Hoptree, raw, Subject::Pipe].map(|subject| Turn { subject, chain }));
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_counted_without_what_surrounds_it() {
        let mut printed = Printed::of(5);
        printed.take(b"5: abc\n5: \n").unwrap();
        assert_eq!((printed.bytes, printed.has_ended), (3, false));
        printed.take(b"5: de\nOk:5: exit 0\n").unwrap();
        assert_eq!((printed.bytes, printed.has_ended), (5, true));
        let Err(Failure::Runtime(text)) = printed.take(b"Error:5: run: exit 1\n") else { panic!() };
        assert!(text.contains("'Error:5: run: exit 1'"), "{text}");
    }
}
