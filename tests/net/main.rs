//! hoptree on several machines: hosts in namespaces of this one, with a network between them that can
//! be cut, and an sshd in each.
//!
//! A host has its own network, processes, mounts and name, so that a process id or a file that is
//! taken for one of another host is found out. All of it lives as long as its first process, which
//! ends with the test, in whatever way that ends. Start reading at `network.rs`, then `ground.rs`.
//!
//! It needs root and some programs. Where these are missing, every test passes without a check, and
//! standard error says so.

#![allow(clippy::unwrap_used, reason = "in a test, whatever goes wrong must end it")]

#[allow(dead_code, reason = "it is shared with other tests, which use the rest")]
#[path = "../e2e/deadline.rs"]
mod deadline;
#[allow(dead_code, reason = "it is shared with other tests, which use the rest")]
#[path = "../e2e/lines.rs"]
mod lines;
#[allow(dead_code, reason = "it is shared with other tests, which use the rest")]
#[path = "../e2e/process.rs"]
mod process;

mod console;
mod faults;
mod host;
mod init;
mod namespaces;
mod needs;
mod network;
mod ssh;
mod switch;
mod tool;
mod wire;

mod ground;
mod local;
mod refusals;
mod remote;
