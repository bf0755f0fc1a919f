//! The links of a node to its children, and to peers that may become children.

use std::time::Duration;

use super::arrivals::{Arrivals, HELLO_WITHIN};
use super::briefing::{self, Briefing};
use super::child::Child;
use super::complaints::Complaints;
use super::ending::{END_GRACE, send_shutdown};
use super::processes::Processes;
use super::reducer::Reducer;
use super::relay::Relay;
use super::reports;
use super::turn::Turn;
use crate::link::Link;
use crate::router::Router;
use crate::time::earliest;
use crate::wire::{Fan, Hello, Kind, Malformed, Message, Settled, Up};
use crate::{
    Address, Ancestor, Holdings, Inspection, Life, LinkId, Machine, Output, Place, ProcessId,
    Proof, Proved, Time, Token, Watch,
};

/// The links downwards of one node.
#[derive(Debug)]
pub(super) struct Links {
    /// Whose they are.
    own: Life,
    arrivals: Arrivals,
    relay: Relay,
    briefing: Briefing,
    turn: Turn,
    /// When [`Links::timeout`] must look again; may be earlier than there is need.
    wake: Option<Time>,
    /// No orphan is taken in any more.
    is_closing: bool,
    complaints: Complaints,
}

impl Links {
    pub fn new(own: Life, process: ProcessId, token: Token) -> Links {
        Links {
            own,
            arrivals: Arrivals::new(token),
            relay: Relay::new(own),
            briefing: Briefing::new(own, process),
            turn: Turn::default(),
            wake: None,
            is_closing: false,
            complaints: Complaints::default(),
        }
    }

    /// How many children are linked, orphans that may become children included.
    pub fn count(&self) -> usize {
        self.relay.count() + self.arrivals.guests().len()
    }

    /// Who is below.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// As [`Links::relay`].
    #[cfg(test)]
    pub fn relay_mut(&mut self) -> &mut Relay {
        &mut self.relay
    }

    /// Where this node runs.
    pub fn machine(&self) -> Machine {
        self.briefing.process().machine
    }

    /// What all children are told.
    pub fn briefing(&self) -> &Briefing {
        &self.briefing
    }

    /// How much is kept on behalf of others.
    pub fn holdings(&self) -> Holdings {
        let linked = self.relay.children().chain(self.arrivals.guests());
        Holdings {
            lives: self.relay.routes().known(),
            peers: self.relay.count() + self.arrivals.count(),
            waiting_bytes: linked.map(|child| child.link().waiting_bytes()).sum(),
            answer_bytes: self.relay.reducer().bytes(),
        }
    }

    /// Whether this turn has queued enough for one child that it should leave first.
    pub fn has_enough_to_send(&self) -> bool {
        self.turn.has_enough()
    }

    /// A life is about to come about below this very node, with this mark.
    pub fn expect(&mut self, life: Life, mark: Proof) {
        self.relay.expect(life, self.own, mark);
    }

    /// As [`Relay::reducer_mut`].
    pub fn reducer_mut(&mut self) -> &mut Reducer {
        self.relay.reducer_mut()
    }

    /// As [`Relay::take_delays`].
    pub fn take_delays(&mut self) -> Vec<(Life, Duration)> {
        self.relay.take_delays()
    }

    /// As [`Relay::forward`].
    pub fn forward(&mut self, message: &Message<'_>, up: &mut Up<'_>) {
        self.relay.forward(message, &mut self.turn, up);
    }

    /// As [`Relay::forward_fan`].
    pub fn forward_fan(&mut self, fan: Fan<'_>, up: &mut Up<'_>) {
        self.relay.forward_fan(fan, &mut self.turn, up);
    }

    /// Tells all children of another place of this node.
    pub fn set_place(&mut self, depth: u32, ancestors: Vec<Ancestor>) {
        self.briefing.set_place(depth, ancestors);
        self.send_place();
    }

    /// Tells all children where this node listens, which has changed.
    pub fn set_address(&mut self, address: Address) {
        self.briefing.set_address(address);
        self.send_place();
    }

    fn send_place(&mut self) {
        let children = self.relay.children_mut().chain(self.arrivals.guests_mut());
        self.briefing.send_place(children, &mut self.turn);
    }

    /// Watches the children from now on, or no more.
    pub fn watch(&mut self, now: Time, watch: Option<Watch>) {
        self.briefing.set_watch(watch);
        for child in self.relay.children_mut() {
            self.briefing.watch(child, now);
            self.wake = earliest(self.wake, child.link().deadline());
        }
    }

    /// Shows all children a sign of life, if they are watching.
    pub fn beat(&mut self) {
        for child in self.relay.children_mut() {
            child.touch(&mut self.turn).beat();
        }
    }

