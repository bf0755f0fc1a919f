//! How long things may take, on a machine with two busy cores.

use std::time::Duration;

/// For anything that has to happen at all; how soon is not the subject.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// For what is not to wait for anything.
pub const PROMPT: Duration = Duration::from_secs(1);

/// How long nothing must happen before it is taken not to happen.
pub const SILENCE: Duration = Duration::from_millis(100);
