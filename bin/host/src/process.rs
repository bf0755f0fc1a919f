//! The processes of the tree: how one starts another, knows of its end, and outlives nobody.
//!
//! A child is this very program again. All that it needs to know comes through its standard input
//! ([`Boot`]), never through its command line or environment, which others can read. That the
//! control node is gone, by whatever cause, every node knows from end-of-file on one pipe
//! ([`Lifeline`]).

mod abandoned;
mod boot;
mod child_processes;
mod detach;
mod directory;
mod dispositions;
mod farewell;
mod inspection;
mod lifeline;
mod machine;
mod strays;

pub use abandoned::remove_abandoned;
pub use boot::{BOOT_BYTES_MAX, Beyond, Boot, Heritage, Role, random_secret};
#[cfg(feature = "fuzzing")]
pub use boot::{example_boot, read_boot};
pub use child_processes::{ChildProcesses, Reaped, start_tether};
pub use detach::{detach, detach_with_socket};
pub use directory::{DirectoryLock, make_directory, remove_directory, temporary_directory};
pub use dispositions::{Held, hold_signals, is_ignored, reset_signals, unblock_all};
pub use farewell::say as say_farewell;
pub use inspection::inspect;
pub use lifeline::Lifeline;
pub(crate) use machine::number_of;
pub use machine::{machine, this_process};
pub use strays::has_strays;

/// The first argument of a process that is a compute node or a [helper](crate::Helper). A second one, the
/// node's id or the helper's name, is for people who look at `ps`.
pub const NODE_WORD: &str = "node";
