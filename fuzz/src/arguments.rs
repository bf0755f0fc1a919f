//! Any arguments for any module, and any values from its twins on other nodes.

use std::time::Duration;

use hoptree_core::testkit::Harness;
use hoptree_core::{Answer, Args, Change, Claim, CommandSpec, NodeId, Registry};

use crate::script::Script;

/// Has an instance of one module called, asked and told what the input says.
///
/// # Panics
///
/// When no module is linked, or a question or call is never answered.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let registry = Registry::linked().expect("the linked modules fit together");
    // What that module is asked for happens, and it may be anything.
    let modules: Vec<_> = registry.modules().filter(|module| module.name != "run").collect();
    let module = script.one_of(&modules).expect("some module is linked");
    let node = match script.byte() % 2 {
        0 => NodeId::CONTROL,
        _ => NodeId::compute(1).expect("it is small"),
    };
    let mut instance = Harness::new(module.name, node);
    while !script.is_over() {
        step(&mut instance, module, node, &mut script);
    }
    instance.run_jobs();
    while !instance.questions().is_empty() {
        instance.gather(vec![(NodeId::CONTROL, Answer::Late)]);
    }
    instance.advance(Duration::from_secs(600));
}

fn step(instance: &mut Harness, module: &CommandSpec, node: NodeId, script: &mut Script<'_>) {
    match script.byte() % 8 {
        0 => instance.advance(Duration::from_millis(script.short().into())),
        1 if !node.is_control() => instance.publish(script.bytes()),
        2 if !node.is_control() => drop(instance.ask(script.bytes())),
        3 if node.is_control() => {
            let other = NodeId::compute(script.byte().into()).expect("a byte is small");
            let changes = [Change::Lost, Change::Silent, Change::Returned, Change::Ended];
            let change = script.one_of(&changes).expect("there are some");
            instance.change(other, *change);
        }
        4 if !instance.questions().is_empty() => {
            let answer = String::from_utf8_lossy(script.bytes()).into_owned();
            instance.gather(vec![(NodeId::CONTROL, Answer::Given(Ok(answer)))]);
        }
        5 => instance.run_jobs(),
        _ => call(instance, module, node, script),
    }
}

/// Calls the module by one of its words, or at the control node by one of its verbs.
fn call(instance: &mut Harness, module: &CommandSpec, node: NodeId, script: &mut Script<'_>) {
    let spellings: Vec<_> = if node.is_control() {
        module.verbs.iter().flat_map(|verb| verb.spellings).copied().collect()
    } else {
        let spelling = |claim| match claim {
            Claim::Word(word) => word,
            Claim::Integer => "",
        };
        module.words.iter().map(|word| spelling(word.claim)).collect()
    };
    let Some(spelling) = script.one_of(&spellings) else { return };
    let Ok(arguments) = std::str::from_utf8(script.bytes()) else { return };
    if !names_a_file(arguments) {
        instance.start(&format!("{spelling} {arguments}"));
    }
}

/// Whether a file may be read, of which nobody knows what it is.
fn names_a_file(arguments: &str) -> bool {
    let is_name = |word: &str| word.starts_with('@') && !word.starts_with("@@");
    Args::parse(arguments).is_ok_and(|args| args.iter().next().is_some_and(is_name))
}
