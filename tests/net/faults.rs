//! What may be wrong with a host.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::deadline::{PATIENCE, eventually};
use crate::host::{Host, name};
use crate::init::PROGRAM;
use crate::process::Process;
use crate::ssh;

/// What a firewall does with packets to a port.
#[derive(Clone, Copy)]
pub enum Verdict {
    /// Nothing, in silence.
    Drop,
    /// It says that nobody listens.
    Reject,
}

impl Host {
    /// Kills all that run there with SIGKILL, the ssh daemon among them.
    pub fn kill_all(&self) {
        self.must("kill -KILL -1");
    }

    /// Ends the ssh daemon and all its connections.
    pub fn kill_sshd(&self) {
        let is_daemon = |process: &Process| name(process) == "sshd";
        eventually("the ssh daemon ends", PATIENCE, || {
            let mut daemons = self.processes();
            daemons.retain(is_daemon);
            daemons.iter().for_each(Process::kill);
            daemons.is_empty()
        });
    }

    pub fn start_sshd(&self) {
        ssh::start_daemon(self);
    }

    /// Puts a firewall before a TCP port.
    pub fn block(&self, port: u16, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Drop => "drop",
            Verdict::Reject => "reject with tcp reset",
        };
        let chain = "{ type filter hook input priority 0; }";
        self.must(&format!(
            "nft add table inet wall && nft add chain inet wall arriving '{chain}' && \
             nft add rule inet wall arriving iifname eth0 tcp dport {port} {verdict}"
        ));
    }

    /// Leaves no room in the home directory.
    pub fn fill_home(&self) {
        self.must("mount -o remount,size=128k /root");
        let ran = self.sh("head -c 1M /dev/zero >/root/full");
        assert!(ran.errors.contains("No space left"), "{ran:?}");
    }

    /// Lets nobody write into the home directory.
    pub fn make_home_read_only(&self) {
        self.must("mount -o remount,ro /root");
    }

    /// Takes the program away.
    pub fn remove_program(&self) {
        self.must(&format!("umount {PROGRAM} && rm {PROGRAM}"));
    }

    /// Puts another program in its place, a shell script.
    pub fn replace_program(&self, script: &str) {
        self.remove_program();
        let path = self.file(PROGRAM);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Has its ssh daemon let nobody in.
    pub fn trust_no_keys(&self) {
        fs::remove_file(self.file("/root/.ssh/authorized_keys")).unwrap();
    }

    /// Has its `ssh` know no other host.
    pub fn forget_host_keys(&self) {
        fs::remove_file(self.file("/root/.ssh/known_hosts")).unwrap();
    }
}
