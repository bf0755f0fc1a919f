//! Times as people type them.

use std::str::FromStr;
use std::time::Duration;

/// A number of milliseconds, as typed: `500` alone, or a time with units: `500ms`, `5s`, `2m`,
/// `1h30m`. At most 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Milliseconds(pub u32);

/// A text is no such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATime;

impl FromStr for Milliseconds {
    type Err = NotATime;

    fn from_str(word: &str) -> Result<Milliseconds, NotATime> {
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            return word.parse().map(Milliseconds).map_err(|_| NotATime);
        }
        let time = humantime::parse_duration(word).map_err(|_| NotATime)?;
        let is_whole = time.subsec_nanos().is_multiple_of(1_000_000);
        u32::try_from(time.as_millis()).ok().filter(|_| is_whole).map(Milliseconds).ok_or(NotATime)
    }
}

impl From<Milliseconds> for Duration {
    fn from(Milliseconds(ms): Milliseconds) -> Duration {
        Duration::from_millis(ms.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_milliseconds_unless_it_has_a_unit() {
        for (word, ms) in [
            ("0", 0),
            ("500", 500),
            ("0500", 500),
            ("500ms", 500),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(word.parse(), Ok(Milliseconds(ms)), "{word}");
        }
    }

    #[test]
    fn what_is_no_whole_number_of_milliseconds_is_refused() {
        for word in [
            "",
            " ",
            "-1",
            "+1",
            "1.5",
            "s",
            "5 s x",
            "five",
            "1us",
            "1500us",
            "4294967296",
            "50days",
        ] {
            assert_eq!(word.parse::<Milliseconds>(), Err(NotATime), "{word:?}");
        }
    }
}
