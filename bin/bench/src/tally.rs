//! Values of one figure, counted.

use hdrhistogram::Histogram;

/// How many steps there are in a unit. Times come in microseconds or more, so this is a nanosecond.
const STEPS: f64 = 1e3;

/// A bound on what a histogram takes of the memory; no value comes near it.
const STEPS_MAX: u64 = 1 << 50;

/// How often each value was there, three digits of each.
#[derive(Clone)]
pub struct Tally(Histogram<u64>);

impl Tally {
    /// No values yet.
    pub fn new() -> Tally {
        Tally(Histogram::new(3).expect("three digits are few enough"))
    }

    /// Adds a value, which is not negative.
    pub fn record(&mut self, value: f64) {
        // The conversion saturates at both ends.
        let steps = ((value * STEPS).round() as u64).min(STEPS_MAX);
        self.0.record(steps).expect("it grows with what it is given");
    }

    /// Adds all values of another one.
    pub fn add(&mut self, other: &Tally) {
        self.0.add(&other.0).expect("it grows with what it is given");
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What this share of the values does not exceed; 0 when there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        self.value(self.0.value_at_quantile(share))
    }

    /// The least value.
    pub fn min(&self) -> f64 {
        self.value(self.0.min())
    }

    /// Each value that there is, from the least, and how often.
    pub fn counts(&self) -> Vec<(f64, u64)> {
        let recorded = self.0.iter_recorded();
        recorded.map(|at| (self.value(at.value_iterated_to()), at.count_at_value())).collect()
    }

    /// The least of the values that the histogram does not tell from this one, so that a small
    /// number of things stays whole.
    fn value(&self, steps: u64) -> f64 {
        self.0.lowest_equivalent(steps) as f64 / STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(values: &[f64]) -> Tally {
        let mut tally = Tally::new();
        values.iter().for_each(|value| tally.record(*value));
        tally
    }

    #[test]
    fn numbers_of_things_stay_whole() {
        let tally = tally(&[4.0, 22.0, 4.0]);
        assert_eq!((tally.count(), tally.min()), (3, 4.0));
        assert_eq!((tally.quantile(0.5), tally.quantile(1.0)), (4.0, 22.0));
        assert_eq!(tally.counts(), [(4.0, 2), (22.0, 1)]);
    }

    #[test]
    fn great_values_have_three_digits() {
        let mut all = tally(&[0.0]);
        all.add(&tally(&[4_321_987.0]));
        assert_eq!(all.quantile(0.5), 0.0);
        let error = all.quantile(1.0) / 4_321_987.0 - 1.0;
        assert!(error.abs() < 1e-3, "{error}");
    }

    #[test]
    fn nothing_is_zero() {
        let nothing = Tally::new();
        assert_eq!((nothing.count(), nothing.quantile(0.5)), (0, 0.0));
        assert_eq!((nothing.min(), nothing.counts().len()), (0.0, 0));
    }
}
