//! The axis from left to right, below curves or bars.

use super::labels;
use super::markup::{Escaped, Px, put};

/// The room that it takes below what it belongs to.
pub const HEIGHT: f64 = 44.0;

/// How far the labels of two ticks stay apart.
const APART: f64 = 4.0;

/// Where the picture is that an axis belongs to.
#[derive(Clone, Copy)]
pub struct Area {
    /// Its left end.
    pub left: f64,
    /// Its right end.
    pub right: f64,
    /// Its upper end.
    pub top: f64,
    /// Its lower end.
    pub bottom: f64,
}

/// Adds an axis with ticks at these places. Labels that have no room are left out.
pub fn draw(ticks: impl Iterator<Item = (f64, String)>, title: &str, area: Area, out: &mut String) {
    let Area { left, right, top, bottom } = area;
    let (top, base) = (Px(top), Px(bottom + 15.0));
    let mut free = f64::NEG_INFINITY;
    for (x, label) in ticks {
        put!(out, "<path class=\"grid\" d=\"M{},{top}V{}\"/>", Px(x), Px(bottom));
        let half = labels::width(&label) / 2.0;
        if x - half >= free {
            free = x + half + APART;
            let (x, label) = (Px(x), Escaped(&label));
            put!(out, "<text class=\"tick middle\" x=\"{x}\" y=\"{base}\">{label}</text>");
        }
    }
    let (x, base, title) = (Px(f64::midpoint(left, right)), Px(bottom + 36.0), Escaped(title));
    put!(out, "<text class=\"middle\" x=\"{x}\" y=\"{base}\">{title}</text>\n");
}
