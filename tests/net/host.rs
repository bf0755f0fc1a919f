//! A host: its processes, files and network.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::deadline::holds_within;
use crate::init::Init;
use crate::namespaces::Namespaces;
use crate::process::{Process, pids};
use crate::ssh;

pub struct Host {
    name: String,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    namespaces: Namespaces,
    init: Init,
    first: Process,
}

/// What a program came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit status as a shell shows it.
    pub status: i32,
    pub output: String,
    pub errors: String,
}

impl Host {
    pub fn start(name: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Host {
        let init = Init::start(name);
        let namespaces = Namespaces::of(init.process());
        let first = Process::of(init.process().id().try_into().unwrap()).unwrap();
        Host { name: name.to_owned(), v4, v6, namespaces, init, first }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn v4(&self) -> Ipv4Addr {
        self.v4
    }

    pub fn v6(&self) -> Ipv6Addr {
        self.v6
    }

    /// Gives its end of the cable its addresses.
    pub fn configure(&self) {
        let Host { v4, v6, .. } = self;
        self.must(&format!(
            "ip link set lo up && ip address add {v4}/24 dev eth0 && \
             ip address add {v6}/64 dev eth0 nodad && ip link set eth0 up"
        ));
    }

    /// The process with which all there ends.
    pub fn first_process(&self) -> Process {
        self.first
    }

    /// Ends it with all that runs there.
    pub fn end(&mut self) {
        self.init.kill();
    }

    pub fn has_ended(&self) -> bool {
        !self.first.runs()
    }

    /// Starts a program there, with the environment that a session there has.
    pub fn spawn(&self, command: &mut Command) -> Child {
        command.env_clear().env("HOME", "/root").env("USER", "root").env("LANG", "C.UTF-8");
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        self.namespaces.spawn(command).unwrap()
    }

    /// Runs a shell's commands there, without input.
    pub fn sh(&self, commands: &str) -> Ran {
        let mut shell = Command::new("sh");
        shell.args(["-c", commands]);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.spawn(&mut shell).wait_with_output().unwrap();
        let status = output.status;
        Ran {
            status: status.code().or(status.signal().map(|signal| 128 + signal)).unwrap(),
            output: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a shell's commands there, which must succeed, and returns what they have printed.
    #[track_caller]
    pub fn must(&self, commands: &str) -> String {
        let ran = self.sh(commands);
        assert_eq!(ran.status, 0, "on {}: {commands}\n{}", self.name, ran.errors);
        ran.output
    }

    /// Does something on its network, as a program there would. What this opens stays there.
    pub fn on_network<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        self.namespaces.on_network(act)
    }

    /// Where a file of it is found from here.
    pub fn file(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.first.pid()).into()
    }

    /// All that run there but the first.
    pub fn processes(&self) -> Vec<Process> {
        let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let first = self.first.pid();
        let own = namespace(first);
        let is_there = |pid: &i32| *pid != first && namespace(*pid) == own;
        let there = pids().filter(is_there).filter_map(Process::of);
        if own.is_some() { there.filter(Process::runs).collect() } else { Vec::new() }
    }

    /// The processes there that are of hoptree.
    pub fn nodes(&self) -> Vec<Process> {
        self.processes().into_iter().filter(|process| name(process) == "hoptree").collect()
    }

    /// The process of hoptree that has this id there.
    #[track_caller]
    pub fn node(&self, pid: i32) -> Process {
        let found = self.nodes().into_iter().find(|process| pid_there(process) == Some(pid));
        found.unwrap_or_else(|| panic!("{} has no node with the process id {pid}", self.name))
    }

    /// Waits until nothing runs there but what did in the beginning, and no file is left of hoptree's.
    #[track_caller]
    pub fn nothing_left(&self, within: Duration) {
        let is_clean = holds_within(within, || self.left().is_empty());
        assert!(is_clean, "{} has left after {within:?}: {:?}", self.name, self.left());
    }

    /// The processes there that did not run in the beginning, and the files where hoptree has some.
    pub fn left(&self) -> Vec<String> {
        let daemon = ssh::daemon(self);
        let processes = self.processes().into_iter().filter(|it| pid_there(it) != daemon);
        let mut left: Vec<_> = processes.map(|process| process.activity()).collect();
        left.extend(["/tmp", "/dev/shm", "/run/user"].iter().flat_map(|it| self.names(it)));
        left
    }

    /// What a directory there holds, if there is one.
    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.file(directory)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().display().to_string()).collect()
    }
}

/// The name of a process.
pub fn name(process: &Process) -> String {
    process.threads().into_iter().next().unwrap_or_default()
}

/// What its own host calls it.
fn pid_there(process: &Process) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).ok()?;
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    pids.split_ascii_whitespace().last()?.parse().ok()
}
