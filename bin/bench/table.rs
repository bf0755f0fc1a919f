//! Times as a table.

use std::fmt::Write;

use super::cell::Cell;

/// The columns of times: what stands above one, and which share of the times is no longer.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Adds a line for each cell, in the order in which they come.
pub fn write(cells: &[Cell], text: &mut String) {
    let _ = write!(text, "\nhops  what    ");
    for (name, _) in QUANTILES {
        let _ = write!(text, " {name:>9}");
    }
    text.push_str("   ratio of medians\n");
    for cell in cells.iter().filter(|cell| !cell.is_empty()) {
        let _ = write!(text, "{:>4}  {:<8}", cell.hops, cell.subject.name());
        for (_, quantile) in QUANTILES {
            let _ = write!(text, " {:>9.1}", cell.microseconds(quantile));
        }
        if let Some(base) = base(cell, cells) {
            let ratio = cell.microseconds(0.5) / base.microseconds(0.5);
            let _ = write!(text, "   {ratio:.2} of {}", base.subject.name());
        }
        text.push('\n');
    }
}

/// What the cell is to be compared with, over the same distance.
fn base<'a>(cell: &Cell, cells: &'a [Cell]) -> Option<&'a Cell> {
    let base = cell.subject.base()?;
    cells.iter().find(|other| other.hops == cell.hops && other.subject == base && !other.is_empty())
}
