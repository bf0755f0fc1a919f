//! What connects the hosts: a bridge in a network of its own, with a port for each.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::namespaces::EmptyNetwork;
use crate::process::Process;
use crate::tool::feed;
use crate::wire::Wire;

pub struct Switch {
    network: EmptyNetwork,
    /// The ports that have one between them and the bridge.
    wires: BTreeMap<String, Wire>,
}

impl Switch {
    pub fn new() -> Switch {
        let switch = Switch { network: EmptyNetwork::new().unwrap(), wires: BTreeMap::new() };
        switch.ip("link add bridge type bridge\nlink set bridge up");
        switch
    }

    /// Puts a cable between a port of this name and the host of this process. There it is `eth0`.
    pub fn attach(&self, port: &str, process: Process) {
        self.ip(&format!("link add port-{port} type veth peer name eth0 netns {}", process.pid()));
        self.plug(port);
    }

    /// Cuts a cable behind the switch: nothing comes through, and nobody is told.
    pub fn cut(&self, port: &str) {
        self.ip(&format!("link set port-{port} nomaster"));
    }

    pub fn mend(&self, port: &str) {
        self.ip(&format!("link set port-{port} master {}", self.bridge(port)));
    }

    /// Pulls a cable out of the switch: its host sees that there is none.
    pub fn unplug(&self, port: &str) {
        self.ip(&format!("link set port-{port} down"));
    }

    pub fn plug(&self, port: &str) {
        self.ip(&format!("link set port-{port} master {} up", self.bridge(port)));
    }

    /// Takes a cable away.
    pub fn detach(&self, port: &str) {
        self.ip(&format!("link delete port-{port}"));
    }

    /// Loses so many packets of a hundred on a cable, in each direction.
    pub fn lose(&self, port: &str, percent: u32) {
        let chance = format!("numgen random mod 100 < {percent} drop");
        let mut nft = Command::new("nft");
        nft.args(["-f", "-"]);
        self.network.adopt(&mut nft);
        feed(
            &mut nft,
            &format!(
                "table bridge loss-{port} {{\n\
                 chain passing {{\n\
                 type filter hook forward priority 0\n\
                 iifname port-{port} {chance}\n\
                 oifname port-{port} {chance}\n\
                 }}\n}}"
            ),
        );
    }

    /// Has everything take this long on a cable, in each direction.
    pub fn delay(&mut self, port: &str, delay: Duration) {
        let (near, far) = (format!("near-{port}"), format!("far-{port}"));
        let wire = self.network.enter(|| Wire::lay(&near, &far, delay)).unwrap();
        self.wires.insert(port.to_owned(), wire);
        let behind = self.bridge(port);
        self.ip(&format!(
            "link add {behind} type bridge\n\
             link set {behind} up\n\
             link set {near} master bridge up\n\
             link set {far} master {behind} up\n\
             link set port-{port} master {behind}"
        ));
    }

    /// The bridge that a port is part of.
    fn bridge(&self, port: &str) -> String {
        if self.wires.contains_key(port) { format!("behind-{port}") } else { "bridge".to_owned() }
    }

    /// Runs commands of `ip` in the switch.
    fn ip(&self, commands: &str) {
        let mut ip = Command::new("ip");
        ip.args(["-batch", "-"]);
        self.network.adopt(&mut ip);
        feed(&mut ip, commands);
    }
}
