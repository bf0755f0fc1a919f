//! What the control node knows, and how it takes in what comes up the tree.
//!
//! The board never sends by itself: what follows from a message is noted in its outbox and in the
//! list of nodes whose queues may move, for the controller to see to.

use std::collections::BTreeSet;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::replies::{Replies, Reply};
use super::task::{Charge, Creation, Removal, Task, Work};
use super::tree::{State, Tree};
use super::windows::{Pace, Window};
use crate::children::{END_GRACE, END_GRACE_STEP};
use crate::time::earliest;
use crate::wire::{self, Joined, Kind, Message, NO_REQUEST, Status};
use crate::{Change, Life, LinkId, NodeId, RequestId, Time};

/// What is printed where a node, or a request's way to it, is gone.
const UNAVAILABLE: &[u8] = b"Node is unavailable";

/// What is printed where a node that is to be created is there.
pub(crate) const ALREADY_EXISTS: &str = "Already exists";

pub(crate) struct Board {
    pub timeout: Duration,
    pub tree: Tree,
    pub replies: Replies,
    /// What is unanswered on each of the control node's links.
    pub links: FxHashMap<LinkId, Window>,
    /// Nodes whose next command waits for room in a window.
    pub blocked: BTreeSet<NodeId>,
    /// Nodes whose queues may have something to do.
    pub ready: Vec<NodeId>,
    /// Messages to be sent.
    pub outbox: Vec<Outgoing>,
    /// What the modules are to be told.
    pub changes: Vec<(NodeId, Change)>,
    /// When [`Board::timeout`] is to look again; may be earlier than there is need.
    pub wake: Option<Time>,
    /// Questions whether a life can be reached that are under way.
    probes: FxHashMap<RequestId, Life>,
    /// Requests that were answered without their nodes. Bounded by the windows.
    late: FxHashMap<RequestId, Late>,
    /// Answers in pieces, of which some are still to come.
    partial: FxHashMap<RequestId, Vec<u8>>,
    /// Lives to be ended once their parents can be reached again.
    owed: FxHashMap<NodeId, Vec<Life>>,
}

/// A message to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub kind: Kind,
    pub node: NodeId,
    pub request: RequestId,
    pub body: Vec<u8>,
}

/// What is left of a request whose command has been answered.
#[derive(Debug)]
struct Late {
    charge: Option<Charge>,
    /// The life that is not wanted any more, and its parent.
    created: Option<(Life, NodeId)>,
    removed: Option<NodeId>,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its node, or the way there, is gone.
    Lost,
    /// Its node shows no sign of life until the deadline.
    Silent,
    /// Its node lives, but the deadline has come.
    Slow,
}

impl Board {
    pub fn new(timeout: Duration, replies: Replies) -> Board {
        Board {
            timeout,
            tree: Tree::default(),
            replies,
            links: FxHashMap::default(),
            blocked: BTreeSet::new(),
            ready: Vec::new(),
            outbox: Vec::new(),
            changes: Vec::new(),
            wake: None,
            probes: FxHashMap::default(),
            late: FxHashMap::default(),
            partial: FxHashMap::default(),
            owed: FxHashMap::default(),
        }
    }

    /// Takes in what came up the tree.
    pub fn message(&mut self, now: Time, message: Message<'_>) {
        match message.kind {
            Kind::Answer => self.answer_piece(now, &message),
            Kind::Joined => match message.decode::<Joined>() {
                Some(joined) => self.joined(now, message.request, joined),
                None => log::error!("a malformed message about a node that joined"),
            },
            Kind::Lost | Kind::Silent | Kind::Heard => match message.decode::<Life>() {
                Some(life) => self.life_changed(now, message.kind, life),
                None => log::error!("a malformed message about a change of the tree"),
            },
            // Only relays keep ways by node; the tree is told of losses by life.
            Kind::Forget => {}
            kind => log::error!("{kind:?} can't come up the tree"),
        }
    }

