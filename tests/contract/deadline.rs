//! How long things may take, on a machine with two busy cores.

use std::time::Duration;

pub use hoptree_test_support::{PATIENCE, SILENCE};

/// For what is not to wait for anything.
pub const PROMPT: Duration = Duration::from_secs(1);
