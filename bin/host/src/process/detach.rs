//! How a new node parts with what it was started from.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec};

use super::farewell;

/// Leaves the parent's terminal, session, standard input and output, and open files; keeps stderr,
/// the lifeline, which it returns, and a way to say why this process ends. To be called once, before
/// anything is opened.
///
/// The parent can't do this for the child: a hook between fork and exec would keep it from spawning
/// through `posix_spawn`, which is much faster. And some libraries, libzmq among them, open files
/// that are inherited, as whoever started the control node may have done.
///
/// # Errors
///
/// When there is no such lifeline, or the system refuses.
pub fn detach(lifeline: RawFd) -> io::Result<OwnedFd> {
    let lifeline = close_all_but(lifeline)?;
    part()?;
    Ok(lifeline)
}

/// As [`detach`], for a process whose standard input is a socket, through which it goes on talking to who
/// has started it; that is the second that it returns. It hands neither on.
///
/// # Errors
///
/// As [`detach`].
pub fn detach_with_socket(lifeline: RawFd) -> io::Result<(OwnedFd, OwnedFd)> {
    let lifeline = close_all_but(lifeline)?;
    rustix::io::fcntl_setfd(&lifeline, FdFlags::CLOEXEC)?;
    let socket = fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    part()?;
    Ok((lifeline, socket))
}

/// Parts with the rest.
fn part() -> io::Result<()> {
    farewell::prepare()?;
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null");
    let nothing = nothing.map_err(|error| io::Error::other(format!("/dev/null: {error}")))?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::process::setsid()?;
    // Without this, tools would show the name "exe", after /proc/self/exe.
    rustix::thread::set_name(c"hoptree")?;
    Ok(())
}

/// Closes every descriptor above stderr but this one.
fn close_all_but(kept: RawFd) -> io::Result<OwnedFd> {
    if kept < 3 {
        return Err(io::Error::other(format!("descriptor {kept} is no lifeline")));
    }
    close_range(3, kept - 1);
    close_range(kept.saturating_add(1), RawFd::MAX);
    // SAFETY: the number is only looked at, to learn whether anything is open there.
    rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(kept) })?;
    // SAFETY: it is open, and this process has opened nothing yet, so it was inherited and nobody
    // else in the process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(kept) })
}

/// Closes the descriptors from `first` to `last`, both included, at which this process has opened
/// nothing.
fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: nobody owns what is closed here.
    if first <= last && unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == -1 {
        close_each(first, last);
    }
}

/// As [`close_range`], for kernels that lack the call (it came with Linux 5.9) and sandboxes that
/// forbid it.
fn close_each(first: RawFd, last: RawFd) {
    for number in descriptors().into_iter().filter(|number| (first..=last).contains(number)) {
        // SAFETY: as above. The directory that was read is closed by now, whatever its number was.
        unsafe { libc::close(number) };
    }
}

/// The numbers of the open descriptors, and of the directory that tells them.
fn descriptors() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use super::*;

    /// Each at numbers that no other test comes to.
    #[test]
    fn all_in_a_range_is_closed_with_the_system_call_and_without() {
        for (close, first) in [(close_range as fn(_, _), 600), (close_each, 700)] {
            let null = fs::File::open("/dev/null").unwrap();
            let at = |number| fcntl_dupfd_cloexec(&null, number).unwrap().into_raw_fd();
            let opened = [first, first + 1, first + 50, first + 60].map(at);
            assert!(opened.iter().all(|number| descriptors().contains(number)));
            close(first, first + 50);
            let left: Vec<_> =
                opened.into_iter().filter(|number| descriptors().contains(number)).collect();
            assert_eq!(left, [first + 60]);
            close(first + 51, first + 99);
        }
    }

    #[test]
    fn a_standard_stream_is_no_lifeline() {
        assert!(close_all_but(2).is_err() && close_all_but(-1).is_err());
    }
}
