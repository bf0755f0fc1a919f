//! Turns that are taken round for round.

use crate::failure::Failure;

/// How many rounds there are. In each, every subject has one turn, so that what disturbs the
/// machine for longer than a turn disturbs all of them.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// The first ones, which do not count.
    pub warm_up: u32,
    /// Those after them.
    pub counted: u32,
}

impl Rounds {
    /// Has each subject take its `turn`, and hands what comes of it to `keep`, if it counts. Says
    /// how many rounds counted: what is `interrupted` counts only as far as rounds are complete.
    ///
    /// # Errors
    ///
    /// When a turn fails.
    pub fn take<S, T>(
        self,
        subjects: &mut [S],
        interrupted: impl Fn() -> bool,
        mut turn: impl FnMut(&S) -> Result<T, Failure>,
        mut keep: impl FnMut(&mut S, T),
    ) -> Result<u32, Failure> {
        for round in 0..self.warm_up + self.counted {
            let mut taken = Vec::with_capacity(subjects.len());
            for position in 0..subjects.len() {
                if interrupted() {
                    return Ok(round.saturating_sub(self.warm_up));
                }
                // Nobody always goes first, or always after the same one.
                let index = (position + round as usize) % subjects.len();
                taken.push((index, turn(&subjects[index])?));
            }
            if round >= self.warm_up {
                taken.into_iter().for_each(|(index, result)| keep(&mut subjects[index], result));
            }
        }
        Ok(self.counted)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What each of three subjects was left with when an interrupt came before turn `last`.
    fn take(warm_up: u32, counted: u32, last: usize) -> (u32, Vec<Vec<usize>>) {
        let mut subjects = vec![Vec::new(); 3];
        let turns = Cell::new(0);
        let turn = |_: &Vec<usize>| {
            turns.set(turns.get() + 1);
            Ok(turns.get() - 1)
        };
        let rounds = Rounds { warm_up, counted };
        let complete = rounds.take(&mut subjects, || turns.get() == last, turn, Vec::push);
        (complete.unwrap(), subjects)
    }

    #[test]
    fn each_round_begins_with_the_next_one() {
        assert_eq!(take(0, 3, 9), (3, vec![vec![0, 5, 7], vec![1, 3, 8], vec![2, 4, 6]]));
    }

    #[test]
    fn neither_the_first_rounds_count_nor_one_that_is_cut_short() {
        assert_eq!(take(1, 3, 8), (1, vec![vec![5], vec![3], vec![4]]));
        assert_eq!(take(2, 3, 4), (0, vec![vec![]; 3]));
    }

    #[test]
    fn a_failure_ends_it() {
        let turn = |(): &()| Err::<(), _>(Failure::Runtime("lost".to_owned()));
        let rounds = Rounds { warm_up: 1, counted: 1 };
        assert!(rounds.take(&mut [()], || false, turn, |(), ()| ()).is_err());
    }
}
