//! Tells the program which compiler has built it: `hoptree bench` says so beside its figures.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var_os("RUSTC").expect("cargo sets it");
    let said = Command::new(rustc).arg("--version").output();
    let version = said.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.as_deref().map_or("unknown compiler", str::trim);
    println!("cargo::rustc-env=HOPTREE_RUSTC={version}");
    println!("cargo::rerun-if-changed=bin/build.rs");
}
