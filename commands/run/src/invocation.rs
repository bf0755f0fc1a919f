//! What a user asks for: a program, its arguments, and what it is given.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use hoptree_core::{Args, Facts, Failure, shown};
use rustix::fs::{Access, access};

use crate::input::Input;
use crate::process::Image;

const SHELL: &str = "/bin/sh";

/// Where programs are looked for when no PATH is set.
const PATH: &str = "/bin:/usr/bin";

/// A program to run, with its arguments and what it is given. Paths are those of the node's machine,
/// relative to the directory that the program runs in.
#[derive(Debug, PartialEq, Eq)]
pub struct Invocation {
    program: String,
    arguments: Vec<String>,
    /// The one that it runs in, if not the node's own.
    directory: Option<PathBuf>,
    /// What is added to the node's environment. Of two with the same name the later one counts.
    environment: Vec<(String, String)>,
    input: Input,
}

impl Invocation {
    /// Reads `[--cwd DIR] [--env NAME=VALUE]... [--stdin TEXT|@FILE] [--] PROGRAM [ARG ...]`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the arguments, and what was expected.
    pub fn of_program(args: &Args<'_>) -> Result<Invocation, Failure> {
        refuse_nul(args)?;
        let mut invocation = Invocation::of("", Vec::new());
        let mut words = args.iter();
        let program = loop {
            let word = words.next();
            let mut next = |expected: &str| {
                let missing =
                    || format!("{} has no value: expected {expected}", word.unwrap_or_default());
                words.next().ok_or_else(|| Failure::from(missing()))
            };
            match word {
                Some("--cwd") => invocation.directory = Some(next("a directory")?.into()),
                Some("--env") => invocation.environment.push(variable(next("NAME=VALUE")?)?),
                Some("--stdin") => invocation.input = Input::of(next("a text or @FILE")?),
                Some("--") => break words.next(),
                Some(option) if option.starts_with('-') => return Err(unknown(option)),
                _ => break word,
            }
        };
        let lacking = |what| Failure::from(format!("PROGRAM is {what}: expected a program to run"));
        invocation.program = program.ok_or_else(|| lacking("missing"))?.to_owned();
        if invocation.program.is_empty() {
            return Err(lacking("empty"));
        }
        invocation.arguments = words.map(str::to_owned).collect();
        Ok(invocation)
    }

    /// Takes all that was typed for a line of the shell, as it is.
    ///
    /// # Errors
    ///
    /// When nothing was typed.
    pub fn of_line(args: &Args<'_>) -> Result<Invocation, Failure> {
        refuse_nul(args)?;
        if args.text().is_empty() {
            return Err(Failure::from("LINE is missing: expected a line for the shell"));
        }
        Ok(Invocation::of(SHELL, vec!["-c".to_owned(), args.text().to_owned()]))
    }

    fn of(program: &str, arguments: Vec<String>) -> Invocation {
        let (program, environment) = (program.to_owned(), Vec::new());
        Invocation { program, arguments, directory: None, environment, input: Input::Nothing }
    }

    /// Has the program know of the node that it runs on, unless the user tells it something else.
    #[must_use]
    pub fn on(mut self, node: &Facts) -> Invocation {
        let facts = [
            ("HOPTREE_NODE", node.node.to_string()),
            ("HOPTREE_PARENT", node.parent.to_string()),
            ("HOPTREE_DEPTH", node.depth.to_string()),
        ];
        self.environment.splice(0..0, facts.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// The program, with its arguments and its environment.
    ///
    /// # Errors
    ///
    /// When the system can't be given them.
    pub fn image(&self) -> Result<Image, Failure> {
        Image::new(self.paths(), &self.program, &self.arguments, &self.environment)
            .map_err(|error| self.refusal(&error))
    }

    /// The directory that the program runs in, if not the node's own.
    ///
    /// # Errors
    ///
    /// When there is none, or it can't be entered: once the program is started, the error would be that of
    /// a program which is not there.
    pub fn directory(&self) -> Result<Option<&Path>, Failure> {
        let directory = self.directory.as_deref();
        directory.map_or(Ok(()), check).map(|()| directory)
    }

    /// Opens what the program reads.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or there is no memory for the text.
    pub fn open_input(&self) -> Result<OwnedFd, Failure> {
        self.input.open(self.place())
    }

    /// What the user must know when the system has refused to run the program.
    pub fn refusal(&self, error: &io::Error) -> Failure {
        let program = shown(&self.program);
        Failure::from(match error.raw_os_error() {
            Some(libc::ENOENT) if self.is_there() => {
                format!("'{program}' can't be started: the interpreter that it needs is not found")
            }
            Some(libc::ENOENT | libc::ENOTDIR) => format!("'{program}' not found"),
            Some(libc::EACCES) => format!("'{program}' is not executable"),
            _ => format!("'{program}' can't be started: {error}"),
        })
    }

    /// Where relative paths begin.
    fn place(&self) -> &Path {
        self.directory.as_deref().unwrap_or(Path::new(""))
    }

    /// Whether there is a file of the program's name where it is looked for.
    fn is_there(&self) -> bool {
        self.paths().iter().any(|path| self.place().join(path).exists())
    }

    /// Where the program may be, in the order of the search. A relative path begins at [`Invocation::place`].
    fn paths(&self) -> Vec<PathBuf> {
        if self.program.contains('/') {
            return vec![self.program.clone().into()];
        }
        let set = self.environment.iter().rfind(|(name, _)| name == "PATH");
        let path = set.map(|(_, value)| value.into()).or_else(|| env::var_os("PATH"));
        let path = path.unwrap_or_else(|| PATH.into());
        env::split_paths(&path).map(|directory| directory.join(&self.program)).collect()
    }
}

/// No argument of a program can hold one.
fn refuse_nul(args: &Args<'_>) -> Result<(), Failure> {
    if args.text().contains('\0') {
        return Err(Failure::from("a program can't be given the character NUL"));
    }
    Ok(())
}

fn variable(word: &str) -> Result<(String, String), Failure> {
    match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::from(format!("--env must be NAME=VALUE, not '{}'", shown(word)))),
    }
}

