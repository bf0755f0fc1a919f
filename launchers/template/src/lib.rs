//! The launcher `exec`: any command that runs another one elsewhere, as `srun`, `kubectl exec`, `docker
//! exec` and `sudo` do.
//!
//! What it is told is a command line, split as a shell does it, without one. In it `{host}` stands for the
//! host; `{argv}`, a word of its own, for the words to be run; and `{line}` for those as one word, quoted for
//! a shell at the other end.

use hoptree_core::{Explanation, FailedLaunch, Launch, LauncherSpec};

const HOST: &str = "{host}";
const WORDS: &str = "{argv}";
const LINE: &str = "{line}";

inventory::submit! {
    LauncherSpec {
        name: "exec",
        package: env!("CARGO_PKG_NAME"),
        summary: "any command that runs another one elsewhere",
        argument: Some("'COMMAND {host} {argv}'"),
        command,
        explain,
    }
}

fn command(launch: &Launch<'_>) -> Result<Vec<String>, String> {
    let template = launch.argument;
    let words = shlex::split(template)
        .ok_or_else(|| format!("the quotes of '{template}' are not closed"))?;
    let is_complete = |word: &String| word == WORDS || word.contains(LINE);
    if words.first().is_none_or(|program| program == WORDS) || !words.iter().any(is_complete) {
        return Err(format!(
            "'{template}' must be a program with {WORDS} behind it, or {LINE}, for what is run"
        ));
    }
    let line = shlex::try_join(launch.command.iter().map(String::as_str))
        .map_err(|error| format!("the command line can't be quoted: {error}"))?;
    let mut filled = Vec::new();
    for word in words {
        if word == WORDS {
            filled.extend_from_slice(launch.command);
        } else {
            filled.push(word.replace(HOST, launch.host).replace(LINE, &line));
        }
    }
    Ok(filled)
}

/// What the program means by what it says only its user knows.
fn explain(failed: &FailedLaunch<'_>) -> Explanation {
    Explanation::Lasting(failed.described("the launcher"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<Vec<String>, String> {
        let script = ["/bin/sh", "-c", "a b"].map(str::to_owned);
        command(&Launch { argument: template, host: "web1", command: &script })
    }

    #[test]
    fn the_template_is_filled() {
        for (template, words) in [
            ("srun -w {host} {argv}", &["srun", "-w", "web1", "/bin/sh", "-c", "a b"][..]),
            (
                "docker exec -i '{host}' {argv}",
                &["docker", "exec", "-i", "web1", "/bin/sh", "-c", "a b"],
            ),
            ("rsh {host} exec {line}", &["rsh", "web1", "exec", "/bin/sh -c 'a b'"]),
            ("env HOST={host} {argv}", &["env", "HOST=web1", "/bin/sh", "-c", "a b"]),
        ] {
            assert_eq!(filled(template).unwrap(), words, "{template}");
        }
    }

    #[test]
    fn what_would_run_nothing_is_refused() {
        for template in ["", "srun {host}", "{argv}", "srun {argv", "srun x{argv}"] {
            let text = filled(template).unwrap_err();
            assert!(text.contains("must be a program with {argv} behind it"), "{text}");
        }
        assert_eq!(
            filled("srun 'x {argv}"),
            Err("the quotes of 'srun 'x {argv}' are not closed".to_owned())
        );
    }
}
