//! hoptree: a tree of worker processes, driven from one console over a message queue.
//!
//! This package is the program: its command line, and the console's input and output. What drives a node
//! and starts its processes is `hoptree-host`, the protocol `hoptree-core`. Which transports and command
//! modules there are is known to the `plugins` module alone.
//!
//! One program plays both parts. `control` is what a user starts, `hoptree_host::node` what a node starts
//! for each of its children.

mod cli;
mod console;
mod control;
mod joblog;
mod listing;
mod plugins;
mod prompt;
mod source;
mod stdin;
mod terminal;
mod version;

use std::process::ExitCode;

use hoptree_host::{Helper, node, process, remote};

/// What there is beside compute nodes.
#[cfg(feature = "bench")]
const HELPERS: &[Helper] = &hoptree_bench::HELPERS;
#[cfg(not(feature = "bench"))]
const HELPERS: &[Helper] = &[];

/// Runs the program, as what its command line says, until it ends.
///
/// What a node needs is not on its command line, and its start is part of what a user waits for
/// in `create`: so it is told apart first, before anything is parsed.
#[must_use]
pub fn main() -> ExitCode {
    hoptree_host::prepare();
    let first = std::env::args_os().nth(1);
    if first.as_ref().is_some_and(|word| word == process::NODE_WORD) {
        return node::main(HELPERS);
    }
    if first.is_some_and(|word| word == remote::GUARD_WORD) {
        let words = std::env::args_os().skip(2).map(|word| word.to_string_lossy().into_owned());
        return remote::guard(&words.collect::<Vec<_>>());
    }
    cli::main()
}
