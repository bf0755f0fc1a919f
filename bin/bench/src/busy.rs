//! What others take of the processors while a measure is taken, and which figures that spoils.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity};

use super::measure::Measure;
use super::report::Load;

/// With less than this share of the processors gone, the figures are as good as on a machine at rest.
const QUIET_BELOW: f64 = 0.05;

/// With less than this gone, what is rare is spoilt, and medians are not.
const TAILS_BELOW: f64 = 0.25;

/// What the processors that this process may use have done since the machine was started, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// All that there were.
    total: u64,
    /// Programs, and the kernel on their behalf. Interrupts are nobody's, and not among these.
    busy: u64,
    /// The host of a virtual machine has run something else meanwhile.
    stolen: u64,
    /// Of the busy ones, those of this process, and of all that have ended below it.
    own: u64,
}

impl Ticks {
    /// As it is now; `None` when the system does not tell. Processes of this program that still run
    /// count as others until they have ended.
    pub fn now() -> Option<Ticks> {
        let cores = sched_getaffinity(None).ok()?;
        let machine = of_cores(&fs::read_to_string("/proc/stat").ok()?, &cores)?;
        Some(Ticks { own: of_process(&fs::read_to_string("/proc/self/stat").ok()?)?, ..machine })
    }

    /// The load from `earlier` until this moment.
    pub fn since(self, earlier: Ticks, measure: Measure) -> Load {
        let passed = |ticks: fn(Ticks) -> u64| ticks(self).saturating_sub(ticks(earlier));
        let total = passed(|ticks| ticks.total).max(1) as f64;
        let others = passed(|ticks| ticks.busy).saturating_sub(passed(|ticks| ticks.own));
        let (others, stolen) = (others as f64 / total, passed(|ticks| ticks.stolen) as f64 / total);
        Load {
            measure: measure.name().to_owned(),
            others,
            stolen,
            spoilt: spoilt(others + stolen, measure),
        }
    }
}

/// Which figures of a measure are worth little when so much of the processors was gone.
fn spoilt(gone: f64, measure: Measure) -> Option<String> {
    let figures = measure.slowed_by_others();
    if gone < QUIET_BELOW {
        None
    } else if gone < TAILS_BELOW {
        Some(format!("{figures}, from p90 on"))
    } else {
        Some(format!("{figures}, all of them"))
    }
}

/// The line of each of these cores in the text of `/proc/stat`, `cpuN` and then ticks: user, nice,
/// system, idle, iowait, irq, softirq, steal.
fn of_cores(stat: &str, cores: &CpuSet) -> Option<Ticks> {
    let mut sum = Ticks::default();
    for line in stat.lines() {
        let Some((core, ticks)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        // The first line has no number: it is of all cores.
        if !core.parse().is_ok_and(|core| core < CpuSet::MAX_CPU && cores.is_set(core)) {
            continue;
        }
        let ticks = ticks.split_ascii_whitespace().map(str::parse);
        let ticks = ticks.take(8).collect::<Result<Vec<u64>, _>>().ok()?;
        let [user, nice, system, .., steal] = ticks[..] else { return None };
        sum.total += ticks.iter().sum::<u64>();
        sum.busy += user + nice + system;
        sum.stolen += steal;
    }
    (sum.total > 0).then_some(sum)
}

/// The ticks of a process and of its children that were waited for, in the text of its `stat` file:
/// `PID (NAME) STATE ...`, where the name may hold anything.
fn of_process(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let times = after_name.split_ascii_whitespace().skip(11).take(4).map(str::parse::<u64>);
    times.sum::<Result<u64, _>>().ok()
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use super::*;

    const STAT: &str = "cpu  600 6 60 6000 0 0 0 60 0 0\n\
                        cpu0 100 1 10 1000 5 6 7 10 99 99\n\
                        cpu1 200 2 20 2000 0 0 0 20 99 99\n\
                        cpu2 300 3 30 3000 0 0 0 30 99 99\nintr 1 2\n";

    fn cores(cores: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        cores.iter().for_each(|core| set.set(*core));
        set
    }

    fn load(busy: u64, stolen: u64, own: u64) -> Load {
        let before = Ticks { total: 5_000, busy: 700, stolen: 20, own: 300 };
        let after = Ticks {
            total: before.total + 1_000,
            busy: before.busy + busy,
            stolen: before.stolen + stolen,
            own: before.own + own,
        };
        after.since(before, Measure::Rtt)
    }

    #[test]
    fn only_the_cores_that_may_be_used_count() {
        let both = Ticks { total: 1_139 + 3_363, busy: 111 + 333, stolen: 10 + 30, own: 0 };
        assert_eq!(of_cores(STAT, &cores(&[0, 2])), Some(both));
        assert_eq!(of_cores(STAT, &cores(&[7])), None);
        assert_eq!(of_cores("cpu0 1 2 x\n", &cores(&[0])), None);
        assert_eq!(of_cores("cpu0 1 2\n", &cores(&[0])), None);
    }

    #[test]
    fn the_children_that_have_ended_are_this_programs_own() {
        let stat = "7 (a) b) S 1 7 7 0 -1 0 1 2 3 4 10 20 300 4000 20 0 1 0 99";
        assert_eq!(of_process(stat), Some(4_330));
        assert_eq!(of_process("7 (x"), None);
    }

    #[test]
    fn what_others_take_spoils_first_the_tails_and_then_all() {
        assert_eq!(load(900, 0, 880).spoilt, None, "the work of the benchmark is no load");
        assert_eq!(load(500, 0, 400).spoilt.as_deref(), Some("times, from p90 on"));
        assert_eq!(load(700, 0, 400).spoilt.as_deref(), Some("times, all of them"));
        assert_eq!(load(400, 260, 400).spoilt.as_deref(), Some("times, all of them"));
        // Times are rounded.
        assert_eq!(load(400, 0, 410).others, 0.0);
    }

    #[test]
    fn this_process_is_not_among_the_others() {
        let before = Ticks::now().unwrap();
        let until = Instant::now() + Duration::from_millis(200);
        while Instant::now() < until {
            black_box(0);
        }
        let after = Ticks::now().unwrap();
        assert!(after.own > before.own && after.total > before.total, "{before:?} {after:?}");
        let load = after.since(before, Measure::Rtt);
        assert!((0.0..=1.0).contains(&load.others), "{load:?}");
    }
}
