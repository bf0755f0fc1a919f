//! How a figure grows with a parameter: a line for each transport.

use super::group::{Group, Parameter};
use super::legend::{Companions, Palette, companion_p50, is_shared, shared_p50};
use super::plot::{Across, Curve, Mark, Plot, Upward};
use super::scale::Spacing;
use super::style::{Stroke, Tone};
use super::unit::{Unit, number};
use super::words::{about, spread};
use crate::bench::report::Row;

/// Rows whose figures are shown along a parameter.
pub struct Lines<'a> {
    /// The rows.
    pub group: &'a Group<'a>,
    /// The parameter.
    pub along: Parameter,
    /// The colours of their transports.
    pub palette: &'a Palette<'a>,
}

/// A figure, and from where to where it was in several runs.
type Figure = (f64, Option<(f64, f64)>);

impl Lines<'_> {
    /// The medians, and those of what the rows are held against.
    pub fn medians(&self, companions: &Companions) -> Option<String> {
        let unit = Unit(&self.group.rows[0].unit);
        let beside = companions.names().iter();
        let mut curves: Vec<_> =
            beside.flat_map(|name| self.beside(name, companions.stroke(name))).collect();
        curves.extend(self.own(|row| Some((row.p50, spread(row)))));
        let y = Upward {
            title: unit.title("median"),
            spacing: Spacing::Log,
            label: Box::new(move |y| unit.tick(y)),
        };
        self.draw("median", y, curves)
    }

    /// The ratios to what the rows are held against first.
    pub fn ratios(&self) -> Option<String> {
        let own = self.own(|row| Some((row.ratio?, None)));
        if own.iter().all(|curve| curve.marks.is_empty()) {
            return None;
        }
        let even = Curve {
            path: self.places().into_iter().map(|(x, _)| (x, 1.0)).collect(),
            ..curve("1", Tone::Neutral, Stroke::Broken(0), Vec::new())
        };
        let y = Upward {
            title: "ratio of medians".to_owned(),
            spacing: Spacing::Close,
            label: Box::new(number),
        };
        self.draw("ratio", y, std::iter::once(even).chain(own).collect())
    }

    fn draw(&self, what: &str, y: Upward, curves: Vec<Curve>) -> Option<String> {
        let (title, along) = (&self.group.title, self.along.name());
        let about = format!("{title}: {what} along {along}, a line for each transport");
        let x = Across { title: along.to_owned(), spacing: Spacing::Log, ticks: self.places() };
        Plot { about, x, y, curves }.draw()
    }

    /// A line for each transport, through this figure of its rows and its spread.
    fn own(&self, figure: fn(&Row) -> Option<Figure>) -> Vec<Curve> {
        let transports = self.palette.among(&self.group.rows).into_iter();
        let lines = transports.map(|transport| {
            let marks = self.of(transport).filter_map(|row| {
                let phrase = self.along.phrase(row)?;
                let about = format!("{transport}, {phrase}: {}", about(row));
                let (y, spread) = figure(row)?;
                Some(Mark { x: self.along.number(row)?, y, spread, about })
            });
            let tone = self.palette.tone(transport);
            Curve { labelled: true, ..curve(transport, tone, Stroke::Solid, marks.collect()) }
        });
        lines.collect()
    }

    /// The lines of what the rows are held against under this name: one for each transport, or one
    /// for all when it has nothing to do with them.
    fn beside(&self, name: &str, stroke: Stroke) -> Vec<Curve> {
        if is_shared(name) {
            let places = self.places().into_iter();
            let marks = places.filter_map(|(x, _)| {
                let rows = self.group.rows.iter().copied();
                let rows: Vec<_> = rows.filter(|row| self.along.number(row) == Some(x)).collect();
                self.mark(name, rows[0], shared_p50(&rows, name)?)
            });
            let line = curve(name, Tone::Neutral, stroke, marks.collect());
            return vec![Curve { labelled: true, ..line }];
        }
        let transports = self.palette.among(&self.group.rows).into_iter();
        let lines = transports.map(|transport| {
            let who = format!("{transport}, {name}");
            let rows = self.of(transport);
            let marks = rows.filter_map(|row| self.mark(&who, row, companion_p50(row, name)?));
            curve(&who, self.palette.tone(transport), stroke, marks.collect())
        });
        lines.collect()
    }

    /// The median of what is beside a row.
    fn mark(&self, who: &str, row: &Row, p50: f64) -> Option<Mark> {
        let (x, phrase) = (self.along.number(row)?, self.along.phrase(row)?);
        let about = format!("{who}, {phrase}: p50 {}", Unit(&row.unit).exact(p50));
        Some(Mark { x, y: p50, spread: None, about })
    }

    fn of(&self, transport: &str) -> impl Iterator<Item = &Row> {
        self.group.rows.iter().copied().filter(move |row| row.transport == transport)
    }

    /// The values that the parameter has, from the least on, and how they are written.
    fn places(&self) -> Vec<(f64, String)> {
        let rows = self.group.rows.iter();
        let places = rows.filter_map(|row| Some((self.along.number(row)?, self.along.value(row)?)));
        let mut places: Vec<_> = places.collect();
        places.sort_by(|one, other| one.0.total_cmp(&other.0));
        places.dedup();
        places
    }
}

/// A line through these marks, without a label.
fn curve(name: &str, tone: Tone, stroke: Stroke, mut marks: Vec<Mark>) -> Curve {
    marks.sort_by(|one, other| one.x.total_cmp(&other.x));
    let path = marks.iter().map(|mark| (mark.x, mark.y)).collect();
    Curve { name: name.to_owned(), labelled: false, tone, stroke, path, marks }
}
