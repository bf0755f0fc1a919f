//! Curves over two axes, as SVG.

use super::axis::{self, Area};
use super::labels;
use super::markup::{Escaped, Px, put};
use super::scale::{Scale, Spacing};
use super::style::{Stroke, Tone};

/// The size of a plot, in its own pixels: about as wide as a telephone, so that the letters keep
/// their size there, and larger elsewhere.
pub const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 270.0;

/// The room above the curves, for the title of the axis upwards.
const ABOVE: f64 = 30.0;

/// How far the curves stay away from the ends of the axis across.
const INSET: f64 = 12.0;

/// How far before the end of that axis the lines from curves to their labels turn towards these.
const LEADER: f64 = 8.0;

/// Points nearer than this to the one before, both ways, are left out: nobody would see them.
const APART: f64 = 0.8;

/// Curves over two axes.
pub struct Plot<'a> {
    /// What is shown, for those who do not see it.
    pub about: String,
    /// From left to right.
    pub x: Across,
    /// From below to above.
    pub y: Upward<'a>,
    /// What is drawn, the most important last.
    pub curves: Vec<Curve>,
}

/// The axis from left to right.
pub struct Across {
    /// What it has figures of.
    pub title: String,
    /// How the figures are laid out.
    pub spacing: Spacing,
    /// The figures that stand at it, and how they are written.
    pub ticks: Vec<(f64, String)>,
}

/// The axis from below to above. Round figures stand at it.
pub struct Upward<'a> {
    /// What it has figures of, with the unit where the ticks have none.
    pub title: String,
    /// How the figures are laid out.
    pub spacing: Spacing,
    /// How a figure is written.
    pub label: Box<dyn Fn(f64) -> String + 'a>,
}

/// A line with marks.
pub struct Curve {
    /// What it is of.
    pub name: String,
    /// Whether the name stands at its end.
    pub labelled: bool,
    /// Its colour and marker.
    pub tone: Tone,
    /// Its dashes.
    pub stroke: Stroke,
    /// Through where it goes, if anywhere.
    pub path: Vec<(f64, f64)>,
    /// Its marks.
    pub marks: Vec<Mark>,
}

/// A figure that has a marker.
pub struct Mark {
    /// Where it is on the first axis.
    pub x: f64,
    /// Where it is on the second.
    pub y: f64,
    /// From where to where it was in several runs, on the second axis.
    pub spread: Option<(f64, f64)>,
    /// What it says when pointed at.
    pub about: String,
}

/// Where the curves of one plot are.
struct Frame {
    x: Scale,
    y: Scale,
    area: Area,
}

/// Where the curves of every plot end below.
const BOTTOM: f64 = HEIGHT - axis::HEIGHT;

impl Plot<'_> {
    /// The picture; none when there is nothing in it that its axes can show.
    pub fn draw(mut self) -> Option<String> {
        self.drop_what_cannot_be_shown();
        let frame = self.frame()?;
        let mut out = String::new();
        put!(
            &mut out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            Escaped(&self.about)
        );
        let ticks = self.x.ticks.iter();
        let ticks = ticks.map(|(tick, label)| (frame.x.place(*tick), label.clone()));
        axis::draw(ticks, &self.x.title, frame.area, &mut out);
        self.draw_y_axis(&frame, &mut out);
        for curve in &self.curves {
            curve.draw(&frame, &mut out);
        }
        self.draw_labels(&frame, &mut out);
        out.push_str("</svg>\n");
        Some(out)
    }

    fn drop_what_cannot_be_shown(&mut self) {
        let (x, y) = (self.x.spacing, self.y.spacing);
        for curve in &mut self.curves {
            curve.path.retain(|point| x.takes(point.0) && y.takes(point.1));
            curve.marks.retain(|mark| x.takes(mark.x) && y.takes(mark.y));
            for mark in &mut curve.marks {
                mark.spread = mark.spread.filter(|(low, high)| y.takes(*low) && y.takes(*high));
            }
        }
    }

    fn frame(&self) -> Option<Frame> {
        let marks = || self.curves.iter().flat_map(|curve| &curve.marks);
        let path = || self.curves.iter().flat_map(|curve| &curve.path);
        let ys = path().map(|point| point.1).chain(marks().flat_map(|mark| {
            let (low, high) = mark.spread.unwrap_or((mark.y, mark.y));
            [low, mark.y, high]
        }));
        let y = Scale::round(self.y.spacing, ys, (BOTTOM, ABOVE))?;
        let ticks = y.ticks().into_iter().map(|tick| (self.y.label)(tick));
        let left = labels::margin(ticks) + 10.0;
        let names = self.curves.iter().filter(|curve| curve.labelled).map(|curve| &curve.name);
        let right = WIDTH - labels::margin(names) - 12.0;
        let xs = path().map(|point| point.0).chain(marks().map(|mark| mark.x));
        let x = Scale::exact(self.x.spacing, xs, (left + INSET, right - INSET))?;
        Some(Frame { x, y, area: Area { left, right, top: ABOVE, bottom: BOTTOM } })
    }

    fn draw_y_axis(&self, frame: &Frame, out: &mut String) {
        let (left, right) = (Px(frame.area.left), Px(frame.area.right));
        for tick in frame.y.ticks() {
            let y = frame.y.place(tick);
            put!(out, "<path class=\"grid\" d=\"M{left},{}H{right}\"/>", Px(y));
            let (x, y, label) = (Px(frame.area.left - 6.0), Px(y + 4.0), (self.y.label)(tick));
            put!(out, "<text class=\"tick end\" x=\"{x}\" y=\"{y}\">{}</text>", Escaped(&label));
        }
        put!(out, "<path class=\"axis\" d=\"M{left},{ABOVE}V{BOTTOM}H{right}\"/>");
        put!(out, "<text x=\"2\" y=\"14\">{}</text>\n", Escaped(&self.y.title));
    }

    fn draw_labels(&self, frame: &Frame, out: &mut String) {
        let mut ends = Vec::new();
        for curve in self.curves.iter().filter(|curve| curve.labelled) {
            ends.extend(curve.end().map(|(x, y)| (curve, frame.x.place(x), frame.y.place(y))));
        }
        let wanted: Vec<_> = ends.iter().map(|(_, _, y)| *y).collect();
        for ((curve, x, y), place) in ends.iter().zip(labels::apart(&wanted, ABOVE, BOTTOM)) {
            let tone = curve.tone.class();
            put!(out, "<path class=\"leader {tone}\" d=\"M{},{}", Px(*x), Px(*y));
            let bend = frame.area.right - LEADER;
            put!(out, "H{}L{},{}\"/>", Px(bend), Px(frame.area.right + 3.0), Px(place));
            let (x, y, name) = (Px(frame.area.right + 6.0), Px(place + 4.0), Escaped(&curve.name));
            put!(out, "<text class=\"name\" x=\"{x}\" y=\"{y}\">{name}</text>\n");
        }
    }
}

