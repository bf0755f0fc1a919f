//! `exec ID wait-for MS`: an answer after MS milliseconds, while the node goes on with all else.

use std::str::FromStr;

use hoptree_core::{
    Call, Claim, Command, CommandSpec, Context, Example, Milliseconds, NotATime, Outcome, Reply,
    RequestId, Time, Word,
};

inventory::submit! {
    CommandSpec {
        name: "wait-for",
        package: env!("CARGO_PKG_NAME"),
        summary: "answers later",
        words: &[Word {
            claim: Claim::Word("wait-for"),
            usage: "wait-for MS",
            help: "answer after MS milliseconds, and do what else comes meanwhile",
        }],
        verbs: &[],
        examples: &[
            Example { line: "exec 1 wait-for 20", reply: "Ok:1" },
            Example {
                line: "exec 1 wait-for -1",
                reply: "Error:1: wait-for: MS must be 0 to 86400000, not '-1'",
            },
            Example {
                line: "exec 1 wait-for",
                reply: "Error:1: wait-for: MS is missing: expected 0 to 86400000",
            },
        ],
        create: || Box::new(WaitFor::default()),
    }
}

/// How long a call waits.
struct Wait(Milliseconds);

impl Wait {
    const EXPECTED: &str = "0 to 86400000";
}

impl FromStr for Wait {
    type Err = NotATime;

    fn from_str(word: &str) -> Result<Wait, NotATime> {
        match word.parse()? {
            ms @ Milliseconds(0..=86_400_000) => Ok(Wait(ms)),
            Milliseconds(_) => Err(NotATime),
        }
    }
}

/// The calls that wait and when each is due, in the order in which they came. The control node bounds
/// how many a node may leave unanswered, and those that nobody will wait for are not kept, so they
/// are few enough to look through.
#[derive(Default)]
struct WaitFor(Vec<(Time, RequestId)>);

impl WaitFor {
    /// Takes the calls that are due, in the order in which they were to be answered.
    fn take_due(&mut self, now: Time) -> Vec<(Time, RequestId)> {
        let mut due: Vec<_> = self.0.extract_if(.., |(at, _)| *at <= now).collect();
        // Those that are due at the same time stay in the order in which they came.
        due.sort_by_key(|(at, _)| *at);
        due
    }
}

impl Command for WaitFor {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let Wait(ms) = call.args.only("MS", Wait::EXPECTED)?;
        let due = cx.now() + ms.into();
        if due < call.deadline {
            self.0.push((due, call.id));
        }
        Ok(Reply::Later)
    }

    fn timeout(&mut self, cx: &mut Context<'_>) {
        for (_, call) in self.take_due(cx.now()) {
            cx.answer(call, Ok(String::new()));
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.0.iter().map(|(at, _)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hoptree_core::NodeId;
    use hoptree_core::testkit::{Harness, TIMEOUT};

    use super::*;

    fn node() -> Harness {
        Harness::new("wait-for", NodeId::compute(1).unwrap())
    }

    /// The calls that are answered in the next `ms` milliseconds, in order.
    #[track_caller]
    fn answered(node: &mut Harness, ms: u64) -> Vec<RequestId> {
        node.advance(Duration::from_millis(ms));
        let answers = node.answers().into_iter();
        answers
            .map(|(call, answer)| {
                assert_eq!(answer, Ok(String::new()));
                call
            })
            .collect()
    }

    #[test]
    fn many_wait_at_a_time_and_each_is_answered_at_its_own() {
        let mut node = node();
        let [late, soon, again] =
            ["30", "10", "10"].map(|ms| node.start(&format!("wait-for {ms}")));
        assert_eq!(answered(&mut node, 9), []);
        assert_eq!(answered(&mut node, 1), [soon, again]);
        let between = node.start("wait-for 5");
        assert_eq!(answered(&mut node, 19), [between]);
        assert_eq!(answered(&mut node, 1), [late]);
        assert_eq!(answered(&mut node, 10_000), []);
    }

    #[test]
    fn nothing_is_no_time_to_wait() {
        let mut node = node();
        let call = node.start("wait-for 0");
        assert_eq!(answered(&mut node, 0), [call]);
    }

    #[test]
    fn when_the_node_is_late_the_order_stays() {
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        let [seven, five, too_seven, nine] =
            [(7, 1), (5, 2), (7, 3), (9, 4)].map(|(ms, call)| (at(ms), RequestId(call)));
        let mut module = WaitFor(vec![seven, five, too_seven, nine]);
        assert_eq!(module.deadline(), Some(at(5)));
        assert_eq!(module.take_due(at(8)), [five, seven, too_seven]);
        assert_eq!(module.deadline(), Some(at(9)));
        assert_eq!(module.take_due(at(9)), [nine]);
        assert_eq!(module.deadline(), None);
    }

    #[test]
    fn what_is_no_time_is_an_error_and_nothing_waits() {
        let mut node = node();
        for word in ["-1", "86400001", "4294967296", "1.5", "soon"] {
            let error = format!("wait-for: MS must be 0 to 86400000, not '{word}'");
            assert_eq!(node.exec(&format!("wait-for {word}")), Err(error));
        }
        let missing = "wait-for: MS is missing: expected 0 to 86400000";
        assert_eq!(node.exec("wait-for"), Err(missing.to_owned()));
        let surplus = "wait-for: unexpected argument '2'";
        assert_eq!(node.exec("wait-for 1 2"), Err(surplus.to_owned()));
        assert_eq!(answered(&mut node, 86_400_000), []);
    }

    #[test]
    fn what_nobody_will_wait_for_is_not_kept() {
        let mut node = node();
        let before = Duration::from_millis(1);
        for time in [TIMEOUT, Duration::from_secs(86_400)] {
            node.start(&format!("wait-for {}", time.as_millis()));
        }
        let last = node.start(&format!("wait-for {}", (TIMEOUT - before).as_millis()));
        node.advance(TIMEOUT);
        assert_eq!(node.answers(), [(last, Ok(String::new()))]);
        node.advance(Duration::from_secs(86_400));
        assert_eq!(node.answers(), []);
    }
}
