//! What a node tells all its children: who is above them, how they are watched, what was published.

use std::collections::BTreeMap;

use super::child::Child;
use super::turn::Turn;
use crate::link::{Link, Merge, distance};
use crate::wire::{self, Kind, Message, Published, Welcome};
use crate::{Address, Ancestor, Life, ProcessId, Time, Watch};

/// What every child must know, and those that join later as well.
#[derive(Debug)]
pub(super) struct Briefing {
    /// Whose children they are.
    own: Life,
    process: ProcessId,
    /// Where it listens, if it has begun to do so at another place since it has started children.
    address: Option<Address>,
    /// How many links there are between this node and the control node.
    depth: u32,
    /// Who may take a child in when this node is gone, the nearest first.
    ancestors: Vec<Ancestor>,
    watch: Option<Watch>,
    published: BTreeMap<String, Vec<u8>>,
}

impl Briefing {
    pub fn new(own: Life, process: ProcessId) -> Briefing {
        let (ancestors, published) = (Vec::new(), BTreeMap::new());
        Briefing { own, process, address: None, depth: 0, ancestors, watch: None, published }
    }

    /// The process of this node.
    pub fn process(&self) -> ProcessId {
        self.process
    }

    /// How far this node is from the control node.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Who may take a child in when this node is gone, the nearest first.
    pub fn ancestors(&self) -> &[Ancestor] {
        &self.ancestors
    }

    /// This node has another place in the tree.
    pub fn set_place(&mut self, depth: u32, ancestors: Vec<Ancestor>) {
        (self.depth, self.ancestors) = (depth, ancestors);
    }

    /// This node listens at another place than before.
    pub fn set_address(&mut self, address: Address) {
        self.address = Some(address);
    }

    /// The body of a welcome.
    fn welcome(&self) -> Vec<u8> {
        let ancestors = self.ancestors.clone();
        let (parent, address, depth) = (self.own.node, self.address.clone(), self.depth + 1);
        wire::body(&Welcome { parent, process: self.process, address, depth, ancestors })
    }

    /// Tells a peer that it is welcome, before all else: a request must not be run by a node that
    /// does not know its place.
    pub fn send_welcome(&self, link: &mut Link) {
        link.send_first(&Message::neighbour(Kind::Welcome, &self.welcome()));
    }

    /// Tells children that their place, or that of somebody above them, is another one.
    pub fn send_place<'c>(&self, children: impl Iterator<Item = &'c mut Child>, turn: &mut Turn) {
        let welcome = self.welcome();
        for child in children {
            let message = Message::neighbour(Kind::Welcome, &welcome);
            child.touch(turn).send_control(Merge::Place, &message);
        }
    }

    /// Watches the children from now on, or no more.
    pub fn set_watch(&mut self, watch: Option<Watch>) {
        self.watch = watch;
    }

    /// Watches a child, and has it see signs of this node's own life. Nobody judges the control
    /// node's silence, so it sends none.
    pub fn watch(&self, child: &mut Child, now: Time) {
        let is_far = child.process().machine != self.process.machine;
        let watch = distance::watch(is_far, self.watch);
        let link = child.link_mut();
        link.silent_after(watch.map(|watch| watch.silent_after), now);
        let beats = watch.filter(|_| self.own != Life::CONTROL);
        link.beat_every(beats.map(|watch| watch.beat_every), now);
    }

    /// Whether this value is what was published last.
    pub fn has_published(&self, module: &str, value: &[u8]) -> bool {
        self.published.get(module).is_some_and(|published| published == value)
    }

    /// Remembers a value that children must know.
    pub fn publish(&mut self, module: &str, value: &[u8]) {
        self.published.insert(module.to_owned(), value.to_owned());
    }

    /// Tells a new child what was published.
    pub fn send_published(&self, link: &mut Link) {
        for (module, value) in &self.published {
            link.send(&Message::neighbour(Kind::Publish, &published(module, value)));
        }
    }
}

