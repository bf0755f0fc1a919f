//! When commands take effect: each waits for the earlier ones that name the same node, and for room
//! in the windows, then its request is sent.

use super::Controller;
use super::answers::ALREADY_EXISTS;
use super::board::Outgoing;
use super::replies::Reply;
use super::task::{Charge, Creation, Removal, Task, Work};
use super::tree::{Record, State};
use super::windows::{LINK_WINDOW, NODE_WINDOW, PATIENCE, Pace};
use crate::wire::{self, Kind, Message};
use crate::{NodeId, RequestId, Time};

const TOO_MANY: &str = "Too many requests are waiting";
const PARENT_NOT_FOUND: &str = "Parent not found";

/// Whether a request may be sent to a node.
enum Admission {
    Granted(Option<Charge>),
    /// A window is full, but the node answers.
    Wait,
    /// A window is full, and the node does not answer.
    Refused,
}

impl Controller {
    /// Takes in `exec`.
    pub(super) fn exec(&mut self, now: Time, node: NodeId, line: &str) {
        let request = self.open(Work::Exec { node, line: Vec::new() });
        let Some(record) = self.board.tree.record(node) else {
            return self.answer(request, Reply::ErrorOf(node, b"Not found"));
        };
        if record.is_free() && self.send_exec(now, request, node, line.as_bytes()) {
            return;
        }
        self.keep_line(request, line.as_bytes().to_vec());
        self.board.tree.entry(node).enqueue(request);
    }

    /// Takes in `ping`.
    pub(super) fn ping(&mut self, now: Time, node: NodeId) {
        let request = self.open(Work::Ping { node });
        match self.board.tree.record_mut(node) {
            None => self.answer(request, Reply::Error("Not found")),
            Some(record) if record.is_free() => self.send_ping(now, request, node),
            Some(record) => record.enqueue(request),
        }
    }

    /// Takes in `create`.
    pub(super) fn create(&mut self, node: NodeId, parent: NodeId, transport: Option<&str>) {
        let transport = transport.map(str::to_owned);
        let stage = Creation::Waiting;
        let request = self.open(Work::Create { node, parent, transport, stage });
        let exists = match self.board.tree.record(node) {
            Some(record) if self.is_coming(node, record) => {
                return self.answer(request, Reply::Error(ALREADY_EXISTS));
            }
            record => record.is_some(),
        };
        let tree = &mut self.board.tree;
        if parent.is_control() {
            tree.entry(node).enqueue(request);
        } else if let Some(record) = tree.record_mut(parent) {
            record.enqueue(request);
            record.coming.insert(request, node);
            tree.entry(node).enqueue(request);
        } else if exists {
            tree.entry(node).enqueue(request);
        } else {
            return self.answer(request, Reply::Error(PARENT_NOT_FOUND));
        }
        self.board.ready.push(node);
    }

    /// Takes in `remove`.
    pub(super) fn remove(&mut self, node: NodeId) {
        let request = self.open(Work::Remove { node, stage: Removal::Waiting });
        if self.board.tree.record(node).is_none() {
            return self.answer(request, Reply::Error("Not found"));
        }
        for node in self.board.tree.subtree_and_coming(node) {
            self.board.tree.entry(node).enqueue(request);
        }
        self.board.ready.push(node);
    }

    /// Whether a node is on its way, and nothing typed so far is about to end it.
    fn is_coming(&self, node: NodeId, record: &Record) -> bool {
        let mut coming = false;
        for request in record.held_by.iter().chain(&record.queue) {
            match self.board.replies.task(*request).map(|task| &task.work) {
                Some(Work::Create { node: other, stage, .. }) if *other == node => {
                    coming = *stage != Creation::Asking;
                }
                Some(Work::Remove { .. }) => return false,
                _ => {}
            }
        }
        coming
    }

