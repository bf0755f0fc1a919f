//! The process of a program, and the group that it leads.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::{mem, ptr};

use hoptree_core::Failure;
use hoptree_system::{explain_thread, original_limit, require_descriptors};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, chdir, getrlimit, kill_process_group,
    pidfd_open, setrlimit, setsid, test_kill_process_group, waitpid,
};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::guard::Guard;
use crate::invocation::Invocation;
use crate::output::Output;
use crate::process;

/// How many descriptors must be free for a program to be started: it takes eleven for a moment. The others
/// are left to the node, which must let in those who connect.
const DESCRIPTORS_MIN: usize = 24;

/// A program that was started. It leads a session and a group of its own, to which all belongs that it
/// starts, unless that leaves.
///
/// When this is dropped, what is left of the group is killed.
#[derive(Debug)]
pub struct Program {
    leader: Pid,
    /// How it has ended, once that was told.
    status: Option<ExitStatus>,
    /// Ready to be read once the program has ended.
    process: OwnedFd,
    _guard: Guard,
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
        let image = invocation.image()?;
        let directory =
            invocation.directory()?.map(|path| CString::new(path.as_os_str().as_bytes()));
        let input = invocation.open_input()?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| refused(error.into()));
        let ((out, its_out), (err, its_err)) = (pipe()?, pipe()?);
        let guard = Guard::new().map_err(refused)?;
        let legacy = Legacy {
            directory: directory.transpose().map_err(|error| invocation.refusal(&error.into()))?,
            streams: [input, its_out, its_err],
            limit: original_limit(),
        };
        // SAFETY: this makes system calls only.
        let started = unsafe { process::spawn(&image, &|| legacy.take(&guard)) };
        let leader = started.map_err(|error| match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => refused(error),
            _ => invocation.refusal(&error),
        })?;
        match pidfd_open(leader, PidfdFlags::empty()) {
            Ok(process) => {
                let program = Program { leader, status: None, process, _guard: guard };
                Ok((program, Output::of(out, err)))
            }
            Err(error) => {
                drop(guard);
                let _ = waitpid(Some(leader), WaitOptions::empty());
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
        if self.status.is_none() {
            let ended = waitpid(Some(self.leader), WaitOptions::NOHANG)?;
            self.status = ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw()));
        }
        Ok(self.status)
    }

    /// Whether anybody is left in the group. The program counts until [`Program::try_wait`] tells its end.
    pub fn has_group(&self) -> bool {
        test_kill_process_group(self.group()).is_ok()
    }

    /// The process that leads the group, by whose number the group is known.
    pub fn group(&self) -> Pid {
        self.leader
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

/// What the process of a program takes over before it becomes the program.
struct Legacy {
    /// The directory it runs in, if not the node's own.
    directory: Option<CString>,
    /// Its standard input, output and error.
    streams: [OwnedFd; 3],
    /// How many files it may have open.
    limit: Option<Rlimit>,
}

impl Legacy {
    /// Has the calling process take it over, and part with what it has of the node. Makes no more than
    /// system calls.
    fn take(&self, guard: &Guard) -> io::Result<()> {
        guard.arm(setsid()?)?;
        let [input, out, err] = &self.streams;
        dup2_stdin(input)?;
        dup2_stdout(out)?;
        dup2_stderr(err)?;
        if let Some(directory) = &self.directory {
            chdir(directory.as_c_str())?;
        }
        reset_signals();
        close_files_at_exec();
        // A node may have more open than a program that uses `select` can count.
        self.limit.map_or(Ok(()), |limit| Ok(setrlimit(Resource::Nofile, limit)?))
    }
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
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

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
