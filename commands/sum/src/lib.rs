//! `exec ID N K1 ... KN`: the sum of N numbers.
//!
//! The count is the word itself, so this module answers every word that is an integer.

use hoptree_core::{
    Args, Call, Claim, Command, CommandSpec, Context, Example, Failure, Outcome, Stop, Word, shown,
};

/// The greatest N.
const COUNT_MAX: u32 = 100_000_000;

/// The longest list, in bytes, that the node adds up itself. That takes a tenth of a millisecond; the
/// longest line that there is would take 25.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;

inventory::submit! {
    CommandSpec {
        name: "sum",
        package: env!("CARGO_PKG_NAME"),
        summary: "adds numbers up",
        words: &[Word {
            claim: Claim::Integer,
            usage: "N K1 ... KN",
            help: "the sum of the N integers that follow the count",
        }],
        verbs: &[],
        examples: &[
            Example { line: "exec 1 3 1 2 3", reply: "Ok:1: 6" },
            Example { line: "exec 1 2 -30 12", reply: "Ok:1: -18" },
            Example { line: "exec 1 0", reply: "Ok:1: 0" },
            Example {
                line: "exec 1 3 1 2",
                reply: "Error:1: sum: expected 3 numbers after the count, got 2",
            },
        ],
        create: || Box::new(Sum),
    }
}

struct Sum;

impl Command for Sum {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let count = count(call.word)?;
        let text = call.args.text();
        if text.len() <= AT_ONCE_BYTES_MAX {
            return Ok(sum(count, &call.args, &Stop::default())?.into());
        }
        let text = text.to_owned();
        Ok(cx.offload(call.id, move |job| sum(count, &Args::parse(&text)?, job.stop())))
    }
}

fn count(word: &str) -> Result<u32, Failure> {
    match word.parse() {
        Ok(count @ 0..=COUNT_MAX) => Ok(count),
        _ => Err(Failure::from(format!("N must be 0 to {COUNT_MAX}, not '{}'", shown(word)))),
    }
}

/// How many numbers are added up, in some 20 microseconds, between one look at [`Stop`] and the next.
const NUMBERS_PER_LOOK: u32 = 1_024;

/// The sum is exact: [`COUNT_MAX`] numbers of 64 bits fit into 128.
fn sum(count: u32, args: &Args<'_>, stop: &Stop) -> Result<String, Failure> {
    let mut numbers = args.iter();
    let mut sum = 0;
    for index in 1..=count {
        if index % NUMBERS_PER_LOOK == 1 && stop.is_wanted() {
            return Err(Failure::from("nobody waits for the sum any more"));
        }
        let Some(word) = numbers.next() else {
            return Err(mismatch(count, index as usize - 1));
        };
        sum += i128::from(number(index, word)?);
    }
    match numbers.count() {
        0 => Ok(sum.to_string()),
        surplus => Err(mismatch(count, count as usize + surplus)),
    }
}

fn number(index: u32, word: &str) -> Result<i64, Failure> {
    word.parse().map_err(|_| {
        Failure::from(format!("K{index} must be a 64-bit integer, not '{}'", shown(word)))
    })
}

fn mismatch(expected: u32, got: usize) -> Failure {
    let numbers = if expected == 1 { "number" } else { "numbers" };
    Failure::from(format!("expected {expected} {numbers} after the count, got {got}"))
}

#[cfg(test)]
mod tests {
    use hoptree_core::NodeId;
    use hoptree_core::testkit::Harness;

    use super::*;

    fn exec(line: &str) -> Result<String, String> {
        Harness::new("sum", NodeId::compute(1).unwrap()).exec(line)
    }

    #[track_caller]
    fn assert_sum(line: &str, sum: &str) {
        assert_eq!(exec(line).as_deref(), Ok(sum));
    }

    #[track_caller]
    fn assert_error(line: &str, error: &str) {
        assert_eq!(exec(line), Err(error.to_owned()));
    }

    #[test]
    fn adds_as_many_numbers_as_the_count_says() {
        assert_sum("3 1 2 3", "6");
        assert_sum("+2  -5 +3", "-2");
        assert_sum("1 7", "7");
        assert_sum("0", "0");
    }

    #[test]
    fn the_sum_may_be_greater_than_its_numbers_may() {
        assert_sum("2 9223372036854775807 9223372036854775807", "18446744073709551614");
        assert_sum("2 -9223372036854775808 -9223372036854775808", "-18446744073709551616");
    }

    #[test]
    fn a_long_list_is_added_up_beside_the_node() {
        let mut node = Harness::new("sum", NodeId::compute(1).unwrap());
        let long = AT_ONCE_BYTES_MAX / 2 + 1;
        let line = |count: usize| format!("{count}{}", " 5".repeat(long));
        let calls = [node.start(&line(long)), node.start(&line(2))];
        assert_eq!(node.answers(), []);
        node.run_jobs();
        let sum = (5 * long).to_string();
        let mismatch = format!("sum: expected 2 numbers after the count, got {long}");
        assert_eq!(node.answers(), [(calls[0], Ok(sum)), (calls[1], Err(mismatch))]);
    }

    #[test]
    fn a_long_list_may_be_quoted() {
        let line = format!("2 '1'{}'2' # 3", " ".repeat(AT_ONCE_BYTES_MAX));
        assert_sum(&line, "3");
    }

    #[test]
    fn work_that_nobody_waits_for_stops() {
        let stop = Stop::default();
        let args = Args::parse("1 x 3").unwrap();
        assert!(sum(3, &args, &stop).unwrap_err().text.contains("'x'"));
        stop.want();
        assert!(sum(3, &args, &stop).unwrap_err().text.contains("nobody"));
    }

    #[test]
    fn a_count_that_does_not_match_says_both() {
        assert_error("3 1 2", "sum: expected 3 numbers after the count, got 2");
        assert_error("2 1 2 x 4", "sum: expected 2 numbers after the count, got 4");
        assert_error("1", "sum: expected 1 number after the count, got 0");
        assert_error("0 1", "sum: expected 0 numbers after the count, got 1");
        assert_error("100000000 1", "sum: expected 100000000 numbers after the count, got 1");
    }

    #[test]
    fn a_count_out_of_range_is_refused() {
        for count in ["-1", "100000001", "99999999999999999999999999"] {
            let error = format!("sum: N must be 0 to 100000000, not '{count}'");
            assert_error(&format!("{count} 1"), &error);
        }
    }

    #[test]
    fn what_is_no_number_is_quoted() {
        assert_error("2 1 x", "sum: K2 must be a 64-bit integer, not 'x'");
        assert_error("1 2.5", "sum: K1 must be a 64-bit integer, not '2.5'");
        assert_error(
            "1 9223372036854775808",
            "sum: K1 must be a 64-bit integer, not '9223372036854775808'",
        );
    }

    #[test]
    fn a_long_word_is_not_repeated_in_full() {
        let error = exec(&format!("1 {}", "x".repeat(10_000))).unwrap_err();
        assert!(error.len() < 100, "{error}");
    }
}
