//! All values of a benchmark, and the rows that they make.

use super::figure::{Figure, Found, Subject};
use super::measure::Measure;
use super::report::{Beside, Row};
use super::tally::Tally;

/// What was found so far.
#[derive(Default)]
pub struct Ledger {
    /// In the order of their first values.
    entries: Vec<Entry>,
}

/// Where values belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The measure.
    pub measure: Measure,
    /// The name of the transport.
    pub transport: &'static str,
    /// The number of the run.
    pub run: usize,
    /// The number of the turn in its round: it says in which order figures are shown.
    pub turn: usize,
}

/// The values of one figure of one subject over one transport.
struct Entry {
    place: Place,
    figure: Figure,
    subject: Subject,
    /// Of each run that has any.
    runs: Vec<(usize, Tally)>,
}

impl Ledger {
    /// Adds what a turn has found.
    pub fn add(&mut self, place: Place, found: Found) {
        let Found { figure, subject, values } = found;
        let known = self.entries.iter().position(|entry| {
            (entry.place.measure, entry.place.transport) == (place.measure, place.transport)
                && entry.subject == subject
                && entry.figure == figure
        });
        let known = known.unwrap_or_else(|| {
            self.entries.push(Entry { place, figure, subject, runs: Vec::new() });
            self.entries.len() - 1
        });
        let tally = self.entries[known].of_run(place.run);
        values.into_iter().for_each(|value| tally.record(value));
    }

    /// The rows of a measure, those to be compared behind one another, each time with the
    /// transports in this order.
    pub fn rows(&self, measure: Measure, transports: &[&'static str]) -> Vec<Row> {
        let own = |entry: &&Entry| entry.place.measure == measure;
        let mut entries: Vec<_> = self.entries.iter().filter(own).collect();
        entries.sort_by_key(|entry| entry.place.turn);
        let mut figures: Vec<&Figure> = Vec::new();
        for entry in entries.iter().filter(|entry| entry.subject == Subject::Hoptree) {
            if !figures.contains(&&entry.figure) {
                figures.push(&entry.figure);
            }
        }
        let mut rows = Vec::new();
        for figure in figures {
            for transport in transports {
                let alike = entries
                    .iter()
                    .filter(|entry| entry.figure == *figure && entry.place.transport == *transport);
                let mut alike: Vec<_> = alike.copied().collect();
                alike.sort_by_key(|entry| entry.subject);
                if let [entry, others @ ..] = &alike[..]
                    && entry.subject == Subject::Hoptree
                {
                    rows.push(entry.row(others));
                }
            }
        }
        rows
    }
}

impl Entry {
    fn of_run(&mut self, run: usize) -> &mut Tally {
        let known = self.runs.iter().position(|(number, _)| *number == run);
        let known = known.unwrap_or_else(|| {
            self.runs.push((run, Tally::new()));
            self.runs.len() - 1
        });
        &mut self.runs[known].1
    }

    fn all(&self) -> Tally {
        let mut all = Tally::new();
        self.runs.iter().for_each(|(_, tally)| all.add(tally));
        all
    }

    /// The row of these values, held against the others, the first of which is the floor.
    fn row(&self, others: &[&Entry]) -> Row {
        let all = self.all();
        let figure = self.figure.clone();
        let p50 = all.quantile(0.5);
        let mut beside: Vec<_> = others.iter().filter_map(|other| other.beside(p50)).collect();
        let floor = (!beside.is_empty()).then(|| beside.remove(0));
        Row {
            measure: self.place.measure.name().to_owned(),
            transport: self.place.transport.to_owned(),
            what: figure.what,
            hops: figure.hops,
            payload_bytes: figure.payload_bytes,
            nodes: figure.nodes,
            window: figure.window,
            shape: figure.shape,
            interval_ms: figure.interval_ms,
            unit: figure.unit.name().to_owned(),
            lower_is_better: figure.unit.lower_is_better(),
            samples: all.count(),
            min: all.min(),
            p50,
            p90: all.quantile(0.9),
            p99: all.quantile(0.99),
            p99_9: all.quantile(0.999),
            max: all.quantile(1.0),
            run_p50: self.runs.iter().map(|(_, tally)| tally.quantile(0.5)).collect(),
            floor_p50: floor.as_ref().map(|floor| floor.p50),
            ratio: floor.as_ref().map(|floor| floor.ratio),
            floor: floor.map(|floor| floor.name),
            beside,
            histogram: all.counts(),
        }
    }

    /// These values beside a row with this median, unless they come to nothing.
    fn beside(&self, row_p50: f64) -> Option<Beside> {
        let p50 = self.all().quantile(0.5);
        let name = self.subject.name().to_owned();
        (p50 > 0.0).then(|| Beside { name, p50, ratio: row_p50 / p50 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::Unit;
    use super::*;

    fn place(transport: &'static str, run: usize, turn: usize) -> Place {
        Place { measure: Measure::Rtt, transport, run, turn }
    }

    #[test]
    fn rows_to_be_compared_follow_each_other() {
        let mut ledger = Ledger::default();
        let [one, two] = [1, 2].map(|hops| Figure::new("trip", Unit::Us).with_way(hops, 16));
        for transport in ["a", "b"] {
            ledger.add(place(transport, 0, 2), two.found(Subject::Hoptree, vec![4.0]));
            ledger.add(place(transport, 0, 0), one.found(Subject::Hoptree, vec![2.0]));
        }
        let rows = ledger.rows(Measure::Rtt, &["b", "a", "c"]);
        let order: Vec<_> = rows.iter().map(|row| (row.hops, &*row.transport)).collect();
        assert_eq!(order, [(Some(1), "b"), (Some(1), "a"), (Some(2), "b"), (Some(2), "a")]);
        assert!(ledger.rows(Measure::Flood, &["a", "b"]).is_empty());
    }

    #[test]
    fn the_nearest_one_is_the_floor_and_others_are_beside() {
        let mut ledger = Ledger::default();
        let trip = Figure::new("trip", Unit::Us);
        ledger.add(place("a", 0, 2), trip.found(Subject::Tcp, vec![1.0]));
        ledger.add(place("a", 0, 1), trip.found(Subject::Raw, vec![2.0]));
        ledger.add(place("a", 0, 0), trip.found(Subject::Hoptree, vec![3.0, 3.0, 60.0]));
        ledger.add(place("a", 1, 0), trip.found(Subject::Hoptree, vec![5.0, 5.0, 5.0, 5.0]));
        let [row] = &ledger.rows(Measure::Rtt, &["a"])[..] else { panic!("one row") };
        assert_eq!((row.samples, row.min, row.p50, row.max), (7, 3.0, 5.0, 60.0));
        assert_eq!(row.run_p50, [3.0, 5.0]);
        assert_eq!(
            (row.floor.as_deref(), row.floor_p50, row.ratio),
            (Some("raw"), Some(2.0), Some(2.5))
        );
        assert_eq!(row.beside, [Beside { name: "tcp".to_owned(), p50: 1.0, ratio: 5.0 }]);
        assert_eq!(row.histogram, [(3.0, 2), (5.0, 4), (60.0, 1)]);
    }

    #[test]
    fn what_takes_nothing_makes_no_ratio() {
        let mut ledger = Ledger::default();
        let trip = Figure::new("trip", Unit::Us);
        ledger.add(place("a", 0, 0), trip.found(Subject::Hoptree, vec![3.0]));
        ledger.add(place("a", 0, 1), trip.found(Subject::Raw, vec![0.0]));
        assert_eq!(ledger.rows(Measure::Rtt, &["a"])[0].ratio, None);
    }
}
