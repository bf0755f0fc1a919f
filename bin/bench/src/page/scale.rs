//! From figures to places along an axis.

/// The least figure above zero that is shown, and the greatest. Nobody has measured any beyond.
const RANGE: (f64, f64) = (1e-3, 1e9);

/// The most ticks of a logarithmic axis that has several in a decade.
const TICKS_MAX: usize = 10;

/// How figures are laid out along an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Equal differences take equal room.
    Linear,
    /// Equal ratios take equal room. Zero and less have no place.
    Log,
}

/// An axis.
pub struct Scale {
    /// How the figures are laid out.
    pub spacing: Spacing,
    /// The figures that stand at it, from its beginning to its end. There must be one.
    pub ticks: Vec<f64>,
    /// The places of its beginning and of its end.
    pub ends: (f64, f64),
}

impl Spacing {
    /// Whether a figure can be shown.
    pub fn takes(self, value: f64) -> bool {
        value.abs() <= RANGE.1 && (self == Spacing::Linear || value >= RANGE.0)
    }

    /// Round figures around these, on a linear axis from zero on; none when it takes no figure.
    pub fn round_ticks(self, values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
        let values = values.filter(|value| self.takes(*value));
        let Some(greatest) = values.clone().reduce(f64::max) else { return Vec::new() };
        let least = values.fold(greatest, f64::min);
        if self == Spacing::Linear {
            let fifth = if greatest > RANGE.0 { greatest / 5.0 } else { 1.0 };
            let step = log_ticks(fifth, fifth, &[1.0, 2.0, 5.0]);
            let step = step.into_iter().find(|step| *step >= fifth * 0.999_999).unwrap_or(fifth);
            let count = (greatest / step - 1e-9).ceil().max(1.0) as u32;
            return (0..=count).map(|tick| f64::from(tick) * step).collect();
        }
        let dense = log_ticks(least, greatest, &[1.0, 2.0, 5.0]);
        if dense.len() <= TICKS_MAX { dense } else { log_ticks(least, greatest, &[1.0]) }
    }
}

impl Scale {
    /// Where a figure that the spacing takes has its place; one beyond an end is put there.
    pub fn place(&self, value: f64) -> f64 {
        let (low, high) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        let share = match self.spacing {
            Spacing::Linear => (value - low) / (high - low),
            Spacing::Log => (value / low).ln() / (high / low).ln(),
        };
        // Where both ends are one figure there is no share; it stands in the middle.
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }
}

/// The figures with one of these digits and zeros, from the last that is not above `least` to the
/// first that is not below `greatest` and follows it.
fn log_ticks(least: f64, greatest: f64, digits: &[f64]) -> Vec<f64> {
    let decades = least.log10().floor() as i32..=greatest.log10().ceil() as i32 + 1;
    let ticks = decades.flat_map(|decade| digits.iter().map(move |d| d * 10_f64.powi(decade)));
    let ticks: Vec<_> = ticks.collect();
    // Powers of ten are not exact.
    let first = ticks.iter().rposition(|tick| *tick <= least * 1.000_001).unwrap_or(0);
    let last = ticks.iter().position(|tick| *tick >= greatest * 0.999_999);
    ticks[first..=last.unwrap_or(ticks.len() - 1).max(first + 1)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(spacing: Spacing, values: &[f64]) -> Vec<f64> {
        spacing.round_ticks(values.iter().copied())
    }

    #[test]
    fn linear_axes_begin_at_zero_and_end_on_a_round_figure() {
        assert_eq!(ticks(Spacing::Linear, &[37.0]), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(ticks(Spacing::Linear, &[100.0, 3.0]), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(Spacing::Linear, &[0.0, -5.0]), [0.0, 1.0]);
    }

    #[test]
    fn log_axes_have_1_2_5_or_powers_of_ten() {
        assert_eq!(ticks(Spacing::Log, &[14.0, 90.0]), [10.0, 20.0, 50.0, 100.0]);
        assert_eq!(ticks(Spacing::Log, &[10.0]), [10.0, 20.0]);
        assert_eq!(ticks(Spacing::Log, &[7.0, 5e4]), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5]);
    }

    #[test]
    fn figures_have_a_place_between_the_ends() {
        let scale = |ticks| Scale { spacing: Spacing::Log, ticks, ends: (50.0, 150.0) };
        let places = [0.1, 1.0, 10.0, 100.0, 1e9].map(|x| scale(vec![1.0, 100.0]).place(x));
        assert_eq!(places, [50.0, 50.0, 100.0, 150.0, 150.0]);
        assert_eq!(scale(vec![8.0]).place(8.0), 100.0);
    }

    #[test]
    fn figures_that_cannot_be_shown_make_no_axis() {
        let none = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, 0.0, -1.0];
        assert!(ticks(Spacing::Log, &none).is_empty());
    }
}
