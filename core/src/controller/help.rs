//! `help`: every command that there is, or one of them with all that belongs to it.

use std::fmt::Write as _;

use super::{language, node_set};
use crate::modules::split_word;
use crate::{CONSOLE_VERBS, Registry, Word};

/// A part of a command, and what it means.
pub(crate) type Detail = (&'static str, &'static str);

/// A command of the console itself.
struct ConsoleVerb {
    /// How it is written.
    usage: &'static str,
    /// What it does, in one line.
    help: &'static str,
    /// What `help VERB` says beside that.
    details: &'static [&'static [Detail]],
}

/// In the order of [`CONSOLE_VERBS`].
const CONSOLE: [ConsoleVerb; CONSOLE_VERBS.len()] = [
    ConsoleVerb {
        usage: "cancel [IDS]",
        help: "stop every command that is under way, or those on these nodes",
        details: &[&node_set::HELP],
    },
    ConsoleVerb {
        usage: "create ID [PARENT] [--on HOST [--with LAUNCHER]] [--transport NAME]",
        help: "start a node below PARENT",
        details: &[&[
            ("ID", "0 to 2147483647, chosen by you"),
            ("PARENT", "another node, or -1 for the control node, which it is by default"),
            ("--on HOST", "start it on that machine, and there what is created below it"),
            ("--with LAUNCHER", "what starts it there, if not 'ssh'"),
            (
                "--transport NAME",
                "the transport of it and what is created below it, if not PARENT's",
            ),
        ]],
    },
    ConsoleVerb {
        usage: "exec [--timeout T] [--fold|-b] IDS WORD [ARG ...]",
        help: "run a command on a node, or on several",
        details: &[
            &[
                (
                    "--timeout T",
                    "how long to wait for the answer: 500, 5s, 2m, or 'none' for no limit",
                ),
                (
                    "--fold, -b",
                    "print equal answers of several nodes once, with their output below",
                ),
                ("WORD [ARG ...]", "one of those that 'help' lists after 'exec ID'"),
            ],
            &node_set::HELP,
        ],
    },
    ConsoleVerb {
        usage: "exit",
        help: "wait for the answers that are due, end the tree and leave",
        details: &[],
    },
    ConsoleVerb {
        usage: "help [WORD]",
        help: "show this, or more about one command",
        details: &[&[("WORD", "a command of the console, or a word that follows 'exec ID'")]],
    },
    ConsoleVerb {
        usage: "ping ID",
        help: "say 1 when the node can be reached, 0 when it can't",
        details: &[],
    },
    ConsoleVerb { usage: "remove ID", help: "end a node and all below it", details: &[] },
    ConsoleVerb {
        usage: "sleep MS",
        help: "read no further line for MS milliseconds",
        details: &[&[("MS", "0 to 86400000, or a time such as 500ms, 5s, 2m or 1h")]],
    },
    ConsoleVerb { usage: "tree", help: "show every node as it is now", details: &[] },
    ConsoleVerb {
        usage: "wait",
        help: "read no further line until everything is answered",
        details: &[],
    },
];

/// How wide a usage is, and a part of one, unless it is longer.
const USAGE_COLUMNS: usize = 28;
const PART_COLUMNS: usize = 16;

/// The lines about a word, or about all.
///
/// # Errors
///
/// When there is no such word.
pub(crate) fn text(word: Option<&str>, registry: &Registry) -> Result<String, String> {
    word.map_or_else(|| Ok(all(registry)), |word| about(word, registry))
}

/// The console's own commands, those of the modules, and the words of `exec`, each on a line of its
/// own.
fn all(registry: &Registry) -> String {
    let mut help = String::new();
    for verb in CONSOLE {
        add(&mut help, verb.usage, verb.help);
    }
    for verb in registry.verbs() {
        add(&mut help, verb.usage, verb.help);
    }
    for word in registry.words() {
        add_word(&mut help, word);
    }
    help
}

