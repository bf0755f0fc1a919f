//! Rows that belong into one plot.

use super::unit::number;
use crate::bench::report::Row;

/// What distinguishes rows of one measure beside the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// How far away the node is.
    Hops,
    /// How much travels.
    Payload,
    /// How many nodes take part.
    Nodes,
    /// How many commands are under way at a time.
    Window,
    /// How the nodes hang together.
    Shape,
    /// How often nodes beat.
    Interval,
}

/// Rows that differ in their transport and in at most one parameter.
pub struct Group<'a> {
    /// What they have in common.
    pub title: String,
    /// There is at least one.
    pub rows: Vec<&'a Row>,
}

impl Parameter {
    /// All there are, in the order in which they are named.
    pub const ALL: [Parameter; 6] = [
        Parameter::Hops,
        Parameter::Payload,
        Parameter::Nodes,
        Parameter::Window,
        Parameter::Shape,
        Parameter::Interval,
    ];

    /// The title of an axis with it, or of a column.
    pub fn name(self) -> &'static str {
        match self {
            Parameter::Hops => "hops",
            Parameter::Payload => "payload",
            Parameter::Nodes => "nodes",
            Parameter::Window => "window",
            Parameter::Shape => "shape",
            Parameter::Interval => "interval",
        }
    }

    /// Its number in a row, if it is one there.
    pub fn number(self, row: &Row) -> Option<f64> {
        match self {
            Parameter::Hops => row.hops,
            Parameter::Payload => row.payload_bytes,
            Parameter::Nodes => row.nodes,
            Parameter::Window => row.window,
            Parameter::Interval => row.interval_ms,
            Parameter::Shape => None,
        }
        .map(f64::from)
    }

    /// Its value in a row, as a column with its name has it.
    pub fn value(self, row: &Row) -> Option<String> {
        match self {
            Parameter::Payload => row.payload_bytes.map(bytes),
            Parameter::Shape => row.shape.clone(),
            Parameter::Interval => row.interval_ms.map(|interval| format!("{interval} ms")),
            other => other.number(row).map(number),
        }
    }

    /// Its value in a row, as a phrase.
    pub fn phrase(self, row: &Row) -> Option<String> {
        let value = self.value(row)?;
        Some(match self {
            Parameter::Hops | Parameter::Nodes if value == "1" => {
                format!("1 {}", self.name().trim_end_matches('s'))
            }
            Parameter::Hops | Parameter::Nodes => format!("{value} {}", self.name()),
            Parameter::Window | Parameter::Interval => format!("{} {value}", self.name()),
            Parameter::Payload | Parameter::Shape => value,
        })
    }
}

/// The rows by all that distinguishes them but the transport and `along`, in the order in which
/// they come.
pub fn groups<'a>(rows: &[&'a Row], along: Option<Parameter>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        let title = title(row, along);
        let same = |group: &&mut Group| {
            let first = group.rows[0];
            group.title == title && (&first.measure, &first.unit) == (&row.measure, &row.unit)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { title, rows: vec![row] }),
        }
    }
    groups
}

/// What a row is of, but for its transport and the parameter `along`.
fn title(row: &Row, along: Option<Parameter>) -> String {
    let parameters = Parameter::ALL.into_iter().filter(|parameter| Some(*parameter) != along);
    let mut title = row.what.clone();
    for phrase in parameters.filter_map(|parameter| parameter.phrase(row)) {
        title.push_str(if title.is_empty() { "" } else { ", " });
        title.push_str(&phrase);
    }
    title
}

/// A number of bytes, short where that is exact.
fn bytes(bytes: u32) -> String {
    match bytes {
        0 => "0 B".to_owned(),
        mebi if mebi % (1 << 20) == 0 => format!("{} MiB", mebi >> 20),
        kibi if kibi % (1 << 10) == 0 => format!("{} KiB", kibi >> 10),
        other => format!("{other} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn rows_with_one_parameter_less_make_one_group_for_each_of_the_others() {
        let report = sample::report();
        let rows: Vec<_> = report.rows.iter().filter(|row| row.measure == "rtt").collect();
        let groups = groups(&rows, Some(Parameter::Hops));
        let titles: Vec<_> = groups.iter().map(|group| &*group.title).collect();
        assert_eq!(titles, ["round trip, 16 B", "round trip, 1 KiB", "round trip, 64 KiB"]);
        let rows_of_all: usize = groups.iter().map(|group| group.rows.len()).sum();
        assert_eq!(rows_of_all, rows.len());
    }

    #[test]
    fn parameters_read_as_phrases() {
        let mut row = sample::row("fanout", "zmq", "exec *", "us", 12.0);
        (row.nodes, row.hops, row.interval_ms) = (Some(1), Some(2), Some(100));
        row.shape = Some("binary".to_owned());
        assert_eq!(title(&row, None), "exec *, 2 hops, 1 node, binary, interval 100 ms");
        assert_eq!([16, 1_024, 1_000, 3 << 20].map(bytes), ["16 B", "1 KiB", "1000 B", "3 MiB"]);
    }
}