    /// Makes a value known to all children, those who join later included.
    pub fn publish(&mut self, module: &str, value: &[u8]) {
        for child in self.relay.children_mut() {
            briefing::send_value(child.touch(&mut self.turn), module, value);
        }
        self.briefing.publish(module, value);
    }

    /// Asks a child to end, if it is linked.
    pub fn ask_to_end(&mut self, life: Life, grace: Duration) {
        if let Some(link) = self.relay.link_of(life)
            && let Some(child) = self.relay.child_mut(link)
        {
            send_shutdown(child.touch(&mut self.turn), grace);
        }
    }

    /// Closes the link of a child, if it is linked.
    pub fn hang_up(&mut self, child: Life, out: &mut Vec<Output>, up: &mut Up<'_>) {
        if let Some(link) = self.relay.link_of(child) {
            out.push(Output::Close(link));
            self.relay.remove(link, &mut self.turn, up);
        }
    }

    /// No orphan may stay from now on.
    pub fn close(&mut self, out: &mut Vec<Output>) {
        self.is_closing = true;
        out.extend(self.arrivals.dismiss_guests().into_iter().map(Output::Close));
    }

    /// Whether children are to end, and none may come.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// A peer has connected.
    pub fn connected(&mut self, now: Time, link: LinkId, out: &mut Vec<Output>) {
        out.extend(self.arrivals.connected(now, link).map(Output::Close));
        self.wake_by(Some(now + HELLO_WITHIN));
    }

    /// Receives a frame of a child, or of a peer that may become one.
    pub fn received(
        &mut self,
        now: Time,
        link: LinkId,
        frame: &[u8],
        processes: &mut Processes,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) -> Result<(), Malformed> {
        if self.arrivals.is_first_word(link) {
            self.greeted(now, link, frame, processes, out, up)
        } else {
            self.reported(now, link, frame, processes, out, up)
        }
    }

    /// Hangs up on a peer that makes no sense. The link is still to be
    /// [forgotten](Links::disconnected).
    pub fn cut_off(&mut self, now: Time, link: LinkId, what: Malformed, out: &mut Vec<Output>) {
        let (own, Malformed(what)) = (self.own.node, what);
        let text =
            format_args!("node {own}: a peer does not speak our protocol and is cut off: {what}");
        self.complaints.add(now, log::Level::Warn, text);
        out.push(Output::Close(link));
    }

    /// A link is gone. Returns which child it led to, if any.
    pub fn disconnected(&mut self, link: LinkId, up: &mut Up<'_>) -> Option<Place> {
        if let Some(guest) = self.arrivals.disconnected(link) {
            guest.forget_in(&mut self.turn);
        }
        self.relay.remove(link, &mut self.turn, up)
    }

    /// A peer has said its first word, which must be a hello.
    fn greeted(
        &mut self,
        now: Time,
        id: LinkId,
        frame: &[u8],
        processes: &mut Processes,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) -> Result<(), Malformed> {
        let (hello, mut link) = self.arrivals.read_hello(now, id, frame)?;
        let life = hello.life;
        match hello.newborn {
            // It looks for an older node, whose address this node has now.
            None if life.incarnation <= self.own.incarnation => {
                self.refuse(now, life, "is older and can't hang below");
                out.push(Output::Close(id));
            }
            None if self.is_closing => self.dismiss(now, life, link, out),
            None if !self.relay.routes().knows(life) => {
                self.refuse(now, life, "was never below and is not taken in");
                out.push(Output::Close(id));
            }
            None => self.invite(now, &hello, link, out),
            Some(proof) => {
                let place = Place { life, parent: self.own, moves: 0 };
                let at = Proved { place, proof };
                if self.relay.routes().is_new(at)
                    && let Some(request) = processes.join(life)
                {
                    self.briefing.send_welcome(&mut link);
                    self.begin(now, Child::new(place, hello.process, link), proof, up);
                    reports::joined(at, hello.process, request, up);
                } else {
                    self.dismiss(now, life, link, out);
                }
            }
        }
        Ok(())
    }

    /// Says in the log why a life is not taken in.
    fn refuse(&mut self, now: Time, life: Life, why: &str) {
        let text = format_args!("node {}: {life} {why}", self.own.node);
        self.complaints.add(now, log::Level::Info, text);
    }

    /// Tells a peer to end, with which nobody can do anything.
    fn dismiss(&mut self, now: Time, life: Life, mut link: Link, out: &mut Vec<Output>) {
        self.refuse(now, life, "is not expected and is told to end");
        send_shutdown(&mut link, END_GRACE);
        link.flush(now, true, out);
        out.push(Output::Close(link.id()));
    }

    /// From now on a peer is a child.
    fn begin(&mut self, now: Time, mut child: Child, proof: Proof, up: &mut Up<'_>) {
        self.briefing.send_published(child.touch(&mut self.turn));
        self.briefing.watch(&mut child, now);
        let deadline = child.link().deadline();
        self.wake_by(deadline);
        self.relay.add(child, proof, up);
    }

