//! What a row says, in words.

use super::unit::{Unit, number};
use crate::bench::report::Row;

/// The figures of a row, exactly.
pub fn about(row: &Row) -> String {
    let unit = Unit(&row.unit);
    let mut text = format!("p50 {}, p99 {}", unit.exact(row.p50), unit.exact(row.p99));
    if let Some((low, high)) = spread(row) {
        text.push_str(&format!("; medians of {} runs ", row.run_p50.len()));
        text.push_str(&format!("{} to {}", unit.exact(low), unit.exact(high)));
    }
    if let (Some(floor), Some(p50), Some(ratio)) = (&row.floor, row.floor_p50, row.ratio) {
        text.push_str(&format!("; {} times {floor}, {}", number(ratio), unit.exact(p50)));
    }
    text
}

/// The least and the greatest median of several runs, when they differ.
pub fn spread(row: &Row) -> Option<(f64, f64)> {
    let least = row.run_p50.iter().copied().reduce(f64::min)?;
    let most = row.run_p50.iter().copied().reduce(f64::max)?;
    (least < most).then_some((least, most))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_row_tells_its_spread_and_its_ratio_when_it_has_them() {
        let mut row = sample::row("rtt", "zmq", "round trip", "us", 10.0);
        (row.p99, row.run_p50) = (20.0, vec![11.0, 9.0]);
        (row.floor, row.floor_p50, row.ratio) = (Some("raw".to_owned()), Some(8.0), Some(1.25));
        let all = "p50 10 µs, p99 20 µs; medians of 2 runs 9 µs to 11 µs; 1.25 times raw, 8 µs";
        assert_eq!(about(&row), all);
        (row.run_p50, row.floor) = (vec![10.0], None);
        assert_eq!(about(&row), "p50 10 µs, p99 20 µs");
    }
}
