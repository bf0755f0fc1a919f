//! Rows for tests, with figures like those of a real report.

use crate::report::Row;
use crate::table::tests;

/// The transports, each with what its times are multiples of, in microseconds.
const TRANSPORTS: [(&str, f64); 3] = [("zmq", 57.0), ("zeromq", 21.5), ("ipc", 12.7)];

/// The rows of several measures, with parameters of each kind.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (hops, payload) in [(1, 16), (1, 65_536), (4, 16), (4, 65_536), (16, 16), (16, 65_536)] {
        let raw = if hops == 1 { "raw" } else { "raw chain" };
        rows.extend(TRANSPORTS.map(|(transport, base)| {
            let row = row("rtt", transport, "round trip", "us", base * f64::from(hops));
            Row {
                hops: Some(hops),
                payload_bytes: Some(payload),
                floor: Some(raw.to_owned()),
                ..row
            }
        }));
    }
    for (nodes, window) in [(1, 1), (1, 16), (1, 1_000), (8, 1), (8, 16), (8, 1_000)] {
        rows.extend(TRANSPORTS.map(|(transport, base)| {
            let row = row("throughput", transport, "echo", "1/s", 1e6 / base * f64::from(window));
            Row { nodes: Some(nodes), window: Some(window), ..row }
        }));
    }
    for nodes in [1, 8, 64, 256] {
        rows.extend(TRANSPORTS.map(|(transport, base)| {
            let row = row("create", transport, "until ready", "ms", base * f64::from(nodes) / 50.0);
            Row { nodes: Some(nodes), ..row }
        }));
    }
    for (nodes, shape) in [(16, "chain"), (30, "binary")] {
        rows.extend(TRANSPORTS.map(|(transport, base)| {
            let row = row("failure", transport, "kill to healed", "us", base * 80.0);
            Row { nodes: Some(nodes), shape: Some(shape.to_owned()), ..row }
        }));
    }
    for (what, unit, factor) in
        [("memory", "KiB", 4.0), ("threads", "1", 0.1), ("alarms", "1", 0.0)]
    {
        rows.extend(
            TRANSPORTS
                .map(|(transport, base)| row("footprint", transport, what, unit, base * factor)),
        );
    }
    rows
}

/// A row with this median, and no parameter.
pub fn row(measure: &str, transport: &str, what: &str, unit: &str, p50: f64) -> Row {
    Row {
        measure: measure.to_owned(),
        what: what.to_owned(),
        hops: None,
        payload_bytes: None,
        unit: unit.to_owned(),
        samples: 5_000,
        lower_is_better: unit != "1/s",
        min: p50 * 0.6,
        p90: p50 * 1.5,
        p99: p50 * 2.5,
        p99_9: p50 * 4.0,
        max: p50 * 5.0,
        ..tests::row(transport, 1, &[p50 * 0.95, p50, p50 * 1.08])
    }
}
