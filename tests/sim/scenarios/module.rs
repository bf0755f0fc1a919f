//! The command module of the scenarios.

use std::time::Duration;

use hoptree_core::{
    Answer, Call, Change, Claim, Command, CommandSpec, Context, Example, Facts, JobContext, NodeId,
    Outcome, Reply, RequestId, Time, Verb, Watch, Word,
};

use super::MS;

/// A module with all that a test needs: words that answer at once, with much, later or never, and a
/// watch that tells what it sees.
#[derive(Default)]
struct Probe {
    later: Option<(RequestId, Time)>,
}

pub static PROBE: CommandSpec = CommandSpec {
    name: "probe",
    package: "tests",
    summary: "for tests",
    words: &[
        Word { claim: Claim::Word("echo"), usage: "echo ARG", help: "repeat" },
        Word { claim: Claim::Word("bytes"), usage: "bytes N", help: "N times x" },
        Word { claim: Claim::Word("never"), usage: "never", help: "no answer" },
        Word { claim: Claim::Word("later"), usage: "later MS", help: "answer after MS" },
        Word { claim: Claim::Word("work"), usage: "work N", help: "N times x, not at once" },
        Word { claim: Claim::Word("where"), usage: "where", help: "parent, depth and so on" },
    ],
    verbs: &[
        Verb { spellings: &["watch"], usage: "watch MS", help: "watch everyone" },
        Verb { spellings: &["census"], usage: "census", help: "ask everyone" },
    ],
    examples: &[Example { line: "exec 1 echo", reply: "Ok:1" }],
    create: || Box::new(Probe::default()),
};

impl Command for Probe {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        match call.word {
            "echo" => Ok(call.args.iter().collect::<Vec<_>>().join(" ").into()),
            "bytes" => Ok("x".repeat(call.args.only("N", "a number")?).into()),
            "never" => Ok(Reply::Later),
            "later" => {
                let ms = call.args.only("MS", "a number")?;
                self.later = Some((call.id, cx.now() + Duration::from_millis(ms)));
                Ok(Reply::Later)
            }
            "work" => {
                let count: usize = call.args.only("N", "a number")?;
                let work = move |job: &JobContext<'_>| {
                    assert!(!job.stop().is_wanted());
                    if count > 9 { Err("too much work".into()) } else { Ok("x".repeat(count)) }
                };
                Ok(cx.offload(call.id, work))
            }
            "where" => {
                let Facts { parent, depth, children, below, .. } = cx.facts();
                Ok(format!("{parent} {depth} {children} {below}").into())
            }
            "census" => cx.ask_all(call.id, b"who".to_vec()),
            _ => {
                let ms: u64 = call.args.only("MS", "a number")?;
                cx.publish(ms.to_le_bytes().to_vec())?;
                self.published(cx, &ms.to_le_bytes());
                Ok(Reply::EMPTY)
            }
        }
    }

    fn asked(&mut self, cx: &mut Context<'_>, _: RequestId, question: &[u8]) -> Outcome {
        assert_eq!(question, b"who");
        Ok(cx.facts().pid.to_string().into())
    }

    fn gathered(
        &mut self,
        _: &mut Context<'_>,
        _: RequestId,
        answers: Vec<(NodeId, Answer)>,
    ) -> Outcome {
        Ok(answers
            .iter()
            .map(|(node, answer)| format!("{node}={answer:?} "))
            .collect::<String>()
            .into())
    }

    fn published(&mut self, cx: &mut Context<'_>, value: &[u8]) {
        let beat_every = MS * u32::try_from(u64::from_le_bytes(value.try_into().unwrap())).unwrap();
        cx.watch(Some(Watch { beat_every, silent_after: 4 * beat_every }));
    }

    fn node_changed(&mut self, cx: &mut Context<'_>, node: NodeId, change: Change) {
        if change != Change::Ended {
            cx.notice(format!("{node} {change:?}"));
        }
    }

    fn timeout(&mut self, cx: &mut Context<'_>) {
        if let Some((call, _)) = self.later.take() {
            cx.answer(call, Ok("late".to_owned()));
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.later.map(|(_, due)| due)
    }
}
