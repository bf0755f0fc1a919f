//! The plots of a page, measure by measure.

use super::bars;
use super::distribution;
use super::group::{Group, Parameter, groups};
use super::legend::{self, Companions, Palette};
use super::lines::Lines;
use super::markup::{Escaped, put};
use crate::bench::report::{Report, Row};

/// Some plots under one heading.
struct Section<'a> {
    heading: &'a str,
    /// What they show and how to read it.
    about: &'a str,
    /// Whose rows are shown.
    measures: &'a [&'a str],
    view: View,
}

/// How rows are shown.
#[derive(Clone, Copy)]
enum View {
    /// How the median grows.
    Along(Parameter),
    /// How many times that of its first companion the median is.
    Ratio(Parameter),
    /// All values; where the distance matters, to the nearest node.
    Distribution,
    /// The medians side by side.
    Bars,
}

/// The sections in the order in which they come. Measures without one have bars at the end.
const SECTIONS: [Section; 8] = [
    Section {
        heading: "Latency by depth",
        about: "Round trips of a command, by how many hops away its node is. Both axes are \
                logarithmic: lines that keep their distance keep their ratio.",
        measures: &["rtt"],
        view: View::Along(Parameter::Hops),
    },
    Section {
        heading: "What hoptree adds",
        about: "The same round trips, as multiples of what the transport alone takes over as many \
                processes: at 1 hoptree would add nothing.",
        measures: &["rtt"],
        view: View::Ratio(Parameter::Hops),
    },
    Section {
        heading: "Latency, its distribution",
        about: "All round trips to the nearest node. To the left the usual ones, to the right \
                the rare ones: each further nine has as much room as the one before it.",
        measures: &["rtt"],
        view: View::Distribution,
    },
    Section {
        heading: "Throughput by window",
        about: "Commands a second, by how many may be unanswered at a time. Higher is better.",
        measures: &["throughput"],
        view: View::Along(Parameter::Window),
    },
    Section {
        heading: "Many nodes",
        about: "One command to all nodes, until the last of them has answered; and the creation \
                of nodes, until all of them are ready.",
        measures: &["fanout", "create"],
        view: View::Along(Parameter::Nodes),
    },
    Section {
        heading: "Failure and detection",
        about: "What follows kill -9 of a node, over many kills; and how long after SIGSTOP a \
                node is noticed to be silent.",
        measures: &["failure", "heartbeat"],
        view: View::Distribution,
    },
    Section {
        heading: "Footprint",
        about: "What an idle node takes.",
        measures: &["footprint"],
        view: View::Bars,
    },
    Section {
        heading: "A flood",
        about: "Round trips of a node while its sibling is sent more than it takes.",
        measures: &["flood"],
        view: View::Distribution,
    },
];

/// Adds all sections that the report has rows for.
pub fn write(report: &Report, palette: &Palette, out: &mut String) {
    for section in &SECTIONS {
        section.write(report, palette, out);
    }
    for measure in measures(report) {
        if SECTIONS.iter().all(|section| !section.measures.contains(&measure)) {
            let (measures, view) = (&[measure], View::Bars);
            Section { heading: measure, about: "", measures, view }.write(report, palette, out);
        }
    }
}

/// The measures of a report, in the order in which they come.
pub fn measures(report: &Report) -> Vec<&str> {
    let mut measures: Vec<&str> = Vec::new();
    for row in &report.rows {
        if !measures.contains(&&*row.measure) {
            measures.push(&row.measure);
        }
    }
    measures
}

impl Section<'_> {
    fn write(&self, report: &Report, palette: &Palette, out: &mut String) {
        let rows = self.rows(report);
        let companions = self.view.companions(&rows);
        let mut figures = String::new();
        for group in groups(&rows, self.view.along()) {
            if let Some(picture) = self.view.draw(&group, palette, &companions) {
                put!(&mut figures, "<figure>\n<figcaption>");
                if self.measures.len() > 1 {
                    put!(&mut figures, "{}: ", Escaped(&group.rows[0].measure));
                }
                put!(&mut figures, "{}</figcaption>\n", Escaped(&group.title));
                put!(&mut figures, "{picture}</figure>\n");
            }
        }
        if figures.is_empty() {
            return;
        }
        put!(out, "<section>\n<h2>{}</h2>\n", Escaped(self.heading));
        put!(out, "<p>{}</p>\n", Escaped(self.about));
        legend::write(palette, &companions, &rows, out);
        put!(out, "<div class=\"figures\">\n{figures}</div>\n</section>\n");
    }

    fn rows<'a>(&self, report: &'a Report) -> Vec<&'a Row> {
        let all = || report.rows.iter().filter(|row| self.measures.contains(&&*row.measure));
        let nearest = |row: &Row| {
            let like = all().filter(|other| other.measure == row.measure && other.what == row.what);
            row.hops == like.filter_map(|other| other.hops).min()
        };
        match self.view {
            View::Distribution => all().filter(|row| nearest(row)).collect(),
            View::Along(_) | View::Ratio(_) | View::Bars => all().collect(),
        }
    }
}

impl View {
    fn along(self) -> Option<Parameter> {
        match self {
            View::Along(parameter) | View::Ratio(parameter) => Some(parameter),
            View::Distribution | View::Bars => None,
        }
    }

    fn companions<'a>(self, rows: &[&'a Row]) -> Companions<'a> {
        match self {
            View::Ratio(_) | View::Distribution => Companions::nearest(rows),
            View::Along(_) | View::Bars => Companions::of(rows),
        }
    }

    fn draw(self, group: &Group, palette: &Palette, companions: &Companions) -> Option<String> {
        match self {
            View::Along(along) => Lines { group, along, palette }.medians(companions),
            View::Ratio(along) => Lines { group, along, palette }.ratios(),
            View::Distribution if distribution::is_one(group) => {
                distribution::draw(group, palette, companions)
            }
            View::Distribution | View::Bars => bars::draw(group, palette, companions),
        }
    }
}
