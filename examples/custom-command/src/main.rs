//! hoptree with commands of our own.

mod count;
mod tick;

use std::process::ExitCode;

fn main() -> ExitCode {
    hoptree::main()
}
