//! `exec ID echo [ARG ...]`: a node repeats what it was told.
//!
//! The smallest module there is. To write your own, copy this crate and give it another word.

use hoptree_core::{Call, Claim, Command, CommandSpec, Context, Example, Outcome, Word};

inventory::submit! {
    CommandSpec {
        name: "echo",
        package: env!("CARGO_PKG_NAME"),
        summary: "repeats its arguments",
        words: &[Word {
            claim: Claim::Word("echo"),
            usage: "echo [ARG ...]",
            help: "repeat the arguments, one blank between any two",
        }],
        verbs: &[],
        examples: &[
            Example { line: "exec 1 echo hello, tree", reply: "Ok:1: hello, tree" },
            Example { line: "exec 1 echo", reply: "Ok:1" },
        ],
        create: || Box::new(Echo),
    }
}

struct Echo;

impl Command for Echo {
    fn call(&mut self, _: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let words: Vec<&str> = call.args.iter().collect();
        Ok(words.join(" ").into())
    }
}

#[cfg(test)]
mod tests {
    use hoptree_core::NodeId;
    use hoptree_core::testkit::Harness;

    #[test]
    fn joins_its_arguments_with_single_blanks() {
        let mut node = Harness::new("echo", NodeId::compute(1).unwrap());
        assert_eq!(node.exec("echo  a \t b   c "), Ok("a b c".to_owned()));
        assert_eq!(node.exec("echo"), Ok(String::new()));
    }
}
