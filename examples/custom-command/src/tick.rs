//! `exec ID tick N MS`: output that comes before its answer.

use std::time::Duration;

use hoptree_core::{
    Call, Claim, Command, CommandSpec, Context, Example, Failure, JobContext, Outcome, Stream, Word,
};

inventory::submit! {
    CommandSpec {
        name: "tick",
        package: env!("CARGO_PKG_NAME"),
        summary: "a clock that ticks",
        words: &[Word {
            claim: Claim::Word("tick"),
            usage: "tick N MS",
            help: "count to N, one number every MS milliseconds",
        }],
        verbs: &[],
        examples: &[Example {
            line: "exec 1 tick 3",
            reply: "Error:1: tick: MS is missing: expected milliseconds between two ticks",
        }],
        create: || Box::new(Tick),
    }
}

struct Tick;

impl Command for Tick {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let mut args = call.args.read();
        let count: u32 = args.required("N", "how often to tick")?;
        let ms: u32 = args.required("MS", "milliseconds between two ticks")?;
        args.end()?;
        let pause = Duration::from_millis(ms.into());
        Ok(cx.offload_blocking(call.id, move |job| tick(job, count, pause)))
    }
}

fn tick(job: &JobContext<'_>, count: u32, pause: Duration) -> Result<String, Failure> {
    for number in 1..=count {
        if job.stop().wait(pause) {
            return Err("stopped".into());
        }
        job.emit(Stream::Out, format!("{number}\n").as_bytes())?;
    }
    Ok(format!("{count} ticks"))
}

#[cfg(test)]
mod tests {
    use hoptree_core::testkit::Harness;
    use hoptree_core::{NodeId, Stream};

    #[test]
    fn it_ticks_and_then_answers() {
        let mut node = Harness::new("tick", NodeId::compute(1).unwrap());
        assert_eq!(node.exec("tick 2 1"), Ok("2 ticks".to_owned()));
        let ticks = [1, 2].map(|number| (Stream::Out, format!("{number}\n")));
        assert_eq!(node.output(), ticks);
    }
}
