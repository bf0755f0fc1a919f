//! Processes that keep cores busy.

use std::hint;

use hoptree_core::Waker;
use hoptree_host::process::{self, Children, Heritage};
use hoptree_host::{Failure, Helper, Signals};

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
    pub fn start(children: &Children, processes: usize) -> Result<Load, Failure> {
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
    let lifeline = process::detach(heritage.lifeline).map_err(Failure::doing("detach"))?;
    // Its thread ends the process.
    let _signals =
        Signals::of_compute_node(lifeline, heritage.directory.clone(), Waker::new(|| {}))
            .map_err(Failure::doing("handle signals"))?;
    loop {
        hint::spin_loop();
    }
}
