//! The round trip of `echo`, from the line that is read to the reply that can be printed.

use std::time::{Duration, Instant};

use hoptree_host::Failure;

use super::crew::Crew;
use super::figure::{Figure, Found, Subject, Unit};
use super::floor::Floor;
use super::measure::Rig;
use super::raw::Raw;
use super::setting::Setting;
use super::shape;
use super::socket::{Peer, Socket};
use super::tree::{Ask, Tree};

/// The lengths of the chains. The node at the end of one of length 1 is the control node's child.
const HOPS: [usize; 5] = [1, 2, 4, 8, 16];

/// How long the texts are that are echoed.
const PAYLOADS: [usize; 3] = [16, 1024, 64 * 1024];

/// How long one goes on before it is the next one's turn: many times as long as a trip, and short
/// enough for a disturbance of the machine to hit all alike.
const TURN_TIME: Duration = Duration::from_millis(4);

/// Trips at the beginning of a turn that do not count: they find the caches and the cores as others
/// have left them.
const COLD_TRIPS: usize = 2;

/// How many trips of a turn count at least, however long they take.
const TRIPS_MIN: usize = 3;

/// All that trips are made with.
pub struct Rtt {
    tree: Tree,
    raw: Raw,
    floor: Option<Floor>,
    unix: Peer,
    tcp: Peer,
    loads: Vec<Load>,
    turns: Vec<Turn>,
    /// Keeps the processes alive.
    _crew: Crew,
}

/// What travels.
struct Load {
    /// To the end of each chain.
    asks: Vec<Ask>,
    /// What raw sends: as much as hoptree does, in as many frames.
    frames: Vec<Vec<u8>>,
    /// All of them in one, which is what floors send.
    frame: Vec<u8>,
}

/// Whose turn it is.
#[derive(Clone, Copy)]
struct Turn {
    subject: Subject,
    chain: usize,
    load: usize,
}

impl Rtt {
    /// Starts all of it.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(setting: &Setting<'_>) -> Result<Rtt, Failure> {
        let crew = setting.crew()?;
        let tree = Tree::open(setting, &crew, &shape::chains(&HOPS))?;
        let children = crew.children();
        let raw = Raw::open(setting.spec, &children, &HOPS)?;
        let floor = Floor::open(setting.spec, &children)?;
        let unix = Socket::unix(crew.directory())?.peer(&children)?;
        let tcp = Socket::tcp()?.peer(&children)?;
        let loads = PAYLOADS.iter().map(|bytes| Load::new(setting, *bytes));
        let loads = loads.collect::<Result<_, _>>()?;
        let turns = turns(floor.is_some());
        Ok(Rtt { tree, raw, floor, unix, tcp, loads, turns, _crew: crew })
    }

    fn trip(&mut self, turn: Turn) -> Result<Duration, Failure> {
        let Load { asks, frames, frame } = &self.loads[turn.load];
        match turn.subject {
            Subject::Hoptree => self.tree.ask(&asks[turn.chain]),
            Subject::Library => {
                self.floor.as_mut().expect("without a floor it has no turn").trip(frame)
            }
            Subject::UnixSocket => self.unix.trip(frame),
            Subject::Tcp => self.tcp.trip(frame),
            _ => self.raw.trip(turn.chain, frames),
        }
    }
}

impl Rig for Rtt {
    fn turns(&self) -> usize {
        self.turns.len()
    }

    fn turn(&mut self, turn: usize) -> Result<Vec<Found>, Failure> {
        let turn = self.turns[turn];
        let figure =
            Figure::new("round trip", Unit::Us).with_way(HOPS[turn.chain], PAYLOADS[turn.load]);
        for _ in 0..COLD_TRIPS {
            self.trip(turn)?;
        }
        let mut values = Vec::new();
        let start = Instant::now();
        while values.len() < TRIPS_MIN || start.elapsed() < TURN_TIME {
            values.push(figure.unit.of(self.trip(turn)?));
        }
        Ok(vec![figure.found(turn.subject, values)])
    }
}

impl Load {
    fn new(setting: &Setting<'_>, bytes: usize) -> Result<Load, Failure> {
        let text = "0123456789abcdef".repeat(bytes / 16);
        let ends = shape::ends(&HOPS);
        let frames = setting.frames(&text)?;
        let frame = frames.concat();
        Ok(Load { asks: ends.iter().map(|end| Ask::echo(*end, &text)).collect(), frames, frame })
    }
}

/// Everyone with every load over every distance that they can go.
fn turns(floor: bool) -> Vec<Turn> {
    let mut turns = Vec::new();
    for (chain, hops) in HOPS.into_iter().enumerate() {
        for load in 0..PAYLOADS.len() {
            let raw = if hops == 1 { Subject::Raw } else { Subject::RawChain };
            let mut subjects = vec![Subject::Hoptree, raw];
            if hops == 1 {
                subjects.extend([Subject::UnixSocket, Subject::Tcp]);
                subjects.extend(floor.then_some(Subject::Library));
            }
            turns.extend(subjects.into_iter().map(|subject| Turn { subject, chain, load }));
        }
    }
    turns
}
