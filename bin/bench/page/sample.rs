//! A report for tests, with figures like those of a real one.

use std::collections::BTreeMap;

use crate::bench::report::{Beside, Environment, Report, Row, VERSION};

/// The transports, each with what its times are multiples of, in microseconds.
const TRANSPORTS: [(&str, f64); 3] = [("zmq", 57.0), ("zeromq", 21.5), ("ipc", 12.7)];

/// A report with every measure.
pub fn report() -> Report {
    let mut rows = Vec::new();
    rtt(&mut rows);
    throughput(&mut rows);
    many_nodes(&mut rows);
    losses(&mut rows);
    footprint(&mut rows);
    Report { rows, ..empty() }
}

/// A report without a row.
pub fn empty() -> Report {
    let libraries =
        [("zmq", "libzmq 4.3.4"), ("zeromq", "zeromq 0.7"), ("ipc", "ipc-channel 0.23")];
    let libraries = libraries.map(|(name, library)| (name.to_owned(), library.to_owned()));
    Report {
        version: VERSION,
        environment: Environment {
            command_line: "hoptree bench --transports zmq,zeromq,ipc --runs 3".to_owned(),
            date: "2026-11-22T21:00:00Z".to_owned(),
            hoptree: "0.1.0".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
            build: "release, static".to_owned(),
            libraries: BTreeMap::from(libraries),
            machine: "AMD EPYC".to_owned(),
            cores: 2,
            kernel: "Linux 6.18.44".to_owned(),
            runs: 3,
            ..Environment::default()
        },
        interrupted: false,
        failures: Vec::new(),
        loads: Vec::new(),
        rows: Vec::new(),
    }
}

/// A row with 3,000 values around this median, of three runs.
pub fn row(measure: &str, transport: &str, what: &str, unit: &str, p50: f64) -> Row {
    let histogram = histogram(p50);
    let samples: u64 = histogram.iter().map(|(_, count)| count).sum();
    let quantile = |share: f64| {
        let mut beyond = (share * samples as f64).ceil() as i64;
        let reached = histogram.iter().find(|(_, count)| {
            beyond -= *count as i64;
            beyond <= 0
        });
        reached.map_or(p50, |(value, _)| *value)
    };
    Row {
        measure: measure.to_owned(),
        transport: transport.to_owned(),
        what: what.to_owned(),
        hops: None,
        payload_bytes: None,
        nodes: None,
        window: None,
        shape: None,
        interval_ms: None,
        unit: unit.to_owned(),
        lower_is_better: unit != "1/s",
        samples,
        min: histogram[0].0,
        p50,
        p90: quantile(0.9),
        p99: quantile(0.99),
        p99_9: quantile(0.999),
        max: histogram[histogram.len() - 1].0,
        run_p50: vec![p50 * 0.95, p50, p50 * 1.08],
        floor: None,
        floor_p50: None,
        ratio: None,
        beside: Vec::new(),
        histogram,
    }
}

/// Values whose logarithm is spread more to the right than to the left, in 400 steps.
fn histogram(p50: f64) -> Vec<(f64, u64)> {
    let step = |step: u32| {
        let distance = f64::from(step) / 100.0 - 1.0;
        let width = if distance < 0.0 { 0.2 } else { 0.25 };
        let count = 80.0 * (-(distance / width).abs().powf(0.8)).exp();
        (p50 * (distance * 0.6).exp(), count.round() as u64)
    };
    (0..400).map(step).filter(|(_, count)| *count > 0).collect()
}

impl Row {
    fn held_against(mut self, floor: &str, p50: f64) -> Row {
        self.floor = Some(floor.to_owned());
        self.floor_p50 = Some(p50);
        self.ratio = Some(self.p50 / p50);
        self
    }

    fn beside(mut self, name: &str, p50: f64) -> Row {
        self.beside.push(Beside { name: name.to_owned(), p50, ratio: self.p50 / p50 });
        self
    }
}

