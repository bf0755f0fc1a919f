//! How commands end: with an answer, without one, or by the loss of who was to give it.

use super::abandoned::Leftover;
use super::board::Board;
use super::gather::TOO_LONG;
use super::intake::{Offer, Pieces};
use super::reply::Reply;
use super::task::{Creation, Removal, Task, Work};
use super::windows::Charge;
use crate::wire::{self, Allowance, Kind, Message, Status};
use crate::{Change, Life, NodeId, RequestId, Time, VALUE_BYTES_MAX};

/// What is printed when a node exists already that a command wants to create.
pub(crate) const ALREADY_EXISTS: &str = "Already exists";

/// What is printed when a node can't be reached that a command wants to remove.
pub(crate) const UNAVAILABLE: &str = "Node is unavailable";

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its node, or the way there, is gone.
    Lost,
    /// Its node shows no sign of life until the deadline.
    Silent,
    /// Its node lives, but the deadline has come.
    Slow,
}

impl Board {
    pub(super) fn answer_piece(&mut self, now: Time, message: &Message<'_>) {
        let (request, flags) = (message.request, message.flags);
        if flags.is_whole() {
            // A way that broke cuts an answer off; what came of it is worth nothing.
            self.intake.forget_pieces(request);
            if message.body.len() > self.answer_bytes_max(request) {
                return self.too_long(now, request);
            }
            return self.answered(now, request, flags.status(), message.body);
        }
        let Some(task) = self.replies.task_mut(request) else {
            // Nobody waits for it any more, but its end gives back what it took of the windows.
            if flags.is_last() {
                self.answered(now, request, flags.status(), &[]);
            }
            return;
        };
        // As long as it is coming it is not late.
        task.sent = Some(now);
        if let Some(Charge { target, link, .. }) = &task.charge {
            let (target, link) = (*target, *link);
            self.lives(now, target, Some(link));
        }
        let bytes_max = self.answer_bytes_max(request);
        match self.intake.piece(request, flags, message.body, bytes_max) {
            Pieces::Partial => {}
            Pieces::Whole(body) => self.answered(now, request, flags.status(), &body),
            Pieces::TooLong => self.too_long(now, request),
        }
    }

    /// How long the answer to a request may be, in bytes: what it may have unasked, or what was taken.
    fn answer_bytes_max(&self, request: RequestId) -> usize {
        let charge = self.replies.task(request).and_then(|task| task.charge.as_ref());
        let allowance = charge.and_then(|charge| charge.allowance).unwrap_or(Allowance::Large);
        allowance.bytes().max(self.intake.taken(request))
    }

    /// An answer is longer than it may be, which would fill the memory. Its rest is worth nothing.
    fn too_long(&mut self, now: Time, request: RequestId) {
        self.answered(now, request, Status::Failed, b"the answer is longer than its node may send");
    }

    /// A node has a long answer for whoever asked for it.
    pub(super) fn offered(&mut self, message: &Message<'_>, bytes: u64) {
        let (life, request) = (message.life, message.request);
        let Some(task) = self.replies.task_mut(request) else {
            return self.take(life, request, false);
        };
        let bytes =
            usize::try_from(bytes).map_or(VALUE_BYTES_MAX, |bytes| bytes.min(VALUE_BYTES_MAX));
        if task.charge.is_some() {
            self.intake.offer(request, Offer { life, bytes });
        }
    }

    /// Takes in the long answers that there is room for.
    pub(super) fn take_offers(&mut self, now: Time) {
        while self.intake.has_offers() {
            let replies = &self.replies;
            let next = self.intake.take_next(|| replies.first_awaited(), replies.held_bytes());
            let Some((request, offer)) = next else { return };
            if self.replies.has_room_for(request, offer.bytes) {
                self.take(offer.life, request, true);
                self.sent(now, request);
            } else {
                self.decline(request);
            }
        }
    }

    fn take(&mut self, from: Life, request: RequestId, is_wanted: bool) {
        let body = wire::body(&is_wanted);
        self.outbox.post(Kind::Take, from, request, body);
    }

