//! What is run on the other machine first: a shell script that sees to it that this very program is
//! there, and becomes it.

use std::env::consts::ARCH;
use std::fs;

use super::GUARD_WORD;
use super::digest::{Program, is_digest};

/// The script, for any POSIX shell. It has no line end, no single quote and no exclamation mark, so that the
/// login shells that it may have to pass, csh and fish among them, take it as it is.
///
/// It is told the mark, the program's digest and size, the machine that the program is for, and where the
/// program is on this machine: where both share their files, or have the same program installed, it need not
/// be sent.
const SCRIPT: &str = concat!(
    r#"mark=$1 digest=$2 size=$3 here=$5 file= ; "#,
    r#"say() { echo; echo "$mark $*"; } ; "#,
    r#"fail() { [ -z "$file" ] || rm -f "$file"; say failed "$@"; exit 1; } ; "#,
    r#"machine="$(uname -s) $(uname -m)" ; "#,
    r#"[ "$machine" = "$4" ] || fail machine "$machine" ; "#,
    r#"digest_of() { "$1" guard --digest </dev/null 2>&1; } ; "#,
    r#"[ -x "$here" ] && [ "$(digest_of "$here")" = "$digest" ] && exec "$here" guard "$mark" ; "#,
    r#"cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}} ; "#,
    r#"[ -n "$cache" ] || fail home ; "#,
    r#"place=$cache/hoptree/$digest program=$cache/hoptree/$digest/hoptree ; "#,
    r#"[ -x "$program" ] || { mask=$(umask) ; umask 077 ; "#,
    r#"error=$(mkdir -p "$place" 2>&1) || fail place "$error" ; "#,
    r#"file=$program.$mark ; say need ; "#,
    r#"error=$( { head -c "$size" >"$file" ; } 2>&1) || fail room "$error" ; "#,
    r#"got=$(wc -c <"$file") ; [ "$got" -eq "$size" ] || fail short "$got" ; "#,
    r#"error=$(chmod 700 "$file" 2>&1) || fail place "$error" ; "#,
    r#"got=$(digest_of "$file") ; [ "$got" = "$digest" ] || fail check "$got" ; "#,
    r#"error=$(mv -f "$file" "$program" 2>&1) || fail place "$error" ; "#,
    r#"file= ; umask "$mask" ; } ; "#,
    r#"exec "$program" guard "$mark""#,
);

/// What is run there: a command line.
pub fn command(mark: &str, program: &Program) -> Vec<String> {
    debug_assert!(SCRIPT.contains(GUARD_WORD));
    let here = fs::read_link("/proc/self/exe").ok();
    // Quotes in it would not survive every launcher.
    let here = here.as_deref().and_then(|path| path.to_str()).filter(|path| is_plain(path));
    let (size, machine) = (program.size.to_string(), machine());
    let words = [
        "/bin/sh",
        "-c",
        SCRIPT,
        "hoptree",
        mark,
        &program.digest,
        &size,
        &machine,
        here.unwrap_or("-"),
    ];
    words.map(str::to_owned).to_vec()
}

/// The machine that this program is for, as `uname -s` and `uname -m` say it.
pub fn machine() -> String {
    format!("Linux {ARCH}")
}

fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte))
}

/// What the script's words for a failure mean to the user.
pub fn explain(host: &str, what: &str, why: &str) -> String {
    let machine = machine();
    let why = if why.is_empty() { "nothing was said of it" } else { why };
    match what {
        "machine" => {
            format!("{host} is a machine of another kind, {why}: this program is for {machine}")
        }
        "home" => format!(
            "there is no place for the program on {host}: neither HOME nor XDG_CACHE_HOME is set there"
        ),
        "place" => format!("there is no place for the program on {host}: {why}"),
        "room" => format!("the program can't be written on {host}: {why}"),
        "short" => format!("the program has arrived on {host} with {} bytes only", why.trim()),
        "check" if is_digest(why) => {
            format!("the program is not the same any more on {host}: its digest is {why}")
        }
        "check" => format!("the program does not run as it should on {host}: {why}"),
        "boot" => format!("the guard on {host} can't begin: {why}"),
        _ => format!("{host} says '{what}': {why}"),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_script_passes_every_shell_as_it_is() {
        let program = Program::own().unwrap();
        for word in command("hoptree-0", &program) {
            assert!(!word.contains(['\n', '\'', '!']), "{word}");
            assert!(!word.is_empty(), "some shells would drop it");
        }
    }

    #[test]
    fn this_machine_is_of_its_own_kind() {
        let uname = Command::new("uname").args(["-s", "-m"]).output().unwrap();
        assert_eq!(String::from_utf8(uname.stdout).unwrap().trim_end(), machine());
    }
}
