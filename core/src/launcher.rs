//! The contract between the program and a way to run something on another machine.
//!
//! A launcher knows a program of this machine that runs another one elsewhere, as `ssh` does, and that
//! is all: it makes a command line of a host and of what must run there, and says in words for the user
//! why that has failed. It starts nothing itself, and has never heard of nodes.

use crate::{Exit, RegistryError};

/// A linked launcher, as it registers itself with `inventory::submit!`.
#[derive(Debug)]
pub struct LauncherSpec {
    /// What `create ID --on HOST --with NAME` calls it.
    pub name: &'static str,
    /// The package that brings it.
    pub package: &'static str,
    /// What it does, for people.
    pub summary: &'static str,
    /// What it must be told beside the host, for people: one that must be told something can only be had
    /// under a name of the user's own, `--launcher NAME=ARGUMENT`.
    pub argument: Option<&'static str>,
    /// The command line that runs another one on a host, at whose standard streams it hangs then: what
    /// is written to one's standard input the other one reads, its end included, and the other way
    /// round. It asks the user nothing, and ends when the other one has ended.
    ///
    /// # Errors
    ///
    /// When there is none for this host, or the argument makes no sense; in words for the user.
    pub command: fn(&Launch<'_>) -> Result<Vec<String>, String>,
    /// Why it has failed, when it ended before anything that was started there has said a word.
    pub explain: fn(&FailedLaunch<'_>) -> Explanation,
}

inventory::collect!(LauncherSpec);

/// What must be run, and where.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// What the launcher was told by the user; empty when it takes nothing.
    pub argument: &'a str,
    /// Where. It is not empty and does not begin with `-`.
    pub host: &'a str,
    /// What is run there: a program and its arguments. None of them has a line end, a single quote or an
    /// exclamation mark.
    pub command: &'a [String],
}

/// How a launch has failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedLaunch<'a> {
    /// Where something should have been run.
    pub host: &'a str,
    /// How the launcher's program has ended.
    pub exit: Exit,
    /// The last of what was written to its standard error, in whole lines.
    pub errors: &'a str,
}

/// What a launcher says to a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// Nothing was run, and it may work in a moment. The text says why not now.
    Passing(String),
    /// It won't work. The text says why, and what to do if that is known.
    Lasting(String),
}

impl FailedLaunch<'_> {
    /// The last line that has anything in it. What the start-up files of a shell print comes first.
    #[must_use]
    pub fn last_line(&self) -> Option<&str> {
        self.errors.lines().map(str::trim).rfind(|line| !line.is_empty())
    }

    /// What can be said without any knowledge of the launcher.
    #[must_use]
    pub fn described(&self, program: &str) -> String {
        let FailedLaunch { host, exit, .. } = self;
        let said = self.last_line().unwrap_or("it has said nothing");
        match exit {
            // What shells say when there is no such program, or it can't be run.
            Exit::Status(126 | 127) => format!("{host} can't run /bin/sh: {said}"),
            _ => format!("{program} has not reached {host} ({exit}): {said}"),
        }
    }
}

/// The launchers that are linked into this program, by name.
///
/// # Errors
///
/// When two have the same name.
pub fn linked_launchers() -> Result<Vec<&'static LauncherSpec>, RegistryError> {
    let mut launchers: Vec<_> = inventory::iter::<LauncherSpec>.into_iter().collect();
    launchers.sort_by_key(|launcher| (launcher.name, launcher.package));
    for pair in launchers.windows(2) {
        if pair[0].name == pair[1].name {
            let packages = [pair[0].package, pair[1].package];
            return Err(RegistryError::twin("launcher", packages, pair[0].name));
        }
    }
    Ok(launchers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_prints_is_not_the_reason() {
        let failed =
            |status, errors| FailedLaunch { host: "web1", exit: Exit::Status(status), errors };
        let shell = failed(127, "pyenv: warning\nbash: /bin/sh: No such file or directory\n\n");
        assert_eq!(shell.last_line(), Some("bash: /bin/sh: No such file or directory"));
        let text = "web1 can't run /bin/sh: bash: /bin/sh: No such file or directory";
        assert_eq!(shell.described("ssh"), text);
        let text = "srun has not reached web1 (exit status 1): it has said nothing";
        assert_eq!(failed(1, "").described("srun"), text);
    }
}
