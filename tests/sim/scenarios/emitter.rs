//! A command module that emits output.

use std::time::Duration;

use hoptree_core::{
    Call, Claim, Command, CommandSpec, Context, Example, JobContext, Outcome, Reply, RequestId,
    Stream, Time, Word,
};

/// How long a line of `pour` is, with its end.
pub const LINE_BYTES: usize = 1_000;

pub static EMITTER: CommandSpec = CommandSpec {
    name: "streams",
    package: "tests",
    summary: "for tests",
    words: &[
        Word { claim: Claim::Word("say"), usage: "say TEXT", help: "emit, and answer at once" },
        Word { claim: Claim::Word("blunder"), usage: "blunder TEXT", help: "emit, and fail" },
        Word { claim: Claim::Word("lines"), usage: "lines N MS", help: "N lines, one each MS" },
        Word { claim: Claim::Word("pour"), usage: "pour N", help: "N long lines, from a job" },
        Word { claim: Claim::Word("gush"), usage: "gush N", help: "N bytes at once" },
    ],
    verbs: &[],
    examples: &[Example { line: "exec 1 say", reply: "1: \nOk:1: said" }],
    create: || Box::new(Emitter::default()),
};

#[derive(Default)]
struct Emitter {
    ticking: Vec<Ticking>,
}

/// Lines at intervals.
struct Ticking {
    call: RequestId,
    next: usize,
    count: usize,
    every: Duration,
    due: Time,
}

impl Ticking {
    /// Emits a line, or answers; says whether it has answered.
    fn go_on(&mut self, cx: &mut Context<'_>) -> bool {
        if self.next == self.count {
            cx.answer(self.call, Ok("done".to_owned()));
            return true;
        }
        let stream = if self.next.is_multiple_of(2) { Stream::Out } else { Stream::Err };
        cx.emit(self.call, stream, format!("line {}\n", self.next));
        self.next += 1;
        self.due = cx.now() + self.every;
        false
    }
}

impl Command for Emitter {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let text = call.args.iter().collect::<Vec<_>>().join(" ");
        let mut numbers = call.args.iter().map(|word| word.parse().unwrap_or_default());
        let mut number = || numbers.next().unwrap_or_default();
        match call.word {
            "say" => {
                cx.emit(call.id, Stream::Out, text);
                Ok("said".into())
            }
            "blunder" => {
                cx.emit(call.id, Stream::Err, text);
                Err("wrong".into())
            }
            "lines" => {
                let (count, ms) = (number(), number() as u64);
                let (next, every, due) = (0, Duration::from_millis(ms), cx.now());
                let mut ticking = Ticking { call: call.id, next, count, every, due };
                ticking.go_on(cx);
                self.ticking.push(ticking);
                Ok(Reply::Later)
            }
            "pour" => {
                let count = number();
                Ok(cx.offload_blocking(call.id, move |job: &JobContext<'_>| {
                    for line in 0..count {
                        let text = format!("{line:0width$}\n", width = LINE_BYTES - 1);
                        if job.emit(Stream::Out, text.as_bytes()).is_err() {
                            break;
                        }
                    }
                    Ok("poured".to_owned())
                }))
            }
            _ => {
                cx.emit(call.id, Stream::Out, "x".repeat(number()));
                Ok(Reply::Later)
            }
        }
    }

    fn cancelled(&mut self, _: &mut Context<'_>, call: RequestId) {
        self.ticking.retain(|ticking| ticking.call != call);
    }

    fn timeout(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        self.ticking.retain_mut(|ticking| ticking.due > now || !ticking.go_on(cx));
    }

    fn deadline(&self) -> Option<Time> {
        self.ticking.iter().map(|ticking| ticking.due).min()
    }
}
