//! What somebody meant who has mistyped a name.

use crate::shown;

/// How many letters may be wrong at most.
const TYPOS_MAX: usize = 2;

/// The name that is nearest to what was typed, if any is so near that it may have been meant: no
/// more than two letters are wrong, and no more than half of the name's. Case makes no difference.
#[must_use]
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = shown(typed).to_ascii_lowercase();
    let typos = |name: &str| strsim::damerau_levenshtein(&typed, &name.to_ascii_lowercase());
    names
        .into_iter()
        .map(|name| (typos(name), name))
        .min()
        .filter(|(typos, name)| *typos <= TYPOS_MAX.min(name.len() / 2))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_may_be_missing_wrong_too_many_or_in_another_order() {
        let names = ["time", "start", "stop", "set", "wait-for"];
        for (typed, meant) in [
            ("tiem", Some("time")),
            ("tme", Some("time")),
            ("timme", Some("time")),
            ("TIME", Some("time")),
            ("sart", Some("start")),
            ("waitfor", Some("wait-for")),
            ("wait_fro", Some("wait-for")),
            ("tmei!", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
        assert_eq!(nearest("tiem", []), None);
    }

    #[test]
    fn of_a_short_name_one_letter_may_be_wrong() {
        assert_eq!(nearest("gte", ["get"]), Some("get"));
        assert_eq!(nearest("go", ["get"]), None);
        assert_eq!(nearest("", ["x", "is"]), None);
    }

    #[test]
    fn the_first_by_name_of_two_that_are_as_near() {
        assert_eq!(nearest("sot", ["set", "rot"]), Some("rot"));
    }

    #[test]
    fn a_long_word_costs_little() {
        assert_eq!(nearest(&"x".repeat(10_000_000), ["time"]), None);
    }
}