impl Curve {
    fn draw(&self, frame: &Frame, out: &mut String) {
        put!(out, "<g class=\"{}\">", self.tone.class());
        let mut last = None;
        let mut path = String::new();
        for (place, (x, y)) in self.path.iter().enumerate() {
            let (x, y) = (frame.x.place(*x), frame.y.place(*y));
            let near = |(a, b): (f64, f64)| (x - a).abs() < APART && (y - b).abs() < APART;
            if place + 1 == self.path.len() || !last.is_some_and(near) {
                let step = if path.is_empty() { 'M' } else { ' ' };
                put!(&mut path, "{step}{},{}", Px(x), Px(y));
                last = Some((x, y));
            }
        }
        if self.path.len() > 1 {
            put!(out, "<path class=\"line {}\" d=\"{path}\">", self.stroke.class());
            put!(out, "<title>{}</title></path>", Escaped(&self.name));
        }
        for mark in &self.marks {
            mark.draw(self, frame, out);
        }
        out.push_str("</g>\n");
    }

    /// Where it is furthest along the first axis.
    fn end(&self) -> Option<(f64, f64)> {
        let marks = self.marks.iter().map(|mark| (mark.x, mark.y));
        let points = self.path.iter().copied().chain(marks);
        points.max_by(|one, other| one.0.total_cmp(&other.0))
    }
}

impl Mark {
    fn draw(&self, curve: &Curve, frame: &Frame, out: &mut String) {
        let (x, y) = (frame.x.place(self.x), frame.y.place(self.y));
        put!(out, "<g><title>{}</title>", Escaped(&self.about));
        if let Some((low, high)) = self.spread {
            let (low, high) = (Px(frame.y.place(low)), Px(frame.y.place(high)));
            let (left, x) = (Px(x - 3.0), Px(x));
            put!(
                out,
                "<path class=\"whisker\" d=\"M{x},{low}V{high}M{left},{low}h6M{left},{high}h6\"/>"
            );
        }
        curve.tone.mark(x, y, curve.stroke, out);
        put!(out, "<circle class=\"touch\" cx=\"{}\" cy=\"{}\" r=\"9\"/></g>", Px(x), Px(y));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture of a line through these points.
    fn picture(path: Vec<(f64, f64)>) -> Option<String> {
        let (spacing, name) = (Spacing::Linear, "zmq".to_owned());
        let (tone, stroke) = (Tone::Transport(0), Stroke::Solid);
        Plot {
            about: String::new(),
            x: Across { title: String::new(), spacing, ticks: Vec::new() },
            y: Upward { title: String::new(), spacing, label: Box::new(|y| y.to_string()) },
            curves: vec![Curve { name, labelled: true, tone, stroke, path, marks: Vec::new() }],
        }
        .draw()
    }

    #[test]
    fn points_that_nobody_can_tell_apart_are_one() {
        let line = |count: u32| {
            let points = (0..=count).map(|place| f64::from(place) / f64::from(count));
            picture(points.map(|share| (share, share)).collect()).unwrap()
        };
        let (few, many) = (line(50), line(100_000));
        assert!(few.len() < many.len() && many.len() < 2 * few.len() + 8_000, "{}", many.len());
        assert!(line(1).matches(",30").count() > 0, "the last point is there");
    }

    #[test]
    fn without_a_point_there_is_no_picture() {
        assert_eq!(picture(Vec::new()), None);
        assert_eq!(picture(vec![(f64::NAN, 1.0), (1.0, f64::INFINITY)]), None);
        assert!(picture(vec![(1.0, 1.0)]).is_some());
    }
}
