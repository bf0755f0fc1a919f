//! When commands take effect: each waits for the earlier ones that name the same node, and for room
//! in the windows, then its request is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Controller;
use super::answers::{ALREADY_EXISTS, UNAVAILABLE};
use super::gather::{Gather, Gathered, Told};
use super::language::Target;
use super::outbox::Part;
use super::reply::{Reply, TOO_MANY};
use super::task::{Creation, Removal, Task, Work};
use super::tree::{Record, State};
use super::windows::{Admission, Charge, Claim};
use crate::wire::{self, Allowance, Create, Flags, Kind, Message, Published};
use crate::{Life, NodeId, RequestId, Seed, Time};

const PARENT_NOT_FOUND: &str = "Parent not found";

/// What becomes of a request for a node whose turn it is.
enum Turn {
    /// Send it to this life, with this allowance.
    Send(Life, Allowance),
    /// A window is full, but the node answers.
    Wait,
    /// It can't be sent, and its command has been told so.
    Answered,
}

impl Controller {
    /// Takes in `exec`.
    pub(super) fn exec(&mut self, now: Time, node: NodeId, line: &str) {
        let request = self.open(Work::Exec { node, line: Vec::new() });
        if self.board.tree.record(node).is_none() {
            return self.answer(request, Reply::NotFoundOf(node));
        }
        if self.board.turns.is_free(node) && self.send_exec(now, request, node, line.as_bytes()) {
            return;
        }
        self.board.replies.keep_line(request, line.as_bytes());
        self.board.turns.enqueue(node, request);
    }

    /// Takes in `exec` for many nodes, none of which may be unknown.
    pub(super) fn exec_many(&mut self, now: Time, targets: &[Target], line: &str) {
        let nodes = match self.nodes_of(targets) {
            Ok(nodes) => nodes,
            Err(unknown) => {
                let wrong = match unknown {
                    Some(node) => format!("exec: there is no node {node}"),
                    None => "exec: there is no node yet".to_owned(),
                };
                return self.answer_at_once(now, Reply::Error(&wrong));
            }
        };
        let command = self.open(Work::Many(Box::new(Gather::lines(&nodes))));
        self.fan_out(now, command, Kind::Exec, nodes, line.as_bytes());
    }

    /// The nodes that are meant, those that are just being created included; or the one that does
    /// not exist, if it was named.
    fn nodes_of(&self, targets: &[Target]) -> Result<BTreeSet<NodeId>, Option<NodeId>> {
        let tree = &self.board.tree;
        let mut nodes = BTreeSet::new();
        for target in targets {
            match *target {
                Target::All => nodes.extend(tree.nodes().filter(|node| !self.is_ending(*node))),
                Target::One(node) | Target::Below(node) if tree.record(node).is_none() => {
                    return Err(Some(node));
                }
                Target::One(node) => {
                    nodes.insert(node);
                }
                Target::Below(node) => {
                    let below = self.board.subtree_and_coming(node).into_iter();
                    nodes.extend(below.filter(|below| *below == node || !self.is_ending(*below)));
                }
            }
        }
        if nodes.is_empty() { Err(None) } else { Ok(nodes) }
    }

    /// Takes in what a module asks of all nodes, on behalf of a call of one of its verbs.
    pub(super) fn ask_all(
        &mut self,
        now: Time,
        call: RequestId,
        module: &'static str,
        question: Vec<u8>,
    ) {
        let nodes = self.board.tree.nodes().filter(|node| !self.is_ending(*node));
        let nodes: BTreeSet<_> = nodes.collect();
        let Some(task) = self.board.replies.task_mut(call) else { return };
        let mut gather = Gather::module(module, &nodes);
        if let Some(Gathered::Module(..)) = gather.take() {
            return self.gathered(now, Told { call, module, answers: Vec::new() });
        }
        // Each node has a deadline of its own.
        (task.work, task.sent) = (Work::Many(Box::new(gather)), None);
        let body = wire::body(&Published { module: module.to_owned(), value: question });
        self.fan_out(now, call, Kind::Ask, nodes, &body);
    }

    /// Asks the same of many nodes: each has its turn among the commands that name it, and those
    /// whose turn it is have the request in common on the way.
    fn fan_out(
        &mut self,
        now: Time,
        command: RequestId,
        kind: Kind,
        nodes: BTreeSet<NodeId>,
        body: &[u8],
    ) {
        let body: Arc<[u8]> = body.into();
        for node in nodes {
            let part = Part { command, kind, body: Arc::clone(&body) };
            let work = Work::Part { command, node, kind, body: Arc::clone(&body) };
            let request = self.board.replies.open_part(Task::new(work));
            let is_free = self.board.turns.is_free(node);
            if !(is_free && self.send_part(now, request, node, part)) {
                self.board.enqueue(node, request);
            }
        }
    }

