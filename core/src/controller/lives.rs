//! What the control node learns of lives: that one joined, fell silent, was lost, or returned.

use super::answers::Why;
use super::board::Board;
use super::reply::Reply;
use super::task::{Creation, Removal, Task, Work};
use super::tree::Move;
use crate::wire::{self, Joined, Kind, NO_REQUEST, Status};
use crate::{Change, Exit, Life, LinkId, NodeId, Place, Proved, RequestId, Time};

impl Board {
    /// A new life has joined the tree.
    pub(super) fn joined(&mut self, now: Time, request: RequestId, joined: Joined) {
        let Joined { at: Proved { place, .. }, pid } = joined;
        let life = place.life;
        let parent = match self.replies.task(request).map(|task| &task.work) {
            Some(Work::Create {
                parent, stage: Creation::Starting { life: awaited, .. }, ..
            }) if *awaited == life => *parent,
            _ => return self.joined_late(now, request, place),
        };
        let charge = self.replies.task_mut(request).and_then(|task| task.charge.take());
        self.settle(now, charge, Status::Ok);
        self.end_earlier_life(life.node);
        self.tree.join(place, pid, now);
        self.create_over(request, life.node, parent);
        self.replies.answer(request, Reply::Ok(&pid.to_string()));
    }

    /// A life has joined that nobody waits for any more. Its create may be long forgotten: when the
    /// way to its parent broke, that was answered for it, and is made again by the parent itself.
    fn joined_late(&mut self, now: Time, request: RequestId, place: Place) {
        if let Some(leftover) = self.abandoned.take(request) {
            self.settle(now, leftover.charge, Status::Ok);
        }
        self.discard(place.life, place.parent);
    }

    /// An earlier life of a node is not wanted any more. What is below it finds another parent.
    fn end_earlier_life(&mut self, node: NodeId) {
        let Some(earlier) = self.tree.life(node) else { return };
        self.changes.push((node, Change::Ended));
        self.owed.remove(&earlier);
        let parent = self.tree.parent(node);
        if self.tree.is_reachable(parent.node) {
            self.discard(earlier, parent);
        } else {
            self.owed.entry(parent).or_default().push(earlier);
        }
    }

    /// Has a life ended that must not speak any more.
    pub(super) fn discard(&mut self, life: Life, parent: Life) {
        let body = wire::body(&life);
        self.outbox.post(Kind::Discard, parent, NO_REQUEST, body);
    }

    /// A link of a life, or what is heard on it, has changed. News of a place that it has left since
    /// is no news.
    pub(super) fn life_changed(&mut self, now: Time, kind: Kind, place: Place) {
        let life = place.life;
        if !self.tree.is_at(place) {
            return;
        }
        match kind {
            Kind::Lost => self.lost(now, life.node),
            Kind::Silent => {
                self.tree.set_silent(life, true);
                self.lose(now, life.node, Change::Silent);
            }
            _ => {
                self.tree.set_silent(life, false);
                self.lives(now, life, None);
                self.ask_those_below(life.node);
            }
        }
    }

    /// Lives hang at other places than before, and all below them with them. A life that is not the
    /// latest of its node, or whose node was removed, is ended.
    pub(super) fn moved(&mut self, now: Time, places: impl IntoIterator<Item = Place>) {
        let mut there = Vec::new();
        for place in places {
            match self.tree.judge(place) {
                Move::Unknown => {
                    log::info!("{} is an old life, and is to end", place.life);
                    self.discard(place.life, place.parent);
                    continue;
                }
                Move::Outdated => continue,
                // What is under way on the old way there will not come back.
                Move::New => self.lose(now, place.life.node, Change::Lost),
                Move::Known => {}
            }
            self.tree.hang(place, now);
            there.push(place.life);
        }
        for life in there {
            if self.tree.set_silent(life, false) {
                // Its parent says so once more if it still is, but not once more that it is not.
                self.probe(life.node);
            } else {
                self.lives(now, life, None);
            }
        }
    }

    /// The link to a node is gone.
    pub(super) fn lost(&mut self, now: Time, node: NodeId) {
        if self.tree.lost(node, now) {
            self.lose(now, node, Change::Lost);
        }
    }

    /// A process has ended whose parent is gone: that of a node, perhaps.
    pub(super) fn orphan_ended(&mut self, pid: u32, exit: Exit) {
        self.tree.ended(pid, exit);
    }

    /// The process of a life has ended.
    pub(super) fn ended(&mut self, life: Life, exit: Exit) {
        self.tree.exited(life, exit);
    }

    /// A node can't be reached any more, nor can those below it: what is under way to them is
    /// answered.
    fn lose(&mut self, now: Time, root: NodeId, change: Change) {
        let mut lost = self.tree.subtree(root);
        lost.sort_unstable();
        self.probes.forget(&lost);
        self.tree.cut_off(&mut lost, now);
        for node in &lost {
            self.changes.push((*node, if *node == root { change } else { Change::Lost }));
        }
        let concerned = |task: &Task| match task.work {
            Work::Remove { node, stage: Removal::Ending } => {
                let parent = self.tree.record(node).map(|record| record.parent);
                parent.is_some_and(|parent| lost.binary_search(&parent).is_ok())
            }
            _ => task.asked().is_some_and(|node| lost.binary_search(&node).is_ok()),
        };
        let tasks = self.replies.tasks().filter(|(_, task)| task.sent.is_some() && concerned(task));
        let mut requests: Vec<_> = tasks.map(|(request, _)| request).collect();
        requests.sort_unstable();
        for request in requests {
            self.give_up(request, Why::Lost);
        }
        self.turns.extend(lost);
    }

    /// Notes that a life has shown a sign of itself, on this link of the control node if that is known.
    pub(super) fn lives(&mut self, now: Time, life: Life, link: Option<LinkId>) {
        self.windows.heard(now, life, link);
        for returned in self.tree.heard(life, now) {
            self.changes.push((returned.node, Change::Returned));
            for earlier in self.owed.remove(&returned).unwrap_or_default() {
                self.discard(earlier, returned);
            }
        }
    }

    /// Asks the nodes below one that has come back whether they are still there.
    fn ask_those_below(&mut self, node: NodeId) {
        if self.tree.is_reachable(node) {
            for node in self.tree.unproven(node) {
                self.probe(node);
            }
        }
    }
}
