//! Figures as people read them.

/// What a figure is a number of, by the name it has in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a>(pub &'a str);

/// The units of time, and how many nanoseconds each has.
const TIMES: [(&str, f64); 5] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];

/// The units of time that figures are shown in, the longest first.
const SHOWN: [(&str, f64); 4] = [("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0)];

/// What is put behind numbers that are too long otherwise.
const MULTIPLES: [(&str, f64); 3] = [("G", 1e9), ("M", 1e6), ("k", 1e3)];

impl<'a> Unit<'a> {
    /// Whether it is one of time: those are shown in whichever unit makes a short number.
    pub fn is_time(self) -> bool {
        self.nanoseconds().is_some()
    }

    /// A figure at an axis, whose title names the unit unless it is one of time.
    pub fn tick(self, value: f64) -> String {
        match self.nanoseconds() {
            Some(nanoseconds) => time(value * nanoseconds, 3),
            None => short(value),
        }
    }

    /// A figure by itself.
    pub fn exact(self, value: f64) -> String {
        match self.nanoseconds() {
            Some(nanoseconds) => time(value * nanoseconds, 4),
            None => format!("{} {}", number(value), self.name()).trim_end().to_owned(),
        }
    }

    /// What the title of an axis with such figures says, beside the unit where the ticks have none.
    pub fn title(self, what: &str) -> String {
        match (self.is_time(), self.name()) {
            (false, name) if !name.is_empty() => format!("{what}, {name}"),
            _ => what.to_owned(),
        }
    }

    /// What stands behind a figure: nothing behind a mere number.
    pub fn name(self) -> &'a str {
        match self.0 {
            "1" => "",
            "us" => "µs",
            "1/s" => "per second",
            "1/min" => "per minute",
            "us/s" => "µs per second",
            other => other,
        }
    }

    fn nanoseconds(self) -> Option<f64> {
        TIMES.iter().find(|(name, _)| *name == self.0).map(|(_, nanoseconds)| *nanoseconds)
    }
}

/// A number to four digits, its thousands apart.
pub fn number(value: f64) -> String {
    group(&rounded(value, 4))
}

/// A number of at most four characters or so.
fn short(value: f64) -> String {
    match MULTIPLES.iter().find(|(_, multiple)| value.abs() >= *multiple) {
        Some((name, multiple)) => format!("{}{name}", rounded(value / multiple, 3)),
        None => rounded(value, 3),
    }
}

fn time(nanoseconds: f64, digits: i32) -> String {
    let fits = |(_, unit): &&(&str, f64)| nanoseconds.abs() >= unit * 0.9995;
    match SHOWN.iter().find(fits) {
        Some((name, unit)) => format!("{} {name}", rounded(nanoseconds / unit, digits)),
        // Nought is nought in every unit.
        None if nanoseconds == 0.0 => "0".to_owned(),
        None => format!("{} ns", rounded(nanoseconds, digits)),
    }
}

/// The number with so many digits that say something, and no noughts behind them.
fn rounded(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = usize::try_from(digits - 1 - magnitude).unwrap_or(0).min(9);
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The number with its thousands apart.
fn group(number: &str) -> String {
    let (sign, rest) = number.split_at(usize::from(number.starts_with('-')));
    let whole = rest.find('.').unwrap_or(rest.len());
    let mut text = sign.to_owned();
    for (place, digit) in rest.char_indices() {
        if place > 0 && place < whole && (whole - place) % 3 == 0 && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_the_unit_that_fits() {
        let us = Unit("us");
        assert_eq!(
            [0.5, 58.83, 1_363.26, 2e6].map(|t| us.exact(t)),
            ["500 ns", "58.83 µs", "1.363 ms", "2 s"]
        );
        assert_eq!([20.0, 1_000.0].map(|t| us.tick(t)), ["20 µs", "1 ms"]);
        assert_eq!(us.exact(0.0), "0");
    }

    #[test]
    fn other_figures_keep_their_unit() {
        let rate = Unit("1/s");
        assert_eq!(rate.exact(2_639_000.0), "2,639,000 per second");
        assert_eq!([50.0, 1_000.0, 2_500_000.0].map(|r| rate.tick(r)), ["50", "1k", "2.5M"]);
        assert_eq!(Unit("1").exact(22.0), "22");
        let titles = ["us", "1", "KiB"].map(|unit| Unit(unit).title("median"));
        assert_eq!(titles, ["median", "median", "median, KiB"]);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [1_234_567.0, -1_234.0, 123.45, 0.012_345].map(number),
            ["1,234,567", "-1,234", "123.5", "0.01235"]
        );
        assert_eq!(number(f64::INFINITY), "inf");
    }
}