    /// An answer is too long together with those of other nodes for a module.
    fn decline(&mut self, request: RequestId) {
        let Some(task) = self.replies.task_mut(request) else { return };
        let (Work::Part { node, .. }, charge) = (&task.work, task.charge.take()) else { return };
        let node = *node;
        if let Some(charge) = charge {
            self.take(charge.target, request, false);
            self.abandon(request, Leftover { charge: Some(charge), removed: None });
        }
        self.replies.answer(request, Reply::ErrorOf(node, TOO_LONG));
    }

    /// Keeps what is left of a request that is not waited for any more.
    fn abandon(&mut self, request: RequestId, mut leftover: Leftover) {
        self.intake.forget(request);
        if let Some(charge) = &mut leftover.charge {
            if let Some(allowance) = charge.allowance.take() {
                self.intake.give_back(allowance);
            }
            self.windows.give_up(charge, &mut self.turns);
        }
        self.abandoned.keep(request, leftover);
    }

    fn answered(&mut self, now: Time, request: RequestId, status: Status, body: &[u8]) {
        if let Some(probe) = self.probes.answered(request) {
            return self.probe_answered(now, probe, status);
        }
        let Some(task) = self.replies.task_mut(request) else {
            return self.late_answer(now, request, status);
        };
        let charge = task.charge.take();
        self.intake.forget(request);
        self.settle(now, charge, status);
        // Only an honest node sends nothing else.
        let text = String::from_utf8_lossy(body);
        match self.replies.task(request).map(|task| &task.work) {
            Some(Work::Exec { node, .. } | Work::Part { node, .. }) => {
                let node = *node;
                let reply = match status {
                    Status::Ok => Reply::OkOf(node, text.as_bytes()),
                    Status::Failed => Reply::ErrorOf(node, text.as_bytes()),
                    Status::Unavailable => Reply::UnavailableOf(node),
                };
                self.replies.answer(request, reply);
            }
            Some(Work::Create { .. }) => match status {
                Status::Unavailable => self.create_failed(request, "Parent is unavailable"),
                _ => self.create_failed(request, &text),
            },
            Some(Work::Remove { node, .. }) => {
                let node = *node;
                match status {
                    Status::Ok => {
                        self.removed(request, node);
                        self.replies.answer(request, Reply::Ok(""));
                    }
                    Status::Failed => {
                        let text = self.left_behind(now, node, &text);
                        self.removal_failed(request, &text);
                    }
                    Status::Unavailable => self.removal_failed(request, UNAVAILABLE),
                }
            }
            Some(Work::Ping { .. } | Work::Verb | Work::Many(_)) | None => {}
        }
    }

    /// Gives back what a request took of the windows, and learns from its answer.
    pub(super) fn settle(&mut self, now: Time, charge: Option<Charge>, status: Status) {
        let Some(charge) = charge else { return };
        let (target, link) = (charge.target, charge.link);
        if let Some(allowance) = charge.allowance {
            self.intake.give_back(allowance);
        }
        self.windows.settle(charge, &mut self.turns);
        if status != Status::Unavailable {
            self.lives(now, target, Some(link));
        }
    }

    fn late_answer(&mut self, now: Time, request: RequestId, status: Status) {
        let Leftover { charge, removed } = self.abandoned.answered(request);
        self.settle(now, charge, status);
        let removed = removed.filter(|life| self.tree.life(life.node) == Some(*life));
        match (removed, status) {
            (Some(life), Status::Ok) => self.removed(request, life.node),
            (Some(life), Status::Failed) => drop(self.left_behind(now, life.node, "")),
            _ => {}
        }
    }

