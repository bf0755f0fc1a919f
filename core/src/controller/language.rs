//! The console's language: what a line means.

use std::str::FromStr;
use std::time::Duration;

use super::desk::pending::{Options, Patience};
use super::help;
use super::node_set::NodeSet;
use crate::args::Words;
use crate::modules::split_word;
use crate::{
    Args, CONSOLE_VERBS, Failure, Host, Milliseconds, NodeId, Registry, Start, nearest, shown,
};

/// The longest pause that `sleep` takes, in milliseconds: a day.
const SLEEP_MS_MAX: u32 = 86_400_000;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Nothing: it is blank or a comment.
    Blank,
    Create {
        node: NodeId,
        parent: NodeId,
        start: Start,
    },
    Exec {
        node: NodeId,
        line: &'a str,
        options: Options,
    },
    ExecMany {
        set: NodeSet<'a>,
        line: &'a str,
        options: Options,
    },
    /// Stop what runs on these nodes, or everything.
    Cancel(Option<NodeSet<'a>>),
    Ping(NodeId),
    Remove(NodeId),
    /// About this word, or about all.
    Help(Option<String>),
    Tree,
    Exit,
    Sleep(Duration),
    Wait,
    /// A verb that is not the console's own.
    Other {
        verb: &'a str,
        rest: &'a str,
    },
}

/// Reads a line.
///
/// # Errors
///
/// What the user is told after `Error: `.
pub(crate) fn parse(line: &[u8]) -> Result<Line<'_>, String> {
    let line = std::str::from_utf8(line)
        .map_err(|error| format!("the line is not UTF-8 from byte {} on", error.valid_up_to()))?;
    let (verb, rest) = split_word(line);
    if verb.is_empty() || verb.starts_with('#') {
        return Ok(Line::Blank);
    }
    let read: fn(Words<'_>) -> Result<Line<'static>, String> = match verb {
        "exec" => return exec(rest).map_err(|wrong| explain(verb, &wrong)),
        "cancel" => return cancel(rest).map_err(|wrong| explain(verb, &wrong)),
        "create" => create,
        "ping" => |words| only(words, "ID", node_id).map(Line::Ping),
        "remove" => |words| only(words, "ID", node_id).map(Line::Remove),
        "sleep" => |words| only(words, "MS", pause).map(Line::Sleep),
        "help" => |words| topic(words).map(Line::Help),
        "tree" => |words| nothing(words).map(|()| Line::Tree),
        "exit" => |words| nothing(words).map(|()| Line::Exit),
        "wait" => |words| nothing(words).map(|()| Line::Wait),
        _ => return Ok(Line::Other { verb, rest }),
    };
    let args = Args::parse(rest).map_err(|Failure { text: wrong, .. }| explain(verb, &wrong))?;
    read(args.iter()).map_err(|wrong| explain(verb, &wrong))
}

/// The error text for an unknown verb.
pub(crate) fn unknown_verb(verb: &str, registry: &Registry) -> String {
    unknown(verb, CONSOLE_VERBS.into_iter().chain(registry.verb_spellings()))
}

/// The error text for a word that is none of these names.
pub(super) fn unknown(word: &str, names: impl Iterator<Item = &'static str>) -> String {
    let nearest = nearest(word, names);
    let word = shown(word);
    match nearest {
        Some(known) => format!("unknown command '{word}': did you mean '{known}'?"),
        None => format!("unknown command '{word}': 'help' lists what there is"),
    }
}

