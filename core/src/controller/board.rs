//! What the control node knows, and how it takes in what comes up the tree.
//!
//! The board never sends by itself: what follows from a message is noted in its outbox and in the
//! list of nodes whose queues may move, for the controller to see to.

use std::collections::BTreeSet;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::abandoned::Abandoned;
use super::intake::Intake;
use super::outbox::Outbox;
use super::probes::Probes;
use super::replies::Replies;
use super::tree::Tree;
use super::turns::Turns;
use super::windows::Windows;
use crate::wire::{Joined, Kind, Message, Moved};
use crate::{Change, Exit, Life, NodeId, Place, Proved, RequestId, Time};

/// What the control node knows of the tree, and the commands that are under way.
pub(crate) struct Board {
    pub timeout: Duration,
    pub nodes_max: usize,
    pub tree: Tree,
    pub replies: Replies,
    /// What is unanswered, and whose next command waits for room.
    pub windows: Windows,
    /// What answers may come, and which of the long ones.
    pub intake: Intake,
    /// Whose turn it is.
    pub turns: Turns,
    pub outbox: Outbox,
    /// What to tell the modules.
    pub changes: Vec<(NodeId, Change)>,
    /// When [`Board::timeout`] is to look again; may be earlier than there is need.
    pub wake: Option<Time>,
    pub probes: Probes,
    pub abandoned: Abandoned,
    /// Lives to be ended once their parents can be reached again.
    pub(super) owed: FxHashMap<Life, Vec<Life>>,
}

impl Board {
    pub fn new(timeout: Duration, nodes_max: usize, replies: Replies) -> Board {
        Board {
            timeout,
            nodes_max,
            tree: Tree::default(),
            replies,
            windows: Windows::default(),
            intake: Intake::default(),
            turns: Turns::default(),
            outbox: Outbox::default(),
            changes: Vec::new(),
            wake: None,
            probes: Probes::default(),
            abandoned: Abandoned::default(),
            owed: FxHashMap::default(),
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

    /// The nodes that a command holds, or is queued for, in no particular order. They may hang
    /// elsewhere by now than when it began.
    pub fn concerned_by(&self, request: RequestId) -> Vec<NodeId> {
        self.tree.nodes().filter(|node| self.turns.concerns(*node, request)).collect()
    }

    /// A node and all below it, with the nodes that commands will create there.
    pub fn subtree_and_coming(&self, node: NodeId) -> BTreeSet<NodeId> {
        let mut nodes = BTreeSet::new();
        let mut next = vec![node];
        while let Some(node) = next.pop() {
            if nodes.insert(node) {
                next.extend(self.tree.children(node));
                next.extend(self.turns.coming(node));
            }
        }
        nodes
    }

    /// Forgets a node that is not there and that no command names.
    pub fn forget_if_unused(&mut self, node: NodeId) {
        if self.tree.is_absent(node) && self.turns.is_free(node) {
            self.tree.forget(node);
            self.turns.forget(node);
        }
    }

    /// Takes in what came up the tree.
    pub fn message(&mut self, now: Time, message: Message<'_>) {
        match message.kind {
            Kind::Answer => self.answer_piece(now, &message),
            Kind::Offer => match message.decode::<u64>() {
                Some(bytes) => self.offered(&message, bytes),
                None => log::error!("a malformed message about an answer"),
            },
            Kind::Joined => match message.decode::<Joined>() {
                Some(joined) => self.joined(now, message.request, joined),
                None => log::error!("a malformed message about a node that joined"),
            },
            Kind::Lost | Kind::Silent | Kind::Heard => match message.decode::<Place>() {
                Some(place) => self.life_changed(now, message.kind, place),
                None => log::error!("a malformed message about a change of the tree"),
            },
            Kind::Moved => match message.decode::<Moved>() {
                Some(Moved { to, .. }) => self.moved(now, [to.place]),
                None => log::error!("a malformed message about a node that has moved"),
            },
            Kind::Below => match message.decode::<Vec<Proved>>() {
                Some(places) => self.moved(now, places.iter().map(|at| at.place)),
                None => log::error!("a malformed message about nodes that have moved"),
            },
            Kind::Ended => match message.decode::<(Life, Exit)>() {
                Some((life, exit)) => self.ended(life, exit),
                None => log::error!("a malformed message about a process that has ended"),
            },
            // Only relays keep ways by node; the tree is told of losses by life.
            Kind::Forget => {}
            kind => log::error!("{kind:?} can't come up the tree"),
        }
    }
}
