//! A plot as SVG.

use super::markup::{Escaped, Px, put};
use super::plot::{Plot, Point};
use super::scale::{Scale, Spacing};

/// How wide a picture is, in its own pixels: about as wide as a telephone, so that the letters keep
/// their size there.
pub const WIDTH: f64 = 360.0;

/// How high the room for the lines is, unless it takes more to name them all.
const HEIGHT: f64 = 190.0;

/// The room above the lines, and that for the axis below them.
const TOP: f64 = 8.0;
const AXIS: f64 = 38.0;

/// How far the lines stay away from the ends of the axis.
const INSET: f64 = 10.0;

/// How high a line of text is.
pub const LINE: f64 = 14.0;

/// About how wide a letter of `page.css` is in a font with wide ones.
pub const LETTER: f64 = 7.6;

/// How many letters of a name are shown.
const LETTERS_MAX: usize = 12;

/// Adds a plot, unless it has no figure that can be shown.
pub fn write(plot: &Plot, transports: &[&str], out: &mut String) {
    let Some(frame) = Frame::of(plot, transports) else { return };
    let (height, title) = (Px(frame.bottom + AXIS), Escaped(&plot.title));
    put!(out, "<figure>\n<figcaption>{title}<span>{}</span>", Escaped(&plot.subtitle()));
    put!(out, "</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" ");
    put!(out, "aria-label=\"{title}: a line for each transport\">\n");
    frame.draw_axes(out);
    for line in &frame.lines {
        frame.draw_line(line, out);
    }
    frame.draw_names(out);
    out.push_str("</svg>\n</figure>\n");
}

/// Where what is.
struct Frame<'a> {
    plot: &'a Plot<'a>,
    lines: Vec<Line<'a>>,
    x: Scale,
    y: Scale,
    bottom: f64,
}

/// What is shown of a transport.
struct Line<'a> {
    name: &'a str,
    /// Its place among all transports, which gives it a colour.
    place: usize,
    /// There is one at least.
    points: Vec<&'a Point<'a>>,
}

