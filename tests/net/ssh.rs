//! The ssh of the hosts: a daemon in each, and keys with which each lets each other in.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::deadline::{PATIENCE, eventually};
use crate::host::Host;

/// It starts itself anew for each connection, by its absolute path.
pub const SSHD: &str = "/usr/sbin/sshd";

const PID_FILE: &str = "/run/sshd/pid";

const DAEMON: &str = "\
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd/pid
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
";

/// The key exchange by default takes twice as long.
const CLIENT: &str = "\
Host *
  User root
  IdentityFile /root/.ssh/id_ed25519
  KexAlgorithms curve25519-sha256
";

/// Has each of these hosts reach each other by `ssh NAME`, without a question.
pub fn set_up(hosts: &[Host]) {
    let mut known_hosts = String::new();
    let mut config = String::new();
    for host in hosts {
        let (name, v4, v6) = (host.name(), host.v4(), host.v6());
        let key = make_key(host, "/etc/ssh/ssh_host_ed25519_key");
        writeln!(known_hosts, "{v4},{v6} {key}").unwrap();
        writeln!(config, "Host {name}\n  HostName {v4}").unwrap();
    }
    config.push_str(CLIENT);
    hosts[0].must("mkdir -m 0700 /root/.ssh");
    let public = make_key(&hosts[0], "/root/.ssh/id_ed25519");
    let private = fs::read_to_string(hosts[0].file("/root/.ssh/id_ed25519")).unwrap();
    for host in hosts {
        host.must("mkdir -p -m 0700 /root/.ssh");
        for (name, content) in [
            ("/root/.ssh/id_ed25519", &private),
            ("/root/.ssh/authorized_keys", &public),
            ("/root/.ssh/known_hosts", &known_hosts),
            ("/root/.ssh/config", &config),
            ("/etc/ssh/sshd_config", &DAEMON.to_owned()),
        ] {
            let path = host.file(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        start_daemon(host);
    }
}

/// Starts the daemon of a host, and waits until it listens: then it writes down its process id.
pub fn start_daemon(host: &Host) {
    host.must(&format!("rm -f {PID_FILE} && {SSHD} -E /run/sshd/log"));
    eventually("an ssh daemon listens", PATIENCE, || daemon(host).is_some());
}

/// The process id of the daemon there, of which connections are others.
pub fn daemon(host: &Host) -> Option<i32> {
    fs::read_to_string(host.file(PID_FILE)).ok()?.trim().parse().ok()
}

/// Makes a key there, and returns its public half.
fn make_key(host: &Host, path: &str) -> String {
    host.must(&format!("ssh-keygen -q -t ed25519 -N '' -C '' -f {path} && cat {path}.pub"))
}
