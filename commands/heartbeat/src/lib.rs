//! `heartbeat MS`: every node shows every MS milliseconds that it lives, and the console says when
//! one has not done so for four times as long.
//!
//! Beating, and the verdict that a neighbour is silent, belong to the links, see
//! [`Context::watch`]. This module owns the interval, which the control node publishes to all
//! others, and the notices, for which the control node keeps a clock per unavailable node.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use hoptree_core::{
    Call, Change, Command, CommandSpec, Context, Example, Milliseconds, NodeId, NotATime, Outcome,
    Reply, Time, Verb, Watch,
};

inventory::submit! {
    CommandSpec {
        name: "heartbeat",
        package: env!("CARGO_PKG_NAME"),
        summary: "tells of nodes that fall silent",
        words: &[],
        verbs: &[Verb {
            spellings: &["heartbeat", "heartbit"],
            usage: "heartbeat MS",
            help: "have every node beat every MS milliseconds, and tell of each that has been \
                   silent for 4*MS; 0 stops it",
        }],
        examples: &[
            Example { line: "heartbeat 2000", reply: "Ok" },
            Example { line: "heartbit 2000", reply: "Ok" },
            Example { line: "heartbeat 0", reply: "Ok" },
            Example {
                line: "heartbeat 5",
                reply: "Error: heartbeat: MS must be 0 or 10 to 86400000, not '5'",
            },
        ],
        create: || Box::new(Heartbeat::default()),
    }
}

/// Milliseconds from one beat to the next; 0 is no beats.
#[derive(Clone, Copy)]
struct Interval(u32);

impl Interval {
    const EXPECTED: &str = "0 or 10 to 86400000";

    fn watch(self) -> Option<Watch> {
        let beat_every = Duration::from_millis(self.0.into());
        (self.0 > 0).then_some(Watch { beat_every, silent_after: 4 * beat_every })
    }
}

impl FromStr for Interval {
    type Err = NotATime;

    fn from_str(word: &str) -> Result<Interval, NotATime> {
        match word.parse()? {
            Milliseconds(ms @ (0 | 10..=86_400_000)) => Ok(Interval(ms)),
            Milliseconds(_) => Err(NotATime),
        }
    }
}

/// Compute nodes pass the interval on to their links and use none of this.
#[derive(Default)]
struct Heartbeat {
    /// `None` while heartbeats are off.
    watch: Option<Watch>,
    /// The nodes that are unavailable and were not reported, and since when. A clock means nothing
    /// while heartbeats are off, and starts anew when they are switched on.
    waiting: BTreeMap<NodeId, Time>,
    /// The same, by when they came to be unavailable.
    oldest: BTreeSet<(Time, NodeId)>,
    /// The nodes that are unavailable and were reported.
    reported: BTreeSet<NodeId>,
}

impl Heartbeat {
    /// Starts the node's clock at `since`, unless it was reported or has an earlier one.
    fn unavailable(&mut self, node: NodeId, since: Time) {
        if !self.reported.contains(&node) {
            let earlier = self.stop_waiting(node);
            let since = earlier.map_or(since, |earlier| since.min(earlier));
            self.waiting.insert(node, since);
            self.oldest.insert((since, node));
        }
    }

    /// Stops the node's clock, and says since when it ran.
    fn stop_waiting(&mut self, node: NodeId) -> Option<Time> {
        let since = self.waiting.remove(&node)?;
        self.oldest.remove(&(since, node));
        Some(since)
    }

    fn returned(&mut self, cx: &mut Context<'_>, node: NodeId) {
        self.stop_waiting(node);
        if self.reported.remove(&node) && self.watch.is_some() {
            cx.notice(format!("Heartbit: node {node} is available again"));
        }
    }

    fn report_due(&mut self, cx: &mut Context<'_>) {
        let Some(watch) = self.watch else { return };
        let mut due = BTreeSet::new();
        while let Some((since, node)) = self.oldest.first().copied()
            && cx.now().since(since) >= watch.silent_after
        {
            self.stop_waiting(node);
            due.insert(node);
        }
        for node in due {
            cx.notice(format!("Heartbit: node {node} is unavailable now"));
            self.reported.insert(node);
        }
    }
}