    /// Takes in `ping`.
    pub(super) fn ping(&mut self, now: Time, node: NodeId) {
        let request = self.open(Work::Ping { node });
        if self.board.tree.record(node).is_none() {
            self.answer(request, Reply::Error("Not found"));
        } else if self.board.turns.is_free(node) {
            self.send_ping(now, request, node);
        } else {
            self.board.turns.enqueue(node, request);
        }
    }

    /// Takes in `create`.
    pub(super) fn create(&mut self, node: NodeId, parent: NodeId, transport: Option<&str>) {
        let transport = transport.map(str::to_owned);
        let stage = Creation::Waiting;
        let request = self.open(Work::Create { node, parent, transport, stage });
        if self.is_coming(node) {
            return self.answer(request, Reply::Error(ALREADY_EXISTS));
        }
        let board = &mut self.board;
        if !parent.is_control() && board.tree.record(parent).is_some() {
            board.turns.enqueue(parent, request);
            board.turns.expect(parent, request, node);
        } else if !parent.is_control() && board.tree.record(node).is_none() {
            return self.answer(request, Reply::Error(PARENT_NOT_FOUND));
        }
        board.enqueue(node, request);
        board.turns.wake(node);
    }

    /// Takes in `remove`.
    pub(super) fn remove(&mut self, node: NodeId) {
        let request = self.open(Work::Remove { node, stage: Removal::Waiting });
        if self.board.tree.record(node).is_none() {
            return self.answer(request, Reply::Error("Not found"));
        }
        for node in self.board.subtree_and_coming(node) {
            self.board.enqueue(node, request);
        }
        self.board.turns.wake(node);
    }

    /// Whether a node is on its way, and nothing typed so far is about to end it.
    fn is_coming(&self, node: NodeId) -> bool {
        matches!(self.last_change(node), Some(Work::Create { stage, .. })
            if *stage != Creation::Asking)
    }

    /// Whether what was typed so far ends a node.
    fn is_ending(&self, node: NodeId) -> bool {
        matches!(self.last_change(node), Some(Work::Remove { .. }))
    }

    /// The last creation or removal of a node that has not taken effect.
    fn last_change(&self, node: NodeId) -> Option<&Work> {
        let requests = self.board.turns.commands(node).rev();
        let mut works =
            requests.filter_map(|request| Some(&self.board.replies.task(request)?.work));
        works.find(|work| match work {
            Work::Create { node: other, .. } => *other == node,
            Work::Remove { .. } => true,
            _ => false,
        })
    }

    /// Lets the commands that wait for a node take effect, as far as it is their turn.
    pub(super) fn advance(&mut self, now: Time, node: NodeId) {
        let waited_for = self.board.windows.unblock(node);
        while let Some(request) = self.board.turns.next(node) {
            let done = match self.board.replies.task_mut(request).map(|task| &mut task.work) {
                None => true,
                Some(Work::Exec { .. }) => {
                    let line = self.board.replies.take_line(request);
                    let sent = self.send_exec(now, request, node, &line);
                    if !sent {
                        self.board.replies.keep_line(request, &line);
                    }
                    sent
                }
                Some(Work::Part { command, kind, body, .. }) => {
                    let part = Part { command: *command, kind: *kind, body: Arc::clone(body) };
                    self.send_part(now, request, node, part)
                }
                Some(Work::Ping { .. }) => {
                    self.send_ping(now, request, node);
                    true
                }
                Some(Work::Create { node, parent, .. }) => {
                    let (node, parent) = (*node, *parent);
                    self.send_create(now, request, node, parent)
                }
                Some(Work::Remove { node, .. }) => {
                    let node = *node;
                    self.send_removal(now, request, node)
                }
                Some(Work::Verb | Work::Many(_)) => true,
            };
            if !done {
                break;
            }
            self.board.turns.leave(node, request);
        }
        self.board.forget_if_unused(node);
        if let Some(link) = waited_for {
            self.board.windows.pass_on(link, node, &mut self.board.turns);
        }
    }

    /// Sends a line to its node, or answers why not. False when it has to wait.
    fn send_exec(&mut self, now: Time, request: RequestId, node: NodeId, line: &[u8]) -> bool {
        match self.admit_request(now, request, node, line.len(), None) {
            Turn::Wait => return false,
            Turn::Answered => {}
            Turn::Send(life, allowance) => {
                self.forward_exec(now, request, life, allowance, line);
            }
        }
        true
    }