fn rtt(rows: &mut Vec<Row>) {
    for (payload, factor) in [(16, 1.0), (1_024, 1.1), (65_536, 3.6)] {
        for hops in [1, 2, 4, 8, 16] {
            for (transport, base) in TRANSPORTS {
                let chain = base * factor * f64::from(hops).powf(1.06);
                let ratio = 1.02 + f64::from(hops).ln() / base;
                let row = row("rtt", transport, "round trip", "us", chain * ratio);
                let raw = if hops == 1 { "raw" } else { "raw chain" };
                let row = row.held_against(raw, chain);
                let row = Row { hops: Some(hops), payload_bytes: Some(payload), ..row };
                rows.push(match hops {
                    1 => row
                        .beside("library", chain * 0.83)
                        .beside("unix socket", 6.1 * factor)
                        .beside("tcp", 9.3 * factor),
                    _ => row,
                });
            }
        }
    }
}

fn throughput(rows: &mut Vec<Row>) {
    for nodes in [1, 8] {
        for window in [1_u32, 16, 256, 1_000] {
            for (transport, base) in TRANSPORTS {
                let rate = 1e6 / base * f64::from(window).powf(0.83) / f64::from(nodes).sqrt();
                let row = row("throughput", transport, "echo", "1/s", rate);
                let row = row.held_against("raw", rate / f64::from(window).powf(0.12));
                rows.push(Row { nodes: Some(nodes), window: Some(window), ..row });
            }
        }
    }
}

fn many_nodes(rows: &mut Vec<Row>) {
    for (shape, factor) in [("flat", 1.0), ("binary", 1.7)] {
        for nodes in [8, 64] {
            for (transport, base) in TRANSPORTS {
                let row =
                    row("fanout", transport, "exec *", "us", base * f64::from(nodes) * factor);
                let row = row.held_against("raw fan-out", base * f64::from(nodes) * 0.9);
                rows.push(Row { nodes: Some(nodes), shape: Some(shape.to_owned()), ..row });
            }
        }
    }
    for nodes in [1, 8, 64, 256] {
        for (transport, base) in TRANSPORTS {
            let time = (0.9 + base / 80.0) * f64::from(nodes).powf(0.85);
            let row = row("create", transport, "until ready", "ms", time);
            let row = row.held_against("bare spawn", 0.4 * f64::from(nodes).powf(0.85));
            rows.push(Row { nodes: Some(nodes), ..row });
        }
    }
}

fn losses(rows: &mut Vec<Row>) {
    for (transport, base) in TRANSPORTS {
        let row = row("failure", transport, "kill to answer", "us", 150.0 + base * 2.0);
        rows.push(row.held_against("end of file", 115.0).beside("raw", 140.0 + base * 1.7));
    }
    for (transport, base) in TRANSPORTS {
        let row = row("failure", transport, "kill to healed", "us", 1_000.0 + base * 80.0);
        rows.push(Row { nodes: Some(15), shape: Some("chain".to_owned()), ..row });
    }
    for (transport, base) in TRANSPORTS {
        let row = row("heartbeat", transport, "stop to notice", "intervals", 2.2 + base / 100.0);
        rows.push(Row { interval_ms: Some(100), ..row });
    }
    for (transport, _) in TRANSPORTS {
        let mut alarms = row("heartbeat", transport, "false alarms", "1/min", 0.0);
        (alarms.histogram, alarms.run_p50) = (vec![(0.0, 3)], vec![0.0, 0.0, 0.0]);
        rows.push(alarms);
    }
}

fn footprint(rows: &mut Vec<Row>) {
    let figures = [
        ("memory", "KiB", [261.0, 231.0, 162.0], 0.7),
        ("threads", "1", [4.0, 2.0, 2.0], 1.0),
        ("descriptors", "1", [22.0, 11.0, 11.0], 0.8),
        ("idle time on a core", "us/s", [80.0, 95.0, 40.0], 0.1),
    ];
    for (what, unit, values, raw) in figures {
        for ((transport, _), value) in TRANSPORTS.into_iter().zip(values) {
            let row = row("footprint", transport, what, unit, value);
            let row = row.held_against("raw", value * raw).beside("library", value * raw * 0.8);
            rows.push(Row { nodes: Some(64), ..row });
        }
    }
}
