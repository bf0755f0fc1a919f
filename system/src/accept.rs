//! What becomes of a connection for which there is no descriptor left.
//!
//! The libraries accept connections by themselves and take a refusal badly: libzmq ends the process
//! (Unix sockets) or tries again at once and for ever (TCP), and so does zeromq. None of them lets
//! others accept in its place. So the functions here take the place of the C library's, in the whole
//! program. They differ when descriptors have run out: a connection is then accepted with a
//! descriptor that is kept for that, and closed. Who wanted to connect learns of it at once. And the
//! connections of a listener that has an [`Unauthenticated`](crate::Unauthenticated) are entered there.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::Recurrence;
use libc::{c_int, sockaddr, socklen_t};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::refusal::explain;
use crate::unauthenticated;

/// How long a listener stands still that can't even turn anybody away.
const PAUSE: Duration = Duration::from_millis(10);

static SPARE: Mutex<Option<OwnedFd>> = Mutex::new(None);

static TURNED_AWAY: Mutex<Recurrence<Instant>> = Mutex::new(Recurrence::new());

/// Keeps a descriptor for connections that must be turned away. Call it before anything
/// listens.
///
/// # Errors
///
/// When there is none.
pub fn keep_spare() -> Result<(), String> {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if spare.is_none() {
        *spare = Some(unused().map_err(|error| explain(&error.into()))?);
    }
    Ok(())
}

fn unused() -> Result<OwnedFd, Errno> {
    eventfd(0, EventfdFlags::CLOEXEC)
}

/// Takes the place of the C library's `accept`.
#[unsafe(no_mangle)]
extern "C" fn accept(socket: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    accept4(socket, address, length, 0)
}

/// Takes the place of the C library's `accept4`.
#[unsafe(no_mangle)]
extern "C" fn accept4(
    socket: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    let accept = || {
        // SAFETY: it is the system's own call, with what the caller vouches for.
        let accepted = unsafe { libc::syscall(libc::SYS_accept4, socket, address, length, flags) };
        c_int::try_from(accepted).unwrap_or(-1)
    };
    let accepted = accept();
    if accepted >= 0 {
        unauthenticated::arrive(socket, accepted);
        return accepted;
    }
    let error = errno();
    if matches!(error, libc::EMFILE | libc::ENFILE) {
        set_errno(turn_away(accept, error));
    }
    -1
}

/// Accepts a connection and closes it. Says how the listener must take that: as a connection that
/// was broken off, or as none, when nobody wanted to connect.
fn turn_away(accept: impl Fn() -> c_int, refusal: c_int) -> c_int {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    drop(spare.take());
    let accepted = accept();
    let error = errno();
    if accepted >= 0 {
        // SAFETY: the system has just opened it, and nobody else knows of it.
        unsafe { libc::close(accepted) };
    }
    *spare = unused().ok();
    if accepted < 0 && !matches!(error, libc::EMFILE | libc::ENFILE) {
        return error;
    }
    if accepted < 0 {
        // Another thread was faster.
        thread::sleep(PAUSE);
    } else {
        tell_turned_away(refusal);
    }
    libc::ECONNABORTED
}

fn tell_turned_away(refusal: c_int) {
    let mut turned_away = TURNED_AWAY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(times) = turned_away.happened(Instant::now()) {
        let why = explain(&std::io::Error::from_raw_os_error(refusal));
        log::warn!("who wants to connect is turned away: {why} (times: {times})");
    }
}

fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or_default()
}

fn set_errno(error: c_int) {
    // SAFETY: the place belongs to this thread, and is there as long as the thread is.
    unsafe { *libc::__errno_location() = error };
}
