//! hoptree with a command of our own.

mod count;

use std::process::ExitCode;

fn main() -> ExitCode {
    hoptree::main()
}
