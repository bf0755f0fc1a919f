//! How the program ends.

use std::process::ExitCode;

use signal_hook::low_level;

/// How the program ends when all is done.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// With this exit status.
    Status(ExitCode),
    /// By this signal, which the user has sent.
    Signal(i32),
}

impl Ending {
    /// Ends the process by the signal, if that is how, and gives the exit status otherwise. Nothing
    /// that is still to be done is done after this.
    pub fn take(self) -> ExitCode {
        match self {
            Ending::Status(status) => status,
            Ending::Signal(signal) => die_by(signal),
        }
    }
}

/// Ends the process at once, by a signal as if nobody had handled it: a shell that runs it in a loop
/// stops the loop as well, which no exit status makes it do.
pub fn die_by(signal: i32) -> ! {
    // The first process of a namespace, such as a container's, is not ended by signals of its own.
    if std::process::id() != 1 {
        // Fails for no signal that a process can handle.
        let _ = low_level::emulate_default_handler(signal);
    }
    low_level::exit(128 + signal)
}