/// Tells a child of a value that has just been published.
pub(super) fn send_value(link: &mut Link, module: &str, value: &[u8]) {
    let merge = Merge::Published(module.to_owned());
    link.send_control(merge, &Message::neighbour(Kind::Publish, &published(module, value)));
}

fn published(module: &str, value: &[u8]) -> Vec<u8> {
    wire::body(&Published { module: module.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Address, Incarnation, LinkId, Machine, NodeId, Output, Place};

    const NOW: Time = Time::ZERO;

    fn life(id: u32) -> Life {
        Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
    }

    fn child(process: ProcessId) -> Child {
        let place = Place { life: life(2), parent: life(1), moves: 0 };
        Child::new(place, process, Link::new(LinkId(1), NOW))
    }

    /// The kinds and bodies of the messages that leave.
    fn sent(link: &mut Link) -> Vec<(Kind, Vec<u8>)> {
        let mut out = Vec::new();
        link.flush(NOW, true, &mut out);
        let frames = out.iter().map(|output| match output {
            Output::Send(_, frame) => frame,
            other => panic!("{other:?}"),
        });
        let messages = frames.flat_map(|frame| wire::open(frame).unwrap().1).map(Result::unwrap);
        messages.map(|message| (message.kind, message.body.to_vec())).collect()
    }

    #[test]
    fn a_new_child_hears_where_it_hangs_and_what_was_published() {
        let mut briefing = Briefing::new(life(1), ProcessId::of(77));
        let ancestors = vec![Ancestor {
            node: NodeId::CONTROL,
            address: Address("up".to_owned()),
            machine: Machine::default(),
        }];
        briefing.set_place(3, ancestors.clone());
        briefing.publish("one", b"old");
        briefing.publish("two", b"2");
        briefing.publish("one", b"1");
        let mut link = Link::new(LinkId(1), NOW);
        briefing.send_published(&mut link);
        briefing.send_welcome(&mut link);
        let welcome = Welcome {
            parent: life(1).node,
            process: ProcessId::of(77),
            address: None,
            depth: 4,
            ancestors,
        };
        let expected = [
            (Kind::Welcome, wire::body(&welcome)),
            (Kind::Publish, published("one", b"1")),
            (Kind::Publish, published("two", b"2")),
        ];
        assert_eq!(sent(&mut link), expected);
        assert!(briefing.has_published("one", b"1") && !briefing.has_published("one", b"old"));
    }

    #[test]
    fn only_the_latest_place_waits_for_a_child() {
        let mut briefing = Briefing::new(life(1), ProcessId::of(77));
        let mut child = child(ProcessId::of(9));
        for depth in [3, 5] {
            briefing.set_place(depth, Vec::new());
            briefing.send_place([&mut child].into_iter(), &mut Turn::default());
        }
        let sent = sent(child.link_mut());
        assert_eq!(sent, [(Kind::Welcome, briefing.welcome())]);
    }

    /// Nobody judges its silence.
    #[test]
    fn the_control_node_watches_but_does_not_beat() {
        let (beat_every, silent_after) = (Duration::from_secs(1), Duration::from_secs(4));
        for (own, first) in [(Life::CONTROL, silent_after), (life(1), beat_every)] {
            let mut briefing = Briefing::new(own, ProcessId::of(77));
            briefing.set_watch(Some(Watch { beat_every, silent_after }));
            let mut child = child(ProcessId::of(9));
            briefing.watch(&mut child, NOW);
            assert_eq!(child.link().deadline(), Some(NOW + first));
        }
    }

    /// Whatever the user wants of others.
    #[test]
    fn a_child_on_another_machine_is_always_watched() {
        let far = ProcessId { machine: Machine(7), pid: 9 };
        for wanted in [None, Some(Duration::from_millis(10)), Some(Duration::from_secs(60))] {
            let mut briefing = Briefing::new(life(1), ProcessId::of(77));
            briefing.set_watch(
                wanted.map(|every| Watch { beat_every: every, silent_after: 4 * every }),
            );
            let mut child = child(far);
            briefing.watch(&mut child, NOW);
            assert_eq!(child.link().deadline(), Some(NOW + Duration::from_millis(500)));
        }
    }
}
