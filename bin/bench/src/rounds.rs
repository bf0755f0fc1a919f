//! Turns that are taken round for round.

use std::time::{Duration, Instant};

/// How many rounds there are. In each, everyone has one turn, so that what disturbs the machine for
/// longer than a turn disturbs all of them.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// The first ones, which do not count.
    pub warm_up: u32,
    /// When they end.
    pub end: End,
}

/// When rounds end.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// When this many have counted.
    After(u32),
    /// When another one as long as the longest so far would take more than this time in all. One
    /// counts in any case.
    Within(Duration),
}

impl Rounds {
    /// Has each of this many take its `turn`, and hands what comes of a round that counts to `keep`,
    /// when it is complete. Says how many did.
    ///
    /// # Errors
    ///
    /// When a turn ends it.
    pub fn take<T, E>(
        self,
        turns: usize,
        mut turn: impl FnMut(usize, f64) -> Result<T, E>,
        mut keep: impl FnMut(usize, T),
    ) -> Result<u32, E> {
        let start = Instant::now();
        let mut longest = Duration::ZERO;
        let mut round = 0;
        while turns > 0 && self.goes_on(round, start.elapsed() + longest) {
            let begin = Instant::now();
            let mut taken = Vec::with_capacity(turns);
            for position in 0..turns {
                // Nobody always goes first, or always after the same one.
                let index = (position + round as usize) % turns;
                let part = position as f64 / turns as f64;
                taken.push((index, turn(index, self.share(round, part, start.elapsed()))?));
            }
            if round >= self.warm_up {
                taken.into_iter().for_each(|(index, result)| keep(index, result));
            }
            longest = longest.max(begin.elapsed());
            round += 1;
        }
        Ok(round.saturating_sub(self.warm_up))
    }

    /// Whether there is another round after this many, which would end this long after the start.
    fn goes_on(self, rounds: u32, end: Duration) -> bool {
        match self.end {
            End::After(counted) => rounds < self.warm_up + counted,
            End::Within(time) => rounds <= self.warm_up || end <= time,
        }
    }

    /// Which share of all is done, after this many rounds and this part of the next.
    fn share(self, rounds: u32, part: f64, elapsed: Duration) -> f64 {
        let share = match self.end {
            End::After(counted) => (f64::from(rounds) + part) / f64::from(self.warm_up + counted),
            End::Within(time) => elapsed.as_secs_f64() / time.as_secs_f64(),
        };
        share.min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    /// What each of three was left with when turn `last` ended it.
    fn take(warm_up: u32, counted: u32, last: usize) -> (Option<u32>, Vec<Vec<usize>>) {
        let mut kept = vec![Vec::new(); 3];
        let mut turns = 0;
        let turn = |_, _| {
            turns += 1;
            if turns > last { Err(()) } else { Ok(turns - 1) }
        };
        let rounds = Rounds { warm_up, end: End::After(counted) };
        let complete = rounds.take(3, turn, |index, taken| kept[index].push(taken));
        (complete.ok(), kept)
    }

    #[test]
    fn each_round_begins_with_the_next_one() {
        let expected = vec![vec![0, 5, 7], vec![1, 3, 8], vec![2, 4, 6]];
        assert_eq!(take(0, 3, 9), (Some(3), expected));
    }

    #[test]
    fn neither_the_first_rounds_count_nor_one_that_is_cut_short() {
        assert_eq!(take(1, 3, 8), (None, vec![vec![5], vec![3], vec![4]]));
        assert_eq!(take(2, 3, 4), (None, vec![vec![]; 3]));
    }

    #[test]
    fn one_round_counts_however_short_the_time_is() {
        let rounds = Rounds { warm_up: 1, end: End::Within(Duration::ZERO) };
        assert_eq!(rounds.take(2, |_, _| Ok::<_, ()>(()), |_, ()| ()), Ok(1));
    }

    #[test]
    fn without_anybody_there_is_no_round() {
        let rounds = Rounds { warm_up: 1, end: End::Within(Duration::MAX) };
        assert_eq!(rounds.take(0, |_, _| Ok::<_, ()>(()), |_, ()| ()), Ok(0));
    }

    #[test]
    fn no_round_begins_that_would_end_too_late() {
        let time = Duration::from_millis(100);
        let rounds = Rounds { warm_up: 0, end: End::Within(time) };
        let mut shares = Vec::new();
        let turn = |_, share| {
            shares.push(share);
            sleep(time * 3 / 5);
            Ok::<_, ()>(())
        };
        assert_eq!(rounds.take(1, turn, |_, ()| ()), Ok(1));
        assert!(shares[0] < 0.5, "{shares:?}");
    }

    #[test]
    fn how_far_it_is_goes_from_nothing_to_nearly_all() {
        let mut shares = Vec::new();
        let rounds = Rounds { warm_up: 1, end: End::After(1) };
        let turn = |_, share| {
            shares.push(share);
            Ok::<_, ()>(())
        };
        assert_eq!(rounds.take(2, turn, |_, ()| ()), Ok(1));
        assert_eq!(shares, [0.0, 0.25, 0.5, 0.75]);
    }
}
