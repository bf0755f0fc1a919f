//! A process, as `/proc` shows it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::deadline::{PATIENCE, eventually};

/// A process of this machine, told from a later one with the same pid by the time of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pid: i32,
    started: u64,
}

impl Process {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Option<Process> {
        Stat::of(pid).map(|stat| Process { pid, started: stat.started })
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it has not ended. A zombie has, once its other threads are gone as well: until then
    /// files may be open.
    pub fn runs(&self) -> bool {
        let has_ended =
            |stat: Stat| matches!(stat.state, 'Z' | 'X') && self.each_thread().count() <= 1;
        self.stat().is_some_and(|stat| !has_ended(stat))
    }

    /// The directories of its threads that there are.
    fn each_thread(&self) -> impl Iterator<Item = PathBuf> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten();
        threads.flatten().map(|thread| thread.path())
    }

    /// What it and all below it are doing, for whoever has waited for them in vain.
    pub fn activity(&self) -> String {
        let family = self.descendants();
        let mut text = String::new();
        for process in std::iter::once(self).chain(&family) {
            for thread in process.each_thread() {
                let read = |name| fs::read_to_string(thread.join(name)).unwrap_or_default();
                let (name, wchan, call) = (read("comm"), read("wchan"), read("syscall"));
                let state = Stat::read(&read("stat")).map_or('?', |stat| stat.state);
                let (name, call) = (name.trim(), call.trim());
                writeln!(text, "process {}, {name}: {state} in {wchan}, call {call}", process.pid)
                    .unwrap();
            }
        }
        text
    }

    /// Whether nothing is left of it, not even a zombie.
    pub fn is_reaped(&self) -> bool {
        self.stat().is_none()
    }

    pub fn parent(&self) -> i32 {
        self.stat().unwrap().parent
    }

    pub fn group(&self) -> i32 {
        self.stat().unwrap().group
    }

    /// Every process below it that has not ended, in no particular order.
    pub fn descendants(&self) -> Vec<Process> {
        let all: Vec<_> = pids().filter_map(|pid| Some((pid, Stat::of(pid)?))).collect();
        let mut family = vec![*self];
        let mut visited = 0;
        while let Some(parent) = family.get(visited).map(Process::pid) {
            let children =
                all.iter().filter(|(_, stat)| stat.parent == parent && stat.state != 'Z');
            family.extend(children.map(|(pid, stat)| Process { pid: *pid, started: stat.started }));
            visited += 1;
        }
        family.split_off(1)
    }

    pub fn children(&self) -> BTreeSet<Process> {
        let is_child = |process: &Process| process.stat().is_some_and(|it| it.parent == self.pid);
        self.descendants().into_iter().filter(is_child).collect()
    }

    /// Sends a signal. A process that is gone already is left in peace, and so is a later one with
    /// its pid.
    pub fn signal(&self, signal: Signal) {
        if self.stat().is_some() {
            let _ = kill_process(Pid::from_raw(self.pid).unwrap(), signal);
        }
    }

    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops it, and returns when it stands still.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        eventually("a process stops at SIGSTOP", PATIENCE, || {
            self.is_stopped() || self.is_reaped()
        });
    }

    pub fn is_stopped(&self) -> bool {
        self.stat().is_some_and(|stat| stat.state == 'T')
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Traces it as a debugger does that never looks, until [`Process::let_go`] or the end of this
    /// thread. Says whether this user may.
    pub fn trace(&self) -> bool {
        // SAFETY: this request takes a process id, and no memory is touched.
        unsafe { libc::ptrace(libc::PTRACE_SEIZE, self.pid, 0, 0) == 0 }
    }

    /// Looks at the end of a process that this thread traces, so that others learn of it.
    pub fn let_go(&self) {
        // SAFETY: the status is not asked for, so no memory is touched.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL) };
    }

    /// The processor time that all its threads used.
    pub fn processor_time(&self) -> Duration {
        // `stat` would round 50 nearly idle processes down to ten milliseconds each.
        let nanoseconds = self.each_thread().filter_map(|thread| {
            let text = fs::read_to_string(thread.join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// How often its threads have waited for something.
    pub fn waits(&self) -> u64 {
        let waits = self.each_thread().filter_map(|thread| {
            let text = fs::read_to_string(thread.join("status")).ok()?;
            let waits = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            waits?.trim().parse::<u64>().ok()
        });
        waits.sum()
    }

    /// The names of its threads.
    pub fn threads(&self) -> Vec<String> {
        let names = self.each_thread().map(|thread| fs::read_to_string(thread.join("comm")));
        names.flatten().map(|name| name.trim_end().to_owned()).collect()
    }

    /// The memory that it holds, in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS").strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Whether a signal does nothing to it.
    pub fn ignores(&self, signal: Signal) -> bool {
        let ignored = u64::from_str_radix(&self.status("SigIgn"), 16).unwrap();
        ignored >> (signal.as_raw() - 1) & 1 == 1
    }

    /// Whether any signal waits until its main thread wants it.
    pub fn blocks_signals(&self) -> bool {
        u64::from_str_radix(&self.status("SigBlk"), 16).unwrap() != 0
    }

    /// What its descriptors refer to, such as `pipe:[1234]`.
    pub fn descriptors(&self) -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap();
        let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets.map(|target| target.to_string_lossy().into_owned()).collect()
    }

    /// What one of its descriptors refers to.
    pub fn descriptor(&self, number: u32) -> String {
        let target = fs::read_link(format!("/proc/{}/fd/{number}", self.pid)).unwrap();
        target.to_string_lossy().into_owned()
    }

    pub fn arguments(&self) -> Vec<String> {
        strings(&fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap()).collect()
    }

    pub fn environment(&self) -> BTreeSet<String> {
        strings(&fs::read(format!("/proc/{}/environ", self.pid)).unwrap()).collect()
    }

    /// A line of `/proc/PID/status`.
    fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    }

    fn stat(&self) -> Option<Stat> {
        Stat::of(self.pid).filter(|stat| stat.started == self.started)
    }
}

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    state: char,
    parent: i32,
    group: i32,
    started: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Stat> {
        Stat::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn read(text: &str) -> Option<Stat> {
        // The name before it is in parentheses and may hold anything.
        let fields: Vec<_> = text[text.rfind(')')? + 2..].split(' ').collect();
        Some(Stat {
            state: fields[0].chars().next()?,
            parent: fields[1].parse().ok()?,
            group: fields[2].parse().ok()?,
            started: fields[19].parse().ok()?,
        })
    }
}

pub fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn strings(bytes: &[u8]) -> impl Iterator<Item = String> {
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned())
}
