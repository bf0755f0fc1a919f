//! What surrounds a node of hoptree, whichever kind it is: the loop that drives it, its transport, its
//! processes, signals, and what it logs.
//!
//! The program above has a console, or something else that is the control node, and calls [`Driver`];
//! what is a compute node here calls [`node::main`]. Start reading at `driver.rs`.

pub mod launchers;
pub mod logfile;
pub mod logging;
pub mod node;
pub mod process;
pub mod remote;
pub mod threads;
pub mod transports;
pub mod visible;
pub mod writer;

mod driver;
mod ending;
mod failure;
mod gateway;
mod offload;
mod panic;
mod signals;
mod stdout;

pub use driver::{Driver, LINES_PER_TURN_MAX, Patience};
pub use ending::Ending;
pub use failure::{Failure, tell};
pub use node::Helper;
pub use signals::Signals;
pub use stdout::print;

/// Prepares this process: what was done to it, or left out, when it was started has no bearing on it. Comes
/// before all else.
pub fn prepare() {
    process::reset_signals();
    panic::end_process_at_panic();
    hoptree_system::raise_limit();
}
