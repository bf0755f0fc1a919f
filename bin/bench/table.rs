//! Times as a table.

use std::fmt::Write;

use super::cell::Cell;
use super::times::Times;

/// The columns of times: what stands above one, and which share of the times is no longer.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Adds a line for each cell, in the order in which they come.
pub fn write(cells: &[Cell], text: &mut String) {
    text.push_str("\nhops  what    ");
    write_names(text);
    text.push_str("   ratio of medians\n");
    for cell in cells.iter().filter(|cell| cell.times.count() > 0) {
        let _ = write!(text, "{:>4}  {:<8}", cell.hops, cell.subject.name());
        write_times(&cell.times, text);
        if let Some(base) = base(cell, cells) {
            let ratio = cell.times.microseconds(0.5) / base.times.microseconds(0.5);
            let _ = write!(text, "   {ratio:.2} of {}", base.subject.name());
        }
        text.push('\n');
    }
}

/// Adds what stands above the columns of times.
pub fn write_names(text: &mut String) {
    for (name, _) in QUANTILES {
        let _ = write!(text, " {name:>9}");
    }
}

/// Adds the columns of times.
pub fn write_times(times: &Times, text: &mut String) {
    for (_, quantile) in QUANTILES {
        let _ = write!(text, " {:>9.1}", times.microseconds(quantile));
    }
}

/// What the cell is to be compared with, over the same distance.
fn base<'a>(cell: &Cell, cells: &'a [Cell]) -> Option<&'a Cell> {
    let base = cell.subject.base()?;
    let mut comparable = cells.iter().filter(|other| other.times.count() > 0);
    comparable.find(|other| other.hops == cell.hops && other.subject == base)
}
