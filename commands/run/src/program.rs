//! The process of a program, and the group that it leads.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::{mem, ptr};

use hoptree_core::Failure;
use hoptree_system::{explain_thread, original_limit, require_descriptors};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, kill_process_group, pidfd_open,
    setrlimit, setsid, test_kill_process_group,
};

use crate::guard::Guard;
use crate::invocation::Invocation;
use crate::output::Output;

/// How many descriptors must be free for a program to be started: it takes eleven for a moment. The others
/// are left to the node, which must let in those who connect.
const DESCRIPTORS_MIN: usize = 24;

/// A program that was started. It leads a session and a group of its own, to which all belongs that it
/// starts, unless that leaves.
///
/// When this is dropped, what is left of the group is killed.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Ready to be read once the program has ended.
    process: OwnedFd,
    _guard: Arc<Guard>,
}

impl Program {
    /// Starts a program, and returns it with what it will write.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the program, or what the system has no more of. Nothing is left then.
    pub fn start(invocation: &Invocation) -> Result<(Program, Output), Failure> {
        require_descriptors(DESCRIPTORS_MIN).map_err(|why| no_process(&why))?;
        let refused = |error: io::Error| no_process(&explain_thread(&error));
        let guard = Arc::new(Guard::new().map_err(refused)?);
        let mut command = invocation.command()?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (its_guard, limit) = (Arc::clone(&guard), original_limit());
        // SAFETY: `prepare` makes system calls only, which may be made between fork and exec.
        unsafe { command.pre_exec(move || prepare(&its_guard, limit)) };
        let mut child = command.spawn().map_err(|error| match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => refused(error),
            _ => invocation.refusal(&error),
        })?;
        let output = Output::of(child.stdout.take(), child.stderr.take());
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(process) => Ok((Program { child, process, _guard: guard }, output)),
            Err(error) => {
                drop(guard);
                let _ = child.wait();
                Err(refused(error.into()))
            }
        }
    }

    /// Sends a signal to all that belong to the group. Not to be called once [`Program::try_wait`] has told
    /// the end: the number of the group may then be that of another one.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process_group(self.group(), signal) {
            log::debug!("group {} gets no {signal:?}: {error}", self.group());
        }
    }

    /// How the program has ended, if it has. Others may be left in the group, which it has led.
    ///
    /// # Errors
    ///
    /// When that can't be known.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Whether anybody is left in the group. The program counts until [`Program::try_wait`] tells its end.
    pub fn has_group(&self) -> bool {
        test_kill_process_group(self.group()).is_ok()
    }

    /// The process that leads the group, by whose number the group is known.
    pub fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

/// Ready to be read once the program has ended.
impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

fn no_process(why: &str) -> Failure {
    Failure::from(format!("can't start a process: {why}"))
}

/// What the process of a program does before it becomes the program: it parts with what it has of the
/// node. Makes no more than system calls.
fn prepare(guard: &Guard, descriptors: Option<Rlimit>) -> io::Result<()> {
    guard.arm(setsid()?)?;
    reset_signals();
    close_files_at_exec();
    // A node may have more open than a program that uses `select` can count.
    descriptors.map_or(Ok(()), |limit| Ok(setrlimit(Resource::Nofile, limit)?))
}

/// Has every signal come, and do what the system does by itself.
fn reset_signals() {
    const LAST: i32 = 64;
    for signal in 1..=LAST {
        // SAFETY: no code of this process runs for it. Those that can't be set need not be: they are
        // never ignored, or belong to the C library.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: all zeros is a set, which is made empty, and only this thread's mask changes.
    unsafe {
        let mut none = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// The first descriptor that is none of a program's standard input, output and error.
const FIRST: RawFd = 3;

/// Has the program start with no file but its standard input, output and error.
fn close_files_at_exec() {
    let flag = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: no memory is touched, and what is open stays so until this process is another program.
    if unsafe { libc::syscall(libc::SYS_close_range, FIRST, RawFd::MAX, flag) } == -1 {
        close_each_at_exec();
    }
}

/// As [`close_files_at_exec`], before Linux 5.11, and where a sandbox forbids the call.
fn close_each_at_exec() {
    let end = getrlimit(Resource::Nofile).current.and_then(|limit| RawFd::try_from(limit).ok());
    for number in FIRST..end.unwrap_or(RawFd::MAX) {
        // SAFETY: as above. Where nothing is open, nothing happens.
        let _ = fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, FdFlags::CLOEXEC);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use super::*;

    #[test]
    fn files_are_closed_with_the_system_call_and_without() {
        let open = File::open("/dev/null").unwrap();
        fcntl_setfd(&open, FdFlags::empty()).unwrap();
        for close in [close_files_at_exec as fn(), close_each_at_exec] {
            let mut command = Command::new("sh");
            command.args(["-c", "ls /proc/$$/fd"]).stdin(Stdio::null());
            // SAFETY: both make system calls only.
            unsafe {
                command.pre_exec(move || {
                    close();
                    Ok(())
                });
            }
            assert_eq!(command.output().unwrap().stdout, b"0\n1\n2\n");
        }
    }
}
