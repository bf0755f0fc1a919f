//! Labels that do not cover each other.

/// How high a line of text is.
const LINE: f64 = 14.0;

/// About how wide a letter is, on average, in the letters that the plots have.
const LETTER: f64 = 6.3;

/// About how wide this text is.
pub fn width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

/// The most room that is left for labels beside what they are labels of.
const MARGIN_MAX: f64 = 110.0;

/// How much room these texts take beside what they are labels of.
pub fn margin(texts: impl IntoIterator<Item = impl AsRef<str>>) -> f64 {
    let widths = texts.into_iter().map(|text| width(text.as_ref()));
    widths.fold(0.0, f64::max).min(MARGIN_MAX)
}

/// Where labels have to be, from `top` to `bottom`, so that each has a line of its own and is near
/// to where it is wanted. More labels than there are lines for go beyond the bottom.
pub fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<_> = (0..wanted.len()).collect();
    order.sort_by(|one, other| wanted[*one].total_cmp(&wanted[*other]));
    let mut places = wanted.to_vec();
    // Up from the bottom each makes room for the ones below it, then down from the top again.
    let mut limit = bottom;
    for label in order.iter().rev() {
        places[*label] = places[*label].min(limit);
        limit = places[*label] - LINE;
    }
    let mut limit = top;
    for label in &order {
        places[*label] = places[*label].max(limit);
        limit = places[*label] + LINE;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_room_stay() {
        assert_eq!(apart(&[80.0, 20.0, 50.0], 0.0, 100.0), [80.0, 20.0, 50.0]);
    }

    #[test]
    fn labels_without_room_make_some_and_keep_their_order() {
        assert_eq!(apart(&[50.0, 51.0, 52.0], 0.0, 100.0), [24.0, 38.0, 52.0]);
        assert_eq!(apart(&[99.0, 100.0], 0.0, 100.0), [86.0, 100.0]);
        assert_eq!(apart(&[0.0, 0.0, 0.0], 0.0, 20.0), [0.0, 14.0, 28.0]);
        assert!(apart(&[], 0.0, 100.0).is_empty());
    }
}
