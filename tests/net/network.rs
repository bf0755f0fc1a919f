//! Some hosts on a switch.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::host::Host;
use crate::needs;
use crate::ssh;
use crate::switch::Switch;

/// Hosts `a`, `b`, `c` and so on, each of which reaches each other by `ssh NAME`. All is removed when
/// this is dropped; consoles on them must be gone by then.
pub struct Network {
    hosts: Vec<Host>,
    switch: Switch,
}

impl Network {
    /// Nothing, said on standard error, where hosts can't be made.
    pub fn new(hosts: u8) -> Option<Network> {
        if !needs::are_met() {
            return None;
        }
        static MADE: AtomicU16 = AtomicU16::new(0);
        let [high, low] = MADE.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let switch = Switch::new();
        let hosts: Vec<_> = (1..=hosts)
            .map(|number| {
                let name = char::from(b'a' + number - 1).to_string();
                let v4 = Ipv4Addr::new(10, 77 + high, low, number);
                let net = u16::from_be_bytes([high, low]);
                let v6 = Ipv6Addr::new(0xfd77, net, 0, 0, 0, 0, 0, number.into());
                let host = Host::start(&name, v4, v6);
                switch.attach(&name, host.first_process());
                host.configure();
                host
            })
            .collect();
        ssh::set_up(&hosts);
        Some(Network { hosts, switch })
    }

    #[track_caller]
    pub fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name() == name).unwrap()
    }

    /// Cuts a cable at the far end of the switch: both sides hear nothing any more, and neither is told.
    pub fn cut(&self, host: &str) {
        self.switch.cut(host);
    }

    pub fn mend(&self, host: &str) {
        self.switch.mend(host);
    }

    /// Pulls a cable: its host knows.
    pub fn unplug(&self, host: &str) {
        self.switch.unplug(host);
    }

    pub fn plug(&self, host: &str) {
        self.switch.plug(host);
    }

    /// Loses so many packets of a hundred between a host and all others, in each direction.
    pub fn lose(&self, host: &str, percent: u32) {
        self.switch.lose(host, percent);
    }

    /// Has everything between a host and all others take this long, in each direction.
    pub fn delay(&mut self, host: &str, delay: Duration) {
        self.switch.delay(host, delay);
    }

    /// Takes a host away without a word: no connection of its is closed.
    pub fn power_off(&mut self, host: &str) {
        self.switch.detach(host);
        self.hosts.iter_mut().find(|it| it.name() == host).unwrap().end();
    }

    /// Checks that no host that has power has anything left, within a time.
    #[track_caller]
    pub fn nothing_left(&self, within: Duration) {
        let on = self.hosts.iter().filter(|host| !host.has_ended());
        on.for_each(|host| host.nothing_left(within));
    }
}
