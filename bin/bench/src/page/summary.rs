//! Which transport is best at what, in one table.

use std::cmp::Reverse;

use super::best::{best, leaders};
use super::joined;
use super::markup::{Escaped, put};
use super::unit::Unit;
use crate::report::Row;
use crate::table::{is_alike, parameters};

/// How to read the table and the plots.
const READING: &str = "★ marks the best median, or several that the runs can't tell apart; 2.0× says \
                       how many times worse another one is. The table has the first and the last \
                       setting of each figure; all are below. In the plots, a bar through a median \
                       goes from the least to the greatest of the runs, and dashed is the median \
                       of the floor: the same work with less of hoptree in the way.";

/// Adds the table, which has the first and the last setting of each figure.
pub fn write(rows: &[Row], transports: &[&str], out: &mut String) {
    let settings: Vec<_> = rows.chunk_by(is_series).flat_map(first_and_last).collect();
    out.push_str("<section>\n<h2>Which transport is best at what</h2>\n");
    write_score(&settings, transports, out);
    out.push_str("<div class=\"scroll\" tabindex=\"0\"><table class=\"summary\">\n<thead><tr>");
    out.push_str("<th scope=\"col\">median</th>");
    for (place, name) in transports.iter().enumerate() {
        let name = Escaped(name);
        put!(out, "<th scope=\"col\" class=\"t{place}\">{name}<small></small></th>");
    }
    out.push_str("</tr></thead>\n");
    for settings in settings.chunk_by(|one, other| one[0].measure == other[0].measure) {
        write_measure(settings, transports, out);
    }
    put!(out, "</table></div>\n<p class=\"quiet\">{READING}</p>\n</section>\n");
}

/// Adds how often each transport is best, if there are several.
fn write_score(settings: &[&[Row]], transports: &[&str], out: &mut String) {
    if transports.len() < 2 {
        return;
    }
    let winners = settings.iter().filter_map(|alike| match leaders(alike)[..] {
        [winner] => Some(winner),
        _ => None,
    });
    let winners: Vec<_> = winners.collect();
    let wins = |name: &str| winners.iter().filter(|winner| **winner == name).count();
    let mut places: Vec<_> = transports.iter().enumerate().collect();
    places.sort_by_key(|(_, name)| Reverse(wins(name)));
    out.push_str("<p>");
    for (place, name) in places {
        let (wins, name) = (wins(name), Escaped(name));
        put!(out, "<b class=\"t{place}\">{name}</b> is best in {wins}, ");
    }
    let (count, undecided) = (settings.len(), settings.len() - winners.len());
    put!(out, "and {undecided} of {count} rows are undecided.</p>\n");
}

fn write_measure(settings: &[&[Row]], transports: &[&str], out: &mut String) {
    let (measure, columns) = (&settings[0][0].measure, transports.len() + 1);
    put!(out, "<tbody>\n<tr><th colspan=\"{columns}\" scope=\"rowgroup\">");
    put!(out, "{}</th></tr>\n", Escaped(&super::heading(measure)));
    for alike in settings {
        let (row, best) = (&alike[0], best(alike).map_or(f64::NAN, |best| best.p50));
        let (unit, label) = (Unit::of(&row.unit, best), joined([&*row.what, &parameters(row)]));
        put!(out, "<tr><th scope=\"row\">{} ", Escaped(&label));
        put!(out, "<span class=\"quiet\">{}</span></th>", Escaped(unit.name));
        let leaders = leaders(alike);
        for name in transports {
            match alike.iter().find(|row| row.transport == *name) {
                Some(row) => write_cell(row, best, leaders.contains(name), unit, out),
                None => out.push_str("<td></td>"),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n");
}

/// Adds a median, marked if it leads, and otherwise how many times worse than the best it is.
fn write_cell(row: &Row, best: f64, leads: bool, unit: Unit, out: &mut String) {
    let class = if leads { " class=\"best\"" } else { "" };
    put!(out, "<td{class}>{}<small>", unit.short(row.p50));
    let worse = if row.lower_is_better { row.p50 / best } else { best / row.p50 };
    if leads {
        out.push('★');
    } else if worse.is_finite() && worse >= 1.05 {
        put!(out, "{worse:.1}×");
    }
    out.push_str("</small></td>");
}

/// Whether rows are of the same figure, whatever their parameters are.
fn is_series(one: &Row, other: &Row) -> bool {
    (&one.measure, &one.what) == (&other.measure, &other.what)
}

fn first_and_last(series: &[Row]) -> impl Iterator<Item = &[Row]> {
    let mut settings = series.chunk_by(is_alike);
    let first = settings.next();
    first.into_iter().chain(settings.last())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn summary(rows: &[Row], transports: &[&str]) -> String {
        let mut out = String::new();
        write(rows, transports, &mut out);
        out
    }

    #[test]
    fn the_winner_of_each_row_is_marked() {
        let summary = summary(&sample::rows(), &["zmq", "zeromq", "ipc"]);
        let row = summary.lines().find(|line| line.contains("round trip, 1 hop, 16 B")).unwrap();
        assert!(row.contains("<td class=\"best\">12.7<small>★") && row.contains("4.5×"), "{row}");
        assert_eq!(row.matches("★").count(), 1, "{row}");
        assert!(summary.contains("round trip, 16 hops, 64 KiB"), "{summary}");
        assert!(!summary.contains("4 hops"), "{summary}");
        assert!(summary.contains("ipc</b> is best in"), "{summary}");
    }

    #[test]
    fn a_transport_alone_wins_nothing() {
        let mut rows = sample::rows();
        rows.retain(|row| row.transport == "zmq");
        let summary = summary(&rows, &["zmq"]);
        assert!(!summary.contains("class=\"best\"") && !summary.contains("is best in"));
    }
}
