//! What has changed between two benchmarks.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use hoptree_host::Failure;

use super::report::{self, Environment, Load, Report, Row};
use super::table::{is_alike, number, parameters};

/// What a figure of two benchmarks says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Better,
    Worse,
    /// The medians differ by no more than those of the runs of each do.
    WithinSpread,
    /// There is one run on a side, whose spread nobody knows.
    OneRun,
}

/// Compares the reports in two files, and says so in a text.
///
/// # Errors
///
/// When one can't be read, or is no report.
pub fn files(before: &Path, after: &Path) -> Result<String, Failure> {
    Ok(compare(&read(before)?, &read(after)?))
}

fn read(path: &Path) -> Result<Report, Failure> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("can't read '{name}': {error}")))?;
    let wrong = |why: &str| {
        Failure::Usage(format!("'{name}' was not written by 'hoptree bench --json': {why}"))
    };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(report::VERSION) => {}
        Some(version) => return Err(wrong(&format!("its format has the version {version}"))),
        None => return Err(wrong("it has no version")),
    }
    serde_json::from_value(value).map_err(|error| wrong(&error.to_string()))
}

/// Says of each figure of both what has become of it, and what else differs.
fn compare(before: &Report, after: &Report) -> String {
    let mut text = String::from("A:\n");
    describe(before, &mut text);
    text.push_str("B:\n");
    describe(after, &mut text);
    write_differences(&before.environment, &after.environment, &mut text);

    let mut counts = [0_usize; 4];
    let mut last: Option<&Row> = None;
    let mut only_after = Vec::new();
    for row in &after.rows {
        let Some(old) = before.rows.iter().find(|old| is_same(old, row)) else {
            only_after.push(row);
            continue;
        };
        if last.is_none_or(|last| (&last.measure, &last.what) != (&row.measure, &row.what)) {
            write_heading(row, &mut text);
        }
        let verdict = judge(old, row);
        counts[verdict as usize] += 1;
        write_row(old, row, verdict, &mut text);
        last = Some(row);
    }
    let only_before: Vec<_> =
        before.rows.iter().filter(|old| !after.rows.iter().any(|row| is_same(old, row))).collect();
    write_only("A", &only_before, &mut text);
    write_only("B", &only_after, &mut text);
    write_summary(counts, &mut text);
    text
}

fn describe(report: &Report, text: &mut String) {
    let Environment { command_line, date, runs, .. } = &report.environment;
    let runs = if *runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
    let _ = writeln!(text, "  {command_line}\n  {date}, {runs}");
    if report.interrupted {
        text.push_str("  it was ended early\n");
    }
    for warning in report.loads.iter().filter_map(Load::warning) {
        let _ = writeln!(text, "  {warning}");
    }
}

/// Adds a line for whatever makes it doubtful to compare the two.
fn write_differences(before: &Environment, after: &Environment, text: &mut String) {
    let libraries = |it: &Environment| format!("{:?}", it.libraries);
    let option = |it: &Option<String>| it.clone().unwrap_or_else(|| "none".to_owned());
    let pairs = [
        ("hoptree", before.hoptree.clone(), after.hoptree.clone()),
        ("compiler", before.rustc.clone(), after.rustc.clone()),
        ("build", before.build.clone(), after.build.clone()),
        ("libraries", libraries(before), libraries(after)),
        ("processor", before.machine.clone(), after.machine.clone()),
        ("cores", before.cores.to_string(), after.cores.to_string()),
        ("kernel", before.kernel.clone(), after.kernel.clone()),
        ("governor", option(&before.governor), option(&after.governor)),
        ("pinned to", option(&before.pinned), option(&after.pinned)),
        ("quick", before.quick.to_string(), after.quick.to_string()),
    ];
    for (name, before, after) in pairs.into_iter().filter(|(_, before, after)| before != after) {
        let _ = writeln!(text, "not the same: {name}\n  A: {before}\n  B: {after}");
    }
}

fn write_heading(row: &Row, text: &mut String) {
    let Row { measure, what, unit, .. } = row;
    let unit = if unit == "1" { String::new() } else { format!(", {unit}") };
    let _ = writeln!(
        text,
        "\n{:<42}{:>9}{:>9}{:>9}  verdict",
        format!("{measure}: {what}{unit}"),
        "A, p50",
        "B, p50",
        "change"
    );
}

fn write_row(before: &Row, after: &Row, verdict: Verdict, text: &mut String) {
    let change = if before.p50 > 0.0 {
        format!("{:+.1}%", (after.p50 / before.p50 - 1.0) * 100.0)
    } else {
        "-".to_owned()
    };
    let _ = writeln!(
        text,
        "  {:<28} {:<11}{:>9}{:>9}{change:>9}  {}",
        parameters(after),
        after.transport,
        number(before.p50),
        number(after.p50),
        verdict.name()
    );
}

