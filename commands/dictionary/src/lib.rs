//! `exec ID set NAME VALUE` and `exec ID get NAME`: a dictionary of integers on every node.

use std::collections::BTreeMap;
use std::str::FromStr;

use hoptree_core::{Call, Claim, Command, CommandSpec, Context, Example, Outcome, Reply, Word};

/// How many names one node keeps. With [`NAME_BYTES_MAX`] they come to 26 MB of text.
const NAMES_MAX: usize = 100_000;

/// The longest name.
const NAME_BYTES_MAX: usize = 256;

inventory::submit! {
    CommandSpec {
        name: "dictionary",
        package: env!("CARGO_PKG_NAME"),
        summary: "keeps integers by name on the node",
        words: &[
            Word {
                claim: Claim::Word("set"),
                usage: "set NAME VALUE",
                help: "keep the integer VALUE as NAME, in place of what NAME was before",
            },
            Word {
                claim: Claim::Word("get"),
                usage: "get NAME",
                help: "the integer that was last kept as NAME on this node",
            },
        ],
        verbs: &[],
        examples: &[
            Example { line: "exec 1 set MyVar 5", reply: "Ok:1" },
            Example { line: "exec 1 get MyVar", reply: "Ok:1: 'MyVar' not found" },
            Example {
                line: "exec 1 set MyVar five",
                reply: "Error:1: set: VALUE must be a 64-bit integer, not 'five'",
            },
            Example {
                line: "exec 1 set MyVar",
                reply: "Error:1: set: VALUE is missing: expected a 64-bit integer",
            },
            Example {
                line: "exec 1 get my-var",
                reply: "Error:1: get: NAME must be 1 to 256 of A-Z, a-z and 0-9, not 'my-var'",
            },
        ],
        create: || Box::new(Dictionary::default()),
    }
}

/// It is ordered because that grows in small steps; a hash table of this size would hold the node
/// up whenever it moves.
#[derive(Default)]
struct Dictionary(BTreeMap<Name, i64>);

impl Command for Dictionary {
    fn call(&mut self, _: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        match call.word {
            "set" => {
                let mut args = call.args.read();
                let name = args.required("NAME", Name::EXPECTED)?;
                let value = args.required("VALUE", "a 64-bit integer")?;
                args.end()?;
                self.set(name, value)
            }
            "get" => Ok(self.get(&call.args.only("NAME", Name::EXPECTED)?).into()),
            word => Err(format!("the dictionary does not know '{word}'").into()),
        }
    }
}

impl Dictionary {
    fn set(&mut self, name: Name, value: i64) -> Outcome {
        if self.0.len() == NAMES_MAX && !self.0.contains_key(&name) {
            return Err(format!("the node keeps {NAMES_MAX} names, which is the most").into());
        }
        self.0.insert(name, value);
        Ok(Reply::EMPTY)
    }

    /// That nothing is kept by this name is an answer too, not a failure.
    fn get(&self, name: &Name) -> String {
        match self.0.get(name) {
            Some(value) => value.to_string(),
            None => format!("'{}' not found", name.0),
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(Box<str>);

impl Name {
    const EXPECTED: &str = "1 to 256 of A-Z, a-z and 0-9";
}

impl FromStr for Name {
    type Err = ();

    fn from_str(word: &str) -> Result<Name, ()> {
        let is_name = (1..=NAME_BYTES_MAX).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_name.then(|| Name(word.into())).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use hoptree_core::NodeId;
    use hoptree_core::testkit::Harness;

    use super::*;

    struct Node(Harness);

    impl Node {
        fn new() -> Node {
            Node(Harness::new("dictionary", NodeId::compute(10).unwrap()))
        }

        #[track_caller]
        fn assert(&mut self, line: &str, result: &str) {
            assert_eq!(self.0.exec(line).as_deref(), Ok(result), "{line}");
        }

        #[track_caller]
        fn assert_error(&mut self, line: &str, error: &str) {
            assert_eq!(self.0.exec(line), Err(error.to_owned()), "{line}");
        }
    }

    #[test]
    fn gets_what_was_last_set() {
        let mut node = Node::new();
        node.assert("get MyVar", "'MyVar' not found");
        node.assert("set MyVar 5", "");
        node.assert("get MyVar", "5");
        node.assert("set MyVar -7", "");
        node.assert("set 0 +1", "");
        node.assert("get MyVar", "-7");
        node.assert("get 0", "1");
        node.assert("get myvar", "'myvar' not found");
    }

    #[test]
    fn every_node_has_its_own() {
        let (mut one, mut other) = (Node::new(), Node::new());
        one.assert("set a 1", "");
        other.assert("get a", "'a' not found");
    }

    #[test]
    fn a_value_has_64_bits() {
        let mut node = Node::new();
        for value in [i64::MIN, i64::MAX] {
            node.assert(&format!("set a {value}"), "");
            node.assert("get a", &value.to_string());
        }
        for wrong in ["9223372036854775808", "1.5", "0x1", "five", "-"] {
            let error = format!("set: VALUE must be a 64-bit integer, not '{wrong}'");
            node.assert_error(&format!("set a {wrong}"), &error);
        }
        node.assert("get a", &i64::MAX.to_string());
    }

    #[test]
    fn what_is_missing_or_too_much_is_an_error_and_changes_nothing() {
        let mut node = Node::new();
        node.assert("set a 1", "");
        node.assert_error("set", "set: NAME is missing: expected 1 to 256 of A-Z, a-z and 0-9");
        node.assert_error("set a", "set: VALUE is missing: expected a 64-bit integer");
        node.assert_error("set a 2 3", "set: unexpected argument '3'");
        node.assert_error("get", "get: NAME is missing: expected 1 to 256 of A-Z, a-z and 0-9");
        node.assert_error("get a 2", "get: unexpected argument '2'");
        node.assert("get a", "1");
    }

    #[test]
    fn a_name_has_letters_and_digits_and_a_bound() {
        let mut node = Node::new();
        let longest = "x".repeat(NAME_BYTES_MAX);
        node.assert(&format!("set {longest} 1"), "");
        node.assert(&format!("get {longest}"), "1");
        for name in ["my_var", "a-b", "é", "''", "a'b c'", &format!("{longest}x")] {
            for line in [format!("set {name} 1"), format!("get {name}")] {
                let error = node.0.exec(&line).unwrap_err();
                assert!(error.contains(": NAME must be 1 to 256 of A-Z, a-z and 0-9, not '"));
                assert!(error.len() < 110, "{error}");
            }
        }
        assert!(Name::EXPECTED.contains(&NAME_BYTES_MAX.to_string()));
    }

    #[test]
    fn a_full_dictionary_takes_no_new_name() {
        let mut node = Node::new();
        for name in 0..NAMES_MAX {
            node.assert(&format!("set {name} 1"), "");
        }
        node.assert_error("set a 1", "set: the node keeps 100000 names, which is the most");
        node.assert("get a", "'a' not found");
        node.assert("set 7 2", "");
        node.assert("get 7", "2");
    }
}