    fn answer_piece(&mut self, now: Time, message: &Message<'_>) {
        let (request, flags) = (message.request, message.flags);
        if flags.is_whole() {
            // A way that broke cuts an answer off; what came of it is worth nothing.
            self.partial.remove(&request);
            return self.answered(now, request, flags.status(), message.body);
        }
        if flags.is_first() {
            self.partial.insert(request, Vec::new());
        }
        let Some(body) = self.partial.get_mut(&request) else { return };
        body.extend_from_slice(message.body);
        if flags.is_last() {
            let body = self.partial.remove(&request).expect("it was there a moment ago");
            self.answered(now, request, flags.status(), &body);
        }
    }

    fn answered(&mut self, now: Time, request: RequestId, status: Status, body: &[u8]) {
        if let Some(life) = self.probes.remove(&request) {
            return self.probe_answered(now, life, status);
        }
        let Some(task) = self.replies.task_mut(request) else {
            return self.late_answer(now, request, status);
        };
        let charge = task.charge.take();
        self.settle(now, charge, status);
        match self.replies.task(request).map(|task| &task.work) {
            Some(Work::Exec { node, .. }) => {
                let node = *node;
                let reply = match status {
                    Status::Ok => Reply::OkOf(node, body),
                    Status::Failed => Reply::ErrorOf(node, body),
                    Status::Unavailable => Reply::ErrorOf(node, UNAVAILABLE),
                };
                self.replies.answer(request, reply);
            }
            Some(Work::Create { .. }) => match status {
                Status::Unavailable => self.create_failed(request, "Parent is unavailable"),
                _ => self.create_failed(request, &String::from_utf8_lossy(body)),
            },
            Some(Work::Remove { node, .. }) => {
                let node = *node;
                if status == Status::Ok {
                    self.removed(request, node);
                    self.replies.answer(request, Reply::Ok(""));
                } else {
                    self.removal_failed(request);
                }
            }
            Some(Work::Ping { .. } | Work::Verb) | None => {}
        }
    }

    /// Gives back what a request took of the windows, and learns from its answer.
    fn settle(&mut self, now: Time, charge: Option<Charge>, status: Status) {
        let Some(Charge { target, link, bytes }) = charge else { return };
        if let Some(window) = self.links.get_mut(&link) {
            window.give_back(bytes);
        }
        if let Some(record) = self.tree.life_mut(target) {
            record.window.give_back(bytes);
        }
        self.ready.extend(&self.blocked);
        if status != Status::Unavailable {
            self.lives(now, target);
        }
    }

    fn late_answer(&mut self, now: Time, request: RequestId, status: Status) {
        let Some(late) = self.late.remove(&request) else {
            return log::debug!("an answer to request {} came too late: dropped", request.0);
        };
        log::debug!("the answer to request {} came late: dropped", request.0);
        self.settle(now, late.charge, status);
        if let (Some(node), Status::Ok) = (late.removed, status) {
            self.removed(request, node);
        }
    }

