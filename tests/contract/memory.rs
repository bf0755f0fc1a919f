//! A transport within one process, which shows how little the contract asks for: every node has an
//! inbox, and all inboxes lie behind one lock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, FRAMES_PER_WAIT_MAX, LinkId, Opening, SEALED_BYTES_MAX, SendError, Transport,
    TransportError, Waker,
};

/// How many frames may wait on one link whose far end does not read: 8 MiB at the very most.
const FRAMES_HELD_MAX: usize = 256;

static HUB: Hub = Hub {
    inboxes: Mutex::new(Inboxes { by_node: BTreeMap::new(), nodes: 0, links: 0 }),
    changed: Condvar::new(),
};

/// Opens one end.
pub fn open(_: Opening<'_>) -> Result<Box<dyn Transport>, TransportError> {
    let mut inboxes = HUB.lock();
    inboxes.nodes += 1;
    let node = inboxes.nodes;
    inboxes.by_node.insert(node, Inbox::default());
    Ok(Box::new(Memory { node }))
}

struct Memory {
    node: u64,
}

struct Hub {
    inboxes: Mutex<Inboxes>,
    changed: Condvar,
}

struct Inboxes {
    by_node: BTreeMap<u64, Inbox>,
    nodes: u64,
    links: u64,
}

/// What waits for one node, and the links that it can send on.
#[derive(Default)]
struct Inbox {
    waiting: VecDeque<(LinkId, Told)>,
    ends: BTreeMap<LinkId, End>,
    woken: bool,
}

enum Told {
    Up,
    Frame(Vec<u8>),
    Down,
}

/// One end of a link, as its own node knows it.
struct End {
    far_node: u64,
    far_link: LinkId,
    /// Whether an event has named it; what was accepted is named with its first frame.
    is_told: bool,
    /// How many frames wait to be delivered here.
    held: usize,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Inboxes> {
        self.inboxes.lock().unwrap()
    }

    fn wake(&self, node: u64) {
        if let Some(inbox) = self.lock().by_node.get_mut(&node) {
            inbox.woken = true;
            self.changed.notify_all();
        }
    }
}

impl Inboxes {
    fn link(&mut self) -> LinkId {
        self.links += 1;
        LinkId(self.links)
    }

    fn tell(&mut self, node: u64, link: LinkId, told: Told) {
        if let Some(inbox) = self.by_node.get_mut(&node) {
            inbox.waiting.push_back((link, told));
        }
        HUB.changed.notify_all();
    }

    /// Takes a link away from one node, and lets the other know.
    fn cut(&mut self, node: u64, link: LinkId) {
        let end = self.by_node.get_mut(&node).and_then(|inbox| inbox.ends.remove(&link));
        let Some(End { far_node, far_link, .. }) = end else { return };
        let far = self.by_node.get_mut(&far_node).and_then(|inbox| inbox.ends.remove(&far_link));
        if far.is_some_and(|far| far.is_told) {
            self.tell(far_node, far_link, Told::Down);
        }
    }
}

impl Transport for Memory {
    fn listen(&mut self) -> Result<Address, TransportError> {
        Ok(Address(format!("memory:{}", self.node)))
    }

    fn connect(&mut self, to: &Address) -> LinkId {
        let mut inboxes = HUB.lock();
        let (link, far_link) = (inboxes.link(), inboxes.link());
        let node = to.0.strip_prefix("memory:").and_then(|node| node.parse().ok());
        let far = node.and_then(|node| Some((node, inboxes.by_node.get_mut(&node)?)));
        let Some((far_node, far)) = far else {
            inboxes.tell(self.node, link, Told::Down);
            return link;
        };
        let end = |far_node, far_link, is_told| End { far_node, far_link, is_told, held: 0 };
        far.ends.insert(far_link, end(self.node, link, false));
        let own = inboxes.by_node.get_mut(&self.node).expect("it goes only when it is dropped");
        own.ends.insert(link, end(far_node, far_link, true));
        inboxes.tell(self.node, link, Told::Up);
        link
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        let is_good = (1..=SEALED_BYTES_MAX).contains(&frame.len());
        debug_assert!(is_good, "a frame of {} bytes", frame.len());
        let mut inboxes = HUB.lock();
        let end = inboxes.by_node.get(&self.node).and_then(|inbox| inbox.ends.get(&link));
        let Some(&End { far_node, far_link, .. }) = end else { return Err(SendError::Gone) };
        if !is_good {
            return Ok(());
        }
        let far = inboxes.by_node.get_mut(&far_node).expect("its end would have cut the link");
        let end = far.ends.get_mut(&far_link).expect("ends go in pairs");
        if end.held == FRAMES_HELD_MAX {
            return Err(SendError::Full);
        }
        end.held += 1;
        if !std::mem::replace(&mut end.is_told, true) {
            inboxes.tell(far_node, far_link, Told::Up);
        }
        inboxes.tell(far_node, far_link, Told::Frame(frame.to_vec()));
        Ok(())
    }

    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        let mut inboxes = HUB.lock();
        let mut taken = Vec::new();
        loop {
            let inbox = inboxes.by_node.get_mut(&self.node).expect("it goes only when dropped");
            let mut frames = 0;
            while frames < FRAMES_PER_WAIT_MAX
                && let Some((link, told)) = inbox.waiting.pop_front()
            {
                if let Told::Frame(_) = told {
                    frames += 1;
                    if let Some(end) = inbox.ends.get_mut(&link) {
                        end.held -= 1;
                    }
                }
                taken.push((link, told));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if std::mem::take(&mut inbox.woken) || !taken.is_empty() || left == Some(Duration::ZERO)
            {
                break;
            }
            inboxes = match left {
                None => HUB.changed.wait(inboxes).unwrap(),
                Some(left) => HUB.changed.wait_timeout(inboxes, left).unwrap().0,
            };
        }
        // What is delivered may take its time, and the others are not to wait for it.
        drop(inboxes);
        for (link, told) in &taken {
            deliver(match told {
                Told::Up => Event::Up(*link),
                Told::Frame(frame) => Event::Frame(*link, frame),
                Told::Down => Event::Down(*link),
            });
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        let node = self.node;
        Waker::new(move || HUB.wake(node))
    }

    fn close(&mut self, link: LinkId) {
        let mut inboxes = HUB.lock();
        inboxes.cut(self.node, link);
        if let Some(inbox) = inboxes.by_node.get_mut(&self.node) {
            inbox.waiting.retain(|(of, _)| *of != link);
        }
    }

    /// Whatever was sent lies with the other side already.
    fn finish(self: Box<Self>, _: Duration) {}
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut inboxes = HUB.lock();
        let links: Vec<_> = inboxes.by_node[&self.node].ends.keys().copied().collect();
        for link in links {
            inboxes.cut(self.node, link);
        }
        inboxes.by_node.remove(&self.node);
    }
}
