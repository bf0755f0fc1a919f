//! What must hold when the faults are over: the tree is whole, and ends as it should.

use std::collections::{BTreeMap, BTreeSet};

use hoptree_core::{Exit, NodeId};

use crate::checks::{Command, MARK};
use crate::network::{Event, MS, Moment, name};
use crate::process::{CONTROL, Pid};
use crate::story::Story;

/// Ids that no story uses.
const FRESH: std::ops::Range<u32> = 1_000_000..1_000_010;

/// How many nodes are removed in the end.
const REMOVALS: usize = 5;

/// After what time all that happens in peace is over.
const SETTLED: Moment = 500 * MS;

/// For how long a node that is to give up reaches nobody.
const DESERTED: Moment = 2_500 * MS;

/// Where a node says that it is.
#[derive(Clone, Copy, Debug)]
struct Place {
    parent: NodeId,
    depth: u32,
    children: usize,
    below: usize,
}

/// Every living node answers, and nobody else is said to live.
pub fn on_the_tree(story: &mut Story) {
    story.checks().check_all_runs();
    let Some(living) = one_process_each(story) else { return };
    pings(story, &living);
    notices(story, &living);
    suspension(story, &living);
    scarcity(story, &living);
    silence(story, &living);
    tasks(story, &living);
    folds(story, &living);
    let places = places(story, &living);
    shape(story, &places);
    creations(story, &living);
    removals(story);
    desertion(story);
}

/// The processes of the nodes. No two are of one node, or an old life has been left behind.
fn one_process_each(story: &mut Story) -> Option<BTreeMap<NodeId, Pid>> {
    let mut living = BTreeMap::new();
    for pid in story.network.living.clone() {
        let node = story.network.processes[pid].life.node;
        if let Some(other) = living.insert(node, pid) {
            let names = [pid, other].map(|pid| name(&story.network.processes[pid]));
            story.checks().fail(format!("both {} and {} live on", names[0], names[1]));
            return None;
        }
    }
    Some(living)
}

/// Every node that there ever was.
fn everybody(story: &Story) -> BTreeSet<NodeId> {
    let processes = story.network.processes[1..].iter().filter(|process| !process.is_impostor);
    processes.map(|process| process.life.node).collect()
}

fn pings(story: &mut Story, living: &BTreeMap<NodeId, Pid>) {
    let lines: Vec<_> = everybody(story).iter().map(|node| format!("ping {node}")).collect();
    for (command, answer) in story.ask(lines) {
        let Command::Ping(node) = command else { continue };
        if (answer == "Ok: 1") != living.contains_key(&node) {
            let lives = living.contains_key(&node);
            story
                .checks()
                .fail(format!("ping {node} says '{answer}', but that it lives is {lives}"));
        }
    }
}

/// What the console has said last of each node is so.
fn notices(story: &mut Story, living: &BTreeMap<NodeId, Pid>) {
    for node in everybody(story) {
        if story.checks().is_reported(node) && living.contains_key(&node) {
            // A new life is never reported as available again.
            let lives = story.network.processes.iter().filter(|process| process.life.node == node);
            if lives.count() == 1 {
                story.checks().fail(format!("node {node} lives, and was last said to be gone"));
            }
        }
    }
}

/// All are stopped, as by a key at the console, and go on: nobody takes that for others' silence.
fn suspension(story: &mut Story, living: &BTreeMap<NodeId, Pid>) {
    if story.beat.is_none() {
        return;
    }
    let before = places(story, living);
    let notices = story.checks().counts.notices;
    let time = story.network.random.between(500, 2_000) * MS;
    for pid in [CONTROL].into_iter().chain(living.values().copied()) {
        story.network.stop(pid);
        let late = story.network.random.below(3 * MS);
        story.network.plan_in(time + late, pid, Event::GoOn);
    }
    story.network.run_for(time + SETTLED);
    if story.checks().counts.notices != notices {
        story.checks().fail("a notice when all were stopped, and went on".to_owned());
    }
    for (node, after) in places(story, living) {
        if before.get(&node).is_some_and(|before| before.parent != after.parent) {
            story.checks().fail(format!("node {node} has moved when all were stopped"));
        }
    }
}

