//! All figures of a report as tables, one for each measure.

use super::group::{Group, Parameter, groups};
use super::markup::{Escaped, put};
use super::section::measures;
use super::unit::{Unit, number};
use super::words::spread;
use crate::bench::report::{Report, Row};

/// A column: what stands above it, and what it has of a row, if that has any.
type Column = (&'static str, fn(&Row) -> Option<String>);

/// What a row is of.
const SUBJECT: [Column; 2] =
    [("what", |row| Some(row.what.clone())), ("transport", |row| Some(row.transport.clone()))];

/// What was measured.
const FIGURES: [Column; 12] = [
    ("unit", |row| Some(Unit(&row.unit).name().to_owned())),
    ("samples", |row| Some(number(row.samples as f64))),
    ("min", |row| Some(number(row.min))),
    ("p50", |row| Some(number(row.p50))),
    ("p90", |row| Some(number(row.p90))),
    ("p99", |row| Some(number(row.p99))),
    ("p99.9", |row| Some(number(row.p99_9))),
    ("max", |row| Some(number(row.max))),
    ("p50 of the runs", |row| spread(row).map(|(low, high)| range(low, high))),
    ("held against", |row| row.floor.clone()),
    ("its p50", |row| row.floor_p50.map(number)),
    ("ratio", |row| row.ratio.map(ratio)),
];

/// The columns that are bold where the median is best.
const BOLD: [&str; 2] = ["transport", "p50"];

/// Adds them.
pub fn write(report: &Report, out: &mut String) {
    if report.rows.is_empty() {
        return;
    }
    out.push_str("<section>\n<h2>All figures</h2>\n");
    out.push_str("<p>Rows between two lines are to be compared; the best median is bold.</p>\n");
    for measure in measures(report) {
        let rows = report.rows.iter().filter(|row| row.measure == measure);
        write_table(measure, &rows.collect::<Vec<_>>(), out);
    }
    out.push_str("</section>\n");
}

fn write_table(measure: &str, rows: &[&Row], out: &mut String) {
    let columns = columns(rows);
    put!(
        out,
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<caption>{}</caption>",
        Escaped(measure)
    );
    out.push_str("\n<thead><tr>");
    for (name, _) in &columns {
        put!(out, "<th scope=\"col\">{}</th>", Escaped(name));
    }
    out.push_str("</tr></thead>\n");
    for group in groups(rows, None) {
        out.push_str("<tbody>\n");
        for row in &group.rows {
            let best = is_best(row, &group);
            out.push_str("<tr>");
            for (name, value) in &columns {
                let marked = best && BOLD.contains(name);
                out.push_str(if marked { "<td class=\"best\">" } else { "<td>" });
                put!(out, "{}</td>", Escaped(&value(row).unwrap_or_default()));
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table></div>\n");
}

/// Whether no median of the group is better, and one is worse.
fn is_best(row: &Row, group: &Group) -> bool {
    let better = |one: f64, other: f64| if row.lower_is_better { one < other } else { one > other };
    group.rows.iter().all(|other| !better(other.p50, row.p50))
        && group.rows.iter().any(|other| better(row.p50, other.p50))
}

/// A column's name and what it has of a row.
type NamedColumn<'a> = (&'a str, Box<dyn Fn(&Row) -> Option<String> + 'a>);

/// The columns that are not empty.
fn columns<'a>(rows: &[&'a Row]) -> Vec<NamedColumn<'a>> {
    let mut columns: Vec<NamedColumn> = Vec::new();
    for (name, value) in SUBJECT {
        columns.push((name, Box::new(value)));
    }
    for parameter in Parameter::ALL {
        columns.push((parameter.name(), Box::new(move |row| parameter.value(row))));
    }
    for (name, value) in FIGURES {
        columns.push((name, Box::new(value)));
    }
    for name in beside(rows) {
        columns.push((name, Box::new(move |row| beside_figure(row, name))));
    }
    columns.retain(|(_, value)| rows.iter().any(|row| value(row).is_some()));
    columns
}

/// What else the rows are held against.
fn beside<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for beside in rows.iter().flat_map(|row| &row.beside) {
        if !names.contains(&&*beside.name) {
            names.push(&beside.name);
        }
    }
    names
}

fn beside_figure(row: &Row, name: &str) -> Option<String> {
    let beside = row.beside.iter().find(|beside| beside.name == name)?;
    Some(format!("{} ({})", number(beside.p50), ratio(beside.ratio)))
}

fn range(low: f64, high: f64) -> String {
    format!("{} to {}", number(low), number(high))
}

fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn best(p50s: [f64; 3], unit: &str) -> [bool; 3] {
        let rows = p50s.map(|p50| sample::row("rtt", "ipc", "round trip", unit, p50));
        let rows: Vec<_> = rows.iter().collect();
        let [group] = &groups(&rows, None)[..] else { panic!("one group") };
        [0, 1, 2].map(|place| is_best(rows[place], group))
    }

    #[test]
    fn the_best_is_the_least_or_the_greatest() {
        assert_eq!(best([2.0, 1.0, 3.0], "us"), [false, true, false]);
        assert_eq!(best([2.0, 3.0, 3.0], "1/s"), [false, true, true]);
        assert_eq!(best([2.0, 2.0, 2.0], "us"), [false, false, false]);
    }

    #[test]
    fn columns_without_a_figure_are_left_out() {
        let mut row = sample::row("rtt", "ipc", "round trip", "us", 10.0);
        row.hops = Some(2);
        let columns = columns(&[&row]);
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        assert_eq!(names[..5], ["what", "transport", "hops", "unit", "samples"]);
        assert!(!names.contains(&"ratio"));
    }
}
