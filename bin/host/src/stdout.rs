//! Text for the standard output of a program that is no console.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::failure::Failure;

/// Writes `text` to stdout. A reader that has seen enough has closed it, which is fine.
///
/// # Errors
///
/// When it can't be written for another reason.
pub fn print(text: &str) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::doing("write to stdout")(error))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
