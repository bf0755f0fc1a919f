//! The address of a gateway: where it listens for other machines, and where for its own.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use hoptree_core::Address;
use hoptree_tcp::SCHEME;

/// Where a gateway listens: `net://... NETWORK NEAR`. NETWORK, in hexadecimal digits, says where NEAR means
/// anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub near: Address,
    pub far: Address,
    network: u64,
}

impl Places {
    /// Those of a process on this machine.
    pub fn here(near: Address, far: Address) -> Places {
        Places { near, far, network: network() }
    }

    /// Those that an address names; none when only this machine can use it.
    pub fn read(address: &Address) -> Option<Places> {
        let mut parts = address.0.splitn(3, ' ');
        let far = parts.next().filter(|far| far.starts_with(SCHEME))?;
        let network = u64::from_str_radix(parts.next()?, 16).ok()?;
        let near = parts.next()?;
        Some(Places { near: Address(near.to_owned()), far: Address(far.to_owned()), network })
    }

    pub fn address(&self) -> Address {
        Address(format!("{} {:016x} {}", self.far.0, self.network, self.near.0))
    }

    /// Whether this process can use the one for the same machine.
    pub fn are_here(&self) -> bool {
        self.network == network()
    }
}

/// What tells apart where addresses within a machine mean the same: it was started once, its processes share
/// the network, and its files.
fn network() -> u64 {
    static NETWORK: LazyLock<u64> = LazyLock::new(|| {
        let started = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let spaces =
            ["net", "mnt"].map(|space| fs::read_link(format!("/proc/self/ns/{space}")).ok());
        // The same in every process of the tree, since all run the same build.
        let mut hasher = DefaultHasher::new();
        (started, spaces).hash(&mut hasher);
        hasher.finish()
    });
    *NETWORK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_being_taken_apart() {
        let [near, far] = ["ipc:///tmp/with space", "net://[fd77::2]:6200#0f"].map(str::to_owned);
        let places = Places::here(Address(near), Address(far));
        assert_eq!(Places::read(&places.address()), Some(places.clone()));
        assert!(places.are_here());
        assert!(!Places { network: !network(), ..places }.are_here());
    }

    #[test]
    fn what_only_this_machine_can_use_names_no_other_place() {
        for text in
            ["", "ipc:///tmp/x", "tcp://127.0.0.1:5/ab", "net://10.0.0.1:5", "net://1:5 x y"]
        {
            assert_eq!(Places::read(&Address(text.to_owned())), None, "{text}");
        }
    }
}
