//! Figures as a table of at most 100 columns.

use std::fmt::Write;

use super::measure::Measure;
use super::report::{Load, Row};

/// What the columns mean, once for all tables.
pub const LEGEND: &str = "\n*: the best median. spread: how far the medians of the runs lie apart. \
                          ratio: of the median,\nto that of what is named (in brackets: its \
                          median), which does the same with less in the way.\n";

/// The table of a measure, with nothing but its heading when there are no rows.
pub fn table(measure: Measure, rows: &[Row]) -> String {
    let mut text = format!("\n{}: {}\n", measure.name(), measure.about());
    let mut last: Option<&Row> = None;
    for group in rows.chunk_by(is_alike) {
        let first = &group[0];
        if last.is_none_or(|last| (&last.what, &last.unit) != (&first.what, &first.unit)) {
            write_heading(first, &mut text);
        }
        for (index, row) in group.iter().enumerate() {
            let label = if index == 0 { parameters(row) } else { String::new() };
            write_row(row, &label, is_best(row, group), &mut text);
        }
        group.iter().for_each(|row| write_beside(row, &mut text));
        last = Some(first);
    }
    text
}

/// What the user must know of the loads, below all tables; nothing when the machine was at rest.
pub fn warnings(loads: &[Load]) -> Option<String> {
    let lines: Vec<_> = loads.iter().filter_map(Load::warning).collect();
    (!lines.is_empty()).then(|| format!("\n{}\n", lines.join("\n")))
}

