//! What makes text and numbers into markup.

use std::fmt::{self, Display, Formatter, Write};

/// Text as it may stand in an element or in an attribute with double quotes.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\t' | '\n' => formatter.write_char(' ')?,
                // No markup can hold other control characters, escaped or not.
                control if control.is_control() => formatter.write_char('\u{fffd}')?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A coordinate, to a tenth of a pixel, which is more than anybody sees.
#[derive(Clone, Copy)]
pub struct Px(pub f64);

impl Display for Px {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let rounded = (self.0 * 10.0).round() / 10.0;
        // Minus zero is zero, and what is no number must not spoil the whole picture.
        let rounded = if rounded == 0.0 || !rounded.is_finite() { 0.0 } else { rounded };
        write!(formatter, "{rounded}")
    }
}

/// Adds formatted text; a `String` takes any.
macro_rules! put {
    ($out:expr, $($argument:tt)*) => {{
        let _ = std::fmt::Write::write_fmt($out, format_args!($($argument)*));
    }};
}
pub(crate) use put;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_no_markup_left() {
        let text = "<a href=\"x\">&\tb</a>\u{7}";
        let escaped = Escaped(text).to_string();
        assert_eq!(escaped, "&lt;a href=&quot;x&quot;&gt;&amp; b&lt;/a&gt;\u{fffd}");
    }

    #[test]
    fn coordinates_are_short_and_numbers() {
        let texts = [12.345, 7.0, -0.01, f64::NAN, f64::INFINITY].map(|x| Px(x).to_string());
        assert_eq!(texts, ["12.3", "7", "0", "0", "0"]);
    }
}
