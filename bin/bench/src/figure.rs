//! What figures are of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a row of figures is of, whoever does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// Which figure of its measure.
    pub what: String,
    /// How many links there are between the control node and the node that is asked.
    pub hops: Option<u32>,
    /// How long the text is that travels.
    pub payload_bytes: Option<u32>,
    /// How many nodes take part.
    pub nodes: Option<u32>,
    /// How many commands may be unanswered at a time.
    pub window: Option<u32>,
    /// The shape of the tree.
    pub shape: Option<String>,
    /// How often nodes beat.
    pub interval_ms: Option<u32>,
    /// What its values are in.
    pub unit: Unit,
}

/// What values are in. A time comes in microseconds or milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Times a second. More is better.
    PerSecond,
    /// Millions of bytes a second. More is better.
    MegabytesPerSecond,
    /// Times a minute.
    PerMinute,
    /// Intervals between two beats.
    Intervals,
    /// Units of 1,024 bytes.
    KiB,
    /// Microseconds in a second.
    UsPerSecond,
    /// A number of things.
    Count,
    /// Hundredths.
    Percent,
}

/// What does the work. In the order in which hoptree is held against the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// The whole of hoptree.
    Hoptree,
    /// hoptree with no flood to anybody.
    NoFlood,
    /// hoptree with a flood to a node that reads it.
    RunningFlood,
    /// The end of a process at a plain socket.
    EndOfFile,
    /// The transport alone.
    Raw,
    /// A chain of processes with the transport alone.
    RawChain,
    /// The transport alone, to many processes at once.
    RawFanout,
    /// The pipe of a program, read to its end.
    Pipe,
    /// Processes that end as soon as they are started.
    BareSpawn,
    /// The library under the transport, in blocking calls.
    Library,
    /// A Unix socket without any library.
    UnixSocket,
    /// A TCP connection without any library.
    Tcp,
}

/// What a turn has found of one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What the values are of.
    pub figure: Figure,
    /// Whose they are.
    pub subject: Subject,
    /// The values, in the unit of the figure.
    pub values: Vec<f64>,
}

impl Figure {
    /// A figure without any parameters.
    pub fn new(what: &str, unit: Unit) -> Figure {
        Figure {
            what: what.to_owned(),
            hops: None,
            payload_bytes: None,
            nodes: None,
            window: None,
            shape: None,
            interval_ms: None,
            unit,
        }
    }

    /// The figure with this many nodes.
    pub fn with_nodes(self, nodes: usize) -> Figure {
        Figure { nodes: Some(small(nodes)), ..self }
    }

    /// The figure over this distance.
    pub fn with_hops(self, hops: usize) -> Figure {
        Figure { hops: Some(small(hops)), ..self }
    }

    /// The figure with nodes in this shape.
    pub fn with_shape(self, shape: &str) -> Figure {
        Figure { shape: Some(shape.to_owned()), ..self }
    }

    /// The figure with this window.
    pub fn with_window(self, window: usize) -> Figure {
        Figure { window: Some(small(window)), ..self }
    }

    /// The figure over this distance with so long a text.
    pub fn with_way(self, hops: usize, payload_bytes: usize) -> Figure {
        Figure { hops: Some(small(hops)), payload_bytes: Some(small(payload_bytes)), ..self }
    }

    /// The figure with beats this often.
    pub fn with_interval(self, interval: Duration) -> Figure {
        let ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        Figure { interval_ms: Some(ms), ..self }
    }

    /// These values of it, which are those of `subject`.
    pub fn found(&self, subject: Subject, values: Vec<f64>) -> Found {
        Found { figure: self.clone(), subject, values }
    }

    /// This time of `subject`.
    pub fn took(&self, subject: Subject, time: Duration) -> Found {
        self.found(subject, vec![self.unit.of(time)])
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Unit {
    /// How it is written.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Us => "us",
            Unit::Ms => "ms",
            Unit::PerSecond => "1/s",
            Unit::MegabytesPerSecond => "MB/s",
            Unit::PerMinute => "1/min",
            Unit::Intervals => "intervals",
            Unit::KiB => "KiB",
            Unit::UsPerSecond => "us/s",
            Unit::Count => "1",
            Unit::Percent => "%",
        }
    }

    /// Whether less of it is better.
    pub fn lower_is_better(self) -> bool {
        !matches!(self, Unit::PerSecond | Unit::MegabytesPerSecond)
    }

    /// A time, in a unit that is one.
    pub fn of(self, time: Duration) -> f64 {
        let per_second = if self == Unit::Ms { 1e3 } else { 1e6 };
        time.as_secs_f64() * per_second
    }
}

impl Subject {
    /// What a reader of figures knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Hoptree => "hoptree",
            Subject::NoFlood => "no flood",
            Subject::RunningFlood => "running",
            Subject::EndOfFile => "end of file",
            Subject::Raw => "raw",
            Subject::RawChain => "raw chain",
            Subject::RawFanout => "raw fan-out",
            Subject::Pipe => "pipe",
            Subject::BareSpawn => "bare spawn",
            Subject::Library => "library",
            Subject::UnixSocket => "unix socket",
            Subject::Tcp => "tcp",
        }
    }
}