    fn forward_exec(
        &mut self,
        now: Time,
        request: RequestId,
        to: Life,
        allowance: Allowance,
        line: &[u8],
    ) {
        if !self.board.outbox.is_empty() {
            // Whatever was decided on before is to arrive before.
            let line = line.to_vec();
            return self.board.outbox.request(Kind::Exec, to, request, allowance, line);
        }
        let board = &mut self.board;
        let up = &mut |message: Message<'_>| board.message(now, message);
        let flags = Flags::request(allowance);
        let message = Message { flags, ..Message::new(Kind::Exec, to, request, line) };
        self.children.forward(&message, up);
    }

    /// Sends a part of a command for many nodes, or answers why not. False when it has to wait.
    fn send_part(&mut self, now: Time, request: RequestId, node: NodeId, part: Part) -> bool {
        match self.admit_request(now, request, node, part.body.len(), Some(part.command)) {
            Turn::Wait => return false,
            Turn::Answered => {}
            Turn::Send(life, allowance) => {
                let link = self.children.link_to(life);
                self.board.outbox.part(life, request, link, allowance, part);
            }
        }
        true
    }

    /// Whether a request may be sent to a node now, which is then noted, or else ever, or else it is
    /// answered.
    fn admit_request(
        &mut self,
        now: Time,
        request: RequestId,
        node: NodeId,
        bytes: usize,
        command: Option<RequestId>,
    ) -> Turn {
        let refused = match self.board.tree.life(node) {
            None => Reply::NotFoundOf(node),
            Some(_) if !self.board.tree.is_reachable(node) => Reply::UnavailableOf(node),
            Some(life) => match self.admit(now, request, life, bytes, command) {
                Some(Admission::Wait) => return Turn::Wait,
                Some(Admission::Refused) => Reply::RefusedOf(node),
                Some(Admission::Granted(mut charge)) => {
                    let allowance = self.board.intake.allow();
                    charge.allowance = Some(allowance);
                    self.note_sent(now, request, Some(charge));
                    return Turn::Send(life, allowance);
                }
                None => {
                    // There is no way any more, which will be its answer.
                    self.note_sent(now, request, None);
                    return Turn::Send(life, Allowance::Small);
                }
            },
        };
        self.answer(request, refused);
        Turn::Answered
    }

    fn send_ping(&mut self, now: Time, request: RequestId, node: NodeId) {
        match self.board.tree.record(node) {
            Some(record) if record.reachable => self.board.ask(now, node, request),
            Some(record) if record.state != State::Absent => self.answer(request, Reply::Ok("0")),
            _ => self.answer(request, Reply::Error("Not found")),
        }
    }

    /// Has a node started by its parent, or answers why not. False when it has to wait.
    fn send_create(&mut self, now: Time, request: RequestId, node: NodeId, parent: NodeId) -> bool {
        let tree = &self.board.tree;
        // A parent that was not there when the command was typed may have come to be since, by a later
        // command, for which this one does not wait.
        let turns = &self.board.turns;
        let must_wait = |node| turns.is_queued(node, request) && !turns.is_turn_of(node, request);
        if [node, parent].into_iter().any(must_wait) {
            return false;
        }
        if tree.is_reachable(node) && !self.is_cleared(request) {
            self.ask_before_create(now, request, node, parent);
            return true;
        }
        let nodes_max = self.board.nodes_max;
        let too_many;
        let refused = match tree.life(parent) {
            None => PARENT_NOT_FOUND,
            // A command makes it its own parent, and it has just turned out not to live.
            Some(_) if node == parent || !tree.is_reachable(parent) => "Parent is unavailable",
            Some(_) if !tree.has_room_for(node, nodes_max, |node| turns.is_held(node)) => {
                too_many =
                    format!("too many nodes: the limit is {nodes_max} (--max-nodes raises it)");
                &too_many
            }
            Some(life) => match self.admit(now, request, life, wire::HEADER_BYTES, None) {
                Some(Admission::Wait) => return false,
                Some(Admission::Refused) => TOO_MANY,
                Some(Admission::Granted(charge)) => {
                    self.start_create(now, request, node, life, Some(charge));
                    return true;
                }
                None => {
                    self.start_create(now, request, node, life, None);
                    return true;
                }
            },
        };
        self.answer(request, Reply::Error(refused));
        self.board.create_over(request, node, parent);
        true
    }

