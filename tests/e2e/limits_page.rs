//! `docs/limits.md`, held against the program and its tests.

use std::fs;
use std::path::{Path, PathBuf};

use hoptree_core::{LINE_BYTES_MAX, VALUE_BYTES_MAX};

use crate::console::Console;
use crate::deadline::LONG_PATIENCE;

const PAGE: &str = include_str!("../../docs/limits.md");

/// The cells of each row of the tables.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let cells = |line: &'static str| -> Option<Vec<_>> {
        Some(line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect())
    };
    PAGE.lines().filter_map(cells).filter(|cells| !matches!(cells.last(), Some(&"test" | &"---")))
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Adds the text of every source below a directory.
fn read_sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            read_sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

#[test]
fn every_limit_names_tests_that_there_are() {
    let mut sources = String::new();
    for directory in ["bin", "commands", "core", "launchers", "system", "tests", "transports"] {
        read_sources(&root().join(directory), &mut sources);
    }
    assert!(rows().count() > 50);
    for row in rows() {
        let tests: Vec<_> = quoted(row.last().unwrap()).collect();
        assert!(!tests.is_empty() && row.len() == 5, "{row:?}");
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
        }
    }
}

#[test]
fn constants_are_where_the_page_says() {
    let with_file = |cell| {
        let mut words = quoted(cell);
        Some((words.next()?, words.next().filter(|file| file.ends_with(".rs"))?))
    };
    let constants: Vec<_> = rows().filter_map(|row| with_file(row[2])).collect();
    assert!(constants.len() > 10);
    for (constant, file) in constants {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(constant), "no {constant} in {file}");
    }
}

/// Where a line is enough to go beyond a limit.
#[test]
fn what_the_page_says_is_what_is_printed() {
    let mut console = Console::start(&["--max-nodes", "1", "--timeout", "60000"]);
    console.create(1, -1);
    let file = console.scratch().file("text", &"a".repeat(3_000_000));
    for line in [
        &"x".repeat(LINE_BYTES_MAX + 1),
        "ping 2147483648",
        &format!("exec 1 echo {}", "x".repeat(VALUE_BYTES_MAX + 1)),
        &format!("exec 1 search @{file} a"),
        "sleep 86400001",
        "heartbeat 9",
        "exec 1 wait-for 86400001",
        "exec 1 100000001 1",
        "exec 1 1 9223372036854775808",
        "exec 1 set a-b 1",
        "exec 1 set a 9223372036854775808",
        "create 2",
    ] {
        console.send(line);
        let reply = console.line_within(LONG_PATIENCE).text;
        let on_the_page = reply.replace("the limit is 1 (", "the limit is 4096 (");
        assert!(PAGE.contains(&format!("`{on_the_page}`")), "the page lacks: {reply}");
    }
    assert_eq!(console.finish().status, 0);
}
