//! What the core takes by itself, in time and allocations: state machines that talk in memory,
//! without transports, processes or a clock.
//!
//! The codec is private, and stays so: an interface for this alone, be it hidden, would be one more
//! thing to keep. It is measured in the smallest thing that contains it and can be seen from here: a
//! node that is pinged opens a frame of messages without bodies, and encodes another.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use hoptree_core::{
    Address, Birth, Call, Claim, Command, CommandSpec, Context, Controller, ControllerConfig,
    Example, Incarnation, Input, KEY_BYTES, Life, LinkId, Machine, News, Node, NodeId, Order,
    Outcome, Output, Place, ProcessId, Proved, Registry, RouteTable, Router, Secret, Seed, Time,
    Token, Word, Worker, WorkerConfig,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A node opens a frame of N pings, and encodes one of N answers.
#[divan::bench(args = [1, 256])]
fn pings(bencher: Bencher<'_, '_>, pings: usize) {
    let mut chain = Chain::new(1);
    chain.enter(&vec!["ping 1"; pings]);
    let mut node = chain.nodes.remove(1);
    bencher.counter(ItemsCount::new(pings)).bench_local(|| node.step(UP));
}

/// A relay passes on a frame of N commands for the node below it.
#[divan::bench(args = [1, 256])]
fn relay_down(bencher: Bencher<'_, '_>, commands: usize) {
    let mut relay = relay(commands);
    bencher.counter(ItemsCount::new(commands)).bench_local(|| relay.step(UP));
}

/// A relay passes on a frame of N answers of the node below it. An answer passes only once, so the
/// commands are passed on before it each time.
#[divan::bench(args = [1, 256], sample_size = 1, sample_count = 10_000)]
fn relay_up(bencher: Bencher<'_, '_>, answers: usize) {
    let relay = RefCell::new(relay(answers));
    bencher
        .counter(ItemsCount::new(answers))
        .with_inputs(|| relay.borrow_mut().step(UP))
        .bench_local_values(|()| relay.borrow_mut().step(DOWN));
}

/// So many lines are typed in one turn, until their replies are printed, over one hop.
#[divan::bench(args = [1, 256])]
fn request(bencher: Bencher<'_, '_>, lines: usize) {
    let mut chain = Chain::new(1);
    let lines = vec!["exec 1 echo 0123456789abcdef"; lines];
    let printed = lines.len() * "Ok:1: 0123456789abcdef\n".len();
    bencher
        .counter(ItemsCount::new(lines.len()))
        .bench_local(|| assert_eq!(chain.enter(&lines), printed));
}

/// The route to one of N lives.
#[divan::bench(args = [10, 1_000, 100_000], sample_count = 1_000)]
fn route(bencher: Bencher<'_, '_>, lives: u32) {
    /// From life to life in leaps, as requests for many nodes do.
    const LEAP: u32 = 7_919;
    let table = table(lives);
    let mut index = 0;
    bencher.bench_local(|| {
        index = (index + LEAP) % lives;
        table.route(life(index))
    });
}

/// A subtree joins a table of N lives, one life after the other.
#[divan::bench(args = [10, 1_000, 100_000], sample_size = 1, sample_count = 1_000)]
fn learn_subtree(bencher: Bencher<'_, '_>, lives: u32) {
    let (subtree, table) = (subtree(lives), RefCell::new(table(lives)));
    bencher
        .counter(ItemsCount::new(subtree.len()))
        .with_inputs(|| table.borrow_mut().forget(life(lives), LinkId(0)))
        .bench_local_values(|_| learn(&mut table.borrow_mut(), &subtree, LinkId(0)));
}

/// The link to a subtree, in a table of N lives, is gone.
#[divan::bench(args = [10, 1_000, 100_000], sample_size = 1, sample_count = 1_000)]
fn forget_subtree(bencher: Bencher<'_, '_>, lives: u32) {
    let (subtree, table) = (subtree(lives), RefCell::new(table(lives)));
    bencher
        .counter(ItemsCount::new(subtree.len()))
        .with_inputs(|| learn(&mut table.borrow_mut(), &subtree, LinkId(0)))
        .bench_local_values(|()| table.borrow_mut().forget(life(lives), LinkId(0)));
}

/// How many children each life of a table has.
const ARITY: u32 = 10;

/// How many lives there are in a subtree that joins or is lost.
const SUBTREE: u32 = 100;

