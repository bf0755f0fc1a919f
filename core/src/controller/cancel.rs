//! `cancel`: the commands that run on nodes, or wait to be sent there, are not waited for any more.

use std::collections::BTreeSet;

use super::desk::Desk;
use super::desk::pending::{GiveUpReason, Operation, Pending};
use super::desk::reply::Reply;
use super::node_set::{self, NodeSet};
use super::{outcomes, selection};
use crate::wire::Kind;
use crate::{NodeId, RequestId, Time};

/// Takes in the command.
pub(crate) fn begin(desk: &mut Desk, now: Time, set: Option<&NodeSet<'_>>) {
    let request = desk.replies.open(Pending::verb(now));
    let nodes = match set.map(|set| selection::select(desk, set)).transpose() {
        Ok(nodes) => nodes,
        Err(wrong) => return desk.reply(request, Reply::Error(&format!("cancel: {wrong}"))),
    };
    let is_meant = |node: &NodeId| nodes.as_ref().is_none_or(|nodes| nodes.contains(node));
    for (request, _) in under_way(desk).into_iter().filter(|(_, node)| is_meant(node)) {
        outcomes::give_up(desk, request, GiveUpReason::Cancelled);
    }
    desk.reply(request, Reply::Ok(""));
}

/// Cancels everything, and says which nodes had not answered.
pub(crate) fn all(desk: &mut Desk) {
    let under_way = under_way(desk);
    if under_way.is_empty() {
        return;
    }
    let nodes: BTreeSet<_> = under_way.iter().map(|(_, node)| *node).collect();
    desk.replies.notice(&format!("cancelled; not answered by {}", node_set::folded(&nodes)));
    for (request, _) in under_way {
        outcomes::give_up(desk, request, GiveUpReason::Cancelled);
    }
}

/// Whether there is anything to cancel.
pub(crate) fn is_under_way(desk: &Desk) -> bool {
    desk.replies.all_pending().any(|(_, pending)| node(pending).is_some())
}

/// The commands that have not been answered, or the parts of them, in their order, with their nodes.
fn under_way(desk: &Desk) -> Vec<(RequestId, NodeId)> {
    let pending = desk.replies.all_pending();
    let mut under_way: Vec<_> =
        pending.filter_map(|(request, pending)| Some((request, node(pending)?))).collect();
    under_way.sort_unstable();
    under_way
}

fn node(pending: &Pending) -> Option<NodeId> {
    match pending.operation {
        Operation::Exec { node, .. } | Operation::Part { node, kind: Kind::Exec, .. } => Some(node),
        _ => None,
    }
}
