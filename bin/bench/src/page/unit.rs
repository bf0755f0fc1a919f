//! Figures as people read them.

/// The units of time with their nanoseconds. Of two that are as long, the last is shown.
const TIMES: [(&str, f64); 5] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];

/// What figures are shown in.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// What stands beside the figures; nothing where they count things.
    pub name: &'a str,
    /// Whether they are times.
    pub is_time: bool,
    /// By what a figure of the report is divided.
    divisor: f64,
}

impl<'a> Unit<'a> {
    /// The unit for figures that a report has in `unit`: the unit of time that makes short numbers
    /// of those near `typical`, or their own.
    pub fn of(unit: &'a str, typical: f64) -> Unit<'a> {
        if let Some((_, nanoseconds)) = TIMES.iter().find(|(name, _)| *name == unit) {
            let fits = |(_, length): &&(&str, f64)| typical * nanoseconds >= *length;
            let (name, length) = TIMES.iter().rev().find(fits).unwrap_or(&TIMES[0]);
            return Unit { name, is_time: true, divisor: length / nanoseconds };
        }
        let name = match unit {
            "1" => "",
            "1/s" => "per second",
            "1/min" => "per minute",
            "us/s" => "µs per second",
            other => other,
        };
        Unit { name, is_time: false, divisor: 1.0 }
    }

    /// A figure to three digits, without the unit.
    pub fn short(self, value: f64) -> String {
        let text = format!("{:.2e}", value / self.divisor);
        let rounded: f64 = text.parse().unwrap_or(value);
        match rounded.abs() {
            1e6.. => format!("{}M", rounded / 1e6),
            1e4.. => format!("{}k", rounded / 1e3),
            _ => rounded.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(unit: &str, typical: f64, value: f64) -> String {
        let unit = Unit::of(unit, typical);
        format!("{} {}", unit.short(value), unit.name)
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        assert_eq!(shown("us", 50.0, 58.832), "58.8 µs");
        assert_eq!(shown("us", 1_000.0, 20.0), "0.02 ms");
        assert_eq!(shown("ms", 40.0, 1_234.0), "1230 ms");
        assert_eq!(shown("us", 0.0, 0.0), "0 ns");
    }

    #[test]
    fn other_figures_keep_their_unit() {
        assert_eq!(shown("1/s", 1e6, 12_345.0), "12.3k per second");
        assert_eq!(shown("1/s", 1e6, 2_500_000.0), "2.5M per second");
        assert_eq!(shown("1", 1.0, 22.0), "22 ");
    }
}