/// What a row is of, beside its measure, its figure and its transport.
pub fn parameters(row: &Row) -> String {
    let parts = [
        row.hops.map(|hops| count(hops, "hop")),
        row.payload_bytes.map(bytes),
        row.nodes.map(|nodes| count(nodes, "node")),
        row.window.map(|window| format!("window {window}")),
        row.shape.clone(),
        row.interval_ms.map(|ms| format!("every {ms} ms")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A value in few places.
pub fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

/// Whether to compare rows: they differ in their transport alone.
pub fn is_alike(a: &Row, b: &Row) -> bool {
    (&a.measure, &a.what) == (&b.measure, &b.what) && parameters(a) == parameters(b)
}

fn write_heading(row: &Row, text: &mut String) {
    let Row { what, unit, .. } = row;
    let unit = if unit == "1" { String::new() } else { format!(", {unit}") };
    let _ = writeln!(
        text,
        "\n{:<33}{:>9}{:>8}{:>8}{:>8}{:>8}{:>8}  ratio",
        format!("{what}{unit}"),
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "spread"
    );
}

fn write_row(row: &Row, label: &str, best: bool, text: &mut String) {
    let mark = if best { '*' } else { ' ' };
    let _ = write!(text, "  {label:<20} {:<10}{mark}", row.transport);
    for value in [row.p50, row.p90, row.p99, row.p99_9, row.max] {
        let _ = write!(text, "{:>8}", number(value));
    }
    let _ = write!(text, "{:>8}", spread(row).map_or("-".to_owned(), percent));
    if let (Some(floor), Some(ratio)) = (&row.floor, row.ratio) {
        let _ = write!(text, " {:>4} {floor}", number(ratio));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
}

/// Adds a line with what else a row is held against, if there is anything.
fn write_beside(row: &Row, text: &mut String) {
    if row.beside.is_empty() {
        return;
    }
    let others = row
        .beside
        .iter()
        .map(|other| format!("{} {} ({})", number(other.ratio), other.name, number(other.p50)));
    let others = others.collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "    {}, ratio: {others}", row.transport);
}

fn percent(share: f64) -> String {
    if share < 10.0 { format!("{:.1}%", share * 100.0) } else { ">999%".to_owned() }
}

/// How far the medians of the runs lie apart, as a share of the median; none when there is one run.
fn spread(row: &Row) -> Option<f64> {
    let least = row.run_p50.iter().copied().reduce(f64::min)?;
    let greatest = row.run_p50.iter().copied().reduce(f64::max)?;
    (row.run_p50.len() > 1 && row.p50 > 0.0).then(|| (greatest - least) / row.p50)
}

/// Whether nothing in the group is better, and anything is worse.
fn is_best(row: &Row, group: &[Row]) -> bool {
    let better = |a: &Row, b: &Row| if a.lower_is_better { a.p50 < b.p50 } else { a.p50 > b.p50 };
    !group.iter().any(|other| better(other, row)) && group.iter().any(|other| better(row, other))
}

fn count(number: u32, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

fn bytes(bytes: u32) -> String {
    if bytes.is_multiple_of(1024) && bytes > 0 {
        format!("{} KiB", bytes / 1024)
    } else {
        format!("{bytes} B")
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::report::Beside;
    use super::*;

    /// A row of the measure rtt, with medians of runs.
    pub fn row(transport: &str, hops: u32, run_p50: &[f64]) -> Row {
        let p50 = run_p50[run_p50.len() / 2];
        Row {
            measure: "rtt".to_owned(),
            transport: transport.to_owned(),
            what: "round trip".to_owned(),
            hops: Some(hops),
            payload_bytes: Some(1024),
            nodes: None,
            window: None,
            shape: None,
            interval_ms: None,
            unit: "us".to_owned(),
            lower_is_better: true,
            samples: 3,
            min: p50,
            p50,
            p90: p50,
            p99: 4_999_999.0,
            p99_9: 4_999_999.0,
            max: 4_999_999.0,
            run_p50: run_p50.to_vec(),
            floor: Some("raw fan-out".to_owned()),
            floor_p50: Some(p50 / 2.0),
            ratio: Some(2.0),
            beside: Vec::new(),
            histogram: vec![(p50, 3)],
        }
    }

    #[test]
    fn the_best_of_each_group_is_marked() {
        let rows = [
            row("zmq", 1, &[50.0]),
            row("ipc", 1, &[12.0]),
            row("zmq", 16, &[7.0]),
            row("ipc", 16, &[7.0]),
        ];
        let text = table(Measure::Rtt, &rows);
        let marked: Vec<_> = text.lines().filter(|line| line.contains('*')).collect();
        assert_eq!(marked.len(), 1, "{text}");
        assert!(marked[0].trim_start().starts_with("ipc"), "{text}");
        assert_eq!(text.matches("round trip, us").count(), 1, "{text}");
    }

    #[test]
    fn more_is_better_where_it_says_so() {
        let [mut slow, mut fast] = [row("zmq", 1, &[5.0]), row("ipc", 1, &[6.0])];
        (slow.lower_is_better, fast.lower_is_better) = (false, false);
        let group = [slow, fast];
        assert!(is_best(&group[1], &group) && !is_best(&group[0], &group));
    }

    #[test]
    fn the_widest_row_fits() {
        let mut widest = row("zeromq:tcp", 1, &[4_999_999.0, 1.0, 4_999_999.0]);
        (widest.hops, widest.payload_bytes) = (None, None);
        (widest.nodes, widest.window) = (Some(8), Some(1000));
        let besides = ["library", "unix socket", "tcp"].map(str::to_owned);
        widest.beside = besides.map(|name| Beside { name, p50: 4_999_999.0, ratio: 99.95 }).into();
        let text = table(Measure::Throughput, &[widest]);
        assert!(text.contains("8 nodes, window 1000 zeromq:tcp "), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(LEGEND.lines().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn the_spread_is_that_of_the_medians_of_runs() {
        assert_eq!(spread(&row("ipc", 1, &[9.0, 10.0, 12.0])), Some(0.3));
        assert_eq!(spread(&row("ipc", 1, &[9.0])), None);
        assert_eq!(spread(&row("ipc", 1, &[0.0, 0.0])), None);
    }

    #[test]
    fn numbers_have_few_places() {
        let numbers = [0.0, 0.034, 7.5, 99.44, 4_660_000.2].map(number);
        assert_eq!(numbers, ["0", "0.03", "7.50", "99.4", "4660000"]);
    }

    #[test]
    fn parameters_are_in_words() {
        assert_eq!(parameters(&row("ipc", 2, &[1.0])), "2 hops, 1 KiB");
        assert_eq!((bytes(16), bytes(64 * 1024)), ("16 B".to_owned(), "64 KiB".to_owned()));
    }
}