fn unknown(option: &str) -> Failure {
    let expected = "--cwd DIR, --env NAME=VALUE, --stdin TEXT|@FILE, or -- before a program";
    Failure::from(format!("unknown option '{}': expected {expected}", shown(option)))
}

/// Whether a program can run in a directory.
fn check(directory: &Path) -> Result<(), Failure> {
    let entered = fs::metadata(directory).and_then(|found| match found.is_dir() {
        true => Ok(access(directory, Access::EXEC_OK)?),
        false => Err(io::ErrorKind::NotADirectory.into()),
    });
    entered.map_err(|error| {
        let name = directory.to_string_lossy();
        Failure::from(match error.kind() {
            io::ErrorKind::NotFound => format!("no such directory '{}'", shown(&name)),
            _ => format!("directory '{}' can't be entered: {error}", shown(&name)),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_program(text: &str) -> Result<Invocation, String> {
        Invocation::of_program(&Args::parse(text).unwrap()).map_err(|failure| failure.text)
    }

    #[track_caller]
    fn assert_refused(text: &str, error: &str) {
        assert_eq!(of_program(text), Err(error.to_owned()));
    }

    #[test]
    fn options_end_at_the_first_word_that_is_none() {
        let read = of_program("--cwd /a --env A=1 --env B= --stdin 'x y' ls --cwd b -l").unwrap();
        assert_eq!((read.program.as_str(), read.directory), ("ls", Some("/a".into())));
        assert_eq!(read.arguments, ["--cwd", "b", "-l"]);
        let variables = [("A", "1"), ("B", "")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(read.environment, variables);
        assert_eq!(read.input, Input::Text("x y".to_owned()));
        assert_eq!(of_program("-- -x --").unwrap(), Invocation::of("-x", vec!["--".to_owned()]));
    }

    #[test]
    fn what_is_no_invocation_is_refused() {
        let missing = "PROGRAM is missing: expected a program to run";
        for text in ["", "--", "--cwd /", "--env A=1 --"] {
            assert_refused(text, missing);
        }
        assert_refused("''", "PROGRAM is empty: expected a program to run");
        assert_refused("--cwd", "--cwd has no value: expected a directory");
        assert_refused("--env", "--env has no value: expected NAME=VALUE");
        assert_refused("--stdin", "--stdin has no value: expected a text or @FILE");
        for word in ["A", "=1"] {
            let error = format!("--env must be NAME=VALUE, not '{word}'");
            assert_refused(&format!("--env {word} true"), &error);
        }
        let options = "--cwd DIR, --env NAME=VALUE, --stdin TEXT|@FILE, or -- before a program";
        for word in ["-x", "--cwd=/", "-", "---"] {
            let error = format!("unknown option '{word}': expected {options}");
            assert_refused(&format!("{word} true"), &error);
        }
        assert_refused("echo a\0b", "a program can't be given the character NUL");
    }

    #[test]
    fn a_line_for_the_shell_is_taken_as_it_is() {
        let line = |text: &'static str| Invocation::of_line(&Args::parse(text).unwrap());
        let text = r#"echo  "a  b" 'c'; x=\y # z"#;
        let arguments = vec!["-c".to_owned(), text.to_owned()];
        assert_eq!(line(text), Ok(Invocation::of("/bin/sh", arguments)));
        let missing = "LINE is missing: expected a line for the shell";
        assert_eq!(line(""), Err(Failure::from(missing)));
        assert!(line("echo \0").is_err());
    }
}
