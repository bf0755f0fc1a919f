//! Every example in the help of a command module runs as documented.

use hoptree as _;
use hoptree_core::Registry;

use crate::console::Console;

#[test]
fn run_as_documented() {
    let registry = Registry::linked().unwrap();
    let examples: Vec<_> = registry.modules().flat_map(|module| module.examples).collect();
    assert!(!examples.is_empty(), "no module is linked into the tests");
    for example in examples {
        let finished = Console::run(&[], format!("create 1\n{}\n", example.line));
        assert_eq!(finished.lines()[1..], [example.reply], "to '{}'", example.line);
    }
}
