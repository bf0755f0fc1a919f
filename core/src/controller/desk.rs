//! What the control node knows and has under way: the state that its commands work on.
//!
//! The desk knows no command. It never sends by itself: what follows from a step is noted in its
//! outbox and among the nodes whose turn may have come, for the controller to carry out.

pub(super) mod abandoned;
pub(super) mod adrift;
pub(super) mod deferred;
pub(super) mod fold;
pub(super) mod gather;
pub(super) mod intake;
pub(super) mod outbox;
pub(super) mod pending;
pub(super) mod printer;
pub(super) mod probes;
pub(super) mod records;
pub(super) mod replies;
pub(super) mod reply;
pub(super) mod requests;
pub(super) mod streams;
pub(super) mod tree;
pub(super) mod turns;
pub(super) mod windows;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::children::Children;
use crate::time::earliest;
use crate::wire::{self, Kind, NO_REQUEST, Status};
use crate::{Change, Life, LinkId, NodeId, RequestId, Secret, Time};
use abandoned::{Abandoned, Leftover};
use adrift::Adrift;
use deferred::Deferred;
use intake::Intake;
use outbox::Outbox;
use pending::{Operation, Pending};
use probes::{Probe, Probes};
use records::Records;
use replies::Replies;
use reply::Reply;
use tree::Tree;
use turns::Turns;
use windows::{Admission, Charge, Claim, Windows};

/// What the control node knows of the tree, and the commands that are under way.
pub(crate) struct Desk {
    /// The deadline of a request.
    pub timeout: Duration,
    pub nodes_max: usize,
    /// What the seeds of all lives are made from.
    pub own_secret: Secret,
    pub tree: Tree,
    pub turns: Turns,
    pub replies: Replies,
    pub windows: Windows,
    pub intake: Intake,
    pub probes: Probes,
    pub abandoned: Abandoned,
    pub adrift: Adrift,
    pub deferred: Deferred,
    pub outbox: Outbox,
    pub records: Records,
    /// What to tell the modules.
    pub changes: Vec<(NodeId, Change)>,
    /// When deadlines must be looked at again; may be earlier than there is need.
    pub wake: Option<Time>,
}

impl Desk {
    pub fn new(
        timeout: Duration,
        nodes_max: usize,
        own_secret: Secret,
        replies: Replies,
        records: Records,
    ) -> Desk {
        Desk {
            timeout,
            nodes_max,
            own_secret,
            tree: Tree::default(),
            turns: Turns::default(),
            replies,
            windows: Windows::default(),
            intake: Intake::default(),
            probes: Probes::default(),
            abandoned: Abandoned::default(),
            adrift: Adrift::default(),
            deferred: Deferred::default(),
            outbox: Outbox::default(),
            records,
            changes: Vec::new(),
            wake: None,
        }
    }

    /// Notes a command, which waits for its reply from now on.
    pub fn open(&mut self, operation: Operation) -> RequestId {
        self.replies.open(Pending::new(operation))
    }

    /// What a command does, or a part of one, that waits for its reply.
    pub fn operation(&self, request: RequestId) -> Option<&Operation> {
        self.replies.pending(request).map(|pending| &pending.operation)
    }

    /// Replies to a command, or to a part of one.
    pub fn reply(&mut self, request: RequestId, reply: Reply<'_>) {
        self.records.end(request, &reply);
        let replied = self.replies.reply(request, reply);
        if let Some(Operation::Part { node, .. }) = replied.map(|pending| pending.operation) {
            self.adrift.take(node, request);
        }
    }

    /// Queues a command for a node, which is known of from now on.
    pub fn enqueue(&mut self, node: NodeId, request: RequestId) {
        self.tree.know(node);
        self.turns.enqueue(node, request);
    }

    /// Makes all others wait for a command that concerns a node.
    pub fn hold(&mut self, node: NodeId, request: RequestId) {
        self.tree.know(node);
        self.turns.hold(node, request);
    }

    /// The nodes that a command holds, or is queued for, in ascending order. They may hang
    /// elsewhere by now than when it began.
    pub fn concerned_by(&self, request: RequestId) -> Vec<NodeId> {
        let concerned = self.tree.nodes().filter(|node| self.turns.concerns(*node, request));
        let mut nodes: Vec<_> = concerned.collect();
        nodes.sort_unstable();
        nodes
    }

    /// The nodes right below a node, or the control node, with those that commands will create there.
    pub fn children_and_coming(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.tree.children(node).chain(self.turns.coming(node))
    }

    /// The nodes that exist, or are about to, and that nothing typed so far ends.
    pub fn staying(&self) -> impl Iterator<Item = NodeId> {
        self.tree.nodes().filter(|node| !self.is_ending(*node))
    }

    /// A node and all below it, with the nodes that commands will create there.
    pub fn subtree_and_coming(&self, node: NodeId) -> BTreeSet<NodeId> {
        let mut nodes = BTreeSet::new();
        let mut next = vec![node];
        while let Some(node) = next.pop() {
            if nodes.insert(node) {
                next.extend(self.children_and_coming(node));
            }
        }
        nodes
    }

    /// The last creation or removal of a node that has not taken effect.
    pub fn last_change(&self, node: NodeId) -> Option<&Operation> {
        let requests = self.turns.commands(node).rev();
        requests.filter_map(|request| self.operation(request)).find(|operation| match operation {
            Operation::Create { node: other, .. } => *other == node,
            Operation::Remove { .. } => true,
            _ => false,
        })
    }