impl<'a> Frame<'a> {
    /// None when the plot has no figure that can be shown.
    fn of(plot: &'a Plot<'a>, transports: &[&'a str]) -> Option<Frame<'a>> {
        let shown = || plot.points.iter().filter(|point| plot.spacing.takes(point.y));
        let figures = shown()
            .flat_map(|point| point.runs.iter().chain([&point.y]).chain(&point.row.floor_p50));
        let y_ticks = plot.spacing.round_ticks(figures.copied());
        let mut x_ticks: Vec<_> = shown().map(|point| point.x).collect();
        x_ticks.sort_by(f64::total_cmp);
        x_ticks.dedup();
        if x_ticks.is_empty() {
            return None;
        }
        let lines = transports.iter().enumerate().map(|(place, name)| {
            let own = shown().filter(|point| point.row.transport == *name);
            let mut points: Vec<_> = own.collect();
            points.sort_by(|one, other| one.x.total_cmp(&other.x));
            Line { name, place, points }
        });
        let lines: Vec<_> = lines.filter(|line| !line.points.is_empty()).collect();
        let bottom = TOP + HEIGHT.max(lines.len() as f64 * LINE);
        let left = width(y_ticks.iter().map(|tick| plot.unit.short(*tick))) + 6.0 + INSET;
        let right = WIDTH - width(lines.iter().map(|line| cut(line.name))) - 8.0 - INSET;
        let x = Scale { spacing: Spacing::Linear, ticks: x_ticks, ends: (left, right) };
        let y = Scale { spacing: plot.spacing, ticks: y_ticks, ends: (bottom, TOP) };
        Some(Frame { plot, lines, x, y, bottom })
    }

    fn draw_axes(&self, out: &mut String) {
        let (left, right) = self.x.ends;
        for tick in &self.x.ticks {
            let (x, bottom) = (self.x.place(*tick), Px(self.bottom));
            put!(out, "<path class=\"grid\" d=\"M{},{TOP}V{bottom}\"/>", Px(x));
            let label = self.plot.points.iter().find(|point| point.x == *tick);
            text("middle", x, self.bottom + 15.0, label.map_or("", |point| &point.label), out);
        }
        let middle = f64::midpoint(left, right);
        text("middle", middle, self.bottom + 31.0, self.plot.along, out);
        for tick in &self.y.ticks {
            let (y, from, to) = (self.y.place(*tick), Px(left - INSET), Px(right + INSET));
            put!(out, "<path class=\"grid\" d=\"M{from},{}H{to}\"/>", Px(y));
            text("end", left - INSET - 4.0, y + 4.0, &self.plot.unit.short(*tick), out);
        }
    }

    /// Draws the figures of a transport, from where to where they are in the runs, and dashed the
    /// floor.
    fn draw_line(&self, line: &Line, out: &mut String) {
        put!(out, "<g class=\"t{}\">", line.place);
        let path = |figure: fn(&Point) -> Option<f64>| {
            let places = line.points.iter().filter_map(|point| {
                let y = figure(point).filter(|y| self.plot.spacing.takes(*y))?;
                Some(format!("{},{}", Px(self.x.place(point.x)), Px(self.y.place(y))))
            });
            places.collect::<Vec<_>>().join(" ")
        };
        let floor = path(|point| point.row.floor_p50);
        if !floor.is_empty() {
            put!(out, "<path class=\"line floor\" d=\"M{floor}\"/>");
        }
        put!(out, "<path class=\"line\" d=\"M{}\"/>\n", path(|point| Some(point.y)));
        for point in &line.points {
            let (x, y) = (Px(self.x.place(point.x)), Px(self.y.place(point.y)));
            let runs = point.runs.iter().filter(|run| self.plot.spacing.takes(**run));
            for run in runs.map(|run| Px(self.y.place(*run))) {
                put!(out, "<path d=\"M{x},{y}V{run}\"/>");
            }
            put!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\"/>");
        }
        out.push_str("</g>\n");
    }

    /// Writes the names of the transports beside the ends of their lines.
    fn draw_names(&self, out: &mut String) {
        let ends = self.lines.iter().filter_map(|line| Some((line.points.last()?, line)));
        let mut names: Vec<_> = ends.map(|(end, line)| (self.y.place(end.y), line)).collect();
        names.sort_by(|one, other| one.0.total_cmp(&other.0));
        let wanted = names.iter().map(|(y, _)| *y).collect();
        let right = self.x.ends.1;
        for ((y, line), place) in names.iter().zip(apart(wanted, self.bottom)) {
            let (y, from, to) = (Px(*y), Px(right + 5.0), Px(right + INSET + 3.0));
            put!(out, "<g class=\"t{}\"><path d=\"M{from},{y}L{to},{}\"/>", line.place, Px(place));
            text("name", right + INSET + 6.0, place + 4.0, &cut(line.name), out);
            out.push_str("</g>\n");
        }
    }
}

/// Adds a text that begins here, or has its middle or its end here if `class` says so.
fn text(class: &str, x: f64, y: f64, text: &str, out: &mut String) {
    let (x, y, text) = (Px(x), Px(y), Escaped(text));
    put!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>\n");
}

/// About how wide the widest of these texts is.
fn width(texts: impl Iterator<Item = String>) -> f64 {
    texts.map(|text| text.chars().count()).max().unwrap_or(0) as f64 * LETTER
}

/// As much of a name as is shown.
fn cut(name: &str) -> String {
    match name.char_indices().nth(LETTERS_MAX) {
        Some(_) => name.chars().take(LETTERS_MAX - 1).chain(['…']).collect(),
        None => name.to_owned(),
    }
}

/// Where names must be so that each has a line of its own near to where it is wanted. Those places
/// must be in order, and there must be room for all names.
fn apart(mut places: Vec<f64>, bottom: f64) -> Vec<f64> {
    // From the bottom up each makes room for the ones below it, then from the top down.
    let mut limit = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LINE;
    }
    let mut limit = TOP;
    for place in &mut places {
        *place = place.max(limit);
        limit = *place + LINE;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_where_they_have_room_and_make_some_elsewhere() {
        assert_eq!(apart(vec![20.0, 50.0, 80.0], 100.0), [20.0, 50.0, 80.0]);
        assert_eq!(apart(vec![50.0, 51.0, 52.0], 100.0), [24.0, 38.0, 52.0]);
        assert_eq!(apart(vec![8.0, 8.0, 8.0], 36.0), [8.0, 22.0, 36.0]);
    }

    #[test]
    fn a_long_name_is_cut_off() {
        assert_eq!(cut("zmq:ipc@open"), "zmq:ipc@open");
        assert_eq!(cut("a transport with a long name"), "a transport…");
    }
}