fn create(words: Words<'_>) -> Result<Line<'static>, String> {
    let mut words = words.peekable();
    let node = node_id("ID", words.next())?;
    let parent = match words.next_if(|word| !is_option(word)) {
        None | Some("-1") => NodeId::CONTROL,
        parent => node_id("PARENT", parent)
            .map_err(|_| format!("PARENT must be -1 or {IDS}, not '{}'", quoted(parent)))?,
    };
    start(words).map(|start| Line::Create { node, parent, start })
}

/// How a node is started, from the options of a create.
fn start<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Start, String> {
    let (mut transport, mut host, mut launcher) = (None, None, None);
    while let Some(option) = words.next() {
        let (value, what) = match option {
            TRANSPORT_OPTION => (&mut transport, "NAME is missing: expected that of a transport"),
            HOST_OPTION => (&mut host, "HOST is missing: expected the name of a machine"),
            LAUNCHER_OPTION => (&mut launcher, "LAUNCHER is missing: expected the name of one"),
            _ => return surplus(Some(option)).map(|()| Start::default()),
        };
        *value = Some(words.next().filter(|word| !is_option(word)).ok_or(what)?.to_owned());
    }
    let launcher = match (launcher, &host) {
        (Some(_), None) => return Err(format!("{LAUNCHER_OPTION} needs {HOST_OPTION} HOST")),
        (launcher, _) => launcher.unwrap_or_else(|| LAUNCHER_DEFAULT.to_owned()),
    };
    Ok(Start { transport, host: host.map(|name| Host { name, launcher }) })
}

fn exec(rest: &str) -> Result<Line<'_>, String> {
    let (mut ids, mut line) = split_word(rest);
    let mut options = Options::default();
    while is_option(ids) {
        match ids {
            TIMEOUT_OPTION => {
                let (time, rest) = split_word(line);
                options.patience = timeout(time)?;
                line = rest;
            }
            FOLD_OPTION | FOLD_OPTION_SHORT => options.is_folded = true,
            _ => {
                let known =
                    format!("expected {TIMEOUT_OPTION} T, {FOLD_OPTION} or {FOLD_OPTION_SHORT}");
                return Err(format!("unknown option '{}': {known}", shown(ids)));
            }
        }
        (ids, line) = split_word(line);
    }
    let (word, _) = split_word(line);
    if [TIMEOUT_OPTION, FOLD_OPTION, FOLD_OPTION_SHORT].contains(&word) {
        return Err(format!("{word} must stand before IDS"));
    }
    let is_one = !options.is_folded && ids.bytes().all(|byte| byte.is_ascii_digit());
    if is_one {
        let id = Some(ids).filter(|ids| !ids.is_empty());
        node_id("ID", id).map(|node| Line::Exec { node, line, options })
    } else {
        NodeSet::parse(ids).map(|set| Line::ExecMany { set, line, options })
    }
}

/// Whether a word is written as an option is, and no id may be.
fn is_option(word: &str) -> bool {
    let name = word.strip_prefix('-').unwrap_or_default();
    name.starts_with(|first: char| first == '-' || first.is_ascii_alphabetic())
}

/// How long the answer to one command is waited for.
fn timeout(time: &str) -> Result<Patience, String> {
    let expected = "a time such as 500, 5s or 2m, or 'none'";
    if time.is_empty() {
        return Err(missing("T", expected));
    }
    match time.parse() {
        Ok(ms @ Milliseconds(1..)) => Ok(Patience::AtMost(ms.into())),
        _ if time == "none" => Ok(Patience::Endless),
        _ => Err(wrong_value("T", expected, Some(time))),
    }
}

fn cancel(rest: &str) -> Result<Line<'_>, String> {
    let is_comment = |word: &&str| word.starts_with('#');
    let mut words = rest.split_ascii_whitespace().take_while(|word| !is_comment(word));
    let set = words.next();
    surplus(words.next())?;
    set.map(NodeSet::parse).transpose().map(Line::Cancel)
}

/// Says how long the answer to one command is waited for.
const TIMEOUT_OPTION: &str = "--timeout";

/// Has equal answers told once.
const FOLD_OPTION: &str = "--fold";
const FOLD_OPTION_SHORT: &str = "-b";

/// Puts a node, and by default what is below it, on another transport.
const TRANSPORT_OPTION: &str = "--transport";

/// Puts a node, and what is below it, on another machine.
const HOST_OPTION: &str = "--on";

/// Says how a process is started there.
const LAUNCHER_OPTION: &str = "--with";
const LAUNCHER_DEFAULT: &str = "ssh";

const IDS: &str = "an integer from 0 to 2147483647";

pub(super) fn node_id(name: &str, word: Option<&str>) -> Result<NodeId, String> {
    number::<u32>(name, word, IDS)
        .and_then(|id| NodeId::compute(id).ok_or_else(|| wrong_value(name, IDS, word)))
}

fn pause(name: &str, word: Option<&str>) -> Result<Duration, String> {
    let expected = "an integer from 0 to 86400000";
    let Some(text) = word else { return Err(missing(name, expected)) };
    match text.parse() {
        Ok(ms @ Milliseconds(0..=SLEEP_MS_MAX)) => Ok(ms.into()),
        _ => Err(wrong_value(name, expected, word)),
    }
}

