//! `pingall`: which nodes can't be reached.
//!
//! The control node asks all nodes, and they need not say anything: whether an answer comes at all
//! is what the user wants to know.

use hoptree_core::{
    Answer, Call, Command, CommandSpec, Context, Example, NodeId, Outcome, Reply, RequestId, Verb,
};

inventory::submit! {
    CommandSpec {
        name: "pingall",
        package: env!("CARGO_PKG_NAME"),
        summary: "tells which nodes can't be reached",
        words: &[],
        verbs: &[Verb {
            spellings: &["pingall"],
            usage: "pingall",
            help: "the ids of the nodes that can't be reached, or -1 when all can",
        }],
        examples: &[
            Example { line: "pingall", reply: "Ok: -1" },
            Example { line: "pingall 1", reply: "Error: pingall: unexpected argument '1'" },
        ],
        create: || Box::new(PingAll),
    }
}

struct PingAll;

impl Command for PingAll {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        call.args.none()?;
        cx.ask_all(call.id, Vec::new())
    }

    fn asked(&mut self, _: &mut Context<'_>, _: RequestId, _: &[u8]) -> Outcome {
        Ok(Reply::EMPTY)
    }

    fn gathered(
        &mut self,
        _: &mut Context<'_>,
        _: RequestId,
        answers: Vec<(NodeId, Answer)>,
    ) -> Outcome {
        let lost = answers.into_iter().filter(|(_, answer)| is_unreachable(answer));
        let ids: Vec<_> = lost.map(|(node, _)| node.to_string()).collect();
        Ok(if ids.is_empty() { "-1".into() } else { ids.join(";").into() })
    }
}

fn is_unreachable(answer: &Answer) -> bool {
    match answer {
        // One that takes no more requests answers none.
        Answer::Unavailable | Answer::Refused => true,
        // One that is late lives, and one that is gone is no node of the tree any more.
        Answer::Given(_) | Answer::Late | Answer::NotFound => false,
    }
}

#[cfg(test)]
mod tests {
    use hoptree_core::Answer::{Given, Late, NotFound, Unavailable};
    use hoptree_core::testkit::Harness;

    use super::*;

    fn node(id: u32) -> NodeId {
        NodeId::compute(id).unwrap()
    }

    fn here() -> Answer {
        Given(Ok(String::new()))
    }

    #[track_caller]
    fn assert_reply(answers: &[(u32, Answer)], reply: &str) {
        let mut control = Harness::new("pingall", NodeId::CONTROL);
        let call = control.start("pingall");
        assert_eq!(control.questions().len(), 1);
        control.gather(answers.iter().map(|(id, answer)| (node(*id), answer.clone())).collect());
        assert_eq!(control.answers(), [(call, Ok(reply.to_owned()))]);
    }

    #[test]
    fn a_node_answers_with_nothing() {
        assert_eq!(Harness::new("pingall", node(1)).ask(b""), Ok(String::new()));
    }

    #[test]
    fn when_all_can_be_reached_it_is_minus_1() {
        assert_reply(&[(0, here()), (7, here())], "-1");
        assert_reply(&[], "-1");
    }

    #[test]
    fn those_that_cannot_be_reached_are_listed_by_id() {
        let answers =
            [(1, here()), (7, Unavailable), (9, here()), (10, Unavailable), (15, Unavailable)];
        assert_reply(&answers, "7;10;15");
        assert_reply(&[(0, Unavailable)], "0");
    }

    #[test]
    fn whoever_is_late_lives_and_whoever_is_gone_is_no_node() {
        assert_reply(&[(1, Late), (2, NotFound), (3, Given(Err("why".into())))], "-1");
        assert_reply(&[(1, Late), (2, NotFound), (3, Unavailable)], "3");
    }

    #[test]
    fn an_argument_is_an_error_and_nobody_is_asked() {
        let mut control = Harness::new("pingall", NodeId::CONTROL);
        let error = "pingall: unexpected argument '1'";
        assert_eq!(control.exec("pingall 1"), Err(error.to_owned()));
        assert!(control.questions().is_empty());
    }

    #[test]
    fn two_calls_at_once_are_answered_each_with_its_own() {
        let mut control = Harness::new("pingall", NodeId::CONTROL);
        let calls = [control.start("pingall"), control.start("pingall")];
        control.gather(vec![(node(1), Unavailable)]);
        control.gather(vec![(node(1), here())]);
        let replies = ["1", "-1"].map(|reply| Ok(reply.to_owned()));
        assert_eq!(control.answers(), calls.into_iter().zip(replies).collect::<Vec<_>>());
    }
}
