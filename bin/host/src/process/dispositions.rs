//! What a process does when a signal comes, as far as its parent had a say in it.

use std::mem::{self, MaybeUninit};
use std::ptr;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

/// Parts with what the parent process has set for signals and would keep this one from working. To
/// be called first of all: threads inherit the mask.
///
/// - A signal that is blocked never comes: the end of a child would not be known, nor the user's
///   wish to end.
/// - The children of a process that ignores SIGCHLD are reaped by the system, and nobody learns how
///   they ended.
/// - SIGXFSZ ends a process that writes beyond the limit `RLIMIT_FSIZE`. Ignored, it leaves an
///   error that can be told. What a process ignores, the programs that it starts ignore as well:
///   whoever starts one that is not hoptree has to set that back.
///
/// All other signals that are ignored stay so: whoever started this had a reason, such as nohup.
pub fn reset_signals() {
    unblock_all();
    set(SIGCHLD, libc::SIG_DFL);
    set(SIGXFSZ, libc::SIG_IGN);
}

/// Signals that ask for an end wait, in this thread and in those that it starts, until this is dropped.
#[must_use]
pub struct Held(libc::sigset_t);

/// Holds them back, while there is something to clean up and nobody yet who would.
pub fn hold_signals() -> Held {
    let (mut ends, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: both sets are filled in before they are used, and only this thread's mask changes.
    unsafe {
        libc::sigemptyset(ends.as_mut_ptr());
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            libc::sigaddset(ends.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, ends.as_ptr(), before.as_mut_ptr());
        Held(before.assume_init())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the set is valid, and only this thread's mask changes.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// Whether a signal does nothing at the moment.
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zeros is a valid value of this plain structure, and without a new disposition the
    // call only fills it in.
    let current = unsafe {
        let mut current: libc::sigaction = mem::zeroed();
        let asked = libc::sigaction(signal, ptr::null(), &raw mut current);
        (asked == 0).then_some(current)
    };
    current.is_some_and(|current| current.sa_sigaction == libc::SIG_IGN)
}

/// Has this thread get every signal.
pub fn unblock_all() {
    let mut none = MaybeUninit::uninit();
    // SAFETY: the set is filled in before it is used, and only this thread's mask changes.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// Has a signal do what the system does by itself, or nothing.
fn set(signal: i32, disposition: libc::sighandler_t) {
    // SAFETY: both dispositions run no code of this process. There is no error for these signals.
    unsafe { libc::signal(signal, disposition) };
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::{SIGUSR1, SIGUSR2};

    use super::*;

    #[test]
    fn what_is_ignored_is_known() {
        assert!(!is_ignored(SIGUSR1));
        set(SIGUSR2, libc::SIG_IGN);
        assert!(is_ignored(SIGUSR2));
        set(SIGUSR2, libc::SIG_DFL);
        assert!(!is_ignored(SIGUSR2));
        assert!(!is_ignored(-1));
    }
}