/// Everybody gets the processor for a fifth of the time only, each at another moment, as under a
/// quota: that is longer away than the patience of neighbours, and nobody takes it for silence.
fn scarcity(story: &mut Story, living: &BTreeMap<NodeId, Pid>) {
    const PERIOD: Moment = 100 * MS;
    const SHARE: Moment = 20 * MS;
    const PERIODS: u64 = 20;
    let Some(beat) = story.beat else { return };
    let before = places(story, living);
    let short_beat = story.network.random.between(10, 20);
    story.ask([format!("heartbeat {short_beat}")]);
    let notices = story.checks().counts.notices;
    for pid in [CONTROL].into_iter().chain(living.values().copied()) {
        let mut at = story.network.random.below(PERIOD);
        for _ in 0..PERIODS {
            story.network.plan_in(at, pid, Event::Preempt);
            story.network.plan_in(at + PERIOD - SHARE, pid, Event::Schedule);
            at += PERIOD;
        }
    }
    story.network.run_for((PERIODS + 1) * PERIOD + SETTLED);
    if story.checks().counts.notices != notices {
        story.checks().fail("a notice when all had little of the processor".to_owned());
    }
    for (node, after) in places(story, living) {
        if before.get(&node).is_some_and(|before| before.parent != after.parent) {
            story.checks().fail(format!("node {node} has moved for want of the processor"));
        }
    }
    story.ask([format!("heartbeat {beat}")]);
    story.network.run_for(SETTLED);
}

/// A node that is stopped is told of when it has shown nothing for four beats, the last of which may
/// have come a beat ago, and is told of again when it goes on.
fn silence(story: &mut Story, living: &BTreeMap<NodeId, Pid>) {
    let Some(beat) = story.beat.map(|beat| beat * MS) else { return };
    let nodes: Vec<_> = living.iter().map(|(node, pid)| (*node, *pid)).collect();
    let Some((node, pid)) = story.network.random.pick(&nodes).copied() else { return };
    if story.checks().is_reported(node) {
        // That was an earlier life.
        return;
    }
    story.network.stop(pid);
    story.network.run_for(3 * beat - MS);
    let is_early = story.checks().is_reported(node);
    story.network.run_for(beat + 11 * MS);
    let is_told = story.checks().is_reported(node);
    story.network.go_on(pid);
    story.network.run_for(2 * beat + 10 * MS);
    let is_back = !story.checks().is_reported(node);
    if (is_early, is_told, is_back) != (false, true, true) {
        story.checks().fail(format!(
            "node {node} is stopped: told too early {is_early}, in time {is_told}, and of its \
             return {is_back}"
        ));
    }
    story.network.run_for(SETTLED);
}

fn tasks(story: &mut Story, living: &BTreeMap<NodeId, Pid>) {
    let mut lines = Vec::new();
    for node in everybody(story) {
        let task = story.task();
        lines.push(format!("exec {node} do {task} 0"));
    }
    for (command, answer) in story.ask(lines) {
        let Command::Task { node, .. } = command else { continue };
        if answer.starts_with("Ok:") != living.contains_key(&node) {
            story.checks().fail(format!("{command:?} of a node in peace says '{answer}'"));
        }
    }
    story.task_on_all();
    let answers = story.ask([]);
    let count = answers.iter().filter(|(_, answer)| answer.starts_with("Ok:")).count();
    if count != living.len() {
        let all = living.len();
        story.checks().fail(format!("{count} of {all} living nodes answer a command for all"));
    }
}

/// Equal answers of all are one group.
fn folds(story: &mut Story, living: &BTreeMap<NodeId, Pid>) {
    for bytes in [100, 60_000, 70_000] {
        let task = story.task();
        let answers = story.ask([format!("exec --fold * same {task} 1 {bytes}"), MARK.to_owned()]);
        let answered = answers.iter().filter(|(_, answer)| answer.starts_with("Ok:")).count();
        let (groups, all) = (std::mem::take(&mut story.checks().groups), living.len());
        // Those that do not live are another one.
        let is_one = all == 0 || groups.contains(&all);
        if answered != all || groups.len() > 2 || !is_one {
            story.checks().fail(format!("{all} nodes in peace are folded to {groups:?}"));
        }
    }
}

fn places(story: &mut Story, living: &BTreeMap<NodeId, Pid>) -> BTreeMap<NodeId, Place> {
    let lines: Vec<_> = living.keys().map(|node| format!("exec {node} where")).collect();
    let mut places = BTreeMap::new();
    for (command, answer) in story.ask(lines) {
        let Command::Where(node) = command else { continue };
        match place(&answer) {
            Some(place) => drop(places.insert(node, place)),
            None => story.checks().fail(format!("node {node} does not know its place: {answer}")),
        }
    }
    places
}

fn place(answer: &str) -> Option<Place> {
    let mut words = answer.strip_prefix("Ok:")?.split(' ').skip(1);
    let parent = words.next()?;
    let parent = match parent {
        "-1" => NodeId::CONTROL,
        id => crate::checks::node_called(id)?,
    };
    let mut number = || words.next()?.parse().ok();
    let (depth, children, below): (u32, u32, u32) = (number()?, number()?, number()?);
    Some(Place { parent, depth, children: children as usize, below: below as usize })
}

