//! `exec ID info`: what a node knows of itself and of its process.
//!
//! One line of `NAME=VALUE`, for people and scripts. Names and their order stay as they are; what
//! may be added is added at the end.

use std::fs;

use hoptree_core::{Call, Claim, Command, CommandSpec, Context, Example, Outcome, Word};

inventory::submit! {
    CommandSpec {
        name: "info",
        package: env!("CARGO_PKG_NAME"),
        summary: "what a node knows of itself",
        words: &[Word {
            claim: Claim::Word("info"),
            usage: "info",
            help: "the node's process (pid), parent, number of links to the control node (depth), \
                   transport, number of children and of all nodes below, age (uptime_ms), resident \
                   memory (memory_kib), and how many requests it has run, messages passed on for \
                   others, frames received and sent, and answers dropped since they came too late",
        }],
        verbs: &[],
        // All other replies vary.
        examples: &[Example {
            line: "exec 1 info all",
            reply: "Error:1: info: unexpected argument 'all'",
        }],
        create: || Box::new(Info),
    }
}

struct Info;

impl Command for Info {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        call.args.none()?;
        // The kernel makes this file up of counters that it has at hand: nothing is waited for.
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        Ok(line(cx, &memory_kib(&statm, rustix::param::page_size())).into())
    }
}

fn line(cx: &Context<'_>, memory_kib: &str) -> String {
    let facts = cx.facts();
    let fields = [
        ("pid", facts.pid.to_string()),
        ("parent", facts.parent.to_string()),
        ("depth", facts.depth.to_string()),
        ("transport", facts.transport.to_owned()),
        ("children", facts.children.to_string()),
        ("below", facts.below.to_string()),
        ("uptime_ms", cx.now().since(facts.since).as_millis().to_string()),
        ("memory_kib", memory_kib.to_owned()),
        ("run", facts.traffic.run.to_string()),
        ("passed_on", facts.traffic.passed_on.to_string()),
        ("frames_received", facts.traffic.frames_received.to_string()),
        ("frames_sent", facts.traffic.frames_sent.to_string()),
        ("answers_dropped", facts.traffic.answers_dropped.to_string()),
    ];
    fields.map(|(name, value)| format!("{name}={value}")).join(" ")
}

/// The resident memory in a text of the form of `/proc/PID/statm`, whose second number counts pages.
fn memory_kib(statm: &str, page_bytes: usize) -> String {
    let word = statm.split_ascii_whitespace().nth(1);
    let bytes = word.and_then(|pages| pages.parse().ok()).and_then(|n| page_bytes.checked_mul(n));
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| (bytes / 1024).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hoptree_core::testkit::Harness;
    use hoptree_core::{NodeId, Traffic};

    use super::*;

    fn fields(reply: &str) -> Vec<(&str, &str)> {
        reply.split(' ').map(|field| field.split_once('=').unwrap()).collect()
    }

    #[test]
    fn tells_what_the_node_knows() {
        let mut node = Harness::new("info", NodeId::compute(10).unwrap());
        node.facts.parent = NodeId::compute(7).unwrap();
        node.facts.depth = 3;
        node.facts.children = 2;
        node.facts.below = 5;
        node.facts.traffic = Traffic {
            run: 10,
            passed_on: 20,
            frames_received: 30,
            frames_sent: 40,
            answers_dropped: 50,
        };
        node.advance(Duration::from_millis(1_500));
        let reply = node.exec("info").unwrap();
        let (before, after) = reply.split_once("memory_kib=").unwrap();
        assert_eq!(
            before,
            "pid=1234 parent=7 depth=3 transport=testkit children=2 below=5 uptime_ms=1500 "
        );
        let (memory, after) = after.split_once(' ').unwrap();
        assert!(memory.parse::<usize>().unwrap() > 0);
        assert_eq!(
            after,
            "run=10 passed_on=20 frames_received=30 frames_sent=40 answers_dropped=50"
        );
    }

    #[test]
    fn a_child_of_the_control_node_has_the_parent_that_a_user_would_write() {
        let reply = Harness::new("info", NodeId::compute(1).unwrap()).exec("info").unwrap();
        assert!(fields(&reply).contains(&("parent", "-1")), "{reply}");
    }

    #[test]
    fn memory_that_cannot_be_read_is_unknown() {
        assert_eq!(memory_kib("900 7 3 1 0 20 0\n", 4_096), "28");
        for odd in ["", "900", "900 x 3", "900 18446744073709551615 3"] {
            assert_eq!(memory_kib(odd, 4_096), "unknown", "{odd}");
        }
    }

    #[test]
    fn an_argument_is_an_error() {
        let mut node = Harness::new("info", NodeId::compute(1).unwrap());
        assert_eq!(node.exec("info all"), Err("info: unexpected argument 'all'".to_owned()));
    }
}
