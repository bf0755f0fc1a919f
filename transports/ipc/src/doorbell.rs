//! What ends a wait from another thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoptree_core::Waker;
use ipc_channel::ipc::{self, IpcReceiverSet, IpcSender};

/// A channel in the set. It holds at most one message, so that ringing never blocks.
pub(crate) struct Doorbell {
    inbox: u64,
    sender: IpcSender<()>,
    /// Whether a ring is on its way that was not noticed yet.
    is_rung: Arc<AtomicBool>,
}

impl Doorbell {
    pub(crate) fn new(set: &mut IpcReceiverSet) -> io::Result<Doorbell> {
        let (sender, receiver) = ipc::channel()?;
        let is_rung = Arc::new(AtomicBool::new(false));
        Ok(Doorbell { inbox: set.add(receiver)?, sender, is_rung })
    }

    pub(crate) fn is(&self, inbox: u64) -> bool {
        self.inbox == inbox
    }

    pub(crate) fn waker(&self) -> Waker {
        let (sender, is_rung) = (self.sender.clone(), Arc::clone(&self.is_rung));
        Waker::new(move || {
            if !is_rung.swap(true, Ordering::AcqRel) {
                // It fails only when nobody can wait any more.
                let _ = sender.send(());
            }
        })
    }

    /// Takes notice of all rings so far, once the message is read.
    pub(crate) fn quiet(&self) {
        self.is_rung.swap(false, Ordering::AcqRel);
    }
}
