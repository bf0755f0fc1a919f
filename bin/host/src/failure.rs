//! Why the program can't do what it was started for.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use hoptree_system::explain_thread;

use crate::visible::visible;

/// A reason to end, in words for the user.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command line asks for what there is not: exit status 2.
    Usage(String),
    /// The system, or this build, does not let it go on: exit status 1.
    Runtime(String),
}

impl Failure {
    /// A [`Failure::Runtime`] that says what `error` says.
    pub fn runtime(error: impl Display) -> Failure {
        Failure::Runtime(error.to_string())
    }

    /// Makes a [`Failure::Runtime`] of an error: what could not be done, and why.
    pub fn doing<E: Display>(what: &str) -> impl Fn(E) -> Failure {
        move |error| Failure::Runtime(format!("can't {what}: {error}"))
    }

    /// Makes a [`Failure::Runtime`] of what the system refused: what could not be done, and by what
    /// limit, if it was one.
    pub fn refused(what: &str) -> impl Fn(io::Error) -> Failure {
        move |error| Failure::doing(what)(explain_thread(&error))
    }

    /// What is wrong.
    pub fn text(&self) -> &str {
        match self {
            Failure::Usage(text) | Failure::Runtime(text) => text,
        }
    }

    /// What is wrong.
    pub fn into_text(self) -> String {
        match self {
            Failure::Usage(text) | Failure::Runtime(text) => text,
        }
    }

    /// Tells the user, and what the program's exit status is.
    pub fn report(&self) -> ExitCode {
        let (text, status) = match self {
            Failure::Usage(text) => (text, 2),
            Failure::Runtime(text) => (text, 1),
        };
        tell(text);
        ExitCode::from(status)
    }
}

/// Tells the user on the standard error, which the processes of a tree share: so a line is one
/// write, and none is torn by another's.
pub fn tell(text: &str) {
    let line = format!("hoptree: {text}\n");
    let line = line.as_bytes();
    let on_terminal = io::stderr().is_terminal();
    // When it is gone there is nobody left to tell.
    let _ = io::stderr().write_all(&if on_terminal { visible(line) } else { line.into() });
}
