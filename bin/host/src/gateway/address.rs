//! The address of a gateway: where it listens for other machines, and where for its own.

use std::path::Path;

use hoptree_core::Address;
use hoptree_tcp::SCHEME;

use crate::process::number_of;

/// Where a gateway listens: `net://... HOME NEAR`. HOME, in hexadecimal digits, says where NEAR means anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub near: Address,
    pub far: Address,
    pub home: Home,
}

impl Places {
    /// Those that an address names; none when only this machine can use it.
    pub fn read(address: &Address) -> Option<Places> {
        let mut parts = address.0.splitn(3, ' ');
        let far = parts.next().filter(|far| far.starts_with(SCHEME))?;
        let home = Home(u64::from_str_radix(parts.next()?, 16).ok()?);
        let near = parts.next()?;
        Some(Places { near: Address(near.to_owned()), far: Address(far.to_owned()), home })
    }

    pub fn address(&self) -> Address {
        Address(format!("{} {:016x} {}", self.far.0, self.home.0, self.near.0))
    }
}

/// The part of a tree within which addresses of the transport for one machine mean the same: that which has a
/// directory in common. Each guard has one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home(u64);

impl Home {
    /// The part that has this directory on this machine.
    pub fn of(directory: &Path) -> Home {
        Home(number_of(&["net", "mnt"], directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_being_taken_apart() {
        let [near, far] = ["ipc:///tmp/with space", "net://[fd77::2]:6200#0f"].map(str::to_owned);
        let home = Home::of(Path::new("/tmp/hoptree-1"));
        let places = Places { near: Address(near), far: Address(far), home };
        assert_eq!(Places::read(&places.address()), Some(places));
        assert_eq!(home, Home::of(Path::new("/tmp/hoptree-1")));
        assert_ne!(home, Home::of(Path::new("/tmp/hoptree-2")));
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
