//! Questions whether nodes live, and deadlines.

use std::time::Duration;

use super::answers::{ALREADY_EXISTS, UNAVAILABLE, Why};
use super::board::Board;
use super::probes::Probe;
use super::reply::Reply;
use super::task::{Creation, Removal, Task, Work};
use crate::children::{END_GRACE, END_GRACE_STEP};
use crate::time::earliest;
use crate::wire::{self, Kind, Status};
use crate::{Life, NodeId, RequestId, Time};

impl Board {
    /// Notes that a request is under way.
    pub(super) fn sent(&mut self, now: Time, request: RequestId) {
        if let Some(task) = self.replies.task_mut(request) {
            task.sent = Some(now);
            self.wake_by(now + self.timeout / 2);
        }
    }

    /// Asks a node whether it lives on behalf of a command. An answer to an earlier question would
    /// not do: the node may have died since it gave it.
    pub(super) fn ask(&mut self, now: Time, node: NodeId, request: RequestId) {
        self.sent(now, request);
        self.send_probe(node, Some(request));
    }

    /// Asks a node whether it lives, unless that is being asked already.
    pub(super) fn probe(&mut self, node: NodeId) {
        if self.tree.life(node).is_some_and(|life| !self.probes.is_asked(life)) {
            self.send_probe(node, None);
        }
    }

    fn send_probe(&mut self, node: NodeId, asker: Option<RequestId>) {
        let Some(life) = self.tree.life(node) else { return };
        let request = self.replies.detached();
        self.probes.add(request, Probe { life, asker });
        self.outbox.post(Kind::Ping, life, request, Vec::new());
    }

    pub(super) fn probe_answered(
        &mut self,
        now: Time,
        Probe { life, asker }: Probe,
        status: Status,
    ) {
        let lives = status == Status::Ok;
        if lives {
            self.lives(now, life, None);
        }
        let Some(request) = asker else { return };
        match self.replies.task(request).map(|task| &task.work) {
            Some(Work::Ping { .. }) => {
                self.replies.answer(request, if lives { Reply::Ok("1") } else { Reply::Ok("0") });
            }
            Some(Work::Create { stage: Creation::Asking, .. }) => {
                if lives {
                    self.create_failed(request, ALREADY_EXISTS);
                } else {
                    self.resume_create(request);
                }
            }
            Some(Work::Remove { stage: Removal::Asking, .. }) => {
                if lives {
                    self.end_node(now, request, life);
                } else {
                    self.removal_failed(request, UNAVAILABLE);
                }
            }
            _ => {}
        }
    }

    /// Has a node ended by its parent, now that it has shown that it can be reached.
    fn end_node(&mut self, now: Time, request: RequestId, life: Life) {
        let Some(Task { work: Work::Remove { stage, .. }, .. }) = self.replies.task_mut(request)
        else {
            return;
        };
        *stage = Removal::Ending;
        let to = self.tree.parent(life.node);
        let body = wire::body(&(life, self.end_grace(life.node)));
        self.outbox.post(Kind::Remove, to, request, body);
        self.wake_by(now + self.timeout / 2);
    }

    /// How long the process of a node has to end when it is asked to.
    pub(super) fn end_grace(&self, node: NodeId) -> Duration {
        END_GRACE + END_GRACE_STEP * self.tree.height(node)
    }

    /// Notes that [`Board::timeout`] has something to do at `at`.
    pub(super) fn wake_by(&mut self, at: Time) {
        self.wake = earliest(self.wake, Some(at));
    }

    /// When [`Board::timeout`] has something to do; may be earlier than there is need.
    pub(super) fn deadline(&self) -> Option<Time> {
        earliest(self.wake, self.windows.deadline())
    }

    /// Does what is due: asks after nodes that have not answered for half of the deadline, gives up
    /// at the deadline, and loses patience with those whose windows stay full.
    pub(super) fn timeout(&mut self, now: Time) {
        if self.intake.has_offers() {
            // Who has offered its answer answers nothing else before that is taken.
            self.windows.be_patient(now);
        }
        self.windows.timeout(now, &mut self.turns);
        if self.wake.is_none_or(|wake| now < wake) {
            return;
        }
        self.wake = None;
        let tasks = self.replies.tasks();
        let mut waiting: Vec<_> =
            tasks.filter_map(|(request, task)| Some((request, task.sent?, task.asked()))).collect();
        waiting.sort_unstable();
        for (request, sent, asked) in waiting {
            self.check(now, request, sent, asked);
        }
    }

    fn check(&mut self, now: Time, request: RequestId, sent: Time, asked: Option<NodeId>) {
        if self.intake.is_offered(request) {
            // It has answered, and waits for the control node.
            return;
        }
        let (half, end) = (sent + self.timeout / 2, sent + self.timeout);
        // The control node itself lives, or nobody would ask.
        let heard = asked.and_then(|node| self.tree.record(node)).map_or(now, |node| node.heard);
        if now >= end {
            self.give_up(request, if heard >= half { Why::Slow } else { Why::Silent });
            return;
        }
        if now >= half
            && heard < half
            && let Some(node) = asked
        {
            self.probe(node);
        }
        self.wake_by(if now >= half { end } else { half });
    }
}
