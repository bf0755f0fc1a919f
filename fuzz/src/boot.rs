//! What a process finds on its standard input that was started as a node.

use hoptree_host::process::read_boot;

/// What every boot message begins with, so that no seed is out of date with the next version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads the input as a boot message, and as what follows the version in one.
///
/// # Panics
///
/// When what was read becomes something else once it has been written again.
pub fn run(input: &[u8]) {
    let _ = read_boot(input);
    let _ = read_boot(&message(input));
}

fn message(rest: &[u8]) -> Vec<u8> {
    let length = u8::try_from(VERSION.len()).expect("a version is short");
    [&[length], VERSION.as_bytes(), rest].concat()
}
