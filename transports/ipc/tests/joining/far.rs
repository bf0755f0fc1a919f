//! The other end of a link in a process of its own: this program once more.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use hoptree_core::{Address, Event, Transport};
use hoptree_ipc::Ipc;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

/// A process that listens, or joins, and sends back what comes. It is killed when this is dropped.
pub struct Far {
    child: Child,
    control: BufReader<UnixStream>,
}

/// Says to a process of this program that it is one, and what it must do.
const FAR: &str = "HOPTREE_IPC_FAR";

impl Far {
    /// It must join there, or listen.
    pub fn start(place: &TempDir, what: &str) -> Far {
        let (own, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "far::far_end", "--ignored"])
            .env(FAR, what)
            .current_dir(place.path())
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Far { child, control: BufReader::new(own) }
    }

    /// Its address, once it listens, or an empty line, once it has joined.
    pub fn told(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.control.read_line(&mut line).unwrap(), 0, "it has ended");
        line.trim_end().to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Returns when it has stopped.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        waitpid(Some(Pid::from_child(&self.child)), WaitOptions::UNTRACED).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "it is the other process of some tests, which start it"]
fn far_end() {
    let Ok(what) = env::var(FAR) else { return };
    let mut ipc = Ipc::open(&env::current_dir().unwrap()).unwrap();
    let said = if what == "listen" {
        ipc.listen().unwrap().0
    } else {
        let link = ipc.connect(&Address(what));
        ipc.send(link, b"hello").unwrap();
        String::new()
    };
    let control = rustix::io::dup(rustix::stdio::stdin()).unwrap();
    writeln!(UnixStream::from(control), "{said}").unwrap();
    loop {
        let mut came = Vec::new();
        ipc.wait(None, &mut |event| {
            if let Event::Frame(link, bytes) = event {
                came.push((link, bytes.to_vec()));
            }
        })
        .unwrap();
        for (link, bytes) in came {
            // Whoever sent it may be gone.
            let _ = ipc.send(link, &bytes);
        }
    }
}