impl Command for Heartbeat {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let interval: Interval = call.args.only("MS", Interval::EXPECTED)?;
        self.report_due(cx);
        self.watch = interval.watch();
        self.waiting.values_mut().for_each(|since| *since = cx.now());
        self.oldest = self.waiting.keys().map(|node| (cx.now(), *node)).collect();
        cx.watch(self.watch);
        cx.publish(interval.0.to_le_bytes().to_vec())?;
        Ok(Reply::EMPTY)
    }

    fn published(&mut self, cx: &mut Context<'_>, value: &[u8]) {
        if let Ok(ms) = value.try_into() {
            cx.watch(Interval(u32::from_le_bytes(ms)).watch());
        }
    }

    fn node_changed(&mut self, cx: &mut Context<'_>, node: NodeId, change: Change) {
        match change {
            Change::Lost => self.unavailable(node, cx.now()),
            // The parent has waited for the whole time already. The notice is left to `timeout`
            // all the same, so that nodes that fall silent together are reported in order.
            Change::Silent => {
                let waited = self.watch.map_or(Duration::ZERO, |watch| watch.silent_after);
                self.unavailable(node, cx.now() - waited);
            }
            // What was due before the return is not to follow the notice of it.
            Change::Returned => {
                self.report_due(cx);
                self.returned(cx, node);
            }
            Change::Ended => {
                self.stop_waiting(node);
                self.reported.remove(&node);
            }
        }
    }

    fn timeout(&mut self, cx: &mut Context<'_>) {
        self.report_due(cx);
    }

    fn deadline(&self) -> Option<Time> {
        let watch = self.watch?;
        self.oldest.first().map(|(since, _)| *since + watch.silent_after)
    }
}

#[cfg(test)]
mod tests {
    use hoptree_core::Change::{Ended, Lost, Returned, Silent};
    use hoptree_core::testkit::Harness;

    use super::*;

    /// The control node's instance; MS is 100 in every test that does not say otherwise.
    struct Console(Harness);

    impl Console {
        fn off() -> Console {
            Console(Harness::new("heartbeat", NodeId::CONTROL))
        }

        fn on() -> Console {
            let mut console = Console::off();
            console.exec("heartbeat 100");
            console
        }

        #[track_caller]
        fn exec(&mut self, line: &str) {
            assert_eq!(self.0.exec(line), Ok(String::new()));
        }

        fn change(&mut self, id: u32, change: Change) {
            self.0.change(node(id), change);
        }

        /// What is printed in the next `ms` milliseconds, without what all notices begin with.
        fn wait(&mut self, ms: u64) -> Vec<String> {
            self.0.advance(Duration::from_millis(ms));
            self.printed()
        }

        /// What was printed, not waiting for a timeout.
        fn printed(&mut self) -> Vec<String> {
            let notices = self.0.notices().into_iter();
            notices.map(|line| line.strip_prefix("Heartbit: node ").unwrap().to_owned()).collect()
        }
    }

    const NOTHING: [&str; 0] = [];

    fn node(id: u32) -> NodeId {
        NodeId::compute(id).unwrap()
    }

    fn watch(ms: u64) -> Option<Watch> {
        let beat_every = Duration::from_millis(ms);
        Some(Watch { beat_every, silent_after: Duration::from_millis(4 * ms) })
    }

    #[test]
    fn the_interval_reaches_every_node() {
        let mut control = Harness::new("heartbeat", NodeId::CONTROL);
        let mut compute = Harness::new("heartbeat", node(1));
        for (line, expected) in [
            ("heartbeat 10", watch(10)),
            ("heartbit 86400000", watch(86_400_000)),
            ("heartbeat 0", None),
        ] {
            assert_eq!(control.exec(line), Ok(String::new()));
            assert_eq!(control.watches(), [expected]);
            for value in control.published() {
                compute.publish(&value);
            }
            assert_eq!(compute.watches(), [expected]);
        }
    }

