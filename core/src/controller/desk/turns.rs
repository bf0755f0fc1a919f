//! Whose turn it is: the commands that name a node take effect in the order in which they were
//! typed.

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::FxHashMap;

use crate::{NodeId, RequestId};

/// The commands that wait for their turn, and those that others wait for.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// None of them is empty.
    by_node: FxHashMap<NodeId, Queue>,
    /// Nodes whose queues may have something to do, in the order in which they came to.
    ready: VecDeque<NodeId>,
}

/// The commands that name one node.
#[derive(Debug, Default)]
struct Queue {
    /// The create or removal that is under way. Whatever else names the node waits for it.
    held_by: Option<RequestId>,
    /// The commands that wait to take effect, oldest first.
    waiting: VecDeque<RequestId>,
    /// The nodes that commands will create below it, by command.
    coming: BTreeMap<RequestId, NodeId>,
}

impl Queue {
    fn is_free(&self) -> bool {
        self.held_by.is_none() && self.waiting.is_empty()
    }

    fn leave(&mut self, request: RequestId) {
        if let Ok(at) = self.waiting.binary_search(&request) {
            self.waiting.remove(at);
        }
    }
}

impl Turns {
    /// Whether no command is ahead of one that is typed now.
    pub fn is_free(&self, node: NodeId) -> bool {
        self.by_node.get(&node).is_none_or(Queue::is_free)
    }

    /// Whether a command holds a node.
    pub fn is_held(&self, node: NodeId) -> bool {
        self.by_node.get(&node).is_some_and(|queue| queue.held_by.is_some())
    }

    /// Whether it is this command's turn.
    pub fn is_turn_of(&self, node: NodeId, request: RequestId) -> bool {
        self.next(node) == Some(request)
    }

    /// The command whose turn it is.
    pub fn next(&self, node: NodeId) -> Option<RequestId> {
        let queue = self.by_node.get(&node).filter(|queue| queue.held_by.is_none())?;
        queue.waiting.front().copied()
    }

    /// Whether a command waits for its turn.
    pub fn is_queued(&self, node: NodeId, request: RequestId) -> bool {
        let queue = self.by_node.get(&node);
        queue.is_some_and(|queue| queue.waiting.binary_search(&request).is_ok())
    }

    /// Whether a command holds a node, or waits for its turn.
    pub fn concerns(&self, node: NodeId, request: RequestId) -> bool {
        let queue = self.by_node.get(&node);
        queue.is_some_and(|queue| queue.held_by == Some(request)) || self.is_queued(node, request)
    }

    /// The command that holds a node, then those that wait, oldest first.
    pub fn commands(&self, node: NodeId) -> impl DoubleEndedIterator<Item = RequestId> {
        let queue = self.by_node.get(&node).into_iter();
        queue.flat_map(|queue| queue.held_by.iter().chain(&queue.waiting)).copied()
    }

    /// The nodes that commands will create below a node.
    pub fn coming(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let queue = self.by_node.get(&node).into_iter();
        queue.flat_map(|queue| queue.coming.values()).copied()
    }

    /// Queues a command among the others, in the order in which they were typed.
    pub fn enqueue(&mut self, node: NodeId, request: RequestId) {
        let waiting = &mut self.by_node.entry(node).or_default().waiting;
        if let Err(at) = waiting.binary_search(&request) {
            waiting.insert(at, request);
        }
    }

    /// Notes that a command will create a node below another one.
    pub fn expect(&mut self, parent: NodeId, request: RequestId, node: NodeId) {
        self.by_node.entry(parent).or_default().coming.insert(request, node);
    }

    /// A command creates nothing below this node any more.
    pub fn expect_no_more(&mut self, parent: NodeId, request: RequestId) {
        self.change(parent, |queue| {
            queue.coming.remove(&request);
        });
    }

    /// Makes all others wait for a command.
    pub fn hold(&mut self, node: NodeId, request: RequestId) {
        self.by_node.entry(node).or_default().held_by = Some(request);
    }