    /// Whether the node that a command wants to create is known not to live.
    fn is_cleared(&self, request: RequestId) -> bool {
        let work = self.board.replies.task(request).map(|task| &task.work);
        matches!(work, Some(Work::Create { stage: Creation::Cleared, .. }))
    }

    /// Asks a node that seems to exist whether it does: it may just have died.
    fn ask_before_create(&mut self, now: Time, request: RequestId, node: NodeId, parent: NodeId) {
        self.hold_for_create(request, node, parent, Creation::Asking);
        self.board.ask(now, node, request);
    }

    fn hold_for_create(
        &mut self,
        request: RequestId,
        node: NodeId,
        parent: NodeId,
        new_stage: Creation,
    ) {
        if let Some(Task { work: Work::Create { stage, .. }, .. }) =
            self.board.replies.task_mut(request)
        {
            *stage = new_stage;
        }
        self.board.turns.release(request, [node, parent]);
        self.board.hold(node, request);
    }

    fn start_create(
        &mut self,
        now: Time,
        request: RequestId,
        node: NodeId,
        parent: Life,
        charge: Option<Charge>,
    ) {
        let life = self.board.tree.new_life(node);
        let stage = Creation::Starting { life, parent };
        self.hold_for_create(request, node, parent.node, stage);
        self.note_sent(now, request, charge);
        let transport = match self.board.replies.task(request).map(|task| &task.work) {
            Some(Work::Create { transport, .. }) => transport.clone(),
            _ => None,
        };
        let seed = Seed::of(self.own_secret, life);
        let body = wire::body(&Create { life, seed, transport });
        self.board.outbox.request(Kind::Create, parent, request, Allowance::Large, body);
    }

    /// Begins to end a node and all below it, or answers why not. False when it has to wait.
    fn send_removal(&mut self, now: Time, request: RequestId, node: NodeId) -> bool {
        let nodes = self.board.subtree_and_coming(node);
        let mut moved = self.board.concerned_by(request);
        moved.retain(|node| !nodes.contains(node));
        self.board.turns.release(request, moved);
        let mut is_turn = true;
        for node in &nodes {
            if !self.board.turns.is_turn_of(*node, request) {
                self.board.enqueue(*node, request);
                is_turn = self.board.turns.is_turn_of(*node, request) && is_turn;
            }
        }
        if !is_turn {
            return false;
        }
        self.board.turns.release(request, nodes.iter().copied());
        if self.board.tree.is_dead(node) {
            self.board.bury(node);
            self.answer(request, Reply::Ok(""));
            return true;
        }
        let refused = match self.board.tree.record(node) {
            None | Some(Record { state: State::Absent, .. }) => "Not found",
            Some(record) if !record.reachable => UNAVAILABLE,
            Some(_) => {
                for node in nodes {
                    self.board.hold(node, request);
                }
                if let Some(Task { work: Work::Remove { stage, .. }, .. }) =
                    self.board.replies.task_mut(request)
                {
                    *stage = Removal::Asking;
                }
                self.board.ask(now, node, request);
                return true;
            }
        };
        self.answer(request, Reply::Error(refused));
        true
    }

    /// Whether the windows have room for a request to a life, which then takes its share of them.
    /// There is none to take for what the control node asks of itself.
    fn admit(
        &mut self,
        now: Time,
        request: RequestId,
        target: Life,
        bytes: usize,
        command: Option<RequestId>,
    ) -> Option<Admission> {
        let link = self.children.link_to(target)?;
        let is_carried = |command| self.board.outbox.carries(command, link);
        let counts_on_link = !command.is_some_and(is_carried);
        let claim = Claim { request, target, link, counts_on_link, bytes };
        Some(self.board.windows.admit(now, claim, &mut self.board.turns))
    }

    fn note_sent(&mut self, now: Time, request: RequestId, charge: Option<Charge>) {
        if let Some(task) = self.board.replies.task_mut(request) {
            task.charge = charge;
        }
        self.board.sent(now, request);
    }

    fn open(&mut self, work: Work) -> RequestId {
        self.board.replies.open(Task::new(work))
    }

    pub(super) fn answer(&mut self, request: RequestId, reply: Reply<'_>) {
        self.board.replies.answer(request, reply);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::controller::{ControllerConfig, Order};
    use crate::wire::{Hello, Status};
    use crate::{Input, KEY_BYTES, LinkId, Node, Output, Registry, Secret, Time, Token};

    use super::*;

    const LINK: LinkId = LinkId(1);
    const TOKEN: Token = Token([1; 16]);

    fn turn<'a>(
        controller: &mut Controller,
        inputs: impl IntoIterator<Item = Input<'a>>,
    ) -> Vec<Output> {
        let mut out = Vec::new();
        for input in inputs {
            controller.handle(Time::ZERO, input, &mut out);
        }
        controller.flush(Time::ZERO, &mut out);
        out
    }

