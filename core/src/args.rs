//! The arguments of a call, as a module reads them.

use std::str::{FromStr, SplitAsciiWhitespace};

use memchr::{memchr, memchr3};

use crate::Failure;

/// The arguments of a call: words, separated by blanks. As in a shell, quotes and backslashes make
/// blanks part of a word, and a word that begins with `#` begins a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args<'a> {
    text: &'a str,
    /// The words, when anything is quoted; otherwise they are where they stand in the text.
    quoted: Option<Vec<String>>,
}

impl<'a> Args<'a> {
    /// The arguments in `text`.
    ///
    /// # Errors
    ///
    /// When a quotation is not closed, or nothing follows a backslash.
    pub fn parse(text: &'a str) -> Result<Args<'a>, Failure> {
        let bytes = text.as_bytes();
        if memchr3(b'\'', b'"', b'\\', bytes).or_else(|| memchr(b'#', bytes)).is_none() {
            return Ok(Args { text, quoted: None });
        }
        let mut words = shlex::Shlex::new(text);
        let quoted = words.by_ref().collect();
        if words.had_error {
            return Err(Failure::from("a quotation is not closed, or a backslash comes last"));
        }
        Ok(Args { text, quoted: Some(quoted) })
    }

    /// What was parsed, byte for byte. Its length is a hint of how long a call may take, and a copy
    /// of it gives offloaded work the same arguments again, by [`Args::parse`].
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// One argument after the other.
    #[must_use]
    pub fn iter(&self) -> Words<'_> {
        Words(match &self.quoted {
            None => Source::Plain(self.text.split_ascii_whitespace()),
            Some(words) => Source::Quoted(words.iter()),
        })
    }

    /// A reader of the arguments from the first on.
    #[must_use]
    pub fn read(&self) -> Reader<'_> {
        Reader { words: self.iter() }
    }

    /// Nothing, for a word that takes no argument.
    ///
    /// # Errors
    ///
    /// Names the first argument when there is one.
    pub fn none(&self) -> Result<(), Failure> {
        self.read().end()
    }

    /// The only argument, called `name` in what the user reads, which must be `expected`.
    ///
    /// # Errors
    ///
    /// Says what was expected when the argument is missing, is no `T`, or is not the only one.
    pub fn only<T: FromStr>(&self, name: &str, expected: &str) -> Result<T, Failure> {
        let mut args = self.read();
        let value = args.required(name, expected)?;
        args.end()?;
        Ok(value)
    }
}

impl<'s> IntoIterator for &'s Args<'_> {
    type Item = &'s str;
    type IntoIter = Words<'s>;

    fn into_iter(self) -> Words<'s> {
        self.iter()
    }
}

/// The words of [`Args`], one after the other.
#[derive(Clone, Debug)]
pub struct Words<'s>(Source<'s>);

#[derive(Clone, Debug)]
enum Source<'s> {
    Plain(SplitAsciiWhitespace<'s>),
    Quoted(std::slice::Iter<'s, String>),
}

impl<'s> Iterator for Words<'s> {
    type Item = &'s str;

    fn next(&mut self) -> Option<&'s str> {
        match &mut self.0 {
            Source::Plain(words) => words.next(),
            Source::Quoted(words) => words.next().map(String::as_str),
        }
    }
}

/// Reads arguments in their order, each called by a name in what the user reads.
#[derive(Clone, Debug)]
pub struct Reader<'s> {
    words: Words<'s>,
}

impl<'s> Reader<'s> {
    /// The next argument, which must be `expected`, as a `T`.
    ///
    /// # Errors
    ///
    /// Says what was expected when there is none, or it is no `T`.
    pub fn required<T: FromStr>(&mut self, name: &str, expected: &str) -> Result<T, Failure> {
        value(self.text(name, expected)?, name, expected)
    }

    /// The next argument as a `T`, if there is one.
    ///
    /// # Errors
    ///
    /// Says what was expected when it is no `T`.
    pub fn optional<T: FromStr>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Failure> {
        self.words.next().map(|word| value(word, name, expected)).transpose()
    }

    /// The next argument as it is.
    ///
    /// # Errors
    ///
    /// Says what was expected when there is none.
    pub fn text(&mut self, name: &str, expected: &str) -> Result<&'s str, Failure> {
        let missing = || Failure::from(format!("{name} is missing: expected {expected}"));
        self.words.next().ok_or_else(missing)
    }

    /// The end of the arguments.
    ///
    /// # Errors
    ///
    /// Names the first argument that is left.
    pub fn end(mut self) -> Result<(), Failure> {
        match self.words.next() {
            None => Ok(()),
            Some(surplus) => {
                Err(Failure::from(format!("unexpected argument '{}'", shown(surplus))))
            }
        }
    }
}

fn value<T: FromStr>(word: &str, name: &str, expected: &str) -> Result<T, Failure> {
    let wrong = |_| Failure::from(format!("{name} must be {expected}, not '{}'", shown(word)));
    word.parse().map_err(wrong)
}

/// As much of a user's word as an error message should repeat.
#[must_use]
pub fn shown(word: &str) -> &str {
    const BYTES_MAX: usize = 40;
    &word[..word.floor_char_boundary(BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        Args::parse(text).unwrap().iter().map(str::to_owned).collect()
    }

    #[test]
    fn quotes_and_backslashes_make_one_word() {
        assert_eq!(words("  a \t b  "), ["a", "b"]);
        assert_eq!(words(r#"'a  b' "c 'd" e\ f x"y"z"#), ["a  b", "c 'd", "e f", "xyz"]);
        assert_eq!(words(r#"'' "" '\' "\"""#), ["", "", "\\", "\""]);
        assert_eq!(words("a#b 'c'"), ["a#b", "c"]);
        assert_eq!(words("a # b"), ["a"]);
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for text in ["'a b", "a \"b", "a\\", "\""] {
            let error = Args::parse(text).unwrap_err();
            assert!(error.text.contains("not closed"), "{text}");
        }
    }

    #[test]
    fn the_text_gives_the_same_arguments_again() {
        for text in ["", "  a \t b  ", r#"'a  b' c\ d # e"#] {
            let args = Args::parse(text).unwrap();
            assert_eq!(args.text(), text);
            assert_eq!(Args::parse(args.text()), Ok(args));
        }
    }

    #[test]
    fn errors_name_the_argument() {
        let args = Args::parse("five 'six' 7 8").unwrap();
        let mut reader = args.read();
        let wrong = reader.required::<i64>("N", "an integer").unwrap_err();
        assert_eq!(wrong.text, "N must be an integer, not 'five'");
        assert_eq!(reader.text("NAME", "a word"), Ok("six"));
        assert_eq!(reader.optional("K", "an integer"), Ok(Some(7)));
        let surplus = reader.clone().end().unwrap_err();
        assert_eq!(surplus.text, "unexpected argument '8'");
        assert_eq!(reader.required("L", "an integer"), Ok(8));
        assert_eq!(reader.optional::<i64>("M", "an integer"), Ok(None));
        let missing = reader.text("TEXT", "a text").unwrap_err();
        assert_eq!(missing.text, "TEXT is missing: expected a text");
    }
}
