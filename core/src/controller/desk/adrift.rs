//! Parts of folded commands whose routes have broken: their nodes may find another parent, and are asked
//! again then.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Life, NodeId, RequestId, Time};

/// How long a node may take to come back, and then to be asked. An orphan that has found no parent for 2
/// seconds ends, if all above it are on its machine.
const PATIENCE: Duration = Duration::from_secs(3);

/// Those parts, by their nodes and requests. Bounded as all parts are.
#[derive(Debug, Default)]
pub(crate) struct Adrift(BTreeMap<(NodeId, RequestId), Waiting>);

/// A part that waits for its node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Whom it was asked of. Another life of the node must not run it.
    pub life: Life,
    /// When it was sent first; its deadline counts from here.
    pub sent: Time,
    /// When it is given up.
    until: Time,
}

impl Adrift {
    /// A part waits from now on. Returns when it is given up.
    pub fn add(
        &mut self,
        now: Time,
        (node, request): (NodeId, RequestId),
        life: Life,
        sent: Time,
    ) -> Time {
        let until = now + PATIENCE;
        self.0.insert((node, request), Waiting { life, sent, until });
        until
    }

    /// The node of these parts is back: they must be asked for. Returns them, and when they are given up
    /// if they can't be.
    pub fn returned(&mut self, now: Time, life: Life) -> (Vec<RequestId>, Time) {
        let until = now + PATIENCE;
        let mut requests = Vec::new();
        for ((_, request), waiting) in self.of(life.node) {
            if waiting.life == life {
                waiting.until = until;
                requests.push(*request);
            }
        }
        (requests, until)
    }

    /// The parts that wait for a node.
    pub fn requests_of(&mut self, node: NodeId) -> Vec<RequestId> {
        self.of(node).map(|((_, request), _)| *request).collect()
    }

    fn of(&mut self, node: NodeId) -> impl Iterator<Item = (&(NodeId, RequestId), &mut Waiting)> {
        self.0.range_mut((node, RequestId(0))..=(node, RequestId(u64::MAX)))
    }

    /// The nodes that are waited for, in ascending order.
    pub fn nodes(&self) -> Vec<NodeId> {
        let mut nodes: Vec<_> = self.0.keys().map(|(node, _)| *node).collect();
        nodes.dedup();
        nodes
    }

    /// How a part waits, if it does.
    pub fn get(&self, node: NodeId, request: RequestId) -> Option<Waiting> {
        self.0.get(&(node, request)).copied()
    }

    /// Takes out a part that waits no more.
    pub fn take(&mut self, node: NodeId, request: RequestId) -> Option<Waiting> {
        self.0.remove(&(node, request))
    }

    /// The parts that must be given up now.
    pub fn due(&self, now: Time) -> Vec<RequestId> {
        let due = self.0.iter().filter(|(_, waiting)| waiting.until <= now);
        due.map(|((_, request), _)| *request).collect()
    }

    /// When [`Adrift::due`] has something to say.
    pub fn deadline(&self) -> Option<Time> {
        self.0.values().map(|waiting| waiting.until).min()
    }
}
