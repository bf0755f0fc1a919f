//! One figure for each transport: bars.

use super::axis::{self, Area};
use super::group::Group;
use super::labels;
use super::legend::{Companions, Palette, companion_p50};
use super::markup::{Escaped, Px, put};
use super::plot::WIDTH;
use super::scale::{Scale, Spacing};
use super::unit::Unit;
use super::words::{about, spread};
use crate::bench::report::Row;

/// How high a bar is, and how much room each line below it takes.
const BAR: f64 = 16.0;
const LINE: f64 = 10.0;

/// The room between a transport and the next one.
const GAP: f64 = 10.0;

/// A bar for each transport, as long as the median, above a line for each of its companions.
pub fn draw(group: &Group, palette: &Palette, companions: &Companions) -> Option<String> {
    let bars = Bars::of(group, palette, companions)?;
    let mut out = String::new();
    put!(&mut out, "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" ", bars.bottom() + axis::HEIGHT);
    put!(&mut out, "aria-label=\"{}: a bar for each transport\">\n", Escaped(&group.title));
    bars.draw_axis(&mut out);
    for (place, row) in bars.rows.iter().enumerate() {
        bars.draw_bar(row, place as f64 * bars.pitch, &mut out);
    }
    out.push_str("</svg>\n");
    Some(out)
}

/// The bars of one picture.
struct Bars<'a> {
    rows: Vec<&'a Row>,
    palette: &'a Palette<'a>,
    companions: &'a Companions<'a>,
    x: Scale,
    left: f64,
    right: f64,
    /// From the top of one transport to that of the next.
    pitch: f64,
}

impl<'a> Bars<'a> {
    /// None when no row has a figure.
    fn of(
        group: &Group<'a>,
        palette: &'a Palette<'a>,
        companions: &'a Companions<'a>,
    ) -> Option<Bars<'a>> {
        let rows = group.rows.iter().copied().filter(|row| Spacing::Linear.takes(row.p50));
        let rows: Vec<_> = rows.collect();
        let left = labels::margin(rows.iter().map(|row| &row.transport)) + 12.0;
        let right = WIDTH - labels::margin(rows.iter().map(|row| median(row))) - 12.0;
        let values = rows.iter().flat_map(|row| {
            let (low, high) = spread(row).unwrap_or((row.p50, row.p50));
            let beside = beside(row, companions).map(|(_, p50)| p50);
            [low, row.p50, high].into_iter().chain(beside)
        });
        let x = Scale::round(Spacing::Linear, values, (left, right))?;
        let lines = rows.iter().map(|row| beside(row, companions).count()).max()?;
        let pitch = BAR + lines as f64 * LINE + GAP;
        Some(Bars { rows, palette, companions, x, left, right, pitch })
    }

    fn bottom(&self) -> f64 {
        self.rows.len() as f64 * self.pitch
    }

    fn draw_axis(&self, out: &mut String) {
        let (unit, left) = (Unit(&self.rows[0].unit), self.left);
        let ticks = self.x.ticks().into_iter();
        let ticks = ticks.map(|tick| (self.x.place(tick), unit.tick(tick)));
        let area = Area { left, right: self.right, top: 0.0, bottom: self.bottom() };
        axis::draw(ticks, &unit.title("median"), area, out);
        put!(out, "<path class=\"axis\" d=\"M{},0V{}\"/>", Px(left), Px(area.bottom));
    }

    fn draw_bar(&self, row: &Row, top: f64, out: &mut String) {
        let (middle, end) = (top + BAR / 2.0 + 3.0, self.x.place(row.p50));
        let (left, base, name) = (Px(self.left - 6.0), Px(middle + 4.0), Escaped(&row.transport));
        put!(out, "<text class=\"name end\" x=\"{left}\" y=\"{base}\">{name}</text>");
        let about = format!("{}: {}", row.transport, about(row));
        let tone = self.palette.tone(&row.transport).class();
        put!(out, "<g class=\"{tone}\"><g><title>{}</title>", Escaped(&about));
        put!(out, "<rect class=\"bar\" x=\"{}\" y=\"{}\" ", Px(self.left), Px(middle - BAR / 2.0));
        put!(out, "width=\"{}\" height=\"{BAR}\"/>", Px(end - self.left));
        let mut furthest = end;
        if let Some((low, high)) = spread(row) {
            let (low, high) = (self.x.place(low), self.x.place(high));
            furthest = furthest.max(high);
            let cap = Px(middle - 3.0);
            put!(out, "<path class=\"whisker\" d=\"M{},{}H{}", Px(low), Px(middle), Px(high));
            put!(out, "M{},{cap}v6M{},{cap}v6\"/>", Px(low), Px(high));
        }
        out.push_str("</g>");
        for (line, (name, p50)) in beside(row, self.companions).enumerate() {
            let y = middle + BAR / 2.0 + (line as f64 + 0.5) * LINE + 1.0;
            self.draw_line(row, name, p50, y, out);
        }
        let (x, value) = (Px(furthest + 6.0), median(row));
        put!(out, "</g><text class=\"tick\" x=\"{x}\" y=\"{base}\">{}</text>\n", Escaped(&value));
    }

    /// Adds a line below a bar, as long as the median of what that is held against.
    fn draw_line(&self, row: &Row, name: &str, p50: f64, y: f64, out: &mut String) {
        let about = format!("{}, {name}: {}", row.transport, Unit(&row.unit).exact(p50));
        let (x, stroke) = (self.x.place(p50), self.companions.stroke(name));
        put!(out, "<g><title>{}</title><path class=\"line {}\" ", Escaped(&about), stroke.class());
        put!(out, "d=\"M{},{}H{}\"/>", Px(self.left), Px(y), Px(x));
        self.palette.tone(&row.transport).mark(x, y, stroke, out);
        out.push_str("</g>");
    }
}

/// What a row is held against, with its median.
fn beside<'a>(row: &Row, companions: &'a Companions<'a>) -> impl Iterator<Item = (&'a str, f64)> {
    let names = companions.names().iter().copied();
    let figures = names.filter_map(|name| Some((name, companion_p50(row, name)?)));
    figures.filter(|(_, p50)| Spacing::Linear.takes(*p50))
}

fn median(row: &Row) -> String {
    Unit(&row.unit).tick(row.p50)
}
