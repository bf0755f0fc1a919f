//! What this machine must have.

use std::env;
use std::io::{self, Write};
use std::sync::LazyLock;

use crate::namespaces::can_be_made;
use crate::ssh::SSHD;
use crate::wire::TUN;

/// Programs, but for the first.
const FILES: [&str; 7] = [TUN, SSHD, "ssh", "ssh-keygen", "ip", "nft", "mount"];

/// Whether hosts can be made here. The first who asks has the reason said on standard error.
pub fn are_met() -> bool {
    static MET: LazyLock<bool> = LazyLock::new(|| {
        let Err(why) = check() else { return true };
        // Not by a macro: its words would be kept for tests that fail. Nobody may be there to read.
        let _ = writeln!(io::stderr(), "\nno test over several machines is run: {why}");
        false
    });
    *MET
}

fn check() -> Result<(), String> {
    can_be_made().map_err(|error| {
        format!(
            "namespaces can't be made ({error}); that takes root, in a container with \
             CAP_SYS_ADMIN and CAP_NET_ADMIN"
        )
    })?;
    let path = env::var_os("PATH").unwrap_or_default();
    let is_missing = |name: &&str| !env::split_paths(&path).any(|it| it.join(name).exists());
    match FILES.into_iter().find(is_missing) {
        None => Ok(()),
        Some(name) => Err(format!(
            "'{name}' is missing; there must be openssh-server, openssh-client, iproute2, nftables \
             and the kernel's module tun"
        )),
    }
}
