//! The directory for sockets, on every transport that has one: what is wrong with its place is told
//! at the start, and what a killed tree has left there the next one removes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually};
use crate::process::Process;
use crate::scratch::Scratch;
use crate::transport;

/// Starts it with a place for temporary files.
fn start_in(place: impl AsRef<OsStr>, transport: &str) -> Console {
    Console::start_prepared(&["--transport", transport], |command| {
        command.env("TMPDIR", place);
    })
}

/// Checks that it does not start, and says why, with these words.
fn check_refused(place: impl AsRef<OsStr>, transport: &str, words: &[&str]) {
    let mut console = start_in(&place, transport);
    assert_eq!(console.wait_exit().code(), Some(1), "{:?} {transport}", place.as_ref());
    let errors = console.errors();
    assert!(errors.starts_with("hoptree: can't "), "{transport}: {errors}");
    for word in words.iter().chain(&["TMPDIR"]) {
        assert!(errors.contains(word), "'{word}' is not in: {errors}");
    }
    assert_eq!(console.finish().output, "");
}

fn check_works(place: impl AsRef<OsStr>, transport: &str) {
    let mut console = start_in(&place, transport);
    let node = console.create(1, -1);
    console.ask("exec 1 echo here", "Ok:1: here");
    assert_eq!(console.finish().status, 0, "{:?} {transport}", place.as_ref());
    assert!(!node.runs());
}

#[test]
fn a_place_that_can_not_be_used_is_told_at_the_start() {
    let scratch = Scratch::new();
    let file = scratch.file("file", "");
    let gone = scratch.path().join("gone");
    let not_utf8 = scratch.path().join(OsStr::from_bytes(b"\xff"));
    fs::create_dir(&not_utf8).unwrap();
    for spec in transport::with_socket_files() {
        check_refused(&gone, spec.name, &["No such file", gone.to_str().unwrap()]);
        check_refused(&file, spec.name, &["Not a directory", &file]);
        // Not even root may make anything there.
        check_refused("/sys", spec.name, &["can't make the directory /sys/hoptree-"]);
        check_refused(&not_utf8, spec.name, &["not UTF-8"]);
        check_refused("/x".repeat(513), spec.name, &["more than 1024 bytes"]);
    }
}

#[test]
fn a_path_that_is_too_long_for_a_socket_is_told_at_the_start_or_works() {
    let scratch = Scratch::new();
    let long = scratch.path().join("x".repeat(100));
    fs::create_dir(&long).unwrap();
    for spec in transport::with_socket_files() {
        if spec.name == "ipc" {
            // It reaches its directory through a descriptor.
            check_works(&long, spec.name);
        } else {
            check_refused(&long, spec.name, &["too long", "the system takes 107"]);
        }
    }
    assert_eq!(fs::read_dir(&long).unwrap().count(), 0);
}

/// The working directory of a console is its own scratch directory.
#[test]
fn a_relative_place_and_an_empty_one_work() {
    for spec in transport::with_socket_files() {
        check_works(".", spec.name);
        check_works("", spec.name);
    }
}

#[test]
fn without_socket_files_no_place_is_needed() {
    for spec in transport::without_socket_files() {
        for place in
            [OsStr::new("/nonexistent"), OsStr::from_bytes(b"/\xff"), "/x".repeat(2_000).as_ref()]
        {
            check_works(place, spec.name);
        }
    }
}

/// A console that is killed has nobody to clean up after it when it had no node yet, or when its
/// nodes are killed with it.
#[test]
fn what_a_killed_tree_has_left_the_next_one_removes() {
    for spec in transport::with_socket_files() {
        let scratch = Scratch::new();
        for depth in [0, 3] {
            let mut console = start_in(scratch.path(), spec.name);
            let nodes = console.create_chain(depth);
            eventually("there is a directory", PATIENCE, || scratch.names().len() == 1);
            // Stopped, no one can see that another is gone and clean up.
            nodes.iter().for_each(Process::stop);
            console.process().kill();
            nodes.iter().for_each(Process::kill);
            let whole = [&nodes[..], &[console.process()]].concat();
            eventually("they are gone", PATIENCE, || !whole.iter().any(Process::runs));
            assert_eq!(scratch.names().len(), 1, "{}, {depth} nodes", spec.name);
            check_works(scratch.path(), spec.name);
            assert_eq!(scratch.names(), [""; 0], "{}, {depth} nodes", spec.name);
        }
    }
}

/// Whether it has been handled yet or not, no signal that asks for an end leaves a directory.
#[test]
fn a_signal_just_after_the_start_leaves_nothing() {
    for spec in transport::with_socket_files() {
        let scratch = Scratch::new();
        for turn in 0..60 {
            let mut console = start_in(scratch.path(), spec.name);
            let until = Instant::now() + Duration::from_micros(250 * turn);
            while Instant::now() < until {
                thread::yield_now();
            }
            console.process().signal([Signal::INT, Signal::TERM, Signal::HUP][turn as usize % 3]);
            console.wait_exit();
            assert_eq!(scratch.names(), [""; 0], "{}, turn {turn}", spec.name);
        }
    }
}

/// Cleaners of temporary files leave alone what is locked.
#[test]
fn what_a_living_tree_uses_is_not_removed() {
    for spec in transport::with_socket_files() {
        let scratch = Scratch::new();
        let mut console = start_in(scratch.path(), spec.name);
        console.create(1, -1);
        let directory = scratch.path().join(&scratch.names()[0]);
        assert!(is_locked(&directory));
        check_works(scratch.path(), spec.name);
        assert!(directory.exists(), "{}", spec.name);
        console.create(2, 1);
        console.ask("exec 2 echo here", "Ok:2: here");
        assert_eq!(console.finish().status, 0);
        assert_eq!(scratch.names(), [""; 0], "{}", spec.name);
    }
}

fn is_locked(directory: &Path) -> bool {
    fs::File::open(directory).unwrap().try_lock().is_err()
}
