//! A node's side towards its children: their links, the routes to all below them, and what is pending
//! on them. Control node and compute nodes have it in common.

mod arrivals;
mod briefing;
mod child;
mod complaints;
mod ending;
mod links;
mod processes;
mod reducer;
mod relay;
mod reports;
mod turn;

use std::collections::BTreeSet;
use std::time::Duration;

use child::Child;
use links::Links;
use processes::{GONE_WITHIN, Processes};

use crate::router::Router;
use crate::time::earliest;
use crate::wire::{self, Create, Fan, Kind, Message, Status, Up};
use crate::{
    Ancestor, Birth, Holdings, Input, Life, LinkId, Output, ProcessId, Proved, RequestId, Time,
    Token, Watch,
};

#[cfg(test)]
pub(crate) use arrivals::{GUESTS_MAX, HELLO_WITHIN, STRANGERS_MAX};
pub(crate) use ending::{END_GRACE, END_GRACE_STEP, STOP_TIME_MAX};
#[cfg(test)]
pub(crate) use reports::{HASHES_PER_FRAME_MAX, LIVES_PER_MESSAGE};

/// The children of one node: their links, and their processes.
#[derive(Debug)]
pub(crate) struct Children {
    /// Whose they are.
    own: Life,
    links: Links,
    processes: Processes,
    /// When a process may be overdue; may be earlier than there is need.
    overdue_at: Option<Time>,
}

impl Children {
    pub fn new(own: Life, process: ProcessId, token: Token) -> Children {
        let (links, processes) =
            (Links::new(own, process, token), Processes::new(own, process.machine));
        Children { own, links, processes, overdue_at: None }
    }

    /// Whether nobody is left: no link and no process.
    pub fn is_empty(&self) -> bool {
        self.links.count() == 0 && self.processes.is_empty()
    }

    /// Notes how far this node is from the control node, and who is above it, and tells all below.
    /// They are told even if nothing is new in it: the route up is.
    pub fn set_place(&mut self, depth: u32, ancestors: Vec<Ancestor>) {
        self.links.set_place(depth, ancestors);
    }

    /// Says which children are silent at the moment.
    pub fn report_silent(&self, up: &mut Up<'_>) {
        for child in self.links.relay().children().filter(|child| child.link().is_silent()) {
            reports::state(Kind::Silent, child.place(), up);
        }
    }

    /// The places of all nodes below this one.
    pub fn places(&self) -> Vec<Proved> {
        self.links.relay().routes().places()
    }

    /// How far this node is from the control node.
    pub fn depth(&self) -> u32 {
        self.links.briefing().depth()
    }

    /// How many children's processes were started, or are about to be, and have not joined.
    pub fn starting(&self) -> usize {
        self.processes.starting()
    }

    /// How many children are linked, orphans that may become children included.
    pub fn count(&self) -> usize {
        self.links.count()
    }

    /// How many nodes there is a route to.
    pub fn below(&self) -> usize {
        self.links.relay().routes().len()
    }

    /// How much is kept on behalf of others.
    pub fn holdings(&self) -> Holdings {
        self.links.holdings()
    }

    /// The link towards a life below, if there is a route to it.
    pub fn link_to(&self, life: Life) -> Option<LinkId> {
        self.links.relay().link_to(life)
    }

    /// A request of a command is answered by a value, which may be one with those of others below.
    pub fn reduce(&mut self, command: RequestId, request: RequestId, value: &[u8]) {
        self.links.reducer_mut().add(command, request, value);
    }

    /// A request of a command is for this node itself.
    pub fn expect_own(&mut self, command: RequestId, request: RequestId) {
        self.links.reducer_mut().expect(command, request);
    }

    /// Such a request is answered by itself, if at all.
    pub fn answered_own(&mut self, request: RequestId) {
        self.links.reducer_mut().answered(request);
    }

