//! What idle processes take of the machine.

use std::time::{Duration, Instant};

use hoptree_host::{Failure, Patience};
use rustix::process::Pid;

use super::crew::Crew;
use super::figure::{Figure, Found, Subject, Unit};
use super::floor::Floor;
use super::measure::Rig;
use super::raw::Raw;
use super::setting::Setting;
use super::shape;
use super::tree::{Ask, Tree};
use super::usage::{Usage, cpu_time};
use super::victim::Victim;

/// How many nodes there are, all of them children of the control node.
const NODES: usize = 64;

/// How often they beat; how often the control node beats wakes them as well.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long they have rested before they are watched.
const REST_TIME: Duration = Duration::from_millis(300);

/// How long they are watched: each beats once, whenever that is.
const WATCH_TIME: Duration = INTERVAL;

/// Watches nodes that are started for each turn, and ended before the next transport's turn: what
/// processes share of the program is then divided by the same number for all.
pub struct Footprint<'a> {
    setting: &'a Setting<'a>,
}

/// Some processes at rest.
struct Scene {
    tree: Tree,
    groups: Vec<(Subject, Vec<Pid>)>,
    /// The near ends of the others.
    _others: (Raw, Option<Floor>),
}

impl<'a> Footprint<'a> {
    /// Has nothing to start beforehand.
    pub fn new(setting: &'a Setting<'a>) -> Footprint<'a> {
        Footprint { setting }
    }
}

impl Rig for Footprint<'_> {
    fn turns(&self) -> usize {
        1
    }

    fn turn(&mut self, _: usize) -> Result<Vec<Found>, Failure> {
        self.setting.with_crew(|crew| Scene::open(self.setting, crew)?.watch())
    }
}

impl Scene {
    fn open(setting: &Setting<'_>, crew: &Crew) -> Result<Scene, Failure> {
        let mut tree = Tree::open(setting, crew, &shape::flat(NODES))?;
        let line = format!("heartbeat {}", INTERVAL.as_millis());
        tree.ask(&Ask { line, reply: "Ok\n".to_owned() })?;
        let children = crew.children();
        let raw = Raw::open(setting.spec, &children, &[1])?;
        let floor = Floor::open(setting.spec, &children)?;
        let pids = |processes: &[Victim]| processes.iter().map(|process| process.pid()).collect();
        let mut groups =
            vec![(Subject::Hoptree, pids(tree.processes())), (Subject::Raw, pids(raw.processes()))];
        groups.extend(floor.as_ref().map(|floor| (Subject::Library, vec![floor.process().pid()])));
        Ok(Scene { tree, groups, _others: (raw, floor) })
    }

    fn watch(mut self) -> Result<Vec<Found>, Failure> {
        self.rest(REST_TIME)?;
        let before = self.cpu_times()?;
        let start = Instant::now();
        self.rest(WATCH_TIME)?;
        let after = self.cpu_times()?;
        let seconds = start.elapsed().as_secs_f64();

        let figure = |what, unit| Figure::new(what, unit).with_nodes(NODES);
        let mut found = Vec::new();
        for (index, (subject, pids)) in self.groups.iter().enumerate() {
            let usages = pids.iter().map(|pid| Usage::of(*pid)).collect::<Result<Vec<_>, _>>()?;
            let values =
                |what: fn(&Usage) -> u64| usages.iter().map(|it| what(it) as f64).collect();
            let times = before[index].iter().zip(&after[index]);
            let cpu = times.map(|(before, after)| (*after - *before).as_secs_f64() * 1e6 / seconds);
            found.extend([
                figure("PSS", Unit::KiB).found(*subject, values(|usage| usage.pss_kib)),
                figure("threads", Unit::Count).found(*subject, values(|usage| usage.threads)),
                figure("descriptors", Unit::Count)
                    .found(*subject, values(|usage| usage.descriptors)),
                figure("idle CPU", Unit::UsPerSecond).found(*subject, cpu.collect()),
            ]);
        }
        Ok(found)
    }

    /// Lets time pass. Nobody must fall silent.
    fn rest(&mut self, time: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < time {
            // Beats keep it from lasting.
            self.tree.turn(Patience::Wait, None)?;
            let printed = self.tree.driver().printed();
            if !printed.is_empty() {
                return Err(Failure::Runtime(
                    String::from_utf8_lossy(printed).trim_end().to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// That of all processes of each group.
    fn cpu_times(&self) -> Result<Vec<Vec<Duration>>, Failure> {
        let times = |pids: &[Pid]| pids.iter().map(|pid| cpu_time(*pid)).collect();
        self.groups.iter().map(|(_, pids)| times(pids)).collect()
    }
}
