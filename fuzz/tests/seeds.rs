//! Every input that is kept, fed to its target.

#![allow(clippy::unwrap_used, reason = "in a test, whatever goes wrong is to end it")]

use std::env;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use hoptree_core::fuzzing::{example_frame, read_frame};
use hoptree_fuzz::{TARGETS, Target};
use hoptree_host::process::example_boot;

#[test]
fn every_target_bears_what_is_kept_for_it() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut failed = Vec::new();
    for Target { name, run } in TARGETS {
        let files: Vec<_> = fs::read_dir(seeds.join(name)).unwrap().map(Result::unwrap).collect();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in files {
            let input = fs::read(file.path()).unwrap();
            if catch_unwind(|| run(&input)).is_err() {
                failed.push(file.path());
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// A target without a program is never run, and one without seeds has no beginning.
#[test]
fn each_target_has_a_program_and_seeds_and_nothing_else_has() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| {
        let entries = fs::read_dir(here.join(folder)).unwrap().map(|it| it.unwrap().path());
        let mut names: Vec<_> =
            entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let targets = TARGETS.map(|target| target.name);
    assert_eq!(names("seeds"), targets);
    assert_eq!(names("fuzz_targets"), targets);
}

/// The fuzzer would have to find out by itself what a message is.
#[test]
fn the_seeds_of_messages_are_of_this_version() {
    const RENEW: &str = "HOPTREE_RENEW_SEEDS";
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let (frame, boot) = (example_frame(), example_boot());
    assert_eq!(read_frame(&frame), 29);
    for (name, example) in [("frame/every-kind", frame), ("boot/node", boot)] {
        let path = seeds.join(name);
        if env::var_os(RENEW).is_some() {
            fs::write(&path, &example).unwrap();
        }
        assert!(fs::read(path).unwrap() == example, "{name} is of another version: set {RENEW}=1");
    }
}