    /// Sends what several nodes have answered, in as few messages as may be. To be called at the end of a
    /// turn.
    pub fn send_reduced(&mut self, up: &mut Up<'_>) {
        self.links.reducer_mut().send(up);
    }

    /// The parent is another one.
    pub fn forget_sent(&mut self) {
        self.links.reducer_mut().renumber();
    }

    /// Passes a request on towards its node, or answers that there is no route to it.
    pub fn forward(&mut self, message: &Message<'_>, up: &mut Up<'_>) {
        self.links.forward(message, up);
    }

    /// Whether this turn has queued enough for one child that it should leave first.
    pub fn has_enough_to_send(&self) -> bool {
        self.links.has_enough_to_send()
    }

    /// Passes on a request for each of several nodes, as one message on each link, and answers for
    /// those to which there is no route.
    pub fn forward_fan(&mut self, fan: Fan<'_>, up: &mut Up<'_>) {
        self.links.forward_fan(fan, up);
    }

    /// Does what a request asks of this node as a parent.
    pub fn handle_request(
        &mut self,
        now: Time,
        message: &Message<'_>,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        let request = message.request;
        let understood = match message.kind {
            Kind::Create => message.decode().map(|create| self.create(create, request, out, up)),
            Kind::Remove => {
                message.decode().map(|(life, grace)| self.remove(now, life, grace, request, up))
            }
            Kind::Discard => message.decode().map(|life| self.discard(life, out, up)),
            _ => None,
        };
        if understood.is_none() {
            log::error!("node {}: a malformed request to a parent", self.own.node);
        }
    }

    fn create(
        &mut self,
        Create { life, seed, start }: Create,
        request: RequestId,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        if self.links.is_closing() {
            return up(Message::answer(self.own, request, Status::Unavailable, &[]));
        }
        self.processes.start(life, request);
        self.links.expect(life, seed.mark());
        let (parent, ancestors) = (self.own.node, self.links.briefing().ancestors().to_vec());
        let birth = Birth { life, seed, parent, machine: self.links.machine(), ancestors };
        out.push(Output::Spawn(birth, start));
    }

    fn remove(
        &mut self,
        now: Time,
        life: Life,
        grace: Duration,
        request: RequestId,
        up: &mut Up<'_>,
    ) {
        let kill_at = now + grace;
        if self.processes.end(life, kill_at, request) {
            self.overdue_at = earliest(self.overdue_at, Some(kill_at));
            self.links.ask_to_end(life, grace);
        } else {
            // It has ended, or found another parent.
            up(Message::answer(self.own, request, Status::Unavailable, &[]));
        }
    }

    /// Ends a life that is no longer wanted, at once, whatever state it is in.
    fn discard(&mut self, life: Life, out: &mut Vec<Output>, up: &mut Up<'_>) {
        self.links.hang_up(life, out, up);
        self.processes.discard(life, out, up);
    }

    /// What could not be ended when all children were to, here or below, in words for the user.
    pub fn left(&self) -> Option<&str> {
        self.processes.left()
    }

    /// Ends every child, leaves first: they are asked, and killed if they have not ended after
    /// `grace`.
    pub fn end(&mut self, now: Time, grace: Duration, out: &mut Vec<Output>) {
        self.links.close(out);
        let kill_at = now + grace;
        let linked: BTreeSet<_> = self.links.relay().children().map(Child::life).collect();
        for life in self.processes.end_all(kill_at, |life| linked.contains(&life), out) {
            self.links.ask_to_end(life, grace);
        }
        self.overdue_at = earliest(self.overdue_at, Some(kill_at));
    }