fn write_only(side: &str, rows: &[&Row], text: &mut String) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nonly in {side}:");
    for row in rows {
        let words = [&*row.measure, &row.what, &parameters(row), &row.transport];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let _ = writeln!(text, "  {}", words.join(", "));
    }
}

fn write_summary(counts: [usize; 4], text: &mut String) {
    let verdicts = [Verdict::Better, Verdict::Worse, Verdict::WithinSpread, Verdict::OneRun];
    let counted = verdicts.into_iter().filter(|verdict| counts[*verdict as usize] > 0);
    let parts: Vec<_> =
        counted.map(|verdict| format!("{} {}", counts[verdict as usize], verdict.name())).collect();
    let summary = if parts.is_empty() { "nothing to compare".to_owned() } else { parts.join(", ") };
    let _ = writeln!(text, "\nB to A: {summary}");
}

/// Whether two rows are of the same figure.
fn is_same(a: &Row, b: &Row) -> bool {
    a.transport == b.transport && a.unit == b.unit && is_alike(a, b)
}

/// A figure has changed when its medians lie further apart than those of the runs of both sides
/// together: what runs of the same program do to each other is no change.
fn judge(before: &Row, after: &Row) -> Verdict {
    let (Some(before_width), Some(after_width)) = (width(before), width(after)) else {
        return Verdict::OneRun;
    };
    let change = after.p50 - before.p50;
    if change.abs() <= before_width + after_width {
        Verdict::WithinSpread
    } else if (change < 0.0) == after.lower_is_better {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

/// How far the medians of the runs lie apart; none when there is one run.
fn width(row: &Row) -> Option<f64> {
    let least = row.run_p50.iter().copied().reduce(f64::min)?;
    let greatest = row.run_p50.iter().copied().reduce(f64::max)?;
    (row.run_p50.len() > 1).then_some(greatest - least)
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::WithinSpread => "within the spread",
            Verdict::OneRun => "one run only",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::row;
    use super::*;

    fn report(rows: Vec<Row>) -> Report {
        Report {
            version: report::VERSION,
            environment: Environment { runs: 3, ..Environment::default() },
            interrupted: false,
            failures: Vec::new(),
            loads: Vec::new(),
            rows,
        }
    }

    #[test]
    fn a_change_is_more_than_the_spread_of_both() {
        let before = row("ipc", 1, &[9.5, 10.0, 10.5]);
        for (after, verdict) in [
            ([7.8, 8.0, 8.2], Verdict::Better),
            ([11.8, 12.0, 12.2], Verdict::Worse),
            ([11.0, 11.1, 11.2], Verdict::WithinSpread),
            ([8.0, 12.0, 13.0], Verdict::WithinSpread),
        ] {
            assert_eq!(judge(&before, &row("ipc", 1, &after)), verdict, "{after:?}");
        }
        assert_eq!(judge(&before, &row("ipc", 1, &[1.0])), Verdict::OneRun);
    }

    #[test]
    fn more_commands_a_second_are_better() {
        let [mut before, mut after] = [row("ipc", 1, &[1.0, 1.0]), row("ipc", 1, &[2.0, 2.0])];
        (before.lower_is_better, after.lower_is_better) = (false, false);
        assert_eq!(judge(&before, &after), Verdict::Better);
    }

    #[test]
    fn two_reports_are_compared_row_by_row() {
        let before = report(vec![
            row("zmq", 1, &[50.0, 50.0]),
            row("ipc", 1, &[10.0, 10.2]),
            row("ipc", 2, &[20.0, 20.2]),
        ]);
        let mut after = report(vec![
            row("zmq", 1, &[40.0, 40.0]),
            row("ipc", 1, &[10.1, 10.3]),
            row("ipc", 4, &[40.0, 40.0]),
        ]);
        after.environment.kernel = "Linux 7".to_owned();
        let text = compare(&before, &after);
        assert!(text.contains("-20.0%  better"), "{text}");
        assert!(text.contains("within the spread"), "{text}");
        assert!(text.contains("only in A:\n  rtt, round trip, 2 hops, 1 KiB, ipc"), "{text}");
        assert!(text.contains("only in B:\n  rtt, round trip, 4 hops, 1 KiB, ipc"), "{text}");
        assert!(text.contains("not the same: kernel"), "{text}");
        assert!(text.ends_with("B to A: 1 better, 1 within the spread\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn a_report_survives_its_file() {
        let report = report(vec![row("ipc", 1, &[10.25, 11.0])]);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
