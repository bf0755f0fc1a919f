//! Which transport has which colour, which companion which stroke, and what says so.

use super::markup::{Escaped, put};
use super::style::{Stroke, Tone};
use crate::bench::report::{Report, Row};

/// What is the same beside each transport, and so is shown once, by the median of its figures.
const SHARED: [&str; 4] = ["unix socket", "tcp", "bare spawn", "end of file"];

/// What the names begin with of all that has the transport alone: one process, a chain, many.
const RAW: &str = "raw";

/// The transports of a report, each with the colour that it has in all plots.
pub struct Palette<'a> {
    transports: Vec<&'a str>,
}

/// What rows are held against, each with the stroke that it has in the plots of a section.
pub struct Companions<'a> {
    names: Vec<&'a str>,
}

impl<'a> Palette<'a> {
    /// A colour for each transport, in the order in which they come.
    pub fn of(report: &'a Report) -> Palette<'a> {
        Palette { transports: distinct(report.rows.iter().map(|row| &*row.transport)) }
    }

    /// The transports that these rows are of.
    pub fn among(&self, rows: &[&Row]) -> Vec<&'a str> {
        let has = |name: &&str| rows.iter().any(|row| row.transport == *name);
        self.transports.iter().copied().filter(has).collect()
    }

    /// That of a transport.
    pub fn tone(&self, transport: &str) -> Tone {
        let place = self.transports.iter().position(|name| *name == transport);
        place.map_or(Tone::Neutral, Tone::Transport)
    }
}

impl<'a> Companions<'a> {
    /// All that these rows are held against; those that come first in a row come first.
    pub fn of(rows: &[&'a Row]) -> Companions<'a> {
        let floors = rows.iter().filter_map(|row| row.floor.as_deref());
        let beside = rows.iter().flat_map(|row| &row.beside).map(|beside| &*beside.name);
        Companions { names: distinct(floors.chain(beside).map(family)) }
    }

    /// That which comes first in each row, and the first of the transport's own.
    pub fn nearest(rows: &[&'a Row]) -> Companions<'a> {
        let first = rows.iter().flat_map(|row| {
            let mut names = figures(row).map(|(name, _)| name);
            let floor = names.next();
            let own = floor.filter(|floor| is_shared(floor)).and_then(|_| names.next());
            floor.into_iter().chain(own)
        });
        Companions { names: distinct(first.map(family)) }
    }

    /// Their names.
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// That of the companion with this name.
    pub fn stroke(&self, name: &str) -> Stroke {
        let place = self.names.iter().position(|other| *other == name);
        place.map_or(Stroke::Solid, Stroke::Broken)
    }
}

/// Whether what has this name is the same beside each transport.
pub fn is_shared(name: &str) -> bool {
    SHARED.contains(&name)
}

/// The median that a row has for the companion with this name, if it is held against it.
pub fn companion_p50(row: &Row, name: &str) -> Option<f64> {
    figures(row).find(|(other, _)| family(other) == name).map(|(_, p50)| p50)
}

/// What a row is held against, and the median of that.
fn figures(row: &Row) -> impl Iterator<Item = (&str, f64)> {
    let floor = row.floor.as_deref().zip(row.floor_p50);
    floor.into_iter().chain(row.beside.iter().map(|beside| (&*beside.name, beside.p50)))
}

/// The name that it shares with what is the same of another number of processes.
fn family(name: &str) -> &str {
    if name.starts_with(RAW) { RAW } else { name }
}

/// The median of what these rows have for a companion that is the same beside all of them.
pub fn shared_p50(rows: &[&Row], name: &str) -> Option<f64> {
    let figures = rows.iter().filter_map(|row| companion_p50(row, name));
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// Adds what the colours and the strokes of these rows mean.
pub fn write(palette: &Palette, companions: &Companions, rows: &[&Row], out: &mut String) {
    out.push_str("<ul class=\"legend\">\n");
    for transport in palette.among(rows) {
        entry(palette.tone(transport), Stroke::Solid, transport, out);
    }
    for name in companions.names() {
        entry(Tone::Neutral, companions.stroke(name), name, out);
    }
    out.push_str("</ul>\n");
}

fn entry(tone: Tone, stroke: Stroke, name: &str, out: &mut String) {
    put!(out, "<li><svg viewBox=\"0 0 36 14\" aria-hidden=\"true\"><g class=\"{}\">", tone.class());
    put!(out, "<path class=\"line {}\" d=\"M1,7H35\"/>", stroke.class());
    tone.mark(18.0, 7.0, stroke, out);
    put!(out, "</g></svg>{}</li>\n", Escaped(name));
}

/// Each once, in the order in which they come first.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_is_raw_is_one_companion_whatever_its_shape() {
        let report = sample::report();
        let rows: Vec<_> = report.rows.iter().filter(|row| row.measure == "rtt").collect();
        let companions = Companions::of(&rows);
        assert_eq!(companions.names(), ["raw", "library", "unix socket", "tcp"]);
        assert!(rows.iter().all(|row| companion_p50(row, "raw") == row.floor_p50));
        assert_eq!(Companions::nearest(&rows).names(), ["raw"]);
        assert_eq!(companions.stroke("library"), Stroke::Broken(1));
    }

    #[test]
    fn what_belongs_to_no_transport_leaves_room_for_what_does() {
        let report = sample::report();
        let rows: Vec<_> = report.rows.iter().filter(|row| row.measure == "failure").collect();
        assert_eq!(Companions::nearest(&rows).names(), ["end of file", "raw"]);
        assert_eq!(shared_p50(&rows, "end of file"), Some(115.0));
        assert_eq!(shared_p50(&rows, "tcp"), None);
    }
}
