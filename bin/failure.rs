//! Why the program can't do what it was started for.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

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

    /// As [`Failure::doing`], of what needs a thread: the system's own words don't say what there is
    /// too much of.
    pub fn starting(what: &str) -> impl Fn(io::Error) -> Failure {
        move |error| match error.kind() {
            io::ErrorKind::WouldBlock => Failure::Runtime(format!(
                "can't {what}: too many processes and threads (raise the limit RLIMIT_NPROC with \
                 ulimit -u, or that of the container)"
            )),
            _ => Failure::doing(what)(error),
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
        let line = format!("hoptree: {text}\n");
        let line = line.as_bytes();
        let on_terminal = io::stderr().is_terminal();
        // When stderr is gone there is nobody left to tell.
        let _ = io::stderr().write_all(&if on_terminal { visible(line) } else { line.into() });
        ExitCode::from(status)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_thread_too_many_names_the_limit() {
        let text = |errno: Errno| Failure::starting("start a thread")(errno.into()).into_text();
        assert!(text(Errno::AGAIN).starts_with("can't start a thread: too many processes"));
        assert!(text(Errno::AGAIN).contains("RLIMIT_NPROC"));
        assert!(text(Errno::NOMEM).starts_with("can't start a thread: Cannot allocate memory"));
    }
}