    fn frame(message: &Message<'_>) -> Vec<u8> {
        let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
        message.encode(&mut frame);
        frame
    }

    /// A control node whose node 1 has joined, and its life.
    fn parent() -> (Controller, Life) {
        let config = ControllerConfig {
            token: TOKEN,
            own_secret: Secret::new(&[2; KEY_BYTES]),
            pid: 1,
            transport: "test",
            timeout: Duration::from_secs(5),
            order: Order::Input,
            nodes_max: 1,
            commands: Registry::new([]).unwrap(),
        };
        let mut controller = Controller::new(Time::ZERO, config);
        let out = turn(&mut controller, [Input::Line(b"create 1")]);
        let [Output::Spawn(birth, None)] = &*out else { panic!("{out:?}") };
        let life = birth.life;
        let newborn = birth.seed.proof(0);
        let hello = Hello { version: wire::VERSION, token: TOKEN, life, pid: 2, newborn };
        let hello = frame(&Message::neighbour(Kind::Hello, &wire::body(&hello)));
        turn(&mut controller, [Input::Up(LINK), Input::Frame(LINK, &hello)]);
        (controller, life)
    }

    /// Or a node could fill the memory of the control node.
    #[test]
    fn an_answer_that_is_longer_than_it_may_be_is_worth_nothing() {
        let (whole, piece) = (Flags::new(Status::Ok), vec![b'x'; wire::PIECE_BYTES_MAX]);
        let pieces = Allowance::Large.bytes() / piece.len();
        for (count, is_taken) in [(pieces, true), (pieces + 1, false), (3 * pieces, false)] {
            let (mut controller, life) = parent();
            let out = turn(&mut controller, [Input::Line(b"exec 1 anything")]);
            let [Output::Send(LINK, asked)] = &*out else { panic!("{out:?}") };
            let request = wire::open(asked).unwrap().1.next().unwrap().unwrap().request;
            let answer = Message::answer(life, request, Status::Ok, &piece);
            let mut printed = Vec::new();
            for index in 0..count {
                let flags = whole.piece(index == 0, index + 1 == count);
                let answer = frame(&Message { flags, ..answer });
                let out = turn(&mut controller, [Input::Frame(LINK, &answer)]);
                printed.extend(out.into_iter().filter_map(|output| match output {
                    Output::Print(text) => String::from_utf8(text).ok(),
                    _ => None,
                }));
            }
            let right = match is_taken {
                true => format!("Ok:1: {}\n", "x".repeat(count * piece.len())),
                false => "Error:1: the answer is longer than its node may send\n".to_owned(),
            };
            assert_eq!(printed, [right]);
        }
    }

    /// Nor is it more than a line.
    #[test]
    fn what_is_printed_is_utf_8_whatever_a_node_sends() {
        let (mut controller, life) = parent();
        let out = turn(&mut controller, [Input::Line(b"exec 1 anything")]);
        let [Output::Send(LINK, asked)] = &*out else { panic!("{out:?}") };
        let request = wire::open(asked).unwrap().1.next().unwrap().unwrap().request;
        let answer = frame(&Message::answer(life, request, Status::Ok, b"\xff\nOk:2: forged"));
        let out = turn(&mut controller, [Input::Frame(LINK, &answer)]);
        assert_eq!(out, [Output::Print("Ok:1: \u{fffd} Ok:2: forged\n".into())]);
    }

    /// Otherwise it would hang below itself, and whoever walks the tree would never come to an end.
    #[test]
    fn a_node_that_does_not_answer_is_not_created_below_itself() {
        let (mut controller, life) = parent();
        let out = turn(&mut controller, [Input::Line(b"create 1 1")]);
        let [Output::Send(LINK, asked)] = &*out else { panic!("{out:?}") };
        let (_, mut messages) = wire::open(asked).unwrap();
        let ping = messages.next().unwrap().unwrap();
        assert_eq!((ping.kind, ping.life), (Kind::Ping, life));
        let lost = frame(&Message::answer(life, ping.request, Status::Unavailable, &[]));
        let out = turn(&mut controller, [Input::Frame(LINK, &lost)]);
        assert_eq!(out, [Output::Print(b"Error: Parent is unavailable\n".to_vec())]);
    }
}