    /// Tells an orphan that it may stay. It may have asked others as well, so nobody is told before
    /// it has said that it does.
    fn invite(&mut self, now: Time, hello: &Hello, mut link: Link, out: &mut Vec<Output>) {
        self.briefing.send_welcome(&mut link);
        let place = Place { life: hello.life, parent: self.own, moves: 0 };
        let mut guest = Child::new(place, hello.process, link);
        guest.touch(&mut self.turn);
        out.extend(self.arrivals.invite(now, guest).map(Output::Close));
        self.wake_by(Some(now + HELLO_WITHIN));
    }

    /// A frame came from a guest, which must begin with its decision to stay.
    fn decided(
        &mut self,
        now: Time,
        id: LinkId,
        frame: &[u8],
        processes: &mut Processes,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) -> Result<(), Malformed> {
        // A link that was closed may still have had a frame under way.
        let Some(guest) = self.arrivals.guest_mut(id) else { return Ok(()) };
        let mut messages = guest.receive(now, frame, &mut self.turn)?;
        let Some(first) = messages.next() else { return Ok(()) };
        let first = first?;
        if first.kind != Kind::Settled {
            return Err(Malformed("a guest that does not begin with its decision to stay"));
        }
        self.stay(now, id, first.read()?, processes, out, up);
        self.relay.read(id, messages, up)
    }

    /// A guest stays.
    fn stay(
        &mut self,
        now: Time,
        id: LinkId,
        Settled { moves, proof }: Settled,
        processes: &mut Processes,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        let Some(mut child) = self.arrivals.take_guest(id) else { return };
        child.moved(moves);
        let (place, process) = (child.place(), child.process());
        let at = Proved { place, proof };
        if !self.relay.routes().is_new(at) {
            // It only claims to be that life.
            self.refuse(now, place.life, "can't have moved here");
            out.push(Output::Close(id));
            return;
        }
        self.hang_up(place.life, out, up);
        let awaited_by = processes.join(place.life);
        processes.adopt(place.life, process, out);
        self.begin(now, child, proof, up);
        match awaited_by {
            // Its first connection broke before its hello.
            Some(request) => reports::joined(at, process, request, up),
            None => reports::moved(at, process, up),
        }
        // It has come back to one that had been told to end it.
        if processes.is_ending(place.life) {
            self.ask_to_end(place.life, END_GRACE);
        }
    }

    /// A frame came from a child, or from a guest that may become one.
    fn reported(
        &mut self,
        now: Time,
        id: LinkId,
        frame: &[u8],
        processes: &mut Processes,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) -> Result<(), Malformed> {
        let Some(child) = self.relay.child_mut(id) else {
            return self.decided(now, id, frame, processes, out, up);
        };
        let messages = child.receive(now, frame, &mut self.turn)?;
        if child.link_mut().broke_silence() {
            let (place, deadline) = (child.place(), child.link().deadline());
            self.wake_by(deadline);
            reports::state(Kind::Heard, place, up);
        }
        self.relay.read(id, messages, up)
    }

    /// The process of a child of which nothing has come for too long was looked at.
    pub fn inspected(&mut self, now: Time, link: LinkId, seen: Inspection, up: &mut Up<'_>) {
        let Some(child) = self.relay.child_mut(link) else { return };
        if child.link_mut().judge(now, seen) {
            reports::state(Kind::Silent, child.place(), up);
        }
        self.wake = earliest(self.wake, child.link().deadline());
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: Time, out: &mut Vec<Output>) {
        out.extend(self.arrivals.take_overdue(now).into_iter().map(Output::Close));
        self.wake = self.arrivals.deadline();
        for child in self.relay.children_mut() {
            if child.link_mut().inspect_if_due(now) {
                out.push(Output::Inspect(child.link().id(), child.process()));
            }
            if child.link_mut().beat_if_due(now) {
                child.touch(&mut self.turn);
            }
            self.wake = earliest(self.wake, child.link().deadline());
        }
    }

    fn wake_by(&mut self, time: Option<Time>) {
        self.wake = earliest(self.wake, time);
    }

    /// When [`Links::timeout`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        self.wake
    }

    /// Sends what waits for the children. With `acknowledge` unset, what came from them has not
    /// found its way on, and they get no new credit.
    pub fn flush(&mut self, now: Time, acknowledge: bool, out: &mut Vec<Output>) {
        for link in self.turn.links() {
            let child = self.relay.child_mut(*link).or_else(|| self.arrivals.guest_mut(*link));
            if let Some(child) = child {
                child.flush(now, acknowledge, out);
                // New credit may let a beat leave for which there was none.
                self.wake = earliest(self.wake, child.link().deadline());
            }
        }
        self.turn.end(acknowledge);
    }
}
