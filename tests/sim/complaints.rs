//! What nodes complain of in their logs. No honest node sends nonsense, whatever befalls it, so none
//! may be held to.

use std::cell::RefCell;

use log::{Level, LevelFilter, Log, Metadata, Record};

thread_local! {
    static COMPLAINTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
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
    COMPLAINTS.take();
}

/// The complaints since this was last asked.
pub fn take() -> Vec<String> {
    COMPLAINTS.take()
}

struct Listener;

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        if text.contains("protocol") || text.contains("malformed") {
            COMPLAINTS.with_borrow_mut(|complaints| complaints.push(text));
        }
    }

    fn flush(&self) {}
}
