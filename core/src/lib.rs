//! The protocol of hoptree as pure state machines, and the contracts around them.

mod args;
mod children;
mod clock;
mod command;
mod controller;
mod floor;
#[doc(hidden)]
pub mod fuzzing;
mod id;
mod link;
mod milliseconds;
mod modules;
#[cfg(test)]
mod network;
mod node;
mod nonce;
mod offload;
#[cfg(test)]
mod protocol_page;
mod recurrence;
mod registry;
mod router;
mod secret;
mod seed;
mod spelling;
pub mod testkit;
#[cfg(test)]
mod tests;
mod time;
mod transport;
mod wire;
mod worker;

pub use args::{Args, Reader, Words, shown};
pub use command::{
    Answer, Call, Change, Claim, Command, CommandSpec, Context, Example, Facts, Failure, Outcome,
    Reply, Traffic, Verb, Watch, Word,
};
pub use controller::{Controller, ControllerConfig, Order};
pub use floor::{Floor, RoundTrip};
pub use id::{Incarnation, Life, LinkId, NodeId, Place, Proved, RequestId, Token};
pub use milliseconds::{Milliseconds, NotATime};
pub use node::{
    Activity, Ancestor, Birth, Exit, Holdings, Input, Inspection, LEFT_BEHIND, LEFT_BEHIND_STATUS,
    Node, Output,
};
pub use nonce::{NONCE_BYTES, Nonce};
pub use offload::{Job, Stop};
pub use recurrence::Recurrence;
pub use registry::{CONSOLE_VERBS, Registry, RegistryError, linked_transports};
pub use router::{Hop, News, RouteTable, Router};
pub use secret::{KEY_BYTES, Secret};
pub use seed::{Proof, Seed};
pub use spelling::nearest;
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

/// What the page shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/adding-a-command.md")]
struct AddingACommand;
