//! The protocol of hoptree: nodes as pure state machines, and the contracts of what is around them.
//!
//! A node is told what happened and what time it is, and says what it wants done. It does nothing itself:
//! this crate has no socket, thread, clock, process or randomness. So a whole tree can run in a test, in
//! virtual time. What carries out what nodes want is a host, such as the package `hoptree-host`; what
//! carries their frames is a [`Transport`]; what they can be asked to do is a [`Command`].
//!
//! Read [`Node`] first, with [`Input`] and [`Output`]. [`Controller`] is the node that a user talks to,
//! [`Worker`] every other one. Who writes a module needs [`Command`], [`CommandSpec`] and [`Context`].
//!
//! # Two nodes
//!
//! ```
//! use std::time::Duration;
//!
//! use hoptree_core::{
//!     Address, Controller, ControllerConfig, Input, KEY_BYTES, LinkId, Machine, Node, Order, Output,
//!     ProcessId, Registry, Secret, Time, Worker, WorkerConfig,
//! };
//!
//! static SECRET: [u8; KEY_BYTES] = [7; KEY_BYTES];
//! let own_secret = Secret::new(&SECRET);
//! let (token, transport, timeout) = (own_secret.token(), "memory", Duration::from_secs(5));
//! let commands = Registry::new([])?;
//! let now = Time::ZERO;
//! let process = |pid| ProcessId { machine: Machine::default(), pid };
//! let mut control = Controller::new(
//!     now,
//!     ControllerConfig {
//!         token, own_secret, process: process(1), transport, timeout, order: Order::Input,
//!         nodes_max: 10, records: false, commands: commands.clone(),
//!     },
//! );
//!
//! // Somebody types a line. The node wants a process started.
//! let mut out = Vec::new();
//! control.handle(now, Input::Line(b"create 1"), &mut out);
//! let Some(Output::Spawn(birth, _)) = out.pop() else { panic!("it starts no process") };
//!
//! // The process runs, and its link to the control node is up. It says hello.
//! let (parent, child) = (LinkId(1), LinkId(2));
//! let parent_address = Address("here".to_owned());
//! let config = WorkerConfig {
//!     birth, token, process: process(2), parent, parent_address, transport, timeout, commands,
//! };
//! let mut worker = Worker::new(now, config);
//! worker.handle(now, Input::Up(parent), &mut out);
//! worker.flush(now, &mut out);
//! let Some(Output::Send(_, hello)) = out.pop() else { panic!("it does not say hello") };
//!
//! // The frame arrives at the other end. The user learns the process.
//! control.handle(now, Input::Up(child), &mut out);
//! control.handle(now, Input::Frame(child, &hello), &mut out);
//! control.flush(now, &mut out);
//! assert!(out.iter().any(|output| matches!(output, Output::Print(text) if text == b"Ok: 2\n")));
//! # Ok::<(), hoptree_core::RegistryError>(())
//! ```

#![forbid(unsafe_code)]

mod args;
mod children;
mod clock;
mod command;
mod context;
mod controller;
mod credit;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod id;
mod launcher;
mod link;
mod memory;
mod milliseconds;
mod modules;
mod node;
mod nonce;
mod offload;
#[cfg(test)]
mod protocol_page;
mod record;
mod recurrence;
mod reduction;
mod registry;
mod router;
mod secret;
mod seed;
mod spelling;
mod stream;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
mod time;
mod transport;
mod wire;
mod worker;

pub use args::{Args, Reader, Words, shown};
pub use command::{
    Answer, Call, Change, Claim, Command, CommandSpec, Example, Facts, Failure, Outcome, Reply,
    Traffic, Verb, Watch, Word,
};
pub use context::Context;
pub use controller::{Controller, ControllerConfig, Order};
pub use id::{
    Incarnation, Life, LinkId, Machine, NodeId, Place, ProcessId, Proved, RequestId, Token,
};
pub use launcher::{Explanation, FailedLaunch, Launch, LauncherSpec, linked_launchers};
pub use milliseconds::{Milliseconds, NotATime};
pub use node::{
    Activity, Ancestor, Birth, Exit, Holdings, Host, Input, Inspection, LEFT_BEHIND,
    LEFT_BEHIND_STATUS, Node, Output, Start,
};
pub use nonce::{NONCE_BYTES, Nonce};
pub use offload::{BLOCKING_JOBS_MAX, Job, JobContext, JobKind, Stop, Stopped};
pub use record::{ExecEnding, RECORDED_BYTES_MAX, Record};
pub use recurrence::Recurrence;
pub use registry::{CONSOLE_VERBS, Registry, RegistryError, linked_transports};
pub use router::{Hop, News, RouteTable, Router};
pub use secret::{KEY_BYTES, Secret};
pub use seed::{Proof, Seed};
pub use spelling::nearest;
pub use stream::Stream;
pub use time::Time;
pub use transport::{
    Address, Event, FRAME_BYTES_MAX, FRAMES_PER_WAIT_MAX, LinkIds, Opening, Reach, SEAL_BYTES,
    SEALED_BYTES_MAX, SendError, Transport, TransportError, TransportSpec, Waker,
};
pub use worker::{Worker, WorkerConfig};

/// The longest value that a command takes or returns, in bytes.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest line of the console, in bytes, its line end not counted: a value, and some words
/// beside it.
pub const LINE_BYTES_MAX: usize = VALUE_BYTES_MAX + 64 * 1024;

/// The longest value that a module may publish, in bytes.
pub const PUBLISHED_BYTES_MAX: usize = 1024;

/// How much output of one call may wait on its node until the console has read what came before, in
/// bytes; see [`Context::emit`].
pub const OUTPUT_WAITING_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What the page shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/adding-a-command.md")]
struct AddingACommand;
