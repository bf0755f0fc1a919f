//! What is in which plot, and what stands above it. A plot has a line for each transport: its
//! medians along a parameter, or the quantiles of one distribution.

use super::joined;
use super::scale::Spacing;
use super::unit::Unit;
use crate::report::Row;
use crate::table::parameters;

/// A parameter that figures are shown along.
struct Axis {
    name: &'static str,
    value: fn(&Row) -> Option<u32>,
    clear: fn(&mut Row),
}

/// Those there are. A plot is along the first of which its rows have several values.
const AXES: [Axis; 3] = [
    Axis { name: "hops", value: |row| row.hops, clear: |row| row.hops = None },
    Axis { name: "window", value: |row| row.window, clear: |row| row.window = None },
    Axis { name: "nodes", value: |row| row.nodes, clear: |row| row.nodes = None },
];

/// A figure that is shown of a distribution, and how many values it must have to say anything.
type Quantile = (&'static str, u64, fn(&Row) -> f64);

const QUANTILES: [Quantile; 6] = [
    ("min", 0, |row| row.min),
    ("p50", 0, |row| row.p50),
    ("p90", 10, |row| row.p90),
    ("p99", 100, |row| row.p99),
    ("p99.9", 1_000, |row| row.p99_9),
    ("max", 0, |row| row.max),
];

/// A plot.
pub struct Plot<'a> {
    /// What it shows, along what.
    pub title: String,
    /// What is at the axis below.
    pub along: &'static str,
    /// What the figures are shown in.
    pub unit: Unit<'a>,
    /// How they are laid out.
    pub spacing: Spacing,
    /// Its points by transports. There is one at least.
    pub points: Vec<Point<'a>>,
}

/// A figure in a plot.
pub struct Point<'a> {
    /// What it is a figure of.
    pub row: &'a Row,
    /// Where it is at the axis below.
    pub x: f64,
    /// What stands there.
    pub label: String,
    /// The figure.
    pub y: f64,
    /// What it was in each run, as far as that is known.
    pub runs: &'a [f64],
}

/// The plots for the rows of a measure: along a parameter where they have several values of one,
/// and then distributions, those of times at its least value, and of all without such a parameter.
pub fn plots(rows: &[Row]) -> Vec<Plot<'_>> {
    let mut plots = Vec::new();
    for rows in rows.chunk_by(|one, other| one.what == other.what) {
        let axis = AXES.iter().find(|axis| least(axis, rows.iter()).is_some());
        let mut distributions = Vec::new();
        for (others, mut rows) in groups(rows, axis) {
            let several = axis.and_then(|axis| Some((axis, least(axis, rows.iter().copied())?)));
            if let Some((axis, least)) = several {
                plots.push(along(axis, &others, &rows));
                rows.retain(|row| (axis.value)(row) == Some(least));
            }
            let plot = distribution(&rows);
            if several.is_none() || plot.unit.is_time {
                distributions.push(plot);
            }
        }
        plots.extend(distributions);
    }
    plots
}

/// The least value that rows have of a parameter, if they have several.
fn least<'a>(axis: &Axis, rows: impl Iterator<Item = &'a Row> + Clone) -> Option<u32> {
    let values = rows.filter_map(axis.value);
    let least = values.clone().min()?;
    (values.max() != Some(least)).then_some(least)
}

/// The rows by all parameters but this one, each time with those in words.
fn groups<'a>(rows: &'a [Row], axis: Option<&Axis>) -> Vec<(String, Vec<&'a Row>)> {
    let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let mut others = row.clone();
        if let Some(axis) = axis {
            (axis.clear)(&mut others);
        }
        let others = parameters(&others);
        match groups.iter_mut().find(|(known, _)| *known == others) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((others, vec![row])),
        }
    }
    groups
}

fn along<'a>(axis: &Axis, others: &str, rows: &[&'a Row]) -> Plot<'a> {
    let points = rows.iter().filter_map(|row| {
        let value = (axis.value)(row)?;
        // Equal ratios take equal room.
        let (x, label) = (f64::from(value).ln(), value.to_string());
        Some(Point { row, x, label, y: row.p50, runs: &row.run_p50 })
    });
    Plot::new(axis.name, others, points.collect())
}

fn distribution<'a>(rows: &[&'a Row]) -> Plot<'a> {
    let points = rows.iter().flat_map(|row| {
        let quantiles = QUANTILES.iter().zip(0_u8..);
        let told = quantiles.filter(|((_, samples_min, _), _)| row.samples >= *samples_min);
        told.map(|((name, _, figure), place)| {
            let runs = if *name == "p50" { &row.run_p50[..] } else { &[] };
            Point { row, x: f64::from(place), label: (*name).to_owned(), y: figure(row), runs }
        })
    });
    Plot::new("quantile", &parameters(rows[0]), points.collect())
}

impl<'a> Plot<'a> {
    fn new(along: &'static str, others: &str, points: Vec<Point<'a>>) -> Plot<'a> {
        let medians = || points.iter().map(|point| point.row.p50.max(0.0));
        let typical = medians().fold(0.0, f64::max) * medians().fold(f64::MAX, f64::min);
        let unit = Unit::of(&points[0].row.unit, typical.sqrt());
        // Counts are often zero, which has no place on a logarithmic axis.
        let is_log = unit.is_time || points[0].row.unit == "1/s";
        let spacing = if is_log { Spacing::Log } else { Spacing::Linear };
        let title = joined([&*format!("{} by {along}", points[0].row.what), others]);
        Plot { title, along, unit, spacing, points }
    }

    /// The axis with the figures, which end of it is better, and what they are held against.
    pub fn subtitle(&self) -> String {
        let rows = self.points.iter().map(|point| point.row);
        let mut floors: Vec<&str> = rows.filter_map(|row| row.floor.as_deref()).collect();
        floors.sort_unstable();
        floors.dedup();
        let dashed = if floors.is_empty() { "" } else { "dashed: " };
        joined([
            self.unit.name,
            if self.spacing == Spacing::Log { "log" } else { "" },
            if self.points[0].row.lower_is_better { "less is better" } else { "more is better" },
            &format!("{dashed}{}", floors.join(", ")),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_is_above_a_plot_says_what_it_shows_along_what() {
        let mut rows = sample::rows();
        let subtitle = "µs, log, less is better, dashed: raw, raw chain";
        assert_eq!(plots(&rows)[0].subtitle(), subtitle);
        rows.retain(|row| ["rtt", "throughput", "failure"].contains(&&*row.measure));
        let plots = rows.chunk_by(|one, other| one.measure == other.measure).flat_map(plots);
        let titles = [
            "round trip by hops, 16 B",
            "round trip by hops, 64 KiB",
            "round trip by quantile, 1 hop, 16 B",
            "round trip by quantile, 1 hop, 64 KiB",
            "echo by window, 1 node",
            "echo by window, 8 nodes",
            // These differ in two parameters at once.
            "kill to healed by quantile, 16 nodes, chain",
            "kill to healed by quantile, 30 nodes, binary",
        ];
        assert_eq!(plots.map(|plot| plot.title).collect::<Vec<_>>(), titles);
    }
}
