//! Whether a node that does not read holds up others, or takes the memory of its parent.

use std::time::{Duration, Instant};

use hoptree_host::Failure;

use super::crew::Crew;
use super::family::Family;
use super::figure::{Figure, Found, Subject, Unit};
use super::measure::Rig;
use super::setting::Setting;
use super::usage::pss_kib;

/// How many lines of the flood come before each of the sibling's: enough to fill the window of a
/// node that does not read within 64 trips, and few enough for one that reads to keep up.
const LINES_PER_TRIP: usize = 16;

/// How long the text in each of them is. With it, as many requests as may wait for a node are also
/// about as many bytes as may.
const TEXT_BYTES: usize = 500;

/// How long the trips of one turn take.
const TURN_TIME: Duration = Duration::from_millis(100);

/// How often, meanwhile, the parent is weighed.
const WEIGHING_PERIOD: Duration = Duration::from_millis(25);

/// Trips without a flood that take the parent to its ordinary size.
const WARM_UP_TRIPS: u32 = 100;

/// What happens to the sibling of the node that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    None,
    Running,
    Stopped,
}

/// In the order of their turns.
const FLOODS: [Flood; 3] = [Flood::None, Flood::Running, Flood::Stopped];

/// The family, and how heavy the parent was at first and at most.
pub struct Flooding {
    family: Family,
    before_kib: u64,
    most_kib: u64,
    /// Keeps the processes alive.
    _crew: Crew,
}

/// What came of one turn.
#[derive(Default)]
struct Turn {
    trips: Vec<Duration>,
    /// How many lines of the flood were fed, and how many of them were refused.
    lines: usize,
    refused: usize,
    /// For how long the console read nothing.
    held: Duration,
}

impl Flooding {
    /// Starts the family.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(setting: &Setting<'_>) -> Result<Flooding, Failure> {
        let crew = setting.crew()?;
        let mut family = Family::open(setting, &crew, TEXT_BYTES)?;
        for _ in 0..WARM_UP_TRIPS {
            family.trip(0)?;
        }
        let before_kib = pss_kib(family.parent().pid())?;
        Ok(Flooding { family, before_kib, most_kib: before_kib, _crew: crew })
    }

    /// Has the sibling take its trips, one after the other, and leaves nothing unanswered. The time
    /// in which the console reads nothing prolongs the turn.
    fn take(&mut self, flood: Flood) -> Result<Turn, Failure> {
        if flood == Flood::Stopped {
            self.family.flooded().stop()?;
        }
        let lines = if flood == Flood::None { 0 } else { LINES_PER_TRIP };
        let mut turn = Turn::default();
        let start = Instant::now();
        let mut weighed = start;
        while start.elapsed() < TURN_TIME + turn.held {
            let trip = self.family.trip(lines)?;
            turn.trips.push(trip.took);
            turn.lines += lines;
            turn.held += trip.held;
            if weighed.elapsed() >= WEIGHING_PERIOD {
                self.weigh()?;
                weighed = Instant::now();
            }
        }
        self.weigh()?;
        if flood == Flood::Stopped {
            self.family.flooded().go_on()?;
        }
        turn.refused = self.family.catch_up()?;
        self.weigh()?;
        Ok(turn)
    }

    fn weigh(&mut self) -> Result<(), Failure> {
        self.most_kib = self.most_kib.max(pss_kib(self.family.parent().pid())?);
        Ok(())
    }
}

impl Rig for Flooding {
    fn turns(&self) -> usize {
        FLOODS.len()
    }

    fn turn(&mut self, turn: usize) -> Result<Vec<Found>, Failure> {
        let flood = FLOODS[turn];
        let turn = self.take(flood)?;
        let trips: Vec<_> = turn.trips.iter().map(|took| Unit::Us.of(*took)).collect();
        let mut found = vec![flood.figure().found(Subject::Hoptree, trips.clone())];
        found.extend(
            flood
                .is_floor_of()
                .map(|(floods, as_subject)| floods.figure().found(as_subject, trips)),
        );
        if flood == Flood::Stopped {
            let refused = turn.refused as f64 / turn.lines as f64 * 100.0;
            let grown = self.most_kib.saturating_sub(self.before_kib) as f64;
            let own =
                |what, unit, value| Figure::new(what, unit).found(Subject::Hoptree, vec![value]);
            found.extend([
                own("console held", Unit::Ms, Unit::Ms.of(turn.held)),
                own("lines refused", Unit::Percent, refused),
                own("parent grown by", Unit::KiB, grown),
            ]);
        }
        Ok(found)
    }
}

impl Flood {
    fn figure(self) -> Figure {
        let what = match self {
            Flood::None => "trip, no flood",
            Flood::Running => "trip, sibling reads",
            Flood::Stopped => "trip, sibling stopped",
        };
        Figure::new(what, Unit::Us)
    }

    /// What is held against it, and under which name it is.
    fn is_floor_of(self) -> Option<(Flood, Subject)> {
        match self {
            Flood::None => Some((Flood::Running, Subject::NoFlood)),
            Flood::Running => Some((Flood::Stopped, Subject::RunningFlood)),
            Flood::Stopped => None,
        }
    }
}
