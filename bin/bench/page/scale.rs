//! From figures to places along an axis.

/// The most ticks that an axis has room for.
const TICKS_MAX: usize = 9;

/// Nobody has measured more than this; of such figures not even the power of ten may be a number.
const GREATEST: f64 = 1e30;

/// How figures are laid out along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Equal differences take equal room, from nought on.
    Linear,
    /// Equal differences take equal room, from wherever the figures begin.
    Close,
    /// Equal ratios take equal room. It has no place for nought and less.
    Log,
}

/// The figures that an axis spans, and where each has its place.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    spacing: Spacing,
    low: f64,
    high: f64,
    /// From one round figure to the next, where they have one distance.
    step: f64,
    start: f64,
    end: f64,
}

impl Spacing {
    /// Whether a figure can be shown.
    pub fn takes(self, value: f64) -> bool {
        value.abs() <= GREATEST && (self != Spacing::Log || value >= 1.0 / GREATEST)
    }

    /// The least and the greatest of the figures that can be shown, if there are any.
    fn bounds(self, values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
        values.into_iter().filter(|value| self.takes(*value)).fold(None, |bounds, value| {
            let (least, most) = bounds.unwrap_or((value, value));
            Some((value.min(least), value.max(most)))
        })
    }
}

impl Scale {
    /// A scale for all of these figures that it takes, from one round figure to another. The first
    /// has its place at `start`, the other at `end`. None when it takes no figure.
    pub fn round(
        spacing: Spacing,
        values: impl IntoIterator<Item = f64>,
        (start, end): (f64, f64),
    ) -> Option<Scale> {
        let (least, most) = spacing.bounds(values)?;
        let span = if spacing == Spacing::Close { most - least } else { most };
        let step = if span > 0.0 { round_up(span * 0.2 * (1.0 - 1e-9)) } else { 1.0 };
        let (down, up) = ((least / step + 1e-9).floor(), (most / step - 1e-9).ceil());
        let (low, high) = match spacing {
            Spacing::Linear => (0.0, up.max(1.0) * step),
            Spacing::Close => (down * step, up.max(down + 1.0) * step),
            Spacing::Log => {
                let low = round_down(least);
                (low, round_up(most).max(round_up(low * 1.5)))
            }
        };
        Some(Scale { spacing, low, high, step, start, end })
    }

    /// A scale from the least to the greatest of these figures. None when it takes no figure.
    pub fn exact(
        spacing: Spacing,
        values: impl IntoIterator<Item = f64>,
        (start, end): (f64, f64),
    ) -> Option<Scale> {
        let (low, high) = spacing.bounds(values)?;
        Some(Scale { spacing, low, high, step: high - low, start, end })
    }