/// The line of [`all`] about one word, with what else is known of it.
fn about(word: &str, registry: &Registry) -> Result<String, String> {
    let mut help = String::new();
    for verb in CONSOLE.iter().filter(|verb| name(verb) == word) {
        add(&mut help, verb.usage, verb.help);
        for (part, what) in verb.details.iter().copied().flatten() {
            writeln!(help, "    {part:<PART_COLUMNS$} {what}").expect(INFALLIBLE);
        }
    }
    for verb in registry.verbs().filter(|verb| verb.spellings.contains(&word)) {
        add(&mut help, verb.usage, verb.help);
    }
    if let Some(word) = registry.word(word) {
        add_word(&mut help, word);
    }
    if help.is_empty() {
        let names = CONSOLE_VERBS.into_iter();
        let names = names.chain(registry.verb_spellings()).chain(registry.word_spellings());
        return Err(format!("help: {}", language::unknown(word, names)));
    }
    Ok(help)
}

/// How a command of the console itself is written.
pub(crate) fn usage(verb: &str) -> Option<&'static str> {
    CONSOLE.iter().find(|known| name(known) == verb).map(|known| known.usage)
}

fn name(verb: &ConsoleVerb) -> &'static str {
    split_word(verb.usage).0
}

const INFALLIBLE: &str = "writing to a String can't fail";

fn add(help: &mut String, usage: &str, what: &str) {
    writeln!(help, "  {usage:<USAGE_COLUMNS$} {what}").expect(INFALLIBLE);
}

fn add_word(help: &mut String, word: &Word) {
    add(help, &format!("exec ID {}", word.usage), word.help);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claim, Command, CommandSpec, Example, Verb};

    static MODULE: CommandSpec = CommandSpec {
        name: "module",
        package: "module",
        summary: "for this test",
        words: &[
            Word { claim: Claim::Word("shout"), usage: "shout WORD", help: "shout it" },
            Word { claim: Claim::Integer, usage: "N", help: "a number" },
        ],
        verbs: &[Verb { spellings: &["motto", "moto"], usage: "motto TEXT", help: "set it" }],
        examples: &[Example { line: "exec 1 shout hey", reply: "Ok:1: HEY" }],
        create: || -> Box<dyn Command> { unreachable!("nobody calls it") },
    };

    fn registry() -> Registry {
        Registry::new([&MODULE]).unwrap()
    }

    #[test]
    fn each_command_has_a_line() {
        let help = all(&registry());
        assert_eq!(help.lines().count(), CONSOLE.len() + 3);
        assert!(help.contains("  ping ID                      say 1 when"));
    }

    #[test]
    fn the_console_s_own_are_in_their_order() {
        assert_eq!(CONSOLE.each_ref().map(name), CONSOLE_VERBS);
    }

    #[test]
    fn a_word_alone_has_the_line_that_it_has_among_all() {
        let (registry, all) = (registry(), all(&registry()));
        for word in CONSOLE_VERBS.into_iter().chain(["motto", "moto", "shout", "-7"]) {
            let about = about(word, &registry).unwrap();
            let mut lines = about.lines();
            let first = lines.next().unwrap();
            assert!(all.lines().any(|line| line == first), "{word}: {about}");
            assert!(lines.all(|line| line.starts_with("    ")), "{word}: {about}");
            assert!(about.lines().all(|line| line.chars().count() <= 100), "{about}");
        }
        let exec = about("exec", &registry).unwrap();
        for part in ["--timeout T ", "--fold, -b ", "@up, @down ", "3-9 ", "1.. ", "!5 "] {
            assert!(exec.contains(&format!("\n    {part}")), "{part}: {exec}");
        }
    }

    /// Or nobody would learn what they are for.
    #[test]
    fn every_option_is_explained() {
        for verb in CONSOLE {
            let options =
                verb.usage.split([' ', '[', ']', '|']).filter(|part| part.starts_with('-'));
            for option in options {
                let mut parts = verb.details.iter().copied().flatten().map(|(part, _)| part);
                assert!(parts.any(|part| part.contains(option)), "{}: {option}", verb.usage);
            }
        }
    }

    #[test]
    fn a_word_that_there_is_not_is_an_error() {
        for (word, error) in [
            ("exce", "help: unknown command 'exce': did you mean 'exec'?"),
            ("shuot", "help: unknown command 'shuot': did you mean 'shout'?"),
            ("nonsense", "help: unknown command 'nonsense': 'help' lists what there is"),
        ] {
            assert_eq!(about(word, &registry()), Err(error.to_owned()));
        }
    }
}
