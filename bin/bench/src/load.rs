//! Processes that keep cores busy.

use std::hint;

use hoptree_host::process::{ChildProcesses, Heritage};
use hoptree_host::{Failure, Helper};

use super::crew;
use super::victim::Victim;

/// Some of them, until it is dropped.
pub struct Load {
    processes: Vec<Victim>,
}

impl Load {
    /// Starts this many.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn start(children: &ChildProcesses, processes: usize) -> Result<Load, Failure> {
        let mut load = Load { processes: Vec::new() };
        for _ in 0..processes {
            // It connects to nobody.
            let nowhere = hoptree_core::Address(String::new());
            let pid = children.spawn_helper(HELPER.name, 0, &nowhere).map_err(Failure::Runtime)?;
            load.processes.push(Victim::new(pid));
        }
        Ok(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for process in &self.processes {
            // One that has ended keeps nobody busy.
            let _ = process.kill();
        }
    }
}

/// One that keeps a core busy.
pub const HELPER: Helper = Helper { name: "bench-load", run: |_, _, heritage| serve(&heritage) };

/// Is one of them, until the benchmark is over.
///
/// # Errors
///
/// When the system refuses what every process of it needs.
fn serve(heritage: &Heritage) -> Result<(), Failure> {
    crew::join(heritage)?;
    loop {
        hint::spin_loop();
    }
}
