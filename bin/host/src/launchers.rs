//! The launchers of this build: which there are, and how a user names them.

use std::collections::BTreeMap;

use hoptree_core::{
    Explanation, FailedLaunch, Host, Launch, LauncherSpec, linked_launchers, nearest,
};

use crate::failure::Failure;

/// The launcher behind the user's own names: `--launcher NAME=COMMAND`.
const TEMPLATE: &str = "exec";

/// What stands between the name of a launcher and what it is told.
const COLON: char = ':';

/// How long what a launcher is told may be: a process learns of it in its boot message.
const ARGUMENT_BYTES_MAX: usize = 512;

/// How a process is started on one host.
#[derive(Clone, Debug)]
pub struct Launcher {
    spec: &'static LauncherSpec,
    argument: String,
    host: String,
}

impl Launcher {
    /// The launcher that a create names, for its host.
    ///
    /// # Errors
    ///
    /// When there is none, or it can't reach such a host; in words for the user.
    pub fn of(host: &Host) -> Result<Launcher, String> {
        let (name, argument) = host.launcher.split_once(COLON).unwrap_or((&host.launcher, ""));
        let spec = find(name)?;
        if let Some(needed) = spec.argument.filter(|_| argument.is_empty()) {
            return Err(format!(
                "the launcher '{name}' must be told a command: start hoptree with --launcher \
                 NAME={needed}, and write --with NAME"
            ));
        }
        if host.name.is_empty() || host.name.starts_with('-') || host.name.contains('\0') {
            return Err(format!("'{}' can't be the name of a machine", host.name));
        }
        let launcher = Launcher { spec, argument: argument.to_owned(), host: host.name.clone() };
        launcher.command(&[]).map(|_| launcher)
    }

    /// The command line that runs another one on the host.
    ///
    /// # Errors
    ///
    /// In words for the user.
    pub fn command(&self, command: &[String]) -> Result<Vec<String>, String> {
        let Launcher { spec, argument, host } = self;
        (spec.command)(&Launch { argument, host, command })
    }

    /// Why it has failed.
    pub fn explain(&self, failed: &FailedLaunch<'_>) -> Explanation {
        (self.spec.explain)(failed)
    }
}

/// What the user's own names for launchers stand for, from `NAME=COMMAND` each.
///
/// # Errors
///
/// When one is no such thing, is given twice, or is the name of a launcher of this build.
pub fn named(options: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut names = BTreeMap::new();
    for option in options {
        let wrong = |why: &str| Failure::Usage(format!("--launcher {option}: {why}"));
        let (name, command) = option
            .split_once('=')
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| wrong("expected NAME='COMMAND {host} {argv}'"))?;
        if command.len() > ARGUMENT_BYTES_MAX {
            return Err(wrong(&format!("a command may have {ARGUMENT_BYTES_MAX} bytes")));
        }
        if find(name).is_ok() {
            return Err(wrong("there is a launcher of this name already"));
        }
        let meaning = format!("{TEMPLATE}{COLON}{command}");
        let host = Host { name: "host".to_owned(), launcher: meaning.clone() };
        Launcher::of(&host).map_err(|why| wrong(&why))?;
        if names.insert(name.to_owned(), meaning).is_some() {
            return Err(wrong("this name is given twice"));
        }
    }
    Ok(names)
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_part)
}

fn find(name: &str) -> Result<&'static LauncherSpec, String> {
    let linked = linked_launchers().map_err(|error| error.to_string())?;
    if let Some(spec) = linked.iter().find(|spec| spec.name == name) {
        return Ok(spec);
    }
    let names: Vec<_> = linked.iter().map(|spec| spec.name).collect();
    Err(match nearest(name, names.iter().copied()) {
        _ if names.is_empty() => {
            "no launcher is linked into this build: build it with --features ssh".to_owned()
        }
        Some(known) => format!("there is no launcher '{name}': did you mean '{known}'?"),
        None => format!(
            "there is no launcher '{name}': there are {}, and those that --launcher names",
            names.join(", ")
        ),
    })
}