fn life(index: u32) -> Life {
    let node = NodeId::compute(index).expect("there are fewer");
    Life { node, incarnation: Incarnation(index + 1) }
}

/// The table of a control node with N lives below it, by way of [`ARITY`] links.
fn table(lives: u32) -> RouteTable {
    let mut table = RouteTable::new(Life::CONTROL);
    for index in 0..lives {
        let parent = (index / ARITY).checked_sub(1).map_or(Life::CONTROL, life);
        let place = Place { life: life(index), parent, moves: 0 };
        let mut top = index;
        while top >= ARITY {
            top = top / ARITY - 1;
        }
        learn(&mut table, &[place], LinkId(top.into()));
    }
    table
}

/// A subtree below the first life of a table; its own first life has the index `first`.
fn subtree(first: u32) -> Vec<Place> {
    let parent =
        |index: u32| index.checked_sub(1).map_or(life(0), |index| life(first + index / 10));
    (0..SUBTREE)
        .map(|index| Place { life: life(first + index), parent: parent(index), moves: 0 })
        .collect()
}

/// Learns of places that are new, and were to be.
fn learn(table: &mut RouteTable, places: &[Place], via: LinkId) {
    let seed = Seed::of(Secret::new(&[7; KEY_BYTES]), Life::CONTROL);
    for place in places {
        table.expect(place.life, place.parent, seed.mark());
        let proof = seed.proof(place.moves).expect("it has not moved");
        let at = Proved { place: *place, proof };
        let news = match place.parent {
            Life::CONTROL => table.learn_child(at, via),
            _ => table.learn(at, via),
        };
        assert!(matches!(news, News::Learnt(_)));
    }
}

const NOW: Time = Time::ZERO;
const TOKEN: Token = Token([0; 16]);
const TIMEOUT: Duration = Duration::from_secs(5);

/// What each node calls the links to its neighbours.
const UP: LinkId = LinkId(0);
const DOWN: LinkId = LinkId(1);

/// How many bytes a frame has that only acknowledges; every frame begins with as many.
const ACK_BYTES: usize = 4;

/// After how many frames, or bytes of them, a neighbour acknowledges that has nothing else to send.
const ACK_AFTER: (u32, usize) = (16, 16 * 1024);

/// Node 1 of a chain of two, which has heard a frame of N commands for node 2, and one of as
/// many answers.
fn relay(commands: usize) -> Member {
    let mut chain = Chain::new(2);
    chain.enter(&vec!["exec 2 echo 0123456789abcdef"; commands]);
    chain.nodes.remove(1)
}

/// A control node, its child, the child of that, and so on.
struct Chain {
    nodes: Vec<Member>,
    commands: Registry,
    /// Frames that are under way, with the index of who is to hear them, on which link.
    frames: VecDeque<(usize, LinkId, Vec<u8>)>,
    printed_bytes: usize,
}

impl Chain {
    fn new(hops: usize) -> Chain {
        let commands = Registry::new([&ECHO]).expect("it breaks no rule");
        let control = Controller::new(
            NOW,
            ControllerConfig {
                token: TOKEN,
                own_secret: Secret::new(&[7; KEY_BYTES]),
                process: ProcessId { machine: Machine::default(), pid: 1 },
                transport: "",
                timeout: TIMEOUT,
                order: Order::Input,
                nodes_max: usize::MAX,
                records: false,
                commands: commands.clone(),
            },
        );
        let nodes = vec![Member::new(control)];
        let mut chain = Chain { nodes, commands, frames: VecDeque::new(), printed_bytes: 0 };
        for hop in 1..=hops {
            match hop {
                1 => chain.enter(&["create 1"]),
                _ => chain.enter(&[&format!("create {hop} {}", hop - 1)]),
            };
            assert_eq!(chain.nodes.len(), hop + 1);
        }
        chain
    }

    /// Types lines in one turn, and says how many bytes are printed until nothing is under way.
    fn enter(&mut self, lines: &[&str]) -> usize {
        self.printed_bytes = 0;
        self.nodes[0].turn(lines.iter().map(|line| Input::Line(line.as_bytes())));
        self.carry_out(0);
        while let Some((index, link, frame)) = self.frames.pop_front() {
            self.nodes[index].hear(link, frame);
            self.carry_out(index);
        }
        self.printed_bytes
    }