    /// Lets the commands that wait for a node take effect, as far as it is their turn.
    pub(super) fn advance(&mut self, now: Time, node: NodeId) {
        self.board.blocked.remove(&node);
        while let Some(request) = self.next_of(node) {
            let done = match self.board.replies.task_mut(request).map(|task| &mut task.work) {
                None => true,
                Some(Work::Exec { line, .. }) => {
                    let line = std::mem::take(line);
                    let sent = self.send_exec(now, request, node, &line);
                    if !sent {
                        self.keep_line(request, line);
                    }
                    sent
                }
                Some(Work::Ping { .. }) => {
                    self.send_ping(now, request, node);
                    true
                }
                Some(Work::Create { node, parent, .. }) => {
                    let (node, parent) = (*node, *parent);
                    self.send_create(now, request, node, parent)
                }
                Some(Work::Remove { node, .. }) => {
                    let node = *node;
                    self.send_removal(now, request, node)
                }
                Some(Work::Verb) => true,
            };
            if !done {
                break;
            }
            if let Some(record) = self.board.tree.record_mut(node) {
                record.queue.retain(|other| *other != request);
            }
        }
        self.board.tree.forget_if_unused(node);
    }

    fn next_of(&self, node: NodeId) -> Option<RequestId> {
        let record = self.board.tree.record(node)?;
        if record.held_by.is_some() { None } else { record.queue.front().copied() }
    }

    /// Sends a line to its node, or answers why not. False when it has to wait.
    fn send_exec(&mut self, now: Time, request: RequestId, node: NodeId, line: &[u8]) -> bool {
        let refused: &[u8] = match self.board.tree.record(node) {
            Some(record) if record.reachable => match self.admit(now, node, line.len()) {
                Admission::Wait => return false,
                Admission::Refused => TOO_MANY.as_bytes(),
                Admission::Granted(charge) => {
                    self.note_sent(now, request, charge);
                    self.forward_exec(now, request, node, line);
                    return true;
                }
            },
            Some(record) if record.state != State::Absent => b"Node is unavailable",
            _ => b"Not found",
        };
        self.answer(request, Reply::ErrorOf(node, refused));
        true
    }

    fn forward_exec(&mut self, now: Time, request: RequestId, node: NodeId, line: &[u8]) {
        if !self.board.outbox.is_empty() {
            // Whatever was decided on before is to arrive before.
            let body = line.to_vec();
            return self.board.outbox.push(Outgoing { kind: Kind::Exec, node, request, body });
        }
        let board = &mut self.board;
        let up = &mut |message: Message<'_>| board.message(now, message);
        self.children.forward(&Message::new(Kind::Exec, node, request, line), up);
    }

    fn send_ping(&mut self, now: Time, request: RequestId, node: NodeId) {
        match self.board.tree.record(node) {
            Some(record) if record.reachable => self.board.ask(now, node, request),
            Some(record) if record.state != State::Absent => self.answer(request, Reply::Ok("0")),
            _ => self.answer(request, Reply::Error("Not found")),
        }
    }

    /// Has a node started by its parent, or answers why not. False when it has to wait.
    fn send_create(&mut self, now: Time, request: RequestId, node: NodeId, parent: NodeId) -> bool {
        let tree = &self.board.tree;
        let is_turn = |node: NodeId| {
            node.is_control() || tree.record(node).is_none_or(|record| record.is_turn_of(request))
        };
        if !is_turn(node) || !is_turn(parent) {
            return false;
        }
        let is_there = tree.record(parent).is_some_and(|record| record.state != State::Absent);
        if tree.is_reachable(node) && !self.is_cleared(request) {
            self.ask_before_create(now, request, node, parent);
            return true;
        }
        let refused = if !parent.is_control() && !is_there {
            PARENT_NOT_FOUND
        } else if !tree.is_reachable(parent) {
            "Parent is unavailable"
        } else {
            match self.admit(now, parent, wire::HEADER_BYTES) {
                Admission::Wait => return false,
                Admission::Refused => TOO_MANY,
                Admission::Granted(charge) => {
                    self.start_create(now, request, node, parent, charge);
                    return true;
                }
            }
        };
        self.answer(request, Reply::Error(refused));
        self.board.create_over(request, node, parent);
        true
    }

    /// Whether it is known that the node which is to be created does not live.
    fn is_cleared(&self, request: RequestId) -> bool {
        let work = self.board.replies.task(request).map(|task| &task.work);
        matches!(work, Some(Work::Create { stage: Creation::Cleared, .. }))
    }