    /// A command has taken effect: it does not wait for its turn any more.
    pub fn leave(&mut self, node: NodeId, request: RequestId) {
        self.change(node, |queue| queue.leave(request));
    }

    /// Changes a queue, and forgets it when nothing is left in it: most nodes have none.
    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut Queue)) {
        let Some(queue) = self.by_node.get_mut(&node) else { return };
        change(queue);
        if queue.is_free() && queue.coming.is_empty() {
            self.by_node.remove(&node);
        }
    }

    /// Ends the hold of a command on nodes; what waited for it may go on.
    pub fn release(&mut self, request: RequestId, nodes: impl IntoIterator<Item = NodeId>) {
        for node in nodes {
            self.change(node, |queue| {
                queue.held_by.take_if(|holder| *holder == request);
                queue.leave(request);
            });
            self.ready.push_back(node);
        }
    }

    /// Forgets a node that is not there, and what was to be created below it.
    pub fn forget(&mut self, node: NodeId) {
        self.by_node.remove(&node);
    }

    /// Notes that the queue of a node may have something to do.
    pub fn wake(&mut self, node: NodeId) {
        self.ready.push_back(node);
    }

    /// The next node whose queue may have something to do.
    pub fn next_ready(&mut self) -> Option<NodeId> {
        self.ready.pop_front()
    }
}

/// As [`Turns::wake`].
impl Extend<NodeId> for Turns {
    fn extend<T: IntoIterator<Item = NodeId>>(&mut self, nodes: T) {
        self.ready.extend(nodes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RequestId = RequestId(1);
    const B: RequestId = RequestId(2);
    const C: RequestId = RequestId(3);

    fn node(id: u32) -> NodeId {
        NodeId::compute(id).unwrap()
    }

    #[test]
    fn commands_wait_in_the_order_in_which_they_were_typed() {
        let mut turns = Turns::default();
        assert!(turns.is_free(node(1)));
        for request in [C, A, B, A] {
            turns.enqueue(node(1), request);
        }
        assert_eq!(turns.commands(node(1)).collect::<Vec<_>>(), [A, B, C]);
        assert!(turns.is_turn_of(node(1), A) && turns.is_queued(node(1), C));
        turns.leave(node(1), A);
        assert_eq!(turns.next(node(1)), Some(B));
        assert!(turns.is_free(node(2)) && !turns.is_free(node(1)));
        turns.leave(node(1), B);
        turns.leave(node(1), C);
        assert!(turns.is_free(node(1)) && turns.by_node.is_empty());
    }

    #[test]
    fn all_wait_for_the_command_that_holds_a_node() {
        let mut turns = Turns::default();
        turns.enqueue(node(1), A);
        turns.enqueue(node(1), B);
        turns.release(A, [node(1)]);
        turns.hold(node(1), A);
        assert!(turns.is_held(node(1)) && turns.concerns(node(1), A));
        assert_eq!((turns.next(node(1)), turns.next_ready()), (None, Some(node(1))));
        assert_eq!(turns.commands(node(1)).collect::<Vec<_>>(), [A, B]);
        turns.release(B, [node(1)]);
        assert!(turns.is_held(node(1)), "it is another's");
        turns.enqueue(node(1), B);
        turns.release(A, [node(1)]);
        assert!(turns.is_turn_of(node(1), B) && !turns.concerns(node(1), A));
    }

    #[test]
    fn what_will_be_created_is_known_until_it_is_not_awaited() {
        let mut turns = Turns::default();
        turns.expect(node(1), A, node(2));
        turns.expect(node(1), B, node(3));
        assert_eq!(turns.coming(node(1)).collect::<Vec<_>>(), [node(2), node(3)]);
        turns.expect_no_more(node(1), A);
        assert_eq!(turns.coming(node(1)).collect::<Vec<_>>(), [node(3)]);
        assert!(turns.is_free(node(1)), "that alone makes nobody wait");
        turns.forget(node(1));
        assert_eq!(turns.coming(node(1)).count(), 0);
    }
}
