//! The offsets of a pattern in a text that comes in chunks.

use std::fmt::Write as _;

use hoptree_core::{Failure, VALUE_BYTES_MAX};
use memchr::memmem::Finder;

/// How long one offset can be, with what stands before it: a number of 64 bits.
const OFFSET_BYTES_MAX: usize = 21;

/// Finds every occurrence, overlapping ones too, in linear time: the automaton of D. E. Knuth,
/// J. H. Morris and V. R. Pratt, "Fast Pattern Matching in Strings", SIAM Journal on Computing 6
/// (1977).
///
/// While no beginning of the pattern stands at the end of what was read, as nearly always,
/// `memmem` goes on to the next occurrence, 16 or 32 bytes at a time. It looks for two bytes of the
/// pattern that are rare, so a frequent first byte does not matter, as it would with `memchr`.
/// `memmem` is linear too, and is never given a byte again. It alone would not do: it has to begin
/// anew for an occurrence that overlaps another, which is quadratic in a text like `aaaa`, and for
/// one that is cut in two by the end of a chunk.
///
/// Takes 4 bytes for each byte of the pattern, and at most twice the longest answer.
pub struct Offsets<'p> {
    pattern: &'p [u8],
    finder: Finder<'p>,
    /// For each beginning of the pattern, by its length: how long the longest shorter beginning is
    /// that is also its end.
    borders: Vec<u32>,
    /// How long the longest beginning of the pattern is that ends what was read, the whole pattern
    /// aside.
    matched: usize,
    /// How much was read in the chunks before this one.
    read: u64,
    answer: String,
}

impl<'p> Offsets<'p> {
    /// Nothing is read yet. The pattern is not empty, and no longer than [`VALUE_BYTES_MAX`].
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn new(pattern: &'p [u8]) -> Result<Offsets<'p>, Failure> {
        Ok(Offsets {
            pattern,
            finder: Finder::new(pattern),
            borders: borders(pattern)?,
            matched: 0,
            read: 0,
            answer: String::new(),
        })
    }

    /// Reads the next part of the text.
    ///
    /// # Errors
    ///
    /// When the answer is longer than [`VALUE_BYTES_MAX`], or there is no memory for it.
    pub fn read(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let mut at = 0;
        while at < chunk.len() {
            if self.matched > 0 {
                self.step(chunk[at]);
                at += 1;
            } else if let Some(skipped) = self.finder.find(&chunk[at..]) {
                at += skipped + self.pattern.len();
                self.matched = self.pattern.len();
            } else {
                // None in this chunk, so only one that begins in its end may go on in the next.
                let end = at.max((chunk.len() + 1).saturating_sub(self.pattern.len()));
                chunk[end..].iter().for_each(|byte| self.step(*byte));
                break;
            }
            if self.matched == self.pattern.len() {
                self.note(self.read + at as u64 - self.pattern.len() as u64)?;
                self.matched = self.borders[self.pattern.len()] as usize;
            }
        }
        self.read += chunk.len() as u64;
        Ok(())
    }

    /// The offsets in what was read, ascending and joined by `;`, or `-1`.
    pub fn answer(self) -> String {
        if self.answer.is_empty() { "-1".to_owned() } else { self.answer }
    }

    fn step(&mut self, byte: u8) {
        self.matched = longer(self.pattern, &self.borders, self.matched, byte);
    }

    fn note(&mut self, offset: u64) -> Result<(), Failure> {
        self.answer.try_reserve(OFFSET_BYTES_MAX).map_err(|_| out_of_memory("an answer"))?;
        let separator = if self.answer.is_empty() { "" } else { ";" };
        write!(self.answer, "{separator}{offset}").expect("writing to a String can't fail");
        if self.answer.len() > VALUE_BYTES_MAX {
            return Err(Failure::from(format!(
                "PATTERN occurs too often: the answer is longer than {VALUE_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }
}

fn out_of_memory(what: &str) -> Failure {
    Failure::from(format!("out of memory: the node has none for so long {what}"))
}

fn borders(pattern: &[u8]) -> Result<Vec<u32>, Failure> {
    let mut borders = Vec::new();
    borders.try_reserve_exact(pattern.len() + 1).map_err(|_| out_of_memory("a PATTERN"))?;
    borders.resize(pattern.len() + 1, 0);
    for length in 2..=pattern.len() {
        let border = borders[length - 1] as usize;
        borders[length] = longer(pattern, &borders, border, pattern[length - 1]) as u32;
    }
    Ok(borders)
}

/// How much of the pattern has matched after one more byte, when `matched` had, but not all of it.
fn longer(pattern: &[u8], borders: &[u32], mut matched: usize, byte: u8) -> usize {
    while pattern[matched] != byte {
        if matched == 0 {
            return 0;
        }
        matched = borders[matched] as usize;
    }
    matched + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(text: &[u8], pattern: &[u8], chunk_bytes: usize) -> String {
        let mut offsets = Offsets::new(pattern).unwrap();
        for chunk in text.chunks(chunk_bytes) {
            offsets.read(chunk).unwrap();
        }
        offsets.answer()
    }

    fn naive(text: &[u8], pattern: &[u8]) -> String {
        let found = text.windows(pattern.len()).enumerate().filter(|(_, part)| *part == pattern);
        let offsets: Vec<_> = found.map(|(offset, _)| offset.to_string()).collect();
        if offsets.is_empty() { "-1".to_owned() } else { offsets.join(";") }
    }

    /// The same numbers in every run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) as usize % bound
        }

        fn letters(&mut self, length: usize) -> Vec<u8> {
            (0..length).map(|_| b"ab"[self.below(2)]).collect()
        }
    }

    #[test]
    fn a_slow_search_finds_the_same_whatever_the_chunks() {
        let mut numbers = Numbers(1);
        for _ in 0..5_000 {
            let length = numbers.below(150);
            let text = numbers.letters(length);
            let length = 1 + numbers.below(9);
            let pattern = numbers.letters(length);
            let expected = naive(&text, &pattern);
            for chunk_bytes in [1, 2, 7, 64, 150] {
                let found = offsets(&text, &pattern, chunk_bytes);
                assert_eq!(found, expected, "{pattern:?} in {text:?}, by {chunk_bytes}");
            }
        }
    }

    #[test]
    fn long_patterns_with_long_borders() {
        let mut numbers = Numbers(2);
        for _ in 0..200 {
            let length = 1 + numbers.below(40);
            let part = numbers.letters(length);
            let text = [part.repeat(12), numbers.letters(7), part.repeat(20)].concat();
            for copies in [1, 3, 11, 13, 21] {
                let pattern = part.repeat(copies);
                let expected = naive(&text, &pattern);
                for chunk_bytes in [5, 100, 2_000] {
                    assert_eq!(offsets(&text, &pattern, chunk_bytes), expected);
                }
            }
        }
    }

    #[test]
    fn any_byte_may_be_in_either() {
        let text: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        assert_eq!(offsets(&text, &[255, 0], 256), "255;511;767");
        assert_eq!(offsets(&text, &[200], 256), "200;456;712;968");
    }

    #[test]
    fn an_answer_that_is_too_long_ends_the_search() {
        let mut offsets = Offsets::new(b"a").unwrap();
        let chunk = [b'a'; 4_096];
        let mut chunks = 0;
        while offsets.read(&chunk).is_ok() {
            chunks += 1;
        }
        // Seven digits and a `;` for most of the offsets.
        assert!((512..=600).contains(&chunks), "{chunks}");
        assert!(offsets.answer.capacity() <= 2 * VALUE_BYTES_MAX);
    }
}
