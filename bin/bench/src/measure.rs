//! What can be measured, and how long that takes.

use std::time::Duration;

use clap::ValueEnum;
use hoptree_host::Failure;
use serde::{Deserialize, Serialize};

use super::figure::Found;
use super::setting::Setting;
use super::{create, failure, fanout, flood, footprint, heartbeat, rtt, streaming, throughput};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Measure {
    /// The round trip of `echo`.
    Rtt,
    /// Commands per second, with some under way at the same time.
    Throughput,
    /// The output of one program, as fast as it comes.
    Stream,
    /// A command for many nodes, until the last reply.
    Fanout,
    /// The start of nodes, until all are ready.
    Create,
    /// From the end of a process to the answer of what it owes, and until the tree has healed.
    Failure,
    /// How soon a node that hangs is noticed, and whether one that only waits is left in peace.
    Heartbeat,
    /// What idle processes take of the machine.
    Footprint,
    /// What a node that does not read costs its parent and its sibling.
    Flood,
}

/// One measure over one transport, with all its processes, in the process that is their control
/// node.
pub trait Rig {
    /// How many turns there are in a round.
    fn turns(&self) -> usize;

    /// Takes a turn, and says what it has found.
    ///
    /// # Errors
    ///
    /// When a process does not do what it should. The rig is of no use then.
    fn turn(&mut self, turn: usize) -> Result<Vec<Found>, Failure>;
}

impl Measure {
    /// What `--measure` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Rtt => "rtt",
            Measure::Throughput => "throughput",
            Measure::Stream => "stream",
            Measure::Fanout => "fanout",
            Measure::Create => "create",
            Measure::Failure => "failure",
            Measure::Heartbeat => "heartbeat",
            Measure::Footprint => "footprint",
            Measure::Flood => "flood",
        }
    }

    /// What stands above its figures.
    pub fn about(self) -> &'static str {
        match self {
            Measure::Rtt => "round trip of echo, one at a time",
            Measure::Throughput => "echo per second, with a window of commands unanswered",
            Measure::Stream => "output of one program on its way to the console, which discards it",
            Measure::Fanout => "one command for many nodes, until the last reply",
            Measure::Create => "nodes created at once, until the last is ready",
            Measure::Failure => {
                "kill -9, until what is pending is answered or all survivors answer"
            }
            Measure::Heartbeat => {
                "SIGSTOP to the notice, and notices of nodes that only have to wait"
            }
            Measure::Footprint => "what an idle node takes, with beats every second",
            Measure::Flood => {
                "round trip of a node while its sibling is sent 16 lines of 500 bytes a trip"
            }
        }
    }

    /// Which of its figures suffer when others have the processors.
    pub fn slowed_by_others(self) -> &'static str {
        match self {
            Measure::Throughput | Measure::Stream => "rates",
            Measure::Footprint => "processor times",
            Measure::Heartbeat => "times and false alarms",
            Measure::Rtt
            | Measure::Fanout
            | Measure::Create
            | Measure::Failure
            | Measure::Flood => "times",
        }
    }

    /// How long it may take in one run over one transport. Those of a full run sum up to a minute,
    /// those of a quick one to seven seconds.
    pub fn time(self, quick: bool) -> Duration {
        let (quick_ms, full_ms) = match self {
            Measure::Rtt => (1_400, 15_000),
            Measure::Throughput => (800, 9_000),
            Measure::Stream => (500, 3_000),
            Measure::Fanout => (500, 5_000),
            Measure::Create => (700, 5_500),
            Measure::Failure => (500, 7_000),
            Measure::Heartbeat => (900, 6_500),
            Measure::Footprint => (1_500, 4_500),
            Measure::Flood => (600, 4_500),
        };
        Duration::from_millis(if quick { quick_ms } else { full_ms })
    }

    /// How many children a control node has in it at most, relays and the like included.
    pub fn children_max(self) -> u64 {
        match self {
            Measure::Rtt | Measure::Failure | Measure::Heartbeat | Measure::Flood => 20,
            Measure::Throughput => 20,
            Measure::Stream => 4,
            Measure::Fanout => 150,
            Measure::Create => 256,
            Measure::Footprint => 70,
        }
    }

    /// How many processes it has over one transport at most.
    pub fn processes(self) -> u64 {
        match self {
            Measure::Rtt => 70,
            Measure::Throughput => 20,
            Measure::Stream => 12,
            Measure::Fanout => 215,
            Measure::Create => 260,
            Measure::Failure => 35,
            Measure::Heartbeat => 20,
            Measure::Footprint => 70,
            Measure::Flood => 5,
        }
    }

    /// The command modules that it needs.
    pub fn modules(self) -> &'static [&'static str] {
        match self {
            Measure::Heartbeat => &["heartbeat"],
            Measure::Footprint => &["echo", "heartbeat"],
            Measure::Stream => &["run"],
            _ => &["echo"],
        }
    }

    /// How many rounds of a run do not count. Where each turn has processes of its own there is
    /// nothing that could be warm.
    pub fn warm_up_rounds(self) -> u32 {
        match self {
            Measure::Rtt
            | Measure::Throughput
            | Measure::Stream
            | Measure::Fanout
            | Measure::Failure => 1,
            Measure::Create | Measure::Heartbeat | Measure::Footprint | Measure::Flood => 0,
        }
    }

    /// Starts its processes.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open<'a>(self, setting: &'a Setting<'a>) -> Result<Box<dyn Rig + 'a>, Failure> {
        Ok(match self {
            Measure::Rtt => Box::new(rtt::Rtt::open(setting)?),
            Measure::Throughput => Box::new(throughput::Throughput::open(setting)?),
            Measure::Stream => Box::new(streaming::Streaming::open(setting)?),
            Measure::Fanout => Box::new(fanout::Fanout::open(setting)?),
            Measure::Create => Box::new(create::Create::new(setting)),
            Measure::Failure => Box::new(failure::Failures::open(setting)?),
            Measure::Heartbeat => Box::new(heartbeat::Heartbeat::new(setting)),
            Measure::Footprint => Box::new(footprint::Footprint::new(setting)),
            Measure::Flood => Box::new(flood::Flooding::open(setting)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(quick: bool) -> f64 {
        Measure::value_variants().iter().map(|measure| measure.time(quick).as_secs_f64()).sum()
    }

    #[test]
    fn a_name_is_what_the_command_line_calls_it() {
        for measure in Measure::value_variants() {
            assert_eq!(measure.to_possible_value().unwrap().get_name(), measure.name());
        }
    }

    #[test]
    fn what_is_promised_can_be_kept() {
        assert!(seconds(true) * 3.0 * 2.0 < 45.0, "{}", seconds(true));
        assert!(seconds(false) * 3.0 * 3.0 <= 540.0, "{}", seconds(false));
    }
}
