//! What tells curves apart: a colour and a marker for the transport, a stroke for what is measured.

use super::markup::{Px, put};

/// The colours, of the palette of Okabe and Ito, which most people can tell apart; `page.css` says
/// which they are on a light and on a dark ground. Each has a marker of its own.
const MARKERS: [&str; 7] = [
    "m-3.5,0a3.5,3.5 0 1 0 7,0a3.5,3.5 0 1 0 -7,0z",
    "m-3.2,-3.2h6.4v6.4h-6.4z",
    "m0,-4.2l4,7h-8z",
    "m0,-4.6l4,4.6l-4,4.6l-4,-4.6z",
    "m0,4.2l4,-7h-8z",
    "m-1.5,-4h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5z",
    "m-4.4,-2.5h8.8v5h-8.8z",
];

/// The marker of what belongs to no transport.
const NEUTRAL_MARKER: &str = "m-2.8,-2.8h5.6v5.6h-5.6z";

/// The colour and the marker of a transport, or of what is the same beside all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Those of the transport that comes at this place in the report.
    Transport(usize),
    /// Those of what has nothing to do with a transport.
    Neutral,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// For hoptree itself.
    Solid,
    /// For what it is held against, in the order in which that comes.
    Broken(usize),
}

impl Tone {
    /// The class that `page.css` gives a colour.
    pub fn class(self) -> &'static str {
        let classes = ["t0", "t1", "t2", "t3", "t4", "t5", "t6"];
        match self {
            Tone::Transport(place) => classes[place % classes.len()],
            Tone::Neutral => "neutral",
        }
    }

    /// Adds the marker with its middle here. It is filled for hoptree itself.
    pub fn mark(self, x: f64, y: f64, stroke: Stroke, out: &mut String) {
        let shape = match self {
            Tone::Transport(place) => MARKERS[place % MARKERS.len()],
            Tone::Neutral => NEUTRAL_MARKER,
        };
        let filling = if stroke == Stroke::Solid { "full" } else { "hollow" };
        put!(out, "<path class=\"mark {filling}\" d=\"M{},{}{shape}\"/>", Px(x), Px(y));
    }
}

impl Stroke {
    /// The class that `page.css` gives dashes.
    pub fn class(self) -> &'static str {
        match self {
            Stroke::Solid => "solid",
            Stroke::Broken(0) => "dashed",
            Stroke::Broken(1) => "dotted",
            Stroke::Broken(_) => "dash-dotted",
        }
    }
}
