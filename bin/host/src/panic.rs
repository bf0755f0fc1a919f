//! What a panic comes to: the end of the process, of which its parent learns, except in work that is
//! guarded.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process;

use crate::failure::tell;
use crate::process::say_farewell;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// From now on a panic in any thread ends the process: what the thread was for would be missing.
pub fn end_process_at_panic() {
    panic::set_hook(Box::new(|panic| {
        let text = text(panic);
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => tell(&format!("{text}\n{backtrace}")),
            _ => tell(&text),
        }
        if !IS_GUARDED.get() {
            say_farewell(&text);
            process::abort();
        }
    }));
}

/// Does work whose panic is an error of its own.
///
/// # Errors
///
/// When the work has panicked.
pub fn guard<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    IS_GUARDED.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(false);
    done
}

/// What was said, and where, in one line.
fn text(panic: &PanicHookInfo<'_>) -> String {
    let said = panic.payload_as_str().unwrap_or("a panic").replace('\n', " ");
    match panic.location() {
        Some(place) => format!("a bug: {said} ({}:{})", in_package(place.file()), place.line()),
        None => format!("a bug: {said}"),
    }
}

/// The path of a source file, from the directory of its package on: where that is on the machine on
/// which it was compiled is nobody's business.
fn in_package(path: &str) -> &str {
    let package = path.rfind("/src/").filter(|_| path.starts_with('/'));
    let before = &path[..package.unwrap_or(path.len())];
    match before.rfind('/') {
        Some(slash) if path.starts_with('/') => &path[slash + 1..],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_with_its_package() {
        for (path, shown) in [
            ("/home/me/.cargo/registry/src/index-1/zmq-0.10.0/src/lib.rs", "zmq-0.10.0/src/lib.rs"),
            ("/rustc/0123/library/core/src/option.rs", "core/src/option.rs"),
            ("/home/me/build.rs", "build.rs"),
            ("core/src/worker.rs", "core/src/worker.rs"),
        ] {
            assert_eq!(in_package(path), shown);
        }
    }
}
