//! `exec ID start`, `stop` and `time`: a stopwatch on every node.
//!
//! It counts all the time between a start and the next stop, and nothing sets it back.

use std::time::Duration;

use hoptree_core::{
    Call, Claim, Command, CommandSpec, Context, Example, Failure, Outcome, Reply, Time, Word,
};

inventory::submit! {
    CommandSpec {
        name: "timer",
        package: env!("CARGO_PKG_NAME"),
        summary: "a stopwatch on the node",
        words: &[
            Word {
                claim: Claim::Word("start"),
                usage: "start",
                help: "let the stopwatch run on; nothing changes when it runs",
            },
            Word {
                claim: Claim::Word("stop"),
                usage: "stop",
                help: "halt the stopwatch; nothing changes when it stands",
            },
            Word {
                claim: Claim::Word("time"),
                usage: "time",
                help: "how long the stopwatch has run in all, in milliseconds",
            },
        ],
        verbs: &[],
        examples: &[
            Example { line: "exec 1 time", reply: "Ok:1: 0" },
            Example { line: "exec 1 start", reply: "Ok:1" },
            Example { line: "exec 1 stop", reply: "Ok:1" },
        ],
        create: || Box::new(Timer::default()),
    }
}

#[derive(Default)]
struct Timer {
    /// What it counted up to the last stop.
    counted: Duration,
    /// When it was started, while it runs.
    started: Option<Time>,
}

impl Timer {
    fn elapsed(&self, now: Time) -> Duration {
        self.counted + self.started.map_or(Duration::ZERO, |started| now.since(started))
    }
}

impl Command for Timer {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        call.args.none()?;
        let now = cx.now();
        match call.word {
            "start" => {
                self.started.get_or_insert(now);
            }
            "stop" => {
                self.counted = self.elapsed(now);
                self.started = None;
            }
            "time" => return Ok(self.elapsed(now).as_millis().to_string().into()),
            word => return Err(Failure::from(format!("the timer does not know '{word}'"))),
        }
        Ok(Reply::EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use hoptree_core::NodeId;
    use hoptree_core::testkit::Harness;

    use super::*;

    fn timer() -> Harness {
        Harness::new("timer", NodeId::compute(10).unwrap())
    }

    fn exec(node: &mut Harness, line: &str) -> String {
        node.exec(line).unwrap()
    }

    #[test]
    fn counts_while_it_runs() {
        let mut node = timer();
        node.advance(Duration::from_secs(1));
        assert_eq!(exec(&mut node, "time"), "0");
        assert_eq!(exec(&mut node, "start"), "");
        node.advance(Duration::from_secs(10));
        assert_eq!(exec(&mut node, "time"), "10000");
        node.advance(Duration::from_secs(2));
        assert_eq!(exec(&mut node, "stop"), "");
        node.advance(Duration::from_secs(2));
        assert_eq!(exec(&mut node, "time"), "12000");
    }

    #[test]
    fn a_start_goes_on_from_what_was_there() {
        let mut node = timer();
        for _ in 0..3 {
            exec(&mut node, "start");
            node.advance(Duration::from_millis(7));
            exec(&mut node, "stop");
            node.advance(Duration::from_millis(100));
        }
        assert_eq!(exec(&mut node, "time"), "21");
    }

    #[test]
    fn a_second_start_or_stop_changes_nothing() {
        let mut node = timer();
        exec(&mut node, "stop");
        for word in ["start", "start", "stop", "stop"] {
            exec(&mut node, word);
            node.advance(Duration::from_millis(10));
        }
        assert_eq!(exec(&mut node, "time"), "20");
    }

    #[test]
    fn milliseconds_are_whole_and_no_part_of_one_is_lost() {
        let mut node = timer();
        for counted in ["0", "1", "2"] {
            exec(&mut node, "start");
            node.advance(Duration::from_micros(999));
            exec(&mut node, "stop");
            assert_eq!(exec(&mut node, "time"), counted);
        }
    }

    #[test]
    fn an_argument_is_an_error_and_changes_nothing() {
        let mut node = timer();
        assert_eq!(node.exec("start now"), Err("start: unexpected argument 'now'".to_owned()));
        node.advance(Duration::from_secs(1));
        assert_eq!(exec(&mut node, "time"), "0");
    }
}
