//! hoptree from outside: the built binary, real processes, real signals.
//!
//! Nothing here knows how hoptree works inside; each test types at a console and looks at what it
//! prints and at what `/proc` says. Start reading at `console.rs`, then `sessions.rs`.
//!
//! No test sleeps in the hope that something has happened by then. Each waits for a condition, with
//! a deadline that a busy machine can keep; where a test lets time pass, time is its subject.

#![allow(clippy::unwrap_used, reason = "in a test, whatever goes wrong must end it")]

mod console;
mod deadline;
mod lines;
mod load;
mod process;
mod quota;
mod scratch;
mod stranger;
mod tcp;

mod bench;
mod chaos;
mod cleanup;
mod cli;
mod directory;
mod examples;
mod failure;
mod flow;
mod folding;
mod heartbeat;
mod inherited;
mod input;
mod joblog;
mod launch;
mod limits;
mod limits_page;
mod logs;
mod many;
mod ordering;
mod programs;
mod scale;
mod sessions;
mod strangers;
mod terminal;
mod transport;
mod tree;
