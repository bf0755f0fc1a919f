//! `exec ID run PROGRAM [ARG ...]` and `exec ID sh LINE`: any program on a node, its output as it comes.
//!
//! A thread of the node's process starts the program, passes on what it writes, and waits for its end:
//! `execution.rs`. What ends a program whose node is killed is in `guard.rs`.

mod bell;
mod execution;
mod guard;
mod input;
mod invocation;
mod output;
mod process;
mod program;

use hoptree_core::{Call, Claim, Command, CommandSpec, Context, Example, Failure, Outcome, Word};
use hoptree_system::explain;

use crate::bell::Bell;
use crate::invocation::Invocation;

inventory::submit! {
    CommandSpec {
        name: "run",
        package: env!("CARGO_PKG_NAME"),
        summary: "runs programs",
        words: &[
            Word {
                claim: Claim::Word("run"),
                usage: "run [--cwd DIR] [--env NAME=VALUE]... [--stdin TEXT|@FILE] [--] PROGRAM [ARG ...]",
                help: "run a program on the node's machine and print what it writes as it comes; all \
                       that it has started ends with it",
            },
            Word {
                claim: Claim::Word("sh"),
                usage: "sh LINE",
                help: "the same with all that follows, as it was typed, given to /bin/sh",
            },
        ],
        verbs: &[],
        examples: &[
            Example { line: "exec 1 run true", reply: "Ok:1: exit 0" },
            Example { line: "exec 1 sh exit 3", reply: "Error:1: sh: exit 3" },
            Example { line: "exec 1 sh kill $$", reply: "Error:1: sh: killed by SIGTERM" },
            Example {
                line: "exec 1 run no-such-program",
                reply: "Error:1: run: 'no-such-program' not found",
            },
            Example {
                line: "exec 1 run --cwd /no/such true",
                reply: "Error:1: run: no such directory '/no/such'",
            },
            Example {
                line: "exec 1 run --env A=1",
                reply: "Error:1: run: PROGRAM is missing: expected a program to run",
            },
        ],
        create: || Box::new(Run),
    }
}

struct Run;

impl Command for Run {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let invocation = match call.word {
            "sh" => Invocation::of_line(&call.args)?,
            _ => Invocation::of_program(&call.args)?,
        };
        let invocation = invocation.on(cx.facts());
        Ok(cx.offload_blocking(call.id, move |job| {
            let bell = Bell::new().map_err(|error| Failure::from(explain(&error)))?;
            let rung = bell.clone();
            job.stop().notify(move || rung.ring());
            execution::run(&invocation, &bell, &mut |stream, bytes| job.emit(stream, bytes))
        }))
    }
}

#[cfg(test)]
mod tests {
    use hoptree_core::testkit::Harness;
    use hoptree_core::{NodeId, Stream};

    fn node() -> Harness {
        Harness::new("run", NodeId::compute(7).unwrap())
    }

    #[test]
    fn a_program_is_run_and_knows_its_node() {
        let mut node = node();
        node.facts.parent = NodeId::compute(3).unwrap();
        node.facts.depth = 2;
        let line = "sh echo $HOPTREE_NODE $HOPTREE_PARENT $HOPTREE_DEPTH; echo 'a  b' >&2 # c";
        assert_eq!(node.exec(line).as_deref(), Ok("exit 0"));
        let output = [(Stream::Out, "7 3 2\n"), (Stream::Err, "a  b\n")];
        assert_eq!(node.output(), output.map(|(stream, text)| (stream, text.to_owned())));
        let line = "run --env HOPTREE_NODE=x printenv HOPTREE_NODE";
        assert_eq!(node.exec(line).as_deref(), Ok("exit 0"));
        assert_eq!(node.output(), [(Stream::Out, "x\n".to_owned())]);
    }

    #[test]
    fn a_failure_names_the_word() {
        assert_eq!(node().exec("run sh -c 'exit 3'"), Err("run: exit 3".to_owned()));
        assert_eq!(node().exec("sh exit 3"), Err("sh: exit 3".to_owned()));
        let missing = "sh: LINE is missing: expected a line for the shell";
        assert_eq!(node().exec("sh"), Err(missing.to_owned()));
    }
}
