//! Nodes on other machines: how one is started there and ended, and how its parent learns of its end.
//!
//! Four processes stand between a node and its parent on another machine.
//!
//! - The *stand-in*, a child of the parent, is to it the process of that node: killed, it has the
//!   node killed; and when the node ends, it ends in the same way, with the same last words.
//! - The *tether*, a child of the stand-in that outlives it, holds the connection: the launcher's
//!   program, such as `ssh`, and its standard input. What runs over there ends with that, so neither
//!   the parent nor the stand-in may hold it: when they die, the nodes over there find another parent.
//! - The launcher's program.
//! - The *guard*, over there, is the first process of the tree on that machine: parent of the node,
//!   writer of the lifeline, heir of orphans. It ends when nothing of the tree is left below it, or when
//!   its standard input ends, and then takes along what is left.
//!
//! Each end says what it has to say in reports (`report.rs`), behind a word that nobody else writes: the
//! start-up files of a shell may print. Nothing is sent to the other machine before it has reported,
//! since they may read as well.

mod digest;
mod guard;
mod report;
mod script;
mod session;
mod stand_in;
mod tether;

pub use guard::main as guard;
pub use stand_in::run as stand_in;
pub use tether::run as tether;

/// The first argument of a guard's process.
pub const GUARD_WORD: &str = "guard";