    /// Whether what was typed so far ends a node.
    pub fn is_ending(&self, node: NodeId) -> bool {
        matches!(self.last_change(node), Some(Operation::Remove { .. }))
    }

    /// Forgets a node that is not there and that no command names.
    pub fn forget_if_unused(&mut self, node: NodeId) {
        if self.tree.is_absent(node) && self.turns.is_free(node) {
            self.tree.forget(node);
            self.turns.forget(node);
        }
    }

    /// Whether the windows have room for a request to a life, which then takes its share of them.
    /// What is part of a command costs no more on a link that carries the command already. There is
    /// none to take for what the control node asks of itself.
    pub fn admit(
        &mut self,
        now: Time,
        request: RequestId,
        (target, link): (Life, Option<LinkId>),
        bytes: usize,
        command: Option<RequestId>,
    ) -> Option<Admission> {
        let link = link?;
        let is_carried = |command| self.outbox.carries(command, link);
        let counts_on_link = !command.is_some_and(is_carried);
        let claim = Claim { request, target, link, counts_on_link, bytes };
        Some(self.windows.admit(now, claim, &mut self.turns))
    }

    /// Notes that a request is under way, and what it takes of the windows.
    pub fn sent_with(&mut self, now: Time, request: RequestId, charge: Option<Charge>) {
        if let Some(pending) = self.replies.pending_mut(request) {
            pending.charge = charge;
        }
        self.records.sent(request);
        self.sent(now, request);
    }

    /// Notes that a request is under way.
    pub fn sent(&mut self, now: Time, request: RequestId) {
        if let Some(pending) = self.replies.pending_mut(request) {
            pending.sent = Some(now);
            let limit = pending.options.limit(self.timeout);
            self.wake = earliest(self.wake, limit.map(|limit| now + limit / 2));
        }
    }

    /// Notes that the deadline of a request that is under way counts from `sent`.
    pub fn sent_since(&mut self, request: RequestId, sent: Time) {
        if let Some(pending) = self.replies.pending_mut(request) {
            pending.sent = Some(sent);
        }
        self.wake_by(sent);
    }

    /// Notes that a deadline must be looked at by then.
    pub fn wake_by(&mut self, at: Time) {
        self.wake = earliest(self.wake, Some(at));
    }

    /// Asks a node whether it lives on behalf of a command. An answer to an earlier question would
    /// not do: the node may have died since it gave it.
    pub fn ask(&mut self, now: Time, node: NodeId, request: RequestId) {
        self.sent(now, request);
        self.send_probe(node, Some(request));
    }

    /// Asks a node whether it lives, unless that is being asked already.
    pub fn probe(&mut self, node: NodeId) {
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

    /// Gives back what a request took of the windows, and learns from its answer.
    pub fn give_back(&mut self, now: Time, charge: Option<Charge>, status: Status) {
        let Some(charge) = charge else { return };
        let (target, link) = (charge.target, charge.link);
        if let Some(allowance) = charge.allowance {
            self.intake.give_back(allowance);
        }
        self.windows.give_back(charge, &mut self.turns);
        if status != Status::Unavailable {
            self.heard(now, target, Some(link));
        }
    }

    /// Keeps what is left of a request that is not waited for any more.
    pub fn abandon(&mut self, request: RequestId, mut leftover: Leftover) {
        self.intake.forget(request);
        if let Some(charge) = &mut leftover.charge {
            if let Some(allowance) = charge.allowance.take() {
                self.intake.give_back(allowance);
            }
            self.windows.give_up(charge, &mut self.turns);
        }
        self.abandoned.keep(request, leftover);
    }

    /// Notes that a life has shown a sign of itself, on this link of the control node if that is
    /// known.
    pub fn heard(&mut self, now: Time, life: Life, link: Option<LinkId>) {
        self.windows.heard(now, life, link);
        for returned in self.tree.heard(life, now) {
            self.changes.push((returned.node, Change::Returned));
            self.ask_again(now, returned);
            for earlier in self.deferred.take(returned) {
                self.discard(earlier, returned);
            }
        }
    }

    /// Has a life that is back asked again for the parts of folded commands that wait for it.
    pub fn ask_again(&mut self, now: Time, life: Life) {
        let (requests, until) = self.adrift.returned(now, life);
        for request in requests {
            self.enqueue(life.node, request);
            self.turns.wake(life.node);
            self.wake_by(until);
        }
    }

    /// A node can't be reached any more, nor can those below it. Returns those that could be until
    /// now, in ascending order.
    pub fn cut_off(&mut self, now: Time, root: NodeId, change: Change) -> Vec<NodeId> {
        let mut nodes = self.tree.subtree(root);
        nodes.sort_unstable();
        self.probes.forget(&nodes);
        self.tree.cut_off(&mut nodes, now);
        let change_of = |node| if node == root { change } else { Change::Lost };
        self.changes.extend(nodes.iter().map(|node| (*node, change_of(*node))));
        nodes
    }

    /// Has a life ended that must not speak any more.
    pub fn discard(&mut self, life: Life, parent: Life) {
        self.outbox.post(Kind::Discard, parent, NO_REQUEST, wire::body(&life));
    }
}

/// Where a request goes: to a life, by a link of the control node if there is one.
pub(crate) fn towards(children: &Children, life: Life) -> (Life, Option<LinkId>) {
    (life, children.link_to(life))
}
