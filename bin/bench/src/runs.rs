//! The runs of a benchmark: stages take turns, and what they find is kept.

use hoptree_core::TransportSpec;

use super::alarm::{Alarm, Stop};
use super::busy::Ticks;
use super::figure::Found;
use super::ledger::{Ledger, Place};
use super::measure::Measure;
use super::plan::Plan;
use super::progress::Progress;
use super::report::Load;
use super::stage::{Stage, Stages};

/// What has come of the runs so far.
pub struct Runs<'a> {
    plan: &'a Plan,
    alarm: &'a Alarm,
    progress: Progress,
    ledger: Ledger,
    losses: Vec<Loss>,
    /// One for each measure.
    loads: Vec<Load>,
}

/// What could not be measured any further.
struct Loss {
    measure: Measure,
    transport: &'static str,
    why: String,
}

/// One transport in one measure.
struct Player {
    spec: &'static TransportSpec,
    /// None when it has failed.
    stage: Option<Stage>,
    /// How many turns it has in a round.
    turns: usize,
}

/// Why rounds were not taken to the end.
enum Ended {
    Interrupted,
    NobodyIsLeft,
}

/// A signal has asked for an end.
pub struct Interrupted;

impl<'a> Runs<'a> {
    /// None so far.
    pub fn new(plan: &'a Plan, alarm: &'a Alarm) -> Runs<'a> {
        let progress = Progress::new(plan.total_time());
        Runs {
            plan,
            alarm,
            progress,
            ledger: Ledger::default(),
            losses: Vec::new(),
            loads: Vec::new(),
        }
    }

    /// Takes all of them. What fails is left out from then on, and the rest goes on.
    ///
    /// # Errors
    ///
    /// When a signal asks for an end. What was complete by then is kept.
    pub fn take(&mut self) -> Result<(), Interrupted> {
        for run in 0..self.plan.runs {
            for measure in &self.plan.measures {
                self.progress.begin(run, self.plan.runs, *measure, self.plan.time(*measure));
                let before = Ticks::now();
                let done = self.measure(run as usize, *measure);
                if let (Some(before), Some(after)) = (before, Ticks::now()) {
                    self.note_load(after.since(before, *measure));
                }
                done?;
            }
        }
        self.progress.finish();
        Ok(())
    }

    /// What was found.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What went wrong, in words for the user.
    pub fn failures(&self) -> Vec<String> {
        let text = |loss: &Loss| {
            let Loss { measure, transport, why } = loss;
            format!("{} over {transport}: {why}", measure.name())
        };
        self.losses.iter().map(text).collect()
    }

    /// What others had of the processors meanwhile.
    pub fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// Keeps the load of a measure in a run, unless it was higher in an earlier one.
    fn note_load(&mut self, load: Load) {
        let gone = |load: &Load| load.others + load.stolen;
        match self.loads.iter_mut().find(|other| other.measure == load.measure) {
            Some(other) if gone(other) < gone(&load) => *other = load,
            Some(_) => {}
            None => self.loads.push(load),
        }
    }

    fn measure(&mut self, run: usize, measure: Measure) -> Result<(), Interrupted> {
        let mut stages = match Stages::new() {
            Ok(stages) => stages,
            Err(failure) => {
                let why = failure.into_text();
                for transport in self.plan.names() {
                    self.losses.push(Loss { measure, transport, why: why.clone() });
                }
                return Ok(());
            }
        };
        let done = self.play(&mut stages, run, measure);
        if done.is_err() {
            // What follows may take a moment, and the user must see that it has begun.
            self.progress.finish();
        }
        stages.dismiss();
        done
    }

    fn play(
        &mut self,
        stages: &mut Stages,
        run: usize,
        measure: Measure,
    ) -> Result<(), Interrupted> {
        let mut players = self.open(stages, measure)?;
        let schedule = schedule(&players);
        let transports: Vec<_> = players.iter().map(|player| player.spec.name).collect();
        let Runs { plan, alarm, progress, ledger, losses, .. } = self;
        let turn = |index: usize, share: f64| {
            progress.advance(share);
            let (turn, player) = schedule[index];
            if players.iter().all(|player| player.stage.is_none()) {
                return Err(Ended::NobodyIsLeft);
            }
            let player = &mut players[player];
            let Some(stage) = &mut player.stage else { return Ok(Vec::new()) };
            match stage.turn(turn, alarm) {
                Ok(found) => Ok(found),
                Err(Stop::Interrupted) => Err(Ended::Interrupted),
                Err(Stop::Failed(failure)) => {
                    player.stage = None;
                    let why = failure.into_text();
                    losses.push(Loss { measure, transport: player.spec.name, why });
                    Ok(Vec::new())
                }
            }
        };
        let keep = |index: usize, found: Vec<Found>| {
            let (turn, player) = schedule[index];
            let place = Place { measure, transport: transports[player], run, turn };
            found.into_iter().for_each(|found| ledger.add(place, found));
        };
        match plan.rounds(measure).take(schedule.len(), turn, keep) {
            Err(Ended::Interrupted) => Err(Interrupted),
            Ok(_) | Err(Ended::NobodyIsLeft) => Ok(()),
        }
    }

    /// Starts a stage for each transport that has not failed in this measure yet.
    fn open(&mut self, stages: &mut Stages, measure: Measure) -> Result<Vec<Player>, Interrupted> {
        let mut players = Vec::new();
        for spec in self.plan.transports.iter().copied() {
            if self.is_lost(measure, spec) {
                continue;
            }
            match stages.open(measure, spec, self.alarm) {
                Ok(stage) => players.push(Player { spec, stage: Some(stage), turns: 0 }),
                Err(stop) => self.give_up(measure, spec, stop)?,
            }
        }
        for player in &mut players {
            let Some(stage) = &mut player.stage else { continue };
            match stage.ready(self.alarm) {
                Ok(turns) => player.turns = turns,
                Err(stop) => {
                    player.stage = None;
                    self.give_up(measure, player.spec, stop)?;
                }
            }
        }
        Ok(players)
    }

    fn is_lost(&self, measure: Measure, spec: &TransportSpec) -> bool {
        self.losses.iter().any(|loss| loss.measure == measure && loss.transport == spec.name)
    }

    fn give_up(
        &mut self,
        measure: Measure,
        spec: &TransportSpec,
        stop: Stop,
    ) -> Result<(), Interrupted> {
        match stop {
            Stop::Interrupted => Err(Interrupted),
            Stop::Failed(failure) => {
                let why = failure.into_text();
                self.losses.push(Loss { measure, transport: spec.name, why });
                Ok(())
            }
        }
    }
}

/// The turns of a round, and whose they are: transports follow each other as closely as can be,
/// each doing the same.
fn schedule(players: &[Player]) -> Vec<(usize, usize)> {
    let turns = players.iter().map(|player| player.turns).max().unwrap_or_default();
    let all = (0..turns).flat_map(|turn| (0..players.len()).map(move |player| (turn, player)));
    all.filter(|(turn, player)| *turn < players[*player].turns).collect()
}
