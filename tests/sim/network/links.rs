//! What travels between processes, as a transport carries it.

use hoptree_core::{Address, Input, LinkId, NodeId, Output};

use super::{Event, MICROSECOND, Network};
use crate::frame::{self, Header};
use crate::link::Ends;
use crate::process::{CONTROL, Pid, Role};

/// How many requests are remembered, for whoever wants to answer them.
const REQUESTS_REMEMBERED: usize = 64;

impl Network {
    pub(super) fn send(&mut self, link: LinkId, frame: Vec<u8>) {
        let sender = self.ends.end(link).owner;
        let frame = self.tamper(sender, link, frame);
        if frame.len() > hoptree_core::FRAME_BYTES_MAX {
            self.checks.fail(format!("a frame of {} bytes on {link:?}", frame.len()));
        }
        for header in frame::headers(&frame) {
            if header.name() == "Settled" && self.processes[sender].liar.is_none() {
                self.settles(sender, link);
            }
            if self.is_suspect(sender) {
                continue;
            }
            if sender == CONTROL
                && let Some(life) = header.created()
            {
                self.wanted.insert(life);
            }
            if header.begins_request() {
                self.remember(header.request);
                self.checks.passed_on(sender, &header);
            }
            if header.begins_answer() {
                self.answered(sender, &header);
            }
            self.checks.sent(sender, header.is_of(self.processes[sender].life), &header);
        }
        let end = self.ends.end_mut(link);
        if !end.is_open {
            return;
        }
        if !end.sends(&frame) && !self.is_suspect(sender) {
            self.checks.fail(format!("{link:?}: too much is unacknowledged"));
        }
        self.send_to(Ends::peer(link), |link| Event::Frame(link, frame));
    }

    fn remember(&mut self, request: u64) {
        if self.requests.len() >= REQUESTS_REMEMBERED {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    /// A process answers a request, itself or for those below it.
    fn answered(&mut self, sender: Pid, header: &Header<'_>) {
        let node = self.processes[sender].life.node;
        if NodeId::compute(header.node) == Some(node) {
            self.checks.answered_by(sender, header);
        }
        if header.is_of_the_node() && !header.is_of(self.processes[sender].life) {
            self.checks.answer_passed_on(sender, header);
        }
    }

    /// Plans the arrival of something at the end of a link, after all that is on its way there.
    pub fn send_to(&mut self, link: LinkId, event: impl FnOnce(LinkId) -> Event) {
        let latency = self.time_between(20 * MICROSECOND, 150 * MICROSECOND);
        let end = self.ends.end_mut(link);
        let at = (self.now + latency + end.delay).max(end.last_arrival);
        (end.last_arrival, end.delay) = (at, end.delay.saturating_sub(latency));
        let owner = end.owner;
        self.plan(at, owner, event(link));
    }

    pub fn close(&mut self, link: LinkId) {
        if std::mem::replace(&mut self.ends.end_mut(link).is_open, false)
            && !self.ends.end(link).is_broken
        {
            self.send_to(Ends::peer(link), Event::Down);
        }
    }

    pub fn connect(&mut self, from: Pid, to: &Address) -> LinkId {
        let to: Option<Pid> = to.0.parse().ok().filter(|to| *to < self.processes.len());
        let Some(to) = to else {
            // Somebody below a compromised node was told nonsense.
            let (near, far) = self.ends.connect(from, from);
            self.ends.end_mut(far).is_open = false;
            self.processes[from].links.push(near);
            self.send_to(near, Event::Down);
            return near;
        };
        let (near, far) = self.ends.connect(from, to);
        self.processes[from].links.push(near);
        if self.is_alive(to) && !matches!(self.processes[to].role, Role::Starting) {
            self.processes[to].links.push(far);
            self.send_to(near, Event::Up);
        } else {
            self.ends.end_mut(far).is_open = false;
            self.send_to(near, Event::Down);
        }
        near
    }

    pub(super) fn deliver(
        &mut self,
        pid: Pid,
        link: LinkId,
        frame: &[u8],
        outputs: &mut Vec<Output>,
    ) {
        let end = self.ends.end_mut(link);
        if !end.is_open || end.is_broken {
            return;
        }
        let is_right = end.receives(frame);
        *self.record.frames.entry(pid).or_default() += 1;
        let sender = self.ends.peer_of(link).owner;
        let is_trusted = !self.is_suspect(sender) && !self.is_suspect(pid);
        if is_trusted && !is_right {
            self.checks.fail(format!("{link:?}: more is acknowledged than was sent"));
        }
        if let Some(liar) = &mut self.processes[pid].liar {
            liar.see(frame);
        }
        let sender = self.processes[sender].life.node;
        for header in frame::headers(frame) {
            if pid == CONTROL && is_trusted {
                self.checks.heard(sender, &header);
            }
            if pid == CONTROL {
                self.checks.outputs.received(&header);
            }
            if header.name() == "Reduced" {
                *self.record.reduced.entry(link).or_default() += header.body.len();
            }
            if header.begins_answer() {
                self.checks.brought(pid, &header);
            }
        }
        if !std::mem::replace(&mut self.ends.end_mut(link).is_known, true) {
            self.feed(pid, Input::Up(link), outputs);
        }
        self.feed(pid, Input::Frame(link, frame), outputs);
    }

    pub(super) fn break_off(&mut self, pid: Pid, link: LinkId, outputs: &mut Vec<Output>) {
        let end = self.ends.end_mut(link);
        if std::mem::replace(&mut end.is_open, false) {
            let is_known = end.is_known;
            self.processes[pid].links.retain(|other| *other != link);
            if is_known {
                self.feed(pid, Input::Down(link), outputs);
            }
        }
    }
}