    /// Asks a node that seems to exist whether it does: it may just have died.
    fn ask_before_create(&mut self, now: Time, request: RequestId, node: NodeId, parent: NodeId) {
        self.hold_for_create(request, node, parent, Creation::Asking);
        self.board.ask(now, node, request);
    }

    fn hold_for_create(
        &mut self,
        request: RequestId,
        node: NodeId,
        parent: NodeId,
        new_stage: Creation,
    ) {
        if let Some(Task { work: Work::Create { stage, .. }, .. }) =
            self.board.replies.task_mut(request)
        {
            *stage = new_stage;
        }
        self.board.release(request, [node, parent]);
        self.board.tree.entry(node).held_by = Some(request);
    }

    fn start_create(
        &mut self,
        now: Time,
        request: RequestId,
        node: NodeId,
        parent: NodeId,
        charge: Option<Charge>,
    ) {
        let life = self.board.tree.new_life(node);
        self.hold_for_create(request, node, parent, Creation::Starting(life));
        self.note_sent(now, request, charge);
        let transport = match self.board.replies.task(request).map(|task| &task.work) {
            Some(Work::Create { transport, .. }) => transport.as_deref(),
            _ => None,
        };
        let body = wire::body(&(life, transport));
        self.board.outbox.push(Outgoing { kind: Kind::Create, node: parent, request, body });
    }

    /// Begins to end a node and all below it, or answers why not. False when it has to wait.
    fn send_removal(&mut self, now: Time, request: RequestId, node: NodeId) -> bool {
        let nodes = self.board.tree.subtree_and_coming(node);
        let mut is_turn = true;
        for node in &nodes {
            let record = self.board.tree.entry(*node);
            if !record.is_turn_of(request) {
                record.enqueue(request);
                is_turn = record.is_turn_of(request) && is_turn;
            }
        }
        if !is_turn {
            return false;
        }
        self.board.release(request, nodes.iter().copied());
        let record = self.board.tree.entry(node);
        let refused = match record.state {
            State::Absent => "Not found",
            _ if !record.reachable => "Node is unavailable",
            _ => {
                for node in nodes {
                    self.board.tree.entry(node).held_by = Some(request);
                }
                if let Some(Task { work: Work::Remove { stage, .. }, .. }) =
                    self.board.replies.task_mut(request)
                {
                    *stage = Removal::Asking;
                }
                self.board.ask(now, node, request);
                return true;
            }
        };
        self.answer(request, Reply::Error(refused));
        true
    }

    /// Whether the windows have room for a request to a node, which then takes its share of them.
    fn admit(&mut self, now: Time, node: NodeId, bytes: usize) -> Admission {
        if node.is_control() {
            return Admission::Granted(None);
        }
        let board = &mut self.board;
        let (Some(target), Some(link)) = (board.tree.life(node), self.children.link_to(node))
        else {
            return Admission::Granted(None);
        };
        let link_window = board.links.entry(link).or_default();
        let Some(record) = board.tree.record_mut(node) else { return Admission::Granted(None) };
        let is_full =
            record.window.is_full(NODE_WINDOW, bytes) || link_window.is_full(LINK_WINDOW, bytes);
        if !is_full {
            record.window.take(bytes);
            link_window.take(bytes);
            return Admission::Granted(Some(Charge { target, link, bytes }));
        }
        match record.pace {
            Pace::Stuck => return Admission::Refused,
            Pace::Tested(_) => {}
            Pace::Fine => {
                record.pace = Pace::Tested(now + PATIENCE);
                board.wake_by(now + PATIENCE);
            }
        }
        board.blocked.insert(node);
        Admission::Wait
    }

    fn note_sent(&mut self, now: Time, request: RequestId, charge: Option<Charge>) {
        if let Some(task) = self.board.replies.task_mut(request) {
            task.charge = charge;
        }
        self.board.sent(now, request);
    }

    fn keep_line(&mut self, request: RequestId, text: Vec<u8>) {
        if let Some(Task { work: Work::Exec { line, .. }, .. }) =
            self.board.replies.task_mut(request)
        {
            *line = text;
        }
    }

    fn open(&mut self, work: Work) -> RequestId {
        self.board.replies.open(Task::new(work))
    }

    pub(super) fn answer(&mut self, request: RequestId, reply: Reply<'_>) {
        self.board.replies.answer(request, reply);
    }
}
