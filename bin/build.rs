//! Tells the program what it is built from: the compiler and, in a checkout, the commit.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var("RUSTC").expect("cargo sets it");
    let version = said(&rustc, &["--version"]);
    println!("cargo::rustc-env=HOPTREE_RUSTC={}", version.as_deref().unwrap_or("unknown compiler"));
    // A package that was published has no history.
    let commit = said("git", &["log", "-1", "--format=%h %cs"]).unwrap_or_default();
    println!("cargo::rustc-env=HOPTREE_COMMIT={commit}");
    if let Some(log) = said("git", &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    println!("cargo::rerun-if-changed=bin/build.rs");
}

/// What a command prints, if it succeeds.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
