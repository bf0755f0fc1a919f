//! The cores that processes are kept to.

use std::fmt;
use std::str::FromStr;

use hoptree_host::Failure;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Some cores, as in `0` or `0,2-3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(Vec<usize>);

impl Cores {
    /// Keeps this process to them, and all that it starts from now on.
    ///
    /// # Errors
    ///
    /// When the system refuses: there are no such cores.
    pub fn pin(&self) -> Result<(), Failure> {
        let mut set = CpuSet::new();
        self.0.iter().for_each(|core| set.set(*core));
        sched_setaffinity(None, &set).map_err(|error| {
            Failure::Usage(format!("can't keep processes to the cores {self}: {error}"))
        })
    }
}

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Cores, String> {
        let wrong = || format!("expected cores such as 0 or 0,2-3, below {}", CpuSet::MAX_CPU);
        let number =
            |word: &str| word.parse().ok().filter(|core| *core < CpuSet::MAX_CPU).ok_or_else(wrong);
        let mut cores = Vec::new();
        for word in text.split(',') {
            match word.split_once('-') {
                None => cores.push(number(word)?),
                Some((first, last)) => {
                    let range = number(first)?..=number(last)?;
                    if range.is_empty() {
                        return Err(wrong());
                    }
                    cores.extend(range);
                }
            }
        }
        Ok(Cores(cores))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_ranges() {
        assert_eq!("0".parse(), Ok(Cores(vec![0])));
        assert_eq!("0,2-4".parse::<Cores>().unwrap().to_string(), "0,2,3,4");
        for wrong in ["", "a", "1-", "3-2", "0,,1", "100000", "-1"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }
}
