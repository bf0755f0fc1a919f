//! Commands per second, with some under way at the same time.

use std::fmt::Write;
use std::time::Duration;

use super::crew::Crew;
use super::raw::Raw;
use super::rounds::Rounds;
use super::setting::Setting;
use super::stream::{Flow, Stream};
use super::subject::Subject;
use super::tree::Tree;
use crate::cli::print;
use crate::failure::Failure;

/// How many may be unanswered.
const WINDOWS: [usize; 4] = [1, 16, 256, 1_000];

/// How many nodes, all of them children of the control node, are asked in turn.
const NODES: [usize; 2] = [1, 8];

/// How long one goes on before it is the next one's turn.
const TURN_TIME: Duration = Duration::from_millis(50);

/// Rounds that do not count.
const WARM_UP_ROUNDS: u32 = 1;

/// Measures, and prints what it has found, also when an interrupt ends it early.
///
/// # Errors
///
/// When a subject fails, after ending all processes.
pub fn run(setting: &Setting<'_>, rounds: u32) -> Result<(), Failure> {
    let bytes = setting.frame_bytes()?;
    let rates =
        setting.with_crew(|crew| Rig::open(setting, crew, bytes)?.measure(setting, rounds))?;
    let complete = rates.iter().map(|rates| rates.per_second.len()).min().unwrap_or_default();
    let mut text = format!(
        "\nthroughput: echo per second, {complete} turns of {} ms each; raw: a frame of {bytes} \
         bytes for each\n",
        TURN_TIME.as_millis()
    );
    if complete < rounds as usize {
        let _ = writeln!(text, "interrupted after {complete} of {rounds} rounds");
    }
    write_table(&rates, &mut text);
    print(&text)?;
    Ok(())
}

/// All subjects, ready to go.
struct Rig {
    tree: Tree,
    /// One for each of [`NODES`].
    streams: Vec<Stream>,
    raw: Raw,
    /// What raw sends: as much as hoptree does for one command.
    frame: Vec<u8>,
}

/// What one subject did with so many nodes and one window.
struct Rates {
    nodes: usize,
    window: usize,
    subject: Subject,
    /// Of each turn.
    per_second: Vec<f64>,
}

impl Rig {
    fn open(setting: &Setting<'_>, crew: &Crew, frame_bytes: usize) -> Result<Rig, Failure> {
        let lengths = [1; NODES[NODES.len() - 1]];
        let tree = Tree::open(setting, crew, &lengths)?;
        let raw = Raw::open(setting.spec, &crew.children(), &lengths)?;
        let streams = NODES.map(|nodes| Stream::to(&tree.chains()[..nodes])).into();
        Ok(Rig { tree, streams, raw, frame: vec![0; frame_bytes] })
    }

    fn measure(mut self, setting: &Setting<'_>, rounds: u32) -> Result<Vec<Rates>, Failure> {
        let mut all = Vec::new();
        for nodes in NODES {
            for window in WINDOWS {
                for subject in [Subject::Hoptree, Subject::Raw] {
                    all.push(Rates { nodes, window, subject, per_second: Vec::new() });
                }
            }
        }
        Rounds { warm_up: WARM_UP_ROUNDS, counted: rounds }.take(
            &mut all,
            || setting.alarm.interrupt().is_some(),
            |rates| self.flow(rates),
            |rates, flow| rates.per_second.push(flow.per_second()),
        )?;
        Ok(all)
    }

    fn flow(&mut self, rates: &Rates) -> Result<Flow, Failure> {
        let Rates { nodes, window, .. } = *rates;
        match rates.subject {
            Subject::Hoptree => {
                let stream = NODES.iter().position(|other| *other == nodes).unwrap_or_default();
                self.streams[stream].flow(&mut self.tree, window, TURN_TIME)
            }
            _ => self.raw.flow(nodes, &self.frame, window, TURN_TIME),
        }
    }
}

/// Adds a line for each that has had a turn.
fn write_table(all: &[Rates], text: &mut String) {
    text.push_str("\nnodes  window  what         median     slowest     fastest   ratio\n");
    for rates in all {
        let Some([slowest, median, fastest]) = rates.spread() else { continue };
        let Rates { nodes, window, subject, .. } = rates;
        let _ = write!(
            text,
            "{nodes:>5}  {window:>6}  {:<8} {median:>10.0}  {slowest:>10.0}  {fastest:>10.0}",
            subject.name()
        );
        let base = all.iter().find(|other| {
            (other.nodes, other.window, Some(other.subject)) == (*nodes, *window, subject.base())
        });
        if let Some((base, [_, base_median, _])) =
            base.and_then(|base| Some((base, base.spread()?)))
        {
            let _ = write!(text, "   {:.2} of {}", median / base_median, base.subject.name());
        }
        text.push('\n');
    }
}

impl Rates {
    /// The slowest, the median and the fastest, if there are any.
    fn spread(&self) -> Option<[f64; 3]> {
        let mut sorted = self.per_second.clone();
        sorted.sort_by(f64::total_cmp);
        Some([*sorted.first()?, sorted[sorted.len() / 2], *sorted.last()?])
    }
}