fn number<T: FromStr>(name: &str, word: Option<&str>, expected: &str) -> Result<T, String> {
    let Some(text) = word else { return Err(missing(name, expected)) };
    digits(text).ok_or_else(|| wrong_value(name, expected, word))
}

/// A number without a sign: the standard parser takes a plus sign, which nobody writes before an id.
pub(super) fn digits<T: FromStr>(text: &str) -> Option<T> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn missing(name: &str, expected: &str) -> String {
    format!("{name} is missing: expected {expected}")
}

pub(super) fn wrong_value(name: &str, expected: &str, word: Option<&str>) -> String {
    format!("{name} must be {expected}, not '{}'", quoted(word))
}

fn quoted(word: Option<&str>) -> &str {
    shown(word.unwrap_or_default())
}

fn only<T>(
    mut words: Words<'_>,
    name: &str,
    read: impl Fn(&str, Option<&str>) -> Result<T, String>,
) -> Result<T, String> {
    let value = read(name, words.next())?;
    surplus(words.next())?;
    Ok(value)
}

fn topic(mut words: Words<'_>) -> Result<Option<String>, String> {
    let topic = words.next().map(str::to_owned);
    surplus(words.next())?;
    Ok(topic)
}

fn nothing(mut words: Words<'_>) -> Result<(), String> {
    surplus(words.next())
}

fn surplus(word: Option<&str>) -> Result<(), String> {
    match word {
        None => Ok(()),
        Some(word) => Err(format!("unexpected argument '{}'", shown(word))),
    }
}

