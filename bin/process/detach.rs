//! How a new node parts with what it was started from.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::farewell;

/// Leaves the parent's terminal, session, standard input and output, and open files; keeps stderr,
/// the lifeline, which it returns, and a way to say why this process ends. To be called once, before
/// anything is opened.
///
/// The parent can't do this for the child: a hook between fork and exec would keep it from spawning
/// through `posix_spawn`, which is much faster. And some libraries, libzmq among them, open files
/// that are inherited.
///
/// # Errors
///
/// When there is no such lifeline, or the system refuses.
pub fn detach(lifeline: RawFd) -> io::Result<OwnedFd> {
    let lifeline = close_all_but(lifeline)?;
    farewell::prepare()?;
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null");
    let nothing = nothing.map_err(|error| io::Error::other(format!("/dev/null: {error}")))?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::process::setsid()?;
    // Without this, tools would show the name "exe", after /proc/self/exe.
    rustix::thread::set_name(c"hoptree")?;
    Ok(lifeline)
}

/// Closes every descriptor above stderr but this one.
fn close_all_but(kept: RawFd) -> io::Result<OwnedFd> {
    let Ok(number @ 3..) = u32::try_from(kept) else {
        return Err(io::Error::other(format!("descriptor {kept} is no lifeline")));
    };
    close_range(3, number - 1);
    close_range(number + 1, u32::MAX);
    // SAFETY: the number is only looked at, to learn whether anything is open there.
    rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(kept) })?;
    // SAFETY: it is open, and this process has opened nothing yet, so it was inherited and nobody
    // else in the process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(kept) })
}

/// Closes the descriptors from `first` to `last`, both included. What an old kernel does not close
/// stays open, which costs descriptors and harms nothing else.
fn close_range(first: u32, last: u32) {
    if first <= last {
        // SAFETY: this process has opened nothing yet, so nobody owns what is closed here.
        let _ = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}
