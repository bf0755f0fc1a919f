//! Ways into the namespaces of a host, and out of those of this machine.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags, move_into_link_name_space,
    move_into_thread_name_spaces, unshare_unsafe,
};

/// Those of a host: all but that of its processes, which only children can enter.
const WHERE_PROCESSES_RUN: ThreadNameSpaceType = ThreadNameSpaceType::MOUNT
    .union(ThreadNameSpaceType::NETWORK)
    .union(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME)
    .union(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION);

/// The same, for the first process of a host.
const ITS_OWN: UnshareFlags = UnshareFlags::NEWNS
    .union(UnshareFlags::NEWNET)
    .union(UnshareFlags::NEWUTS)
    .union(UnshareFlags::NEWIPC);

/// The namespaces of a process.
pub struct Namespaces {
    process: OwnedFd,
}

impl Namespaces {
    pub fn of(process: &Child) -> Namespaces {
        let process = pidfd_open(Pid::from_child(process), PidfdFlags::empty()).unwrap();
        Namespaces { process }
    }

    /// Starts a program in them. It is a child of this process all the same.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let process = self.process.try_clone()?;
        let enter = move || {
            move_into_thread_name_spaces(process.as_fd(), WHERE_PROCESSES_RUN)?;
            Ok(())
        };
        // SAFETY: it makes no more than a system call, which may be made between fork and exec.
        unsafe { command.pre_exec(enter) };
        on_a_thread(|| {
            let processes = ThreadNameSpaceType::PROCESS_ID;
            move_into_thread_name_spaces(self.process.as_fd(), processes)?;
            command.spawn()
        })
    }

    /// Does something on their network. The sockets that it makes stay there.
    pub fn on_network<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            let network = ThreadNameSpaceType::NETWORK;
            move_into_thread_name_spaces(self.process.as_fd(), network).unwrap();
            act()
        })
    }
}

/// Starts a program as the first process of namespaces of its own.
pub fn spawn_first(command: &mut Command) -> io::Result<Child> {
    // SAFETY: it makes no more than a system call, which may be made between fork and exec.
    unsafe { command.pre_exec(|| leave(ITS_OWN)) };
    on_a_thread(|| {
        leave(UnshareFlags::NEWPID)?;
        command.spawn()
    })
}

/// A network without processes, which lasts as long as this.
pub struct EmptyNetwork {
    link: File,
}

impl EmptyNetwork {
    pub fn new() -> io::Result<EmptyNetwork> {
        on_a_thread(|| {
            leave(UnshareFlags::NEWNET)?;
            Ok(EmptyNetwork { link: File::open("/proc/thread-self/ns/net")? })
        })
    }

    /// Does something there. What this opens stays there.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(self.link.as_fd(), network).unwrap();
            act()
        })
    }

    /// Has a command run there, beside the processes and files of this machine.
    pub fn adopt(&self, command: &mut Command) {
        let link = self.link.try_clone().unwrap();
        let enter = move || {
            move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(())
        };
        // SAFETY: it makes no more than a system call, which may be made between fork and exec.
        unsafe { command.pre_exec(enter) };
    }
}

fn leave(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: file descriptors are not among what is left.
    unsafe { unshare_unsafe(namespaces)? };
    Ok(())
}

/// Does something on a thread that is then over: whatever namespaces it has gone to, no other follows.
fn on_a_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(act).join()).unwrap_or_else(|panic| {
        std::panic::resume_unwind(panic);
    })
}

/// Whether this user may have all of them.
pub fn can_be_made() -> io::Result<()> {
    on_a_thread(|| leave(ITS_OWN | UnshareFlags::NEWPID))
}
