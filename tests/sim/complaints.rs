//! What nodes complain of in their logs. No node of a run sends nonsense, whatever befalls it, so none
//! may be held to.

use std::cell::RefCell;

use log::{Level, LevelFilter, Log, Metadata, Record};

thread_local! {
    static COMPLAINT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Listens from now on, in all threads.
pub fn listen() {
    // Fails when this was done before.
    if log::set_logger(&Listener).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// Forgets what was complained of.
pub fn forget() {
    COMPLAINT.take();
}

/// The first complaint since this was last asked.
pub fn take() -> Option<String> {
    COMPLAINT.take()
}

struct Listener;

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        if text.contains("protocol") || text.contains("malformed") {
            COMPLAINT.with_borrow_mut(|complaint| complaint.get_or_insert(text).len());
        }
    }

    fn flush(&self) {}
}
