//! What `hoptree transports`, `hoptree launchers` and `hoptree commands` print.

use std::fmt::Write;

use hoptree_core::{CONSOLE_VERBS, CommandSpec, Registry};
use hoptree_host::{Failure, transports};
use hoptree_seal::Listens;

/// The widest line of a listing, in columns.
const COLUMNS: usize = 100;

/// The linked transports.
///
/// # Errors
///
/// When the linked transports contradict each other.
pub fn transports() -> Result<String, Failure> {
    let linked = hoptree_core::linked_transports().map_err(Failure::runtime)?;
    if linked.is_empty() {
        return Ok("No transport is linked into this build.\n".to_owned());
    }
    let mut text = String::new();
    for spec in &linked {
        let mixable = linked.iter().filter(|other| other.speaks == spec.speaks);
        let others: Vec<_> =
            mixable.map(|other| other.name).filter(|name| *name != spec.name).collect();
        let mixed = match &others[..] {
            [] => "can't be mixed with another".to_owned(),
            others => format!("can be mixed with {}", others.join(", ")),
        };
        let (library, over) = ((spec.library)(), spec.runs_over);
        let access = match transports::listens(spec) {
            Listens::Open => "only you can connect",
            Listens::Sealed => "any user of this machine can connect, so its links are sealed",
        };
        let mut about =
            format!("{library}, over {over} (package {}); {access}; {mixed}", spec.package);
        if let Some(flaw) = spec.flaw {
            let _ = write!(about, "; needs --insecure: {flaw}");
        }
        entry(&mut text, 0, 12, spec.name, &about);
    }
    Ok(text)
}

/// The linked launchers.
///
/// # Errors
///
/// When the linked launchers contradict each other.
pub fn launchers() -> Result<String, Failure> {
    let linked = hoptree_core::linked_launchers().map_err(Failure::runtime)?;
    if linked.is_empty() {
        return Ok("No launcher is linked into this build.\n".to_owned());
    }
    let mut text = String::new();
    for spec in &linked {
        let mut about = format!("{} (package {})", spec.summary, spec.package);
        if let Some(argument) = spec.argument {
            let _ = write!(about, "; under a name of your own: --launcher NAME={argument}");
        }
        entry(&mut text, 0, 12, spec.name, &about);
    }
    Ok(text)
}

/// The linked command modules, with their help and examples.
///
/// # Errors
///
/// When the linked modules contradict each other.
pub fn commands() -> Result<String, Failure> {
    let linked = Registry::linked().map_err(Failure::runtime)?;
    let mut text = String::new();
    for spec in linked.modules() {
        module(&mut text, spec);
    }
    let own = format!("The console's own commands, see its `help`: {}.", CONSOLE_VERBS.join(", "));
    wrap(&mut text, 0, 0, &own);
    Ok(text)
}

fn module(text: &mut String, spec: &CommandSpec) {
    const WIDTH: usize = 28;
    wrap(text, 0, 0, &format!("{}: {} (package {})", spec.name, spec.summary, spec.package));
    for verb in spec.verbs {
        entry(text, 2, WIDTH, verb.usage, verb.help);
    }
    for word in spec.words {
        entry(text, 2, WIDTH, &format!("exec ID {}", word.usage), word.help);
    }
    for example in spec.examples {
        entry(text, 2, WIDTH, &format!("> {}", example.line), example.reply);
    }
    text.push('\n');
}

/// Adds what stands left, indented and `width` columns wide, and what is said of it right of that,
/// or below when the left is wider.
fn entry(text: &mut String, indent: usize, width: usize, left: &str, right: &str) {
    let column = indent + width;
    if left.chars().count() < width {
        let _ = write!(text, "{:indent$}{left:width$}", "");
        wrap(text, column, column, right);
    } else {
        wrap(text, 0, indent, left);
        wrap(text, 0, column, right);
    }
}

/// Adds `words` and a line end, going on in a new line, below `column`, where the width is used up.
/// The text stands at column `at` already.
fn wrap(text: &mut String, mut at: usize, column: usize, words: &str) {
    let mut first = true;
    for word in words.split_whitespace() {
        let width = word.chars().count();
        if !first && at + 1 + width > COLUMNS {
            text.push('\n');
            at = 0;
            first = true;
        }
        let gap = if first { column.saturating_sub(at) } else { 1 };
        let _ = write!(text, "{:gap$}{word}", "");
        at += gap + width;
        first = false;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_fit_100_columns() {
        for text in [transports().unwrap(), launchers().unwrap(), commands().unwrap()] {
            assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
            assert!(text.lines().all(|line| line.trim_end() == line), "{text}");
        }
    }

    #[test]
    fn long_text_is_wrapped_below_its_column() {
        let mut text = String::new();
        entry(&mut text, 2, 10, "word", &"0123456789 ".repeat(10));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], format!("  word      {}", "0123456789 ".repeat(8).trim_end()));
        assert_eq!(lines[1], "            0123456789 0123456789");
    }

    #[test]
    fn help_stands_below_a_long_usage() {
        let mut text = String::new();
        entry(&mut text, 2, 10, "a usage too long", "help");
        assert_eq!(text, "  a usage too long\n            help\n");
    }
}