    #[test]
    fn a_published_value_that_is_no_interval_changes_nothing() {
        let mut compute = Harness::new("heartbeat", node(1));
        compute.publish(b"100");
        assert!(compute.watches().is_empty());
    }

    #[test]
    fn another_argument_is_an_error_and_changes_nothing() {
        let mut console = Console::on();
        console.0.watches();
        console.0.published();
        console.change(1, Lost);
        console.wait(300);
        for word in ["-5", "1", "9", "86400001", "4294967296", "10.5", "abc"] {
            let error = format!("heartbeat: MS must be 0 or 10 to 86400000, not '{word}'");
            assert_eq!(console.0.exec(&format!("heartbeat {word}")), Err(error));
        }
        let missing = "heartbeat: MS is missing: expected 0 or 10 to 86400000";
        assert_eq!(console.0.exec("heartbeat"), Err(missing.to_owned()));
        let surplus = "heartbeat: unexpected argument '0'";
        assert_eq!(console.0.exec("heartbeat 100 0"), Err(surplus.to_owned()));
        assert!(console.0.watches().is_empty() && console.0.published().is_empty());
        assert_eq!(console.wait(100), ["1 is unavailable now"]);
    }

    #[test]
    fn the_texts_are_exact() {
        let mut console = Console::on();
        console.change(10, Silent);
        console.0.advance(Duration::ZERO);
        console.change(10, Returned);
        assert_eq!(
            console.0.notices(),
            ["Heartbit: node 10 is unavailable now", "Heartbit: node 10 is available again"]
        );
    }

    #[test]
    fn a_lost_node_is_reported_once_when_its_time_has_come() {
        let mut console = Console::on();
        console.change(1, Lost);
        assert_eq!(console.wait(399), NOTHING);
        assert_eq!(console.wait(1), ["1 is unavailable now"]);
        assert_eq!(console.wait(10_000), NOTHING);
    }

    #[test]
    fn a_silent_node_is_reported_once_and_at_once() {
        let mut console = Console::on();
        console.change(1, Silent);
        assert_eq!(console.wait(0), ["1 is unavailable now"]);
        console.change(1, Silent);
        console.change(1, Lost);
        assert_eq!(console.wait(10_000), NOTHING);
    }

    #[test]
    fn the_earlier_of_two_clocks_counts() {
        let mut console = Console::on();
        console.change(1, Silent);
        console.change(1, Lost);
        assert_eq!(console.wait(0), ["1 is unavailable now"]);
        console.change(2, Lost);
        assert_eq!(console.wait(100), NOTHING);
        console.change(2, Lost);
        assert_eq!(console.wait(299), NOTHING);
        console.change(2, Silent);
        assert_eq!(console.wait(0), ["2 is unavailable now"]);
        assert_eq!(console.wait(10_000), NOTHING);
    }

    #[test]
    fn several_due_at_once_are_reported_by_id() {
        let mut console = Console::on();
        for (id, change) in [(10, Lost), (9, Silent), (2, Lost), (3, Silent)] {
            console.change(id, change);
        }
        assert_eq!(console.wait(0), ["3 is unavailable now", "9 is unavailable now"]);
        assert_eq!(console.wait(400), ["2 is unavailable now", "10 is unavailable now"]);
    }

    #[test]
    fn every_node_has_a_clock_of_its_own() {
        let mut console = Console::on();
        console.change(2, Lost);
        console.wait(50);
        console.change(1, Lost);
        assert_eq!(console.wait(350), ["2 is unavailable now"]);
        assert_eq!(console.wait(49), NOTHING);
        assert_eq!(console.wait(1), ["1 is unavailable now"]);
    }

    #[test]
    fn a_return_is_told_only_after_a_report() {
        let mut console = Console::on();
        console.change(1, Lost);
        console.change(2, Lost);
        console.wait(399);
        console.change(1, Returned);
        assert_eq!(console.wait(1), ["2 is unavailable now"]);
        console.change(2, Returned);
        console.change(3, Returned);
        assert_eq!(console.printed(), ["2 is available again"]);
        assert_eq!(console.wait(10_000), NOTHING);
    }

