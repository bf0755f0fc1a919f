//! A tree under random faults, with real processes.
//!
//! `HOPTREE_CHAOS_SEED` chooses other faults; the processes take their own time, so that a seed
//! gives the same faults but not quite the same run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::console::Console;
use crate::deadline::{LONG_PATIENCE, eventually};
use crate::load;
use crate::process::Process;

/// How long there are faults.
const TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 8 } else { 20 });

const NODES: u32 = 40;

/// How many commands are typed before their answers are read.
const BURST: usize = 8;

/// The generator `SplitMix64` of G. L. Steele, D. Lea and C. H. Flood, "Fast Splittable Pseudorandom
/// Number Generators" (OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end)) as u32
    }
}

/// What is typed, and what may come back.
enum Typed {
    Create(u32),
    Remove,
    Ping,
    Echo(u32, String),
}

struct Chaos {
    console: Console,
    random: Random,
    /// The latest process of each id that ever was.
    processes: BTreeMap<u32, Process>,
    stopped: Vec<Process>,
    count: u32,
}

impl Chaos {
    fn burst(&mut self) {
        let typed: Vec<_> = (0..BURST).map(|_| self.command()).collect();
        for typed in typed {
            let reply = self.reply();
            self.check(&typed, &reply);
        }
    }

    fn command(&mut self) -> Typed {
        let node = self.random.below(NODES);
        match self.random.below(10) {
            0 => {
                let parent = self.random.below(NODES);
                self.console.send(&format!("create {node} {parent}"));
                Typed::Create(node)
            }
            1 => {
                self.console.send(&format!("create {node}"));
                Typed::Create(node)
            }
            2 => {
                self.console.send(&format!("remove {node}"));
                Typed::Remove
            }
            3 => {
                self.console.send(&format!("ping {node}"));
                Typed::Ping
            }
            _ => {
                self.count += 1;
                let text = format!("number {}", self.count);
                self.console.send(&format!("exec {node} echo {text}"));
                Typed::Echo(node, text)
            }
        }
    }

    /// The next line that is a reply.
    fn reply(&mut self) -> String {
        loop {
            let line = self.console.line_within(LONG_PATIENCE).text;
            if !line.starts_with("Heartbit: ") {
                return line;
            }
        }
    }

    fn check(&mut self, typed: &Typed, reply: &str) {
        let is_right = match typed {
            Typed::Create(node) => {
                let pid = reply.strip_prefix("Ok: ").and_then(|pid| pid.parse().ok());
                // It may have been killed with its parent already.
                if let Some(process) = pid.and_then(Process::of) {
                    self.processes.insert(*node, process);
                }
                pid.is_some() || reply.starts_with("Error: ")
            }
            Typed::Remove => {
                matches!(reply, "Ok" | "Error: Not found" | "Error: Node is unavailable")
            }
            Typed::Ping => matches!(reply, "Ok: 0" | "Ok: 1" | "Error: Not found"),
            Typed::Echo(node, text) => {
                let errors = ["Not found", "Node is unavailable", "Too many requests are waiting"];
                reply == format!("Ok:{node}: {text}")
                    || reply.starts_with(&format!("Error:{node}: No answer within "))
                    || errors.iter().any(|error| reply == format!("Error:{node}: {error}"))
            }
        };
        assert!(is_right, "{reply}");
    }

    fn fault(&mut self) {
        let running: Vec<_> = self.processes.values().copied().filter(Process::runs).collect();
        if running.is_empty() {
            return;
        }
        let victim = running[self.random.below(running.len() as u32) as usize];
        match self.random.below(4) {
            0 | 1 => victim.kill(),
            2 if !self.stopped.contains(&victim) => {
                victim.stop();
                self.stopped.push(victim);
            }
            _ => {
                if let Some(stopped) = self.stopped.pop().filter(Process::runs) {
                    stopped.go_on();
                }
            }
        }
    }

    /// The processes of the nodes by what the console says of them: up, or not.
    fn picture(&mut self) -> BTreeMap<i32, bool> {
        self.console.send("tree\nping 0");
        let mut nodes = BTreeMap::new();
        loop {
            let line = self.reply();
            let Some((_, rest)) = line.split_once(": pid ") else {
                if line.starts_with("there are") {
                    continue;
                }
                assert!(line.starts_with("Ok: ") || line.starts_with("Error: "), "{line}");
                return nodes;
            };
            let (pid, state) = rest.split_once(", ").unwrap();
            nodes.insert(pid.parse().unwrap(), state.starts_with("available "));
        }
    }
}

#[test]
fn random_faults_leave_a_tree_that_is_what_it_says() {
    let _heavy = load::heavy();
    let seed = std::env::var("HOPTREE_CHAOS_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut chaos = Chaos {
        console: Console::start(&["--timeout", "1000"]),
        random: Random(seed),
        processes: BTreeMap::new(),
        stopped: Vec::new(),
        count: 0,
    };
    for node in 0..NODES {
        let parent = chaos.random.below(node + 1) as i32 - 1;
        let process = chaos.console.create(node, parent);
        chaos.processes.insert(node, process);
    }
    chaos.console.ask("heartbeat 100", "Ok");
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        chaos.fault();
        chaos.burst();
    }
    for stopped in std::mem::take(&mut chaos.stopped) {
        if stopped.runs() {
            stopped.go_on();
        }
    }
    // Nobody is there without the console's knowledge, nobody that is there is unavailable, and
    // nobody that is gone is up.
    let mut last = String::new();
    eventually("the tree is as it says", LONG_PATIENCE, || {
        let picture = chaos.picture();
        let up: Vec<_> = picture.iter().filter(|(_, up)| **up).map(|(pid, _)| *pid).collect();
        let mut there: Vec<_> =
            chaos.console.process().descendants().iter().map(Process::pid).collect();
        there.sort_unstable();
        last = format!("{picture:?} and {there:?}");
        there == up
    });
    assert_eq!(chaos.console.finish().status, 0);
    assert!(!chaos.processes.values().any(Process::runs));
}
