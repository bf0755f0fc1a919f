//! The first process of a host: this program once more.

use std::ffi::CStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::system::sethostname;

use crate::deadline::PATIENCE;
use crate::namespaces::spawn_first;

/// Where a host has the program.
pub const PROGRAM: &str = "/usr/local/bin/hoptree";

const BUILT: &str = env!("CARGO_BIN_EXE_hoptree");

/// The name of the host that a process is the first of.
const NAME: &str = "HOPTREE_NET_HOST";

/// What the first process says when its host is ready.
const READY: &[u8] = b"ready";

/// Directories that a host has for itself, empty in the beginning.
const OWN: [(&str, &CStr); 6] = [
    ("/usr/local/bin", c"mode=0755"),
    ("/etc/ssh", c"mode=0755"),
    ("/run", c"mode=0755"),
    ("/dev/shm", c"mode=1777"),
    ("/root", c"mode=0700"),
    ("/tmp", c"mode=1777"),
];

/// The first process of a host, with which everything there ends. It ends with its lifeline, and so
/// with this process at the latest.
pub struct Init {
    process: Child,
    lifeline: UnixStream,
}

impl Init {
    pub fn start(name: &str) -> Init {
        let (lifeline, theirs) = UnixStream::pair().unwrap();
        lifeline.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "init::first_process", "--ignored", "--nocapture"])
            .env(NAME, name)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null());
        let process = spawn_first(&mut command).unwrap();
        // The command holds the other end, and its end must be seen.
        drop(command);
        let mut init = Init { process, lifeline };
        let mut said = [0; READY.len()];
        init.lifeline.read_exact(&mut said).expect("a host comes about");
        assert_eq!(said, READY);
        init
    }

    pub fn process(&self) -> &Child {
        &self.process
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "it is the first process of hosts, which start it"]
fn first_process() {
    let Ok(name) = env::var(NAME) else { return };
    // What is left to this process then vanishes when it has ended.
    // SAFETY: it changes nothing but what this signal does.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    sethostname(name.as_bytes()).unwrap();
    make_own_files();
    let lifeline = rustix::io::dup(rustix::stdio::stdin()).unwrap();
    let mut lifeline = UnixStream::from(lifeline);
    lifeline.write_all(READY).unwrap();
    let end = lifeline.read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
}

fn make_own_files() {
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    mount_change("/", private).unwrap();
    mount("proc", "/proc", "proc", MountFlags::empty(), None).unwrap();
    for (directory, mode) in OWN {
        mount("tmpfs", directory, "tmpfs", MountFlags::empty(), mode).unwrap();
        if Path::new(PROGRAM).starts_with(directory) {
            // It may lie in one of the directories that are covered next.
            fs::File::create(PROGRAM).unwrap();
            mount_bind(BUILT, PROGRAM).unwrap();
        }
    }
    fs::create_dir("/run/sshd").unwrap();
}