/// An error of a console verb, with how the verb is written.
pub(crate) fn explain(verb: &str, wrong: &str) -> String {
    let usage = help::usage(verb).unwrap_or(verb);
    format!("{verb}: {wrong} (usage: {usage})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32) -> NodeId {
        NodeId::compute(id).unwrap()
    }

    #[test]
    fn lines_are_understood() {
        let exec = |id, line| Line::Exec { node: node(id), line, options: Options::default() };
        let several = NodeSet::parse("5,1..,!7").unwrap();
        let options = |patience, is_folded| Options { patience, is_folded };
        let slow = options(Patience::AtMost(Duration::from_secs(90)), false);
        let folded = options(Patience::Endless, true);
        let create = |id, parent| Line::Create { node: node(id), parent, start: Start::default() };
        let zeromq = || Start { transport: Some("zeromq".to_owned()), host: None };
        let on = |name: &str, launcher: &str| Start {
            transport: None,
            host: Some(Host { name: name.to_owned(), launcher: launcher.to_owned() }),
        };
        for (line, meaning) in [
            ("", Line::Blank),
            (" \t ", Line::Blank),
            ("# create 1", Line::Blank),
            ("create 1", create(1, NodeId::CONTROL)),
            ("create 1 -1", create(1, NodeId::CONTROL)),
            ("  create\t2   1 ", create(2, node(1))),
            ("create 2147483647", create(2_147_483_647, NodeId::CONTROL)),
            (
                "create 5 --transport zeromq",
                Line::Create { node: node(5), parent: NodeId::CONTROL, start: zeromq() },
            ),
            (
                "create 5 1 --transport zeromq",
                Line::Create { node: node(5), parent: node(1), start: zeromq() },
            ),
            (
                "create 5 -1 --on web1",
                Line::Create { node: node(5), parent: NodeId::CONTROL, start: on("web1", "ssh") },
            ),
            (
                "create 5 1 --with srun --on \"u@web 1\"",
                Line::Create { node: node(5), parent: node(1), start: on("u@web 1", "srun") },
            ),
            ("exec 10", exec(10, "")),
            ("exec 10 3 1 2 3", exec(10, "3 1 2 3")),
            ("exec 10  echo  a  b ", exec(10, "echo  a  b")),
            (
                "exec 5,1..,!7 time",
                Line::ExecMany { set: several.clone(), line: "time", options: Options::default() },
            ),
            (
                "exec --timeout 90s 5,1..,!7 echo --timeout 1",
                Line::ExecMany { set: several.clone(), line: "echo --timeout 1", options: slow },
            ),
            (
                "exec --timeout none 1 time",
                Line::Exec {
                    node: node(1),
                    line: "time",
                    options: options(Patience::Endless, false),
                },
            ),
            (
                "exec -b --timeout none 5,1..,!7 run -b",
                Line::ExecMany { set: several.clone(), line: "run -b", options: folded },
            ),
            (
                "exec --timeout none --fold 5 time",
                Line::ExecMany { set: NodeSet::parse("5").unwrap(), line: "time", options: folded },
            ),
            ("cancel # all", Line::Cancel(None)),
            ("cancel 5,1..,!7", Line::Cancel(Some(several))),
            ("create 5 1 # below 1", create(5, node(1))),
            ("ping 0", Line::Ping(node(0))),
            ("ping \"0\" # twice", Line::Ping(node(0))),
            ("wait # for it", Line::Wait),
            ("remove 7", Line::Remove(node(7))),
            ("sleep 1500", Line::Sleep(Duration::from_millis(1_500))),
            ("sleep 2m", Line::Sleep(Duration::from_secs(120))),
            ("wait", Line::Wait),
            ("tree", Line::Tree),
            ("exit", Line::Exit),
            ("help", Line::Help(None)),
            ("help exec # it", Line::Help(Some("exec".to_owned()))),
            ("heartbeat 100", Line::Other { verb: "heartbeat", rest: "100" }),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(meaning), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, said) in [
            ("create", "create: ID is missing"),
            ("create x", "ID must be an integer from 0 to 2147483647, not 'x'"),
            ("create -5", "not '-5'"),
            ("create +5", "not '+5'"),
            ("create 1 -2", "PARENT must be -1 or an integer from 0 to 2147483647, not '-2'"),
            ("create 2147483648", "not '2147483648'"),
            ("create 1 2 3", "unexpected argument '3' (usage: create ID [PARENT]"),
            ("create 1 --transport", "NAME is missing"),
            ("create 1 --transport a b", "unexpected argument 'b'"),
            ("exec", "exec: ID is missing"),
            ("exec x echo", "exec: ID must be a node such as 5, or several: "),
            ("exec -1 echo", "not '-1'"),
            (
                "exec --timeout",
                "exec: T is missing: expected a time such as 500, 5s or 2m, or 'none'",
            ),
            ("exec --timeout x 1 time", "or 'none', not 'x' (usage: exec [--timeout T]"),
            ("exec --timeout 0 1 time", "not '0'"),
            ("exec --timeout 5s", "exec: ID is missing"),
            (
                "exec --timeuot 5s 1 time",
                "unknown option '--timeuot': expected --timeout T, --fold or -b",
            ),
            ("exec -t 5 1 time", "unknown option '-t': expected --timeout T, --fold or -b"),
            ("exec 1 --timeout 5s time", "exec: --timeout must stand before IDS (usage: exec"),
            ("exec * -b time", "exec: -b must stand before IDS"),
            ("cancel x", "cancel: ID must be a node such as 5, or several: "),
            ("cancel 1 2", "cancel: unexpected argument '2' (usage: cancel [IDS])"),
            ("ping", "ping: ID is missing"),
            ("ping # 1", "ping: ID is missing"),
            ("ping '1", "ping: a quotation is not closed"),
            ("ping 1 2", "unexpected argument '2'"),
            ("sleep -1", "MS must be an integer from 0 to 86400000, not '-1'"),
            ("sleep 86400001", "not '86400001'"),
            ("exit now", "unexpected argument 'now'"),
            ("help exec run", "help: unexpected argument 'run' (usage: help [WORD])"),
        ] {
            let error = parse(line.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
        let error = parse(b"exec 1 echo \xff").unwrap_err();
        assert_eq!(error, "the line is not UTF-8 from byte 12 on");
    }

    #[test]
    fn the_nearest_verb_is_suggested() {
        let registry = Registry::new([]).unwrap();
        assert!(unknown_verb("crate", &registry).contains("'create'"));
        assert!(unknown_verb("CREATE", &registry).contains("'create'"));
        assert!(unknown_verb("pnig", &registry).contains("'ping'"));
        assert!(unknown_verb("quit", &registry).contains("'exit'"));
        assert!(unknown_verb("frobnicate", &registry).contains("'help'"));
        assert!(unknown_verb(&"x".repeat(1_000_000), &registry).len() < 100);
    }
}
