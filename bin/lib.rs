//! hoptree: a tree of worker processes, driven from one console over a message queue.
//!
//! This package is what surrounds the protocol of `hoptree-core`: the command line, the console's
//! input and output, the loop that drives a node, and its processes. It knows nothing of messages,
//! routes or the meaning of a command, and which transports and command modules there are is known
//! to the `plugins` module alone.
//!
//! One program plays both parts. `control` is what a user starts, `node` what a node starts for each
//! of its children; both come down to a `driver`, which is the place to start reading.

mod bench;
mod cli;
mod console;
mod control;
mod driver;
mod ending;
mod failure;
mod helper;
mod listing;
mod logfile;
mod logging;
mod node;
mod offload;
mod panic;
mod plugins;
mod process;
mod prompt;
mod signals;
mod source;
mod stdin;
mod terminal;
mod version;
mod visible;
mod writer;

use std::process::ExitCode;

#[doc(hidden)]
pub use process::{example_boot, read_boot};

/// Runs the program, as what its command line says, until it ends.
///
/// What a node needs is not on its command line, and its start is part of what a user waits for
/// in `create`: so it is told apart first, before anything is parsed.
#[must_use]
pub fn main() -> ExitCode {
    process::reset_signals();
    panic::end_process_at_panic();
    hoptree_system::raise_limit();
    if std::env::args_os().nth(1).is_some_and(|word| word == process::NODE_WORD) {
        return node::main();
    }
    cli::main()
}