/// What the nodes say of their places is one tree.
fn shape(story: &mut Story, places: &BTreeMap<NodeId, Place>) {
    let mut children: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut below: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (node, place) in places {
        *children.entry(place.parent).or_default() += 1;
        let (mut above, mut depth) = (place.parent, 1);
        while !above.is_control() {
            *below.entry(above).or_default() += 1;
            let Some(next) = places.get(&above) else {
                return story.checks().fail(format!("{above}, above node {node}, is not there"));
            };
            (above, depth) = (next.parent, depth + 1);
            if depth > places.len() + 1 {
                return story.checks().fail(format!("node {node} is in a circle"));
            }
        }
        if depth != place.depth as usize {
            story.checks().fail(format!("node {node} at depth {depth} says {place:?}"));
        }
    }
    for (node, place) in places {
        let count = |of: &BTreeMap<NodeId, usize>| of.get(node).copied().unwrap_or_default();
        let right = (count(&children), count(&below));
        if (place.children, place.below) != right {
            story.checks().fail(format!("node {node} says {place:?}, but that is {right:?}"));
        }
    }
}

/// New nodes can be created everywhere.
fn creations(story: &mut Story, living: &BTreeMap<NodeId, Pid>) {
    let parents: Vec<_> = living.keys().copied().collect();
    let mut lines = Vec::new();
    for node in FRESH {
        let parent = story.network.random.pick(&parents).copied().unwrap_or(NodeId::CONTROL);
        lines.push(format!("create {node} {parent}"));
    }
    for (command, answer) in story.ask(lines) {
        if !answer.starts_with("Ok: ") {
            story.checks().fail(format!("{command:?} fails in peace: {answer}"));
        }
    }
}

/// A removal leaves nobody of its subtree, and everybody else.
fn removals(story: &mut Story) {
    for _ in 0..REMOVALS {
        let Some(living) = one_process_each(story) else { return };
        let places = places(story, &living);
        let nodes: Vec<_> = living.keys().copied().collect();
        let Some(top) = story.network.random.pick(&nodes).copied() else { return };
        for (command, answer) in story.ask([format!("remove {top}")]) {
            if answer != "Ok" {
                story.checks().fail(format!("{command:?} fails in peace: {answer}"));
            }
        }
        for (node, pid) in living {
            let is_below = path(&places, node).any(|above| above == top);
            if story.network.is_alive(pid) == is_below {
                let lives = if is_below { "lives on" } else { "is gone as well" };
                story.checks().fail(format!("{top} is removed, and {node} {lives}"));
            }
        }
    }
}

/// A node that reaches nobody for long ends, and nobody else does.
fn desertion(story: &mut Story) {
    let Some(living) = one_process_each(story) else { return };
    let nodes: Vec<_> = living.values().copied().collect();
    let Some(alone) = story.network.random.pick(&nodes).copied() else { return };
    for link in story.network.processes[alone].links.clone() {
        story.network.cut(link, 0);
    }
    story.network.run_for(0);
    story.network.processes[alone].side = true;
    story.network.part(DESERTED);
    story.network.run_for(DESERTED + SETTLED);
    for (node, pid) in living {
        if story.network.is_alive(pid) == (pid == alone) {
            let ends =
                if pid == alone { "reaches nobody, and lives on" } else { "is gone as well" };
            story.checks().fail(format!("node {node} {ends}"));
        }
    }
}

/// A node and all above it.
fn path(places: &BTreeMap<NodeId, Place>, node: NodeId) -> impl Iterator<Item = NodeId> {
    let above = |node: &NodeId| places.get(node).map(|place| place.parent);
    std::iter::successors(Some(node), above).take(places.len() + 1)
}

/// The end leaves nobody: not by the lifeline alone when it is an orderly one.
pub fn on_the_end(story: &mut Story) {
    if story.network.random.chance(20) {
        story.network.end(CONTROL, Exit::Signal(9));
    } else {
        if story.network.random.chance(20) {
            story.network.interrupt();
        } else {
            story.network.end_input();
        }
        story.network.run_for(3_000 * MS);
        if story.network.is_alive(CONTROL) {
            return story.checks().fail("the control node does not end".to_owned());
        }
        if let Some(pid) = story.network.checks.left_behind.first().copied() {
            let name = name(&story.network.processes[pid]);
            story.checks().fail(format!("{name} is left behind at an orderly end"));
        }
    }
    if !story.network.living.is_empty() {
        story.checks().fail("somebody outlives the control node".to_owned());
    }
}