    /// Notes that a life has shown a sign of itself.
    fn lives(&mut self, now: Time, life: Life) {
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

    /// A new life has joined the tree.
    fn joined(&mut self, now: Time, request: RequestId, joined: Joined) {
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
        for below in self.tree.subtree(node) {
            if let Some(record) = self.tree.record_mut(below) {
                record.state = State::Lost;
            }
        }
        let parent = self.tree.record(node).map_or(NodeId::CONTROL, |record| record.parent);
        if self.tree.is_reachable(parent) {
            self.discard(earlier, parent);
        } else {
            self.owed.entry(parent).or_default().push(earlier);
        }
    }

    /// Has a life ended that must not speak any more.
    fn discard(&mut self, life: Life, parent: NodeId) {
        let body = wire::body(&life);
        self.outbox.push(Outgoing { kind: Kind::Discard, node: parent, request: NO_REQUEST, body });
    }

    fn life_changed(&mut self, now: Time, kind: Kind, life: Life) {
        let Some(record) = self.tree.life_mut(life) else { return };
        match kind {
            Kind::Lost => {
                for node in self.tree.subtree(life.node) {
                    if let Some(record) = self.tree.record_mut(node) {
                        record.state = State::Lost;
                    }
                }
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

    /// Answers a request whose node does not.
    fn give_up(&mut self, request: RequestId, why: Why) {
        let no_answer = format!("No answer within {} ms", self.timeout.as_millis());
        let Some(task) = self.replies.task_mut(request) else { return };
        let mut late = Late { charge: task.charge.take(), created: None, removed: None };
        match task.work {
            Work::Exec { node, .. } => {
                let text = if why == Why::Slow { no_answer.as_bytes() } else { UNAVAILABLE };
                self.replies.answer(request, Reply::ErrorOf(node, text));
            }
            Work::Ping { node } => {
                self.forget_ping(node, request);
                self.replies.answer(request, Reply::Ok("0"));
            }
            Work::Create { node, stage: Creation::Asking, .. } => {
                self.forget_ping(node, request);
                if why == Why::Lost {
                    self.resume_create(request);
                } else {
                    self.create_failed(request, ALREADY_EXISTS);
                }
            }
            Work::Create { parent, stage, .. } => {
                if let Creation::Starting(life) = stage {
                    late.created = Some((life, parent));
                    self.discard(life, parent);
                }
                let text = if why == Why::Slow { &no_answer } else { "Parent is unavailable" };
                self.create_failed(request, text);
            }
            Work::Remove { node, stage } => {
                self.forget_ping(node, request);
                late.removed = (stage == Removal::Ending).then_some(node);
                self.removal_failed(request);
            }
            Work::Verb => {
                self.replies.answer(request, Reply::Error(&no_answer));
            }
        }
        if late.charge.is_some() || late.created.is_some() || late.removed.is_some() {
            self.late.insert(request, late);
        }
    }

    fn forget_ping(&mut self, node: NodeId, request: RequestId) {
        if let Some(record) = self.tree.record_mut(node) {
            record.pings.retain(|other| *other != request);
        }
    }

    /// The node that seemed to exist is gone, so its id may have a new life after all.
    fn resume_create(&mut self, request: RequestId) {
        let Some(Task { work: Work::Create { node, parent, stage }, sent, .. }) =
            self.replies.task_mut(request)
        else {
            return;
        };
        (*stage, *sent) = (Creation::Waiting, None);
        let (node, parent) = (*node, *parent);
        self.release(request, [node]);
        for node in [node, parent] {
            if let Some(record) = self.tree.record_mut(node) {
                record.enqueue(request);
            }
        }
    }

    fn create_failed(&mut self, request: RequestId, text: &str) {
        if let Some(task) = self.replies.answer(request, Reply::Error(text))
            && let Work::Create { node, parent, .. } = task.work
        {
            self.create_over(request, node, parent);
        }
    }

    /// A create has been answered; what waited for it may go on.
    pub fn create_over(&mut self, request: RequestId, node: NodeId, parent: NodeId) {
        if let Some(record) = self.tree.record_mut(parent) {
            record.coming.remove(&request);
        }
        self.release(request, [node, parent]);
    }

    fn removal_failed(&mut self, request: RequestId) {
        let unavailable = Reply::Error("Node is unavailable");
        if let Some(task) = self.replies.answer(request, unavailable)
            && let Work::Remove { node, .. } = task.work
        {
            let nodes = self.tree.subtree_and_coming(node);
            self.release(request, nodes);
        }
    }

    /// A node and all below it have ended; their ids are free.
    fn removed(&mut self, request: RequestId, node: NodeId) {
        let nodes = self.tree.subtree_and_coming(node);
        for node in self.tree.subtree(node).into_iter().rev() {
            self.changes.push((node, Change::Ended));
            self.tree.remove(node);
        }
        self.release(request, nodes);
    }

    /// Ends the hold of a command on nodes; what waited for it may go on.
    pub fn release(&mut self, request: RequestId, nodes: impl IntoIterator<Item = NodeId>) {
        for node in nodes {
            let Some(record) = self.tree.record_mut(node) else { continue };
            if record.held_by == Some(request) {
                record.held_by = None;
            }
            record.queue.retain(|other| *other != request);
            self.ready.push(node);
        }
    }
}

/// Questions whether nodes live, and deadlines.
impl Board {
    /// Asks a node whether it lives on behalf of a command.
    pub fn ask(&mut self, now: Time, node: NodeId, request: RequestId) {
        self.sent(now, request);
        if let Some(record) = self.tree.record_mut(node) {
            record.pings.push(request);
            self.probe(node);
        }
    }

    /// Notes that a request is under way.
    pub fn sent(&mut self, now: Time, request: RequestId) {
        if let Some(task) = self.replies.task_mut(request) {
            task.sent = Some(now);
            self.wake_by(now + self.timeout / 2);
        }
    }

    /// Asks a node whether it lives, unless that is being asked already.
    fn probe(&mut self, node: NodeId) {
        let Some(life) = self.tree.life(node) else { return };
        let Some(record) = self.tree.record_mut(node) else { return };
        if record.probe.is_none() {
            let request = self.replies.detached();
            record.probe = Some(request);
            self.probes.insert(request, life);
            self.outbox.push(Outgoing { kind: Kind::Ping, node, request, body: Vec::new() });
        }
    }

    fn probe_answered(&mut self, now: Time, life: Life, status: Status) {
        let lives = status == Status::Ok;
        let Some(record) = self.tree.life_mut(life) else { return };
        record.probe = None;
        let pings = std::mem::take(&mut record.pings);
        if lives {
            self.lives(now, life);
        }
        for request in pings {
            match self.replies.task(request).map(|task| &task.work) {
                Some(Work::Ping { .. }) => {
                    let reply = if lives { Reply::Ok("1") } else { Reply::Ok("0") };
                    self.replies.answer(request, reply);
                }
                Some(Work::Create { .. }) if lives => self.create_failed(request, ALREADY_EXISTS),
                Some(Work::Create { .. }) => self.resume_create(request),
                Some(Work::Remove { .. }) if lives => self.end_node(now, request, life),
                Some(Work::Remove { .. }) => self.removal_failed(request),
                _ => {}
            }
        }
    }

    /// Has a node ended by its parent, now that it has shown that it can be reached.
    fn end_node(&mut self, now: Time, request: RequestId, life: Life) {
        let Some(Task { work: Work::Remove { stage, .. }, .. }) = self.replies.task_mut(request)
        else {
            return;
        };
        *stage = Removal::Ending;
        let parent = self.tree.record(life.node).map_or(NodeId::CONTROL, |record| record.parent);
        let body = wire::body(&(life, self.end_grace(life.node)));
        self.outbox.push(Outgoing { kind: Kind::Remove, node: parent, request, body });
        self.wake_by(now + self.timeout / 2);
    }

    /// How long the process of a node has to end when it is asked to.
    pub fn end_grace(&self, node: NodeId) -> Duration {
        END_GRACE + END_GRACE_STEP * self.tree.height(node)
    }

    /// Notes that [`Board::timeout`] has something to do at `at`.
    pub fn wake_by(&mut self, at: Time) {
        self.wake = earliest(self.wake, Some(at));
    }

    /// Does what is due: asks after nodes that have not answered for half of the deadline, gives up
    /// at the deadline, and loses patience with those whose windows stay full.
    pub fn timeout(&mut self, now: Time) {
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
        for node in self.blocked.clone() {
            let Some(record) = self.tree.record_mut(node) else { continue };
            match record.pace {
                Pace::Tested(until) if until <= now => {
                    record.pace = Pace::Stuck;
                    self.ready.push(node);
                }
                Pace::Tested(until) => self.wake_by(until),
                Pace::Fine | Pace::Stuck => {}
            }
        }
    }

    fn check(&mut self, now: Time, request: RequestId, sent: Time, asked: Option<NodeId>) {
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
