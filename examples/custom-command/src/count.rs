//! `exec ID count N`: a counter on every node.

use hoptree_core::{Call, Claim, Command, CommandSpec, Context, Example, Outcome, Word};

inventory::submit! {
    CommandSpec {
        name: "count",
        package: env!("CARGO_PKG_NAME"),
        summary: "a counter on the node",
        words: &[Word {
            claim: Claim::Word("count"),
            usage: "count N",
            help: "add N to the node's counter and say where it stands",
        }],
        verbs: &[],
        examples: &[
            Example { line: "exec 1 count 5", reply: "Ok:1: 5" },
            Example {
                line: "exec 1 count five",
                reply: "Error:1: count: N must be a 32-bit integer, not 'five'",
            },
        ],
        create: || Box::new(Count::default()),
    }
}

#[derive(Default)]
struct Count {
    total: i64,
}

impl Command for Count {
    fn call(&mut self, _: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let step: i32 = call.args.only("N", "a 32-bit integer")?;
        self.total = self.total.saturating_add(step.into());
        Ok(self.total.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use hoptree_core::NodeId;
    use hoptree_core::testkit::Harness;

    fn node() -> Harness {
        Harness::new("count", NodeId::compute(1).unwrap())
    }

    #[test]
    fn it_counts_on() {
        let mut node = node();
        assert_eq!(node.exec("count 1"), Ok("1".to_owned()));
        assert_eq!(node.exec("count 41"), Ok("42".to_owned()));
    }

    #[test]
    fn what_is_no_number_is_an_error_and_changes_nothing() {
        let mut node = node();
        let error = "count: N must be a 32-bit integer, not 'x'";
        assert_eq!(node.exec("count x"), Err(error.to_owned()));
        assert_eq!(node.exec("count 0"), Ok("0".to_owned()));
    }
}