    #[test]
    fn every_loss_counts_anew() {
        let mut console = Console::on();
        for _ in 0..2 {
            console.change(1, Lost);
            assert_eq!(console.wait(300), NOTHING);
            console.change(1, Returned);
        }
        for _ in 0..2 {
            console.change(1, Lost);
            assert_eq!(console.wait(400), ["1 is unavailable now"]);
            console.change(1, Returned);
            assert_eq!(console.printed(), ["1 is available again"]);
        }
    }

    #[test]
    fn a_node_that_ended_is_forgotten() {
        let mut console = Console::on();
        console.change(1, Lost);
        console.change(2, Silent);
        assert_eq!(console.wait(399), ["2 is unavailable now"]);
        for id in [1, 2, 3] {
            console.change(id, Ended);
        }
        assert_eq!(console.wait(1_000), NOTHING);
        console.change(2, Returned);
        assert_eq!(console.wait(0), NOTHING);
        console.change(2, Lost);
        assert_eq!(console.wait(400), ["2 is unavailable now"]);
    }

    #[test]
    fn the_clocks_start_when_heartbeats_are_switched_on() {
        let mut console = Console::off();
        console.change(1, Lost);
        console.change(2, Silent);
        console.change(3, Lost);
        assert_eq!(console.wait(10_000), NOTHING);
        console.change(3, Returned);
        console.exec("heartbeat 100");
        assert_eq!(console.wait(399), NOTHING);
        assert_eq!(console.wait(1), ["1 is unavailable now", "2 is unavailable now"]);
        assert_eq!(console.wait(10_000), NOTHING);
    }

    #[test]
    fn a_new_interval_restarts_the_clocks_of_the_unreported() {
        let mut console = Console::on();
        console.change(1, Silent);
        console.change(2, Lost);
        assert_eq!(console.wait(399), ["1 is unavailable now"]);
        console.exec("heartbeat 50");
        assert_eq!(console.wait(199), NOTHING);
        console.exec("heartbeat 50");
        assert_eq!(console.wait(199), NOTHING);
        assert_eq!(console.wait(1), ["2 is unavailable now"]);
        assert_eq!(console.wait(10_000), NOTHING);
    }

    #[test]
    fn nothing_is_told_while_heartbeats_are_off() {
        let mut console = Console::on();
        for id in [1, 2] {
            console.change(id, Silent);
        }
        console.wait(0);
        console.change(3, Lost);
        console.exec("heartbeat 0");
        console.change(1, Returned);
        console.change(4, Silent);
        assert_eq!(console.wait(10_000), NOTHING);

        console.exec("heartbeat 100");
        assert_eq!(console.wait(399), NOTHING);
        assert_eq!(console.wait(1), ["3 is unavailable now", "4 is unavailable now"]);
        console.change(2, Returned);
        assert_eq!(console.printed(), ["2 is available again"]);
        console.change(1, Lost);
        assert_eq!(console.wait(400), ["1 is unavailable now"]);
    }

    #[test]
    fn what_is_due_comes_before_what_happens_then() {
        let mut console = Console::on();
        console.change(5, Silent);
        console.wait(0);
        console.change(4, Silent);
        console.change(5, Returned);
        assert_eq!(console.printed(), ["4 is unavailable now", "5 is available again"]);
        console.change(3, Silent);
        console.change(3, Returned);
        assert_eq!(console.printed(), ["3 is unavailable now", "3 is available again"]);
        console.change(2, Silent);
        console.change(2, Ended);
        assert_eq!(console.wait(10_000), NOTHING);
        console.change(1, Silent);
        console.exec("heartbeat 0");
        assert_eq!(console.printed(), ["1 is unavailable now"]);
    }

    #[test]
    fn a_timeout_is_asked_for_only_while_something_waits() {
        let mut instance = Heartbeat::default();
        instance.unavailable(node(1), Time::ZERO);
        assert_eq!(instance.deadline(), None);
        instance.watch = watch(100);
        assert_eq!(instance.deadline(), Some(Time::ZERO + Duration::from_millis(400)));
        instance.stop_waiting(node(1));
        instance.reported.insert(node(1));
        assert_eq!(instance.deadline(), None);
    }
}