    /// Answers a request whose node does not.
    pub(super) fn give_up(&mut self, request: RequestId, why: Why) {
        let no_answer = format!("No answer within {} ms", self.timeout.as_millis());
        let Some(task) = self.replies.task_mut(request) else { return };
        let mut leftover = Leftover { charge: task.charge.take(), removed: None };
        self.intake.forget_pieces(request);
        match task.work {
            Work::Exec { node, .. } | Work::Part { node, .. } => {
                let reply = match why {
                    Why::Slow => Reply::LateOf(node, self.timeout),
                    Why::Lost | Why::Silent => Reply::UnavailableOf(node),
                };
                self.replies.answer(request, reply);
            }
            Work::Ping { .. } => {
                self.replies.answer(request, Reply::Ok("0"));
            }
            Work::Create { stage: Creation::Asking, .. } => {
                if why == Why::Lost {
                    self.resume_create(request);
                } else {
                    self.create_failed(request, ALREADY_EXISTS);
                }
            }
            Work::Create { stage, .. } => {
                if let Creation::Starting { life, parent } = stage {
                    self.discard(life, parent);
                }
                let text = if why == Why::Slow { &no_answer } else { "Parent is unavailable" };
                self.create_failed(request, text);
            }
            Work::Remove { node, stage } => {
                leftover.removed = self.tree.life(node).filter(|_| stage == Removal::Ending);
                self.removal_failed(request, UNAVAILABLE);
            }
            Work::Verb | Work::Many(_) => {
                self.replies.answer(request, Reply::Error(&no_answer));
            }
        }
        self.abandon(request, leftover);
    }

    pub(super) fn create_failed(&mut self, request: RequestId, text: &str) {
        if let Some(task) = self.replies.answer(request, Reply::Error(text))
            && let Work::Create { node, parent, .. } = task.work
        {
            self.create_over(request, node, parent);
        }
    }

    /// The node that seemed to exist is gone, so its id may have a new life after all.
    pub(super) fn resume_create(&mut self, request: RequestId) {
        let Some(Task { work: Work::Create { node, parent, stage, .. }, sent, .. }) =
            self.replies.task_mut(request)
        else {
            return;
        };
        (*stage, *sent) = (Creation::Cleared, None);
        let (node, parent) = (*node, *parent);
        self.turns.release(request, [node]);
        for node in [node, parent] {
            if self.tree.record(node).is_some() {
                self.turns.enqueue(node, request);
            }
        }
    }

    /// A create has been answered; what waited for it may go on.
    pub(super) fn create_over(&mut self, request: RequestId, node: NodeId, parent: NodeId) {
        self.turns.expect_no_more(parent, request);
        self.turns.release(request, [node, parent]);
    }

    pub(super) fn removal_failed(&mut self, request: RequestId, text: &str) {
        if self.replies.answer(request, Reply::Error(text)).is_some() {
            let nodes = self.concerned_by(request);
            self.turns.release(request, nodes);
        }
    }

    /// The process of a node was to end and has not, for the reason in `why`: its link is gone all the
    /// same. Says so to the user.
    fn left_behind(&mut self, now: Time, node: NodeId, why: &str) -> String {
        let pid = self.tree.record(node).map_or(0, |record| record.pid);
        self.lost(now, node);
        format!("node {node}, process {pid}, {why}")
    }

    /// Frees the ids of a node that is known to have ended, and of those below it that are. Who else is
    /// below them, as far as is known, is taken to hang above them until it is heard of.
    pub(super) fn bury(&mut self, node: NodeId) {
        let mut dead = self.tree.subtree(node);
        dead.retain(|node| self.tree.is_dead(*node));
        for node in dead {
            if let Some(life) = self.tree.life(node) {
                self.owed.remove(&life);
            }
            self.tree.bury(node);
            self.forget_if_unused(node);
            self.changes.push((node, Change::Ended));
        }
    }

    /// A node and all below it have ended; their ids are free.
    fn removed(&mut self, request: RequestId, node: NodeId) {
        let nodes = self.concerned_by(request);
        for node in self.tree.subtree(node).into_iter().rev() {
            self.changes.push((node, Change::Ended));
            self.tree.remove(node);
            self.forget_if_unused(node);
        }
        self.turns.release(request, nodes);
    }
}
