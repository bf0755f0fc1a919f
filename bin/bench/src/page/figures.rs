//! All figures of a report as tables, one for each measure.

use super::best::leaders;
use super::markup::{Escaped, put};
use crate::report::Row;
use crate::table::{is_alike, number, parameters};

/// A column: what stands above it, and what it has of a row.
type Column = (&'static str, fn(&Row) -> String);

const COLUMNS: [Column; 14] = [
    ("what", |row| row.what.clone()),
    ("with", parameters),
    ("transport", |row| row.transport.clone()),
    ("unit", |row| row.unit.clone()),
    ("samples", |row| row.samples.to_string()),
    ("min", |row| number(row.min)),
    ("p50", |row| number(row.p50)),
    ("p90", |row| number(row.p90)),
    ("p99", |row| number(row.p99)),
    ("p99.9", |row| number(row.p99_9)),
    ("max", |row| number(row.max)),
    ("p50 of each run", |row| list(row.run_p50.iter().map(|p50| number(*p50)))),
    ("floor: p50 (ratio)", |row| match (&row.floor, row.floor_p50, row.ratio) {
        (Some(floor), Some(p50), Some(ratio)) => held_against(floor, p50, ratio),
        _ => String::new(),
    }),
    ("beside: p50 (ratio)", |row| {
        list(row.beside.iter().map(|other| held_against(&other.name, other.p50, other.ratio)))
    }),
];

/// Adds them.
pub fn write(rows: &[Row], out: &mut String) {
    out.push_str("<section>\n<h2>All figures</h2>\n");
    for rows in rows.chunk_by(|one, other| one.measure == other.measure) {
        write_table(rows, out);
    }
    out.push_str("</section>\n");
}

fn write_table(rows: &[Row], out: &mut String) {
    out.push_str("<div class=\"scroll\" tabindex=\"0\"><table class=\"all\">\n");
    put!(out, "<caption>{}</caption>\n<thead><tr>", Escaped(&rows[0].measure));
    for (name, _) in COLUMNS {
        put!(out, "<th scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead>\n");
    for alike in rows.chunk_by(is_alike) {
        out.push_str("<tbody>\n");
        let leaders = leaders(alike);
        for row in alike {
            let leads = leaders.contains(&&*row.transport);
            out.push_str(if leads { "<tr class=\"best\">" } else { "<tr>" });
            for (_, value) in COLUMNS {
                put!(out, "<td>{}</td>", Escaped(&value(row)));
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table></div>\n");
}

fn held_against(name: &str, p50: f64, ratio: f64) -> String {
    format!("{name}: {} ({ratio:.2})", number(p50))
}

fn list(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join("; ")
}
