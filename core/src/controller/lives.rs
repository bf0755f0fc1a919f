//! What the control node learns of lives: that one joined, fell silent, was lost, or returned.

use super::answers::Why;
use super::board::{Board, Outgoing};
use super::replies::Reply;
use super::task::{Creation, Removal, Task, Work};
use super::tree::State;
use super::windows::Pace;
use crate::wire::{self, Joined, Kind, NO_REQUEST, Status};
use crate::{Change, Life, NodeId, RequestId, Time};

impl Board {
    /// A new life has joined the tree.
    pub(super) fn joined(&mut self, now: Time, request: RequestId, joined: Joined) {
        let Joined { life, pid } = joined;
        let parent = match self.replies.task_mut(request).map(|task| &task.work) {
            Some(Work::Create { parent, stage: Creation::Starting(awaited), .. })
                if *awaited == life =>
            {
                *parent
            }
            _ => return self.joined_late(now, request),
        };
        let charge = self.replies.task_mut(request).and_then(|task| task.charge.take());
        self.settle(now, charge, Status::Ok);
        self.end_earlier_life(life.node);
        self.tree.join(life, parent, now);
        self.create_over(request, life.node, parent);
        self.replies.answer(request, Reply::Ok(&pid.to_string()));
    }

    /// A life has joined that nobody waits for any more.
    fn joined_late(&mut self, now: Time, request: RequestId) {
        let Some(late) = self.late.remove(&request) else { return };
        self.settle(now, late.charge, Status::Ok);
        if let Some((life, parent)) = late.created {
            self.discard(life, parent);
        }
    }

    /// What was below an earlier life of a node ends with it.
    fn end_earlier_life(&mut self, node: NodeId) {
        let Some(earlier) = self.tree.life(node) else { return };
        self.changes.push((node, Change::Ended));
        self.lose_for_good(node);
        let parent = self.tree.record(node).map_or(NodeId::CONTROL, |record| record.parent);
        if self.tree.is_reachable(parent) {
            self.discard(earlier, parent);
        } else {
            self.owed.entry(parent).or_default().push(earlier);
        }
    }

    /// The processes of a node and of all below it are gone, or about to go.
    fn lose_for_good(&mut self, node: NodeId) {
        for node in self.tree.subtree(node) {
            self.owed.remove(&node);
            if let Some(record) = self.tree.record_mut(node) {
                record.state = State::Lost;
            }
        }
    }

    /// Has a life ended that must not speak any more.
    pub(super) fn discard(&mut self, life: Life, parent: NodeId) {
        let body = wire::body(&life);
        self.outbox.push(Outgoing::Message {
            kind: Kind::Discard,
            node: parent,
            request: NO_REQUEST,
            body,
        });
    }

    pub(super) fn life_changed(&mut self, now: Time, kind: Kind, life: Life) {
        let Some(record) = self.tree.life_mut(life) else { return };
        match kind {
            Kind::Lost => {
                self.lose_for_good(life.node);
                self.lose(life.node, Change::Lost);
            }
            Kind::Silent => {
                record.silent = true;
                self.lose(life.node, Change::Silent);
            }
            _ => {
                record.silent = false;
                self.lives(now, life);
                self.ask_those_below(life.node);
            }
        }
    }

    /// A node can't be reached any more, nor can those below it: what is under way to them is
    /// answered.
    fn lose(&mut self, root: NodeId, change: Change) {
        let mut lost = self.tree.subtree(root);
        lost.retain(|node| {
            let record = self.tree.record_mut(*node);
            record.is_some_and(|record| std::mem::take(&mut record.reachable))
        });
        lost.sort_unstable();
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
        self.ready.extend(lost);
    }

    /// Notes that a life has shown a sign of itself.
    pub(super) fn lives(&mut self, now: Time, life: Life) {
        let Some(record) = self.tree.life_mut(life) else { return };
        record.heard = now;
        record.pace = Pace::Fine;
        if !record.reachable {
            self.prove(now, life.node);
        }
    }

    /// A node has answered though it counted as unreachable: it, and all above it, can be reached.
    fn prove(&mut self, now: Time, node: NodeId) {
        let mut path: Vec<_> = self.tree.ancestors(node).collect();
        path.insert(0, node);
        let stands = |node: &NodeId| {
            self.tree
                .record(*node)
                .is_some_and(|record| record.state == State::Up && !record.silent)
        };
        if path.iter().all(stands) {
            for node in path.into_iter().rev() {
                self.returned(now, node);
            }
        }
    }

    fn returned(&mut self, now: Time, node: NodeId) {
        let Some(record) = self.tree.record_mut(node) else { return };
        if std::mem::replace(&mut record.reachable, true) {
            return;
        }
        record.heard = now;
        self.changes.push((node, Change::Returned));
        for life in self.owed.remove(&node).unwrap_or_default() {
            self.discard(life, node);
        }
    }

    /// Asks the nodes below one that has come back whether they are still there.
    fn ask_those_below(&mut self, node: NodeId) {
        if !self.tree.is_reachable(node) {
            return;
        }
        for node in self.tree.subtree(node) {
            let Some(record) = self.tree.record(node) else { continue };
            if !record.reachable && record.state == State::Up && !record.silent {
                self.probe(node);
            }
        }
    }
}
