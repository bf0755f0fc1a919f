//! Questions whether lives can be reached.

use rustc_hash::FxHashMap;

use crate::{Life, NodeId, RequestId};

/// The questions that are under way.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    under_way: FxHashMap<RequestId, Probe>,
    /// The one for each life that no command has asked for.
    unasked: FxHashMap<Life, RequestId>,
}

/// A question whether a life can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub life: Life,
    /// The command that wants to know.
    pub asker: Option<RequestId>,
}

impl Probes {
    /// Whether a life is being asked already, though no command wants to know.
    pub fn is_asked(&self, life: Life) -> bool {
        self.unasked.contains_key(&life)
    }

    /// Notes a question that is sent now.
    pub fn add(&mut self, request: RequestId, probe: Probe) {
        if probe.asker.is_none() {
            self.unasked.insert(probe.life, request);
        }
        self.under_way.insert(request, probe);
    }

    /// Takes out the question that a request has asked, if it has asked one.
    pub fn take(&mut self, request: RequestId) -> Option<Probe> {
        let probe = self.under_way.remove(&request)?;
        if self.unasked.get(&probe.life) == Some(&request) {
            self.unasked.remove(&probe.life);
        }
        Some(probe)
    }

    /// Forgets the questions to nodes that can't be reached any more, which are given in ascending
    /// order.
    pub fn forget(&mut self, nodes: &[NodeId]) {
        let is_kept = |life: &Life| nodes.binary_search(&life.node).is_err();
        self.under_way.retain(|_, probe| is_kept(&probe.life));
        self.unasked.retain(|life, _| is_kept(life));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Incarnation;

    fn life(id: u32, incarnation: u32) -> Life {
        let incarnation = Incarnation(incarnation);
        Life { node: NodeId::compute(id).unwrap(), incarnation }
    }

    #[test]
    fn only_what_no_command_wants_to_know_is_asked_once() {
        let mut probes = Probes::default();
        let asked = Probe { life: life(1, 1), asker: Some(RequestId(10)) };
        probes.add(RequestId(11), asked);
        assert!(!probes.is_asked(life(1, 1)));
        probes.add(RequestId(12), Probe { life: life(1, 1), asker: None });
        assert!(probes.is_asked(life(1, 1)) && !probes.is_asked(life(1, 2)));
        assert_eq!(probes.take(RequestId(11)), Some(asked));
        assert!(probes.is_asked(life(1, 1)));
        assert!(probes.take(RequestId(12)).is_some());
        assert!(!probes.is_asked(life(1, 1)) && probes.take(RequestId(12)).is_none());
    }

    #[test]
    fn the_questions_to_who_is_gone_are_forgotten() {
        let mut probes = Probes::default();
        for id in 1..=3 {
            probes.add(RequestId(id.into()), Probe { life: life(id, 1), asker: None });
        }
        probes.forget(&[life(1, 1).node, life(3, 1).node]);
        let kept = [1, 2, 3].map(|id| probes.is_asked(life(id, 1)));
        assert_eq!(kept, [false, true, false]);
        assert!(probes.take(RequestId(3)).is_none());
    }
}
