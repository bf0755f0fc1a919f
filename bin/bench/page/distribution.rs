//! All that was measured, not its median alone: which share of the values is no greater than what.

use super::group::Group;
use super::legend::{Companions, Palette, companion_p50, is_shared, shared_p50};
use super::plot::{Across, Curve, Mark, Plot, Upward};
use super::scale::Spacing;
use super::style::{Stroke, Tone};
use super::unit::Unit;
use super::words::{about, spread};
use crate::bench::report::Row;

/// The shares that stand at the axis.
const SHARES: [(f64, &str); 6] = [
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.99999, "99.999 %"),
];

/// Fewer values than these say nothing of shares of them.
const SAMPLES_MIN: u64 = 10;

/// A curve for each transport: for each share of its values, the value that they do not exceed.
/// Each further nine takes as much room as the one before it.
pub fn draw(group: &Group, palette: &Palette, companions: &Companions) -> Option<String> {
    let mut curves = Vec::new();
    for name in companions.names() {
        curves.extend(medians(group, palette, companions, name));
    }
    curves.extend(group.rows.iter().map(|row| curve(row, palette)));
    let longest = curves.iter().flat_map(|curve| &curve.path).map(|point| point.0);
    let longest = longest.fold(nines(0.9), f64::max);
    let ticks = SHARES.into_iter().map(|(share, label)| (nines(share), label.to_owned()));
    Plot {
        about: format!("{}: the distribution, a curve for each transport", group.title),
        x: Across {
            title: "share of the values that are no greater".to_owned(),
            spacing: Spacing::Linear,
            ticks: ticks.filter(|(place, _)| *place <= longest).collect(),
        },
        y: value_axis(&group.rows),
        curves,
    }
    .draw()
}

/// Whether any row has a distribution: values that differ, and enough of them.
pub fn is_one(group: &Group) -> bool {
    group.rows.iter().any(|row| row.samples >= SAMPLES_MIN && row.histogram.len() > 1)
}

fn value_axis<'a>(rows: &[&'a Row]) -> Upward<'a> {
    let unit = Unit(&rows[0].unit);
    // Multiples of an interval are near one, where a logarithm hides more than it shows.
    let spacing = if unit.is_time() { Spacing::Log } else { Spacing::Linear };
    Upward {
        title: if unit.is_time() { "time" } else { unit.0 }.to_owned(),
        spacing,
        label: Box::new(move |value| unit.tick(value)),
    }
}

fn curve(row: &Row, palette: &Palette) -> Curve {
    let unit = Unit(&row.unit);
    let quantiles = [(0.5, row.p50, "p50"), (0.9, row.p90, "p90"), (0.99, row.p99, "p99")];
    // A share that fewer values than one are beyond says nothing about them.
    let told =
        quantiles.into_iter().filter(|(share, ..)| (1.0 - share) * row.samples as f64 >= 1.0);
    let marks = told.map(|(share, value, name)| Mark {
        x: nines(share),
        y: value,
        spread: if share == 0.5 { spread(row) } else { None },
        about: match share {
            0.5 => format!("{}: {}", row.transport, about(row)),
            _ => format!("{}: {name} {}", row.transport, unit.exact(value)),
        },
    });
    Curve {
        name: row.transport.clone(),
        labelled: true,
        tone: palette.tone(&row.transport),
        stroke: Stroke::Solid,
        path: path(&row.histogram),
        marks: marks.collect(),
    }
}

/// The medians of what the rows are held against under this name.
fn medians(group: &Group, palette: &Palette, companions: &Companions, name: &str) -> Vec<Curve> {
    let unit = Unit(&group.rows[0].unit);
    let median = |who: &str, tone: Tone, y: f64| {
        let about = format!("{who}: p50 {}", unit.exact(y));
        let marks = vec![Mark { x: nines(0.5), y, spread: None, about }];
        let (name, stroke) = (who.to_owned(), companions.stroke(name));
        Curve { name, labelled: false, tone, stroke, path: Vec::new(), marks }
    };
    if is_shared(name) {
        let medians = shared_p50(&group.rows, name).into_iter();
        return medians.map(|p50| median(name, Tone::Neutral, p50)).collect();
    }
    let own = group.rows.iter().filter_map(|row| {
        let who = format!("{}, {name}", row.transport);
        Some(median(&who, palette.tone(&row.transport), companion_p50(row, name)?))
    });
    own.collect()
}

/// Steps, as wide as the share of the values that are the same. The last one ends half a value
/// before all of them, since that share is infinitely far away.
fn path(histogram: &[(f64, u64)]) -> Vec<(f64, f64)> {
    let total: u64 = histogram.iter().map(|(_, count)| count).sum();
    let mut path = Vec::with_capacity(2 * histogram.len());
    let mut below = 0;
    for (value, count) in histogram.iter().filter(|(_, count)| *count > 0) {
        path.push((nines(below as f64 / total as f64), *value));
        below += count;
        let end = (below as f64).min(total as f64 - 0.5);
        path.push((nines(end / total as f64), *value));
    }
    path
}

/// Where a share has its place: one for each nine it begins with.
fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_go_from_the_least_to_the_greatest() {
        let path = path(&[(10.0, 5), (20.0, 0), (30.0, 5)]);
        let places: Vec<_> = path.iter().map(|(x, y)| ((x * 100.0).round(), *y)).collect();
        assert_eq!(places, [(0.0, 10.0), (30.0, 10.0), (30.0, 30.0), (130.0, 30.0)]);
        assert!(super::path(&[]).is_empty() && super::path(&[(1.0, 0)]).is_empty());
    }
}
