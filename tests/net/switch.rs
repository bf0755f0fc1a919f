//! What connects the hosts: a bridge in a network of its own, with a port for each.

use std::process::Command;

use crate::namespaces::EmptyNetwork;
use crate::process::Process;
use crate::tool::feed;

pub struct Switch {
    network: EmptyNetwork,
}

impl Switch {
    pub fn new() -> Switch {
        let switch = Switch { network: EmptyNetwork::new().unwrap() };
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
        self.ip(&format!("link set port-{port} master bridge"));
    }

    /// Pulls a cable out of the switch: its host sees that there is none.
    pub fn unplug(&self, port: &str) {
        self.ip(&format!("link set port-{port} down"));
    }

    pub fn plug(&self, port: &str) {
        self.ip(&format!("link set port-{port} master bridge up"));
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

    /// Runs commands of `ip` in the switch.
    fn ip(&self, commands: &str) {
        let mut ip = Command::new("ip");
        ip.args(["-batch", "-"]);
        self.network.adopt(&mut ip);
        feed(&mut ip, commands);
    }
}
