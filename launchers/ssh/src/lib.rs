//! The launcher `ssh`: the user's own `ssh`, with the user's configuration, keys and agent.

use hoptree_core::{Exit, Explanation, FailedLaunch, Launch, LauncherSpec};

/// What every connection is made with. No terminal; no question, since nobody could answer it; and an end
/// when nothing has come for nine seconds, as when a cable is cut: by then the nodes beyond it have ended, and
/// before they may find back. Banners, which look like errors, are left out.
const OPTIONS: [&str; 11] = [
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=5",
    "-o",
    "ServerAliveInterval=3",
    "-o",
    "ServerAliveCountMax=3",
    "-o",
    "LogLevel=ERROR",
];

/// With this status ssh ends when it has failed itself.
const OWN_FAILURE: Exit = Exit::Status(255);

/// What a server does that has too many begin at once (`MaxStartups`): it has run nothing.
const OVERLOAD: [&str; 2] = ["kex_exchange_identification: ", "Connection reset by "];

inventory::submit! {
    LauncherSpec {
        name: "ssh",
        package: env!("CARGO_PKG_NAME"),
        summary: "the user's own ssh, with its configuration; it must get in without a question",
        argument: None,
        command,
        explain,
    }
}

fn command(launch: &Launch<'_>) -> Result<Vec<String>, String> {
    let quoted = shlex::try_join(launch.command.iter().map(String::as_str))
        .map_err(|error| format!("the command line can't be quoted: {error}"))?;
    let (program, rest) = (["ssh"], ["--", launch.host, &quoted]);
    let words = program.iter().chain(&OPTIONS).chain(&rest);
    Ok(words.map(|word| (*word).to_owned()).collect())
}

fn explain(failed: &FailedLaunch<'_>) -> Explanation {
    let host = failed.host;
    let is_said = |text: &str| failed.errors.contains(text);
    let described = failed.described("ssh");
    if failed.exit != OWN_FAILURE {
        return Explanation::Lasting(described);
    }
    if is_said("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        return Explanation::Lasting(format!(
            "the host key of {host} is not the one that was known: 'ssh {host}' tells which, and \
             'ssh-keygen -R' forgets the old one if the new one is right"
        ));
    }
    if is_said("Host key verification failed.") {
        return Explanation::Lasting(format!(
            "the host key of {host} is not known: type 'ssh {host}' once and accept it"
        ));
    }
    if is_said(": Permission denied (") {
        return Explanation::Lasting(format!(
            "{described} 'ssh -o BatchMode=yes {host}' must get in: it needs a key without a \
             passphrase, or in ssh-agent"
        ));
    }
    if OVERLOAD.into_iter().any(is_said) {
        return Explanation::Passing(described);
    }
    Explanation::Lasting(described)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(status: i32, errors: &str) -> Explanation {
        explain(&FailedLaunch { host: "web1", exit: Exit::Status(status), errors })
    }

    #[track_caller]
    fn assert_lasting(status: i32, errors: &str, text: &str) {
        assert_eq!(explained(status, errors), Explanation::Lasting(text.to_owned()));
    }

    #[test]
    fn the_command_survives_the_shell_at_the_other_end() {
        let script = ["/bin/sh", "-c", "echo \"$1\"; a=b", "x y"].map(str::to_owned);
        let launch = Launch { argument: "", host: "web1", command: &script };
        let words = command(&launch).unwrap();
        assert_eq!(words[0], "ssh");
        let [.., dashes, host, line] = &words[..] else { panic!("{words:?}") };
        assert_eq!((dashes.as_str(), host.as_str()), ("--", "web1"));
        assert_eq!(shlex::split(line).unwrap(), script);
        assert!(line.contains("'echo \"$1\"; a=b'"), "in single quotes: {line}");
    }

    /// As OpenSSH 9.2 writes them.
    #[test]
    fn failures_of_ssh_are_told_apart() {
        let unknown = "ssh: Could not resolve hostname web1: Name or service not known\n";
        let text = "ssh has not reached web1 (exit status 255): \
                    ssh: Could not resolve hostname web1: Name or service not known";
        assert_lasting(255, unknown, text);
        let refused = "ssh: connect to host web1 port 22: Connection refused\n";
        let text = "ssh has not reached web1 (exit status 255): \
                    ssh: connect to host web1 port 22: Connection refused";
        assert_lasting(255, refused, text);
        let unknown = "No ED25519 host key is known for web1 and you have requested strict \
                       checking.\nHost key verification failed.\n";
        let text = "the host key of web1 is not known: type 'ssh web1' once and accept it";
        assert_lasting(255, unknown, text);
        let changed = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n\
                       Host key verification failed.\n";
        let text = "the host key of web1 is not the one that was known: 'ssh web1' tells which, and \
                    'ssh-keygen -R' forgets the old one if the new one is right";
        assert_lasting(255, changed, text);
        let text = "ssh has not reached web1 (exit status 255): me@web1: Permission denied \
                    (publickey). 'ssh -o BatchMode=yes web1' must get in: it needs a key without a \
                    passphrase, or in ssh-agent";
        assert_lasting(255, "me@web1: Permission denied (publickey).\r\n", text);
        assert_lasting(255, "", "ssh has not reached web1 (exit status 255): it has said nothing");
        let text = "web1 can't run /bin/sh: bash: /bin/sh: Permission denied";
        assert_lasting(126, "bash: /bin/sh: Permission denied\n", text);
    }

    #[test]
    fn a_server_that_has_too_many_is_tried_again() {
        for errors in [
            "kex_exchange_identification: Connection closed by remote host\n",
            "kex_exchange_identification: read: Connection reset by peer\n",
            "Connection reset by 10.0.0.1 port 22\n",
        ] {
            assert!(matches!(explained(255, errors), Explanation::Passing(_)), "{errors}");
            assert!(matches!(explained(1, errors), Explanation::Lasting(_)), "said by a program");
        }
    }
}