    /// Where a figure that the scale takes has its place; one beyond an end is put there.
    pub fn place(&self, value: f64) -> f64 {
        let share = match self.spacing {
            Spacing::Linear | Spacing::Close => (value - self.low) / (self.high - self.low),
            Spacing::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        // Where both ends are one figure there is no share; it stands in the middle.
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
        self.start + share * (self.end - self.start)
    }

    /// The round figures from one end to the other.
    pub fn ticks(&self) -> Vec<f64> {
        match self.spacing {
            Spacing::Linear | Spacing::Close => {
                let count = ((self.high - self.low) / self.step).round() as usize;
                // What can't be divided into a few steps is no figure that anybody has measured.
                (0..=count.min(TICKS_MAX))
                    .map(|number| self.low + number as f64 * self.step)
                    .collect()
            }
            Spacing::Log => self.ticks_of_decades(),
        }
    }

    /// 1, 2 and 5 of each decade, or 1 alone where that is too many, or that of every few decades.
    fn ticks_of_decades(&self) -> Vec<f64> {
        let tens = (decade(self.low)..=decade(self.high)).map(power_of_ten);
        let all = tens.clone().flat_map(|ten| [1.0, 2.0, 5.0].map(|digit| digit * ten));
        let all: Vec<_> = all.filter(|tick| self.spans(*tick)).collect();
        if all.len() <= TICKS_MAX {
            return all;
        }
        let tens: Vec<_> = tens.filter(|tick| self.spans(*tick)).collect();
        let apart = tens.len().div_ceil(TICKS_MAX);
        tens.into_iter().step_by(apart).collect()
    }

    fn spans(&self, value: f64) -> bool {
        (self.low * 0.999..=self.high * 1.001).contains(&value)
    }
}

/// The next number down that is 1, 2 or 5 times a power of ten, or the number itself.
fn round_down(value: f64) -> f64 {
    let power = power_of_ten(decade(value));
    let digits = [5.0, 2.0, 1.0];
    digits.map(|digit| digit * power).into_iter().find(|round| *round <= value).unwrap_or(power)
}

/// The next number up that is 1, 2 or 5 times a power of ten, or the number itself.
fn round_up(value: f64) -> f64 {
    let power = power_of_ten(decade(value));
    let digits = [1.0, 2.0, 5.0, 10.0];
    digits.map(|digit| digit * power).into_iter().find(|round| *round >= value).unwrap_or(value)
}

/// The exponent of the greatest power of ten that is not above a positive number.
fn decade(value: f64) -> i32 {
    (value.log10() + 1e-12).floor() as i32
}

fn power_of_ten(power: i32) -> f64 {
    10_f64.powi(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(spacing: Spacing, values: &[f64]) -> Vec<f64> {
        Scale::round(spacing, values.iter().copied(), (0.0, 100.0)).unwrap().ticks()
    }

    #[test]
    fn linear_axes_begin_at_nought_and_end_on_a_round_figure() {
        assert_eq!(ticks(Spacing::Linear, &[37.0]), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(ticks(Spacing::Linear, &[100.0, 3.0]), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(Spacing::Linear, &[0.0]).len(), 2);
    }

    #[test]
    fn close_axes_begin_below_the_least() {
        assert_eq!(ticks(Spacing::Close, &[13.0, 17.0]), [13.0, 14.0, 15.0, 16.0, 17.0]);
        assert_eq!(
            ticks(Spacing::Close, &[95.0, 141.0]),
            [90.0, 100.0, 110.0, 120.0, 130.0, 140.0, 150.0]
        );
        for figure in [1.0, 0.0, 1e9] {
            assert!((2..=TICKS_MAX).contains(&ticks(Spacing::Close, &[figure]).len()), "{figure}");
        }
    }

    #[test]
    fn log_axes_have_1_2_5_or_powers_of_ten() {
        assert_eq!(ticks(Spacing::Log, &[14.0, 90.0]), [10.0, 20.0, 50.0, 100.0]);
        assert_eq!(ticks(Spacing::Log, &[10.0]), [10.0, 20.0]);
        assert_eq!(ticks(Spacing::Log, &[7.0, 4.7e6]), [10.0, 100.0, 1e3, 1e4, 1e5, 1e6]);
        assert!(ticks(Spacing::Log, &[1e-9, 1e30]).len() <= TICKS_MAX);
    }

    #[test]
    fn figures_have_a_place_between_the_ends() {
        let scale = Scale::round(Spacing::Log, [1.0, 100.0], (50.0, 150.0)).unwrap();
        assert_eq!(
            [0.1, 1.0, 10.0, 100.0, 1e9].map(|x| scale.place(x)),
            [50.0, 50.0, 100.0, 150.0, 150.0]
        );
        let one = Scale::exact(Spacing::Log, [8.0], (0.0, 100.0)).unwrap();
        assert_eq!(one.place(8.0), 50.0);
    }

    #[test]
    fn without_a_figure_that_can_be_shown_there_is_no_scale() {
        let none = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, 0.0, -1.0];
        for values in [&[], &none[..]] {
            assert!(Scale::round(Spacing::Log, values.iter().copied(), (0.0, 1.0)).is_none());
        }
    }
}
