//! Which transport is best at what.

use crate::report::Row;

/// The transports that lead among these rows, which differ in nothing else: the one with the best
/// median, and those that the runs can't tell from it, since their medians overlap. None when that
/// holds for all.
pub fn leaders(alike: &[Row]) -> Vec<&str> {
    let Some((least, greatest)) = best(alike).map(runs) else { return Vec::new() };
    let leads = |row: &&Row| runs(row).0 <= greatest && runs(row).1 >= least;
    let leaders: Vec<_> = alike.iter().filter(leads).map(|row| &*row.transport).collect();
    if leaders.len() < alike.len() { leaders } else { Vec::new() }
}

/// The row with the best median.
pub fn best(alike: &[Row]) -> Option<&Row> {
    alike.iter().min_by(|one, other| {
        let order = one.p50.total_cmp(&other.p50);
        if one.lower_is_better { order } else { order.reverse() }
    })
}

/// The least and the greatest of the row's medians.
fn runs(row: &Row) -> (f64, f64) {
    let least = row.run_p50.iter().copied().fold(row.p50, f64::min);
    (least, row.run_p50.iter().copied().fold(row.p50, f64::max))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn leading(runs: [[f64; 2]; 3], unit: &str) -> String {
        let rows = ["a", "b", "c"].into_iter().zip(runs).map(|(transport, run_p50)| {
            let p50 = f64::midpoint(run_p50[0], run_p50[1]);
            Row { run_p50: run_p50.to_vec(), ..sample::row("rtt", transport, "trip", unit, p50) }
        });
        leaders(&rows.collect::<Vec<_>>()).concat()
    }

    #[test]
    fn the_least_or_the_greatest_leads() {
        let runs = [[20.0, 22.0], [10.0, 12.0], [30.0, 33.0]];
        assert_eq!([leading(runs, "us"), leading(runs, "1/s")], ["b", "c"]);
    }

    #[test]
    fn what_the_runs_cannot_tell_apart_leads_together() {
        assert_eq!(leading([[11.0, 14.0], [10.0, 12.0], [30.0, 33.0]], "us"), "ab");
        assert_eq!(leading([[2.0, 2.0]; 3], "us"), "");
    }
}
