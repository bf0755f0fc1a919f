//! `help`: every command that there is.

use std::fmt::Write as _;

use super::language::CONSOLE_HELP;
use crate::Registry;

/// The console's own commands, those of the modules, and the words of `exec`, each on a line of its
/// own.
pub(crate) fn text(registry: &Registry) -> String {
    let mut help = String::new();
    for (usage, what) in CONSOLE_HELP {
        add(&mut help, usage, what);
    }
    for verb in registry.verbs() {
        add(&mut help, verb.usage, verb.help);
    }
    for word in registry.words() {
        add(&mut help, &format!("exec ID {}", word.usage), word.help);
    }
    help
}

fn add(help: &mut String, usage: &str, what: &str) {
    writeln!(help, "  {usage:<28} {what}").expect("writing to a String can't fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_line() {
        let help = text(&Registry::new([]).unwrap());
        assert_eq!(help.lines().count(), CONSOLE_HELP.len());
        assert!(help.contains("  ping ID                      say 1 when"));
    }
}