    fn carry_out(&mut self, index: usize) {
        let mut born = None;
        for output in self.nodes[index].out.drain(..) {
            match output {
                Output::Send(UP, frame) => self.frames.push_back((index - 1, DOWN, frame)),
                Output::Send(_, frame) => self.frames.push_back((index + 1, UP, frame)),
                Output::Print(text) => self.printed_bytes += text.len(),
                Output::Spawn(birth, _) => born = Some(birth),
                other => unreachable!("{other:?} has no cause"),
            }
        }
        if let Some(birth) = born {
            self.give_birth(index, birth);
        }
    }

    fn give_birth(&mut self, parent: usize, birth: Birth) {
        let config = WorkerConfig {
            birth,
            token: TOKEN,
            process: ProcessId { machine: Machine::default(), pid: 1 },
            parent: UP,
            parent_address: Address(String::new()),
            transport: "",
            timeout: TIMEOUT,
            commands: self.commands.clone(),
        };
        self.nodes.push(Member::new(Worker::new(NOW, config)));
        for (index, link) in [(parent, DOWN), (parent + 1, UP)] {
            self.nodes[index].turn([Input::Up(link)]);
            self.carry_out(index);
        }
    }
}

/// A node of a chain.
struct Member {
    node: Box<dyn Node>,
    out: Vec<Output>,
    /// The latest frame with messages that it has heard, by link.
    heard: [Vec<u8>; 2],
    /// How many frames with messages it has sent, by link.
    sent: [u32; 2],
    /// How many of them, and of their bytes, [`Member::step`] has not acknowledged.
    owed: [(u32, usize); 2],
}

impl Member {
    fn new(node: impl Node + 'static) -> Member {
        let heard = [Vec::new(), Vec::new()];
        Member { node: Box::new(node), out: Vec::new(), heard, sent: [0; 2], owed: [(0, 0); 2] }
    }

    fn turn<'a>(&mut self, inputs: impl IntoIterator<Item = Input<'a>>) {
        for input in inputs {
            self.node.handle(NOW, input, &mut self.out);
        }
        self.node.flush(NOW, &mut self.out);
        for output in &self.out {
            if let Output::Send(link, frame) = output
                && frame.len() > ACK_BYTES
            {
                let index = index_of(*link);
                self.sent[index] += 1;
                let (frames, bytes) = &mut self.owed[index];
                (*frames, *bytes) = (*frames + 1, *bytes + frame.len());
            }
        }
    }

    fn hear(&mut self, link: LinkId, frame: Vec<u8>) {
        self.turn([Input::Frame(link, &frame)]);
        if frame.len() > ACK_BYTES {
            self.heard[index_of(link)] = frame;
        }
    }

    /// Hears the latest frame of a neighbour once more, as if it were a new one, and sends what
    /// follows to neighbours that have room for it.
    fn step(&mut self, from: LinkId) {
        let (near, far) = if from == UP { (UP, DOWN) } else { (DOWN, UP) };
        let mut frame = std::mem::take(&mut self.heard[index_of(near)]);
        let before = self.sent;
        self.acknowledge(near, &mut frame);
        assert_ne!(self.sent, before, "it sends something");
        self.heard[index_of(near)] = frame;
        let (frames, bytes) = self.owed[index_of(far)];
        if frames >= ACK_AFTER.0 || bytes >= ACK_AFTER.1 {
            self.acknowledge(far, &mut [0; ACK_BYTES]);
        }
    }

    /// Hears a frame that acknowledges all that was sent on its link.
    fn acknowledge(&mut self, link: LinkId, frame: &mut [u8]) {
        let index = index_of(link);
        self.owed[index] = (0, 0);
        frame[..ACK_BYTES].copy_from_slice(&self.sent[index].to_le_bytes());
        self.turn([Input::Frame(link, frame)]);
        self.out.clear();
    }
}

fn index_of(link: LinkId) -> usize {
    usize::from(link == DOWN)
}

static ECHO: CommandSpec = CommandSpec {
    name: "echo",
    package: "benches",
    summary: "repeats its arguments",
    words: &[Word { claim: Claim::Word("echo"), usage: "echo [ARG ...]", help: "repeat" }],
    verbs: &[],
    examples: &[Example { line: "exec 1 echo", reply: "Ok:1" }],
    create: || Box::new(Echo),
};

struct Echo;

impl Command for Echo {
    fn call(&mut self, _: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let words: Vec<&str> = call.args.iter().collect();
        Ok(words.join(" ").into())
    }
}