    /// Handles what happened to links and processes of children.
    pub fn handle(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Output>, up: &mut Up<'_>) {
        match input {
            Input::Listening(address) => self.links.set_address(address),
            Input::Up(link) => self.links.connected(now, link, out),
            Input::Frame(link, frame) => self.received(now, link, frame, out, up),
            Input::Down(link) => self.disconnected(now, link, out, up),
            Input::Inspected(link, seen) => self.links.inspected(now, link, seen, up),
            Input::SpawnFailed(life, why) => self.processes.spawn_failed(life, why, up),
            Input::ChildExited(life, exit, words) => {
                let is_linked = self.links.relay().link_of(life).is_some();
                self.processes.exited(life, exit, words, is_linked, up);
            }
            other => debug_assert!(false, "{other:?} does not concern children"),
        }
    }

    /// A frame came from a child, or from a peer that may become one.
    fn received(
        &mut self,
        now: Time,
        link: LinkId,
        frame: &[u8],
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        let processes = &mut self.processes;
        if let Err(what) = self.links.received(now, link, frame, processes, out, up) {
            self.links.cut_off(now, link, what, out);
            self.disconnected(now, link, out, up);
        }
        for (life, delay) in self.links.take_delays() {
            self.delay(now, life, delay, up);
        }
    }

    /// A child that must end needs some time to stop what its modules run.
    fn delay(&mut self, now: Time, life: Life, delay: Duration, up: &mut Up<'_>) {
        let delay = delay.min(STOP_TIME_MAX);
        if self.processes.delay(life, now + delay) {
            // Its parent waits for this one.
            up(Message::neighbour(Kind::Delay, &wire::body(&delay)));
        }
        self.overdue_at = self.processes.deadline();
    }

    /// A link is gone.
    fn disconnected(&mut self, now: Time, link: LinkId, out: &mut Vec<Output>, up: &mut Up<'_>) {
        let Some(place) = self.links.disconnected(link, up) else { return };
        if self.processes.unlinked(now, place.life, out, up) {
            reports::state(Kind::Lost, place, up);
        }
        self.overdue_at = earliest(self.overdue_at, self.processes.deadline());
    }

    /// Watches the children from now on, or no more.
    pub fn watch(&mut self, now: Time, watch: Option<Watch>) {
        self.links.watch(now, watch);
    }

    /// Shows all children a sign of life, if they are watching.
    pub fn beat(&mut self) {
        self.links.beat();
    }

    /// Whether this value is what was published last.
    pub fn has_published(&self, module: &str, value: &[u8]) -> bool {
        self.links.briefing().has_published(module, value)
    }

    /// Makes a value known to everyone below, those who join later included.
    pub fn publish(&mut self, module: &str, value: &[u8]) {
        self.links.publish(module, value);
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: Time, out: &mut Vec<Output>, up: &mut Up<'_>) {
        if self.deadline().is_none_or(|wake| now < wake) {
            return;
        }
        self.links.timeout(now, out);
        for life in self.processes.still_linked(now) {
            log::info!("{life} has ended, and its link has not");
            self.links.hang_up(life, out, up);
            self.processes.ended(life, up);
        }
        for (life, request) in self.processes.end_overdue(now, out) {
            self.leave_behind(life, request, out, up);
        }
        self.overdue_at = self.processes.deadline();
    }

    /// A process that was killed is not gone, and is not waited for any longer.
    fn leave_behind(
        &mut self,
        life: Life,
        request: Option<RequestId>,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) {
        log::info!("{life} is not waited for any longer");
        self.links.hang_up(life, out, up);
        if let Some(request) = request {
            let within = GONE_WITHIN.as_millis();
            let text = format!("was killed and has not ended within {within} ms");
            up(Message::answer(self.own, request, Status::Failed, text.as_bytes()));
        }
    }

    /// When [`Children::timeout`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        earliest(self.links.deadline(), self.overdue_at)
    }

    /// Sends what waits for the children. With `acknowledge` unset, what came from them has not
    /// found its way on, and they get no new credit.
    pub fn flush(&mut self, now: Time, acknowledge: bool, out: &mut Vec<Output>) {
        self.links.flush(now, acknowledge, out);
    }
}

#[cfg(test)]
mod tests;
