//! What the system has for a process of hoptree, and why it refuses more, in words for the user.
//!
//! A text of this package names the cause that was found, with its figure: a limit, where it is set,
//! or what the system itself says. It never guesses. Those who need several things at once, or hand
//! over to a library that can't bear a refusal, ask before.

mod accept;
mod descriptors;
mod hidden;
mod loopback;
mod memory;
mod refusal;
mod threads;
mod unauthenticated;
mod watch;

pub use accept::keep_spare;
pub use descriptors::{inherit_original_limit, original_limit, raise_limit, require_descriptors};
pub use hidden::hide;
pub use loopback::{explain_listen, require_loopback};
pub use memory::require_memory;
pub use refusal::{explain, explain_thread, limits};
pub use threads::require_threads;
pub use unauthenticated::Unauthenticated;
pub use watch::{Interest, READY_MAX, Watch};
