use std::cell::RefCell;

use super::*;
use crate::seed::MOVES_MAX;
use crate::wire::{Create, Flags};
use crate::{
    Activity, Call, Claim, Command, CommandSpec, Context, Example, Incarnation, Inspection,
    KEY_BYTES, Machine, NodeId, OUTPUT_WAITING_BYTES_MAX, Outcome, Place, Reply, RequestId, Secret,
    Seed, Start, Stream, Watch, Word,
};
use crate::{ProcessId, credit};

const PARENT: LinkId = LinkId(1);
const CHILD: LinkId = LinkId(2);
const TOKEN: Token = Token([1; 16]);

fn life(id: u32) -> Life {
    Life { node: NodeId::compute(id).unwrap(), incarnation: Incarnation(id) }
}

fn seed(life: Life) -> Seed {
    Seed::of(Secret::new(&[7; KEY_BYTES]), life)
}

fn frame(messages: &[Message<'_>]) -> Vec<u8> {
    let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
    messages.iter().for_each(|message| message.encode(&mut frame));
    frame
}

fn worker(ancestors: Vec<Ancestor>) -> Worker {
    worker_below(NodeId::CONTROL, ancestors)
}

fn worker_below(parent: NodeId, ancestors: Vec<Ancestor>) -> Worker {
    let (life, seed) = (life(1), seed(life(1)));
    let birth = Birth { life, seed, parent, machine: Machine::default(), ancestors };
    let config = WorkerConfig {
        birth,
        token: TOKEN,
        process: ProcessId::of(1),
        parent: PARENT,
        parent_address: Address("above".to_owned()),
        transport: "test",
        timeout: Duration::from_secs(5),
        commands: Registry::new([&BYTES, &FLOOD]).unwrap(),
    };
    Worker::new(Time::ZERO, config)
}

fn turn(worker: &mut Worker, input: Input<'_>) -> Vec<Output> {
    let mut out = Vec::new();
    worker.handle(Time::ZERO, input, &mut out);
    worker.flush(Time::ZERO, &mut out);
    out
}

/// The messages of all frames that leave for the parent, by kind and request.
fn sent(out: &[Output]) -> Vec<(Kind, u64)> {
    let frames = out.iter().filter_map(|output| match output {
        Output::Send(PARENT, frame) => Some(frame),
        _ => None,
    });
    let messages = frames.flat_map(|frame| wire::open(frame).unwrap().1);
    messages
        .map(|message| message.unwrap())
        .map(|message| (message.kind, message.request.0))
        .collect()
}

/// Answers every command with as many bytes as it asks for.
struct Bytes;

static BYTES: CommandSpec = CommandSpec {
    name: "bytes",
    package: "test",
    summary: "for tests",
    words: &[Word { claim: Claim::Word("bytes"), usage: "bytes N", help: "N bytes" }],
    verbs: &[],
    examples: &[Example { line: "exec 1 bytes 0", reply: "Ok:1" }],
    create: || Box::new(Bytes),
};

impl Command for Bytes {
    fn call(&mut self, _: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let bytes: usize = call.args.only("N", "a number")?;
        Ok("x".repeat(bytes).into())
    }
}

thread_local! {
    /// The calls that the module was told to stop.
    static STOPPED: RefCell<Vec<RequestId>> = const { RefCell::new(Vec::new()) };
}

/// Emits as many bytes as it is told to, and answers or does not.
struct Flood;

static FLOOD: CommandSpec = CommandSpec {
    name: "flood",
    package: "test",
    summary: "for tests",
    words: &[
        Word { claim: Claim::Word("flood"), usage: "flood N", help: "emit N bytes, never answer" },
        Word { claim: Claim::Word("shower"), usage: "shower N", help: "emit N bytes, answer" },
    ],
    verbs: &[],
    examples: &[Example { line: "exec 1 shower 0", reply: "Ok:1" }],
    create: || Box::new(Flood),
};

impl Command for Flood {
    fn call(&mut self, cx: &mut Context<'_>, call: &Call<'_>) -> Outcome {
        let bytes: usize = call.args.only("N", "a number")?;
        cx.emit(call.id, Stream::Out, vec![b'x'; bytes]);
        Ok(if call.word == "flood" { Reply::Later } else { Reply::EMPTY })
    }

    fn cancelled(&mut self, _: &mut Context<'_>, call: RequestId) {
        STOPPED.with_borrow_mut(|stopped| stopped.push(call));
    }
}

fn exec(request: u64, line: &str) -> Message<'_> {
    Message::new(Kind::Exec, life(1), RequestId(request), line.as_bytes())
}

/// A request that comes when there is room again must not pass one that has waited for it.
#[test]
fn requests_run_in_the_order_in_which_they_came_also_in_a_jam() {
    let mut worker = worker(Vec::new());
    turn(&mut worker, Input::Up(PARENT));
    let long: Vec<_> = (1..=12).map(|request| exec(request, "bytes 40000")).collect();
    let mut out = turn(&mut worker, Input::Frame(PARENT, &frame(&long)));
    for request in 13..=30 {
        // All that has left is acknowledged, the hello as well.
        let acknowledged = u32::try_from(out.len() + 1).unwrap();
        let mut next = frame(&[exec(request, "bytes 0")]);
        next[..wire::FRAME_HEADER_BYTES].copy_from_slice(&acknowledged.to_le_bytes());
        out.extend(turn(&mut worker, Input::Frame(PARENT, &next)));
    }
    let answered = sent(&out).into_iter().map(|(_, request)| request);
    let short: Vec<_> = answered.filter(|request| *request > 12).collect();
    assert_eq!(short, (13..=30).collect::<Vec<_>>());
}

/// A job that writes without end would fill whatever room there is.
#[test]
fn jobs_wait_for_requests_that_wait_for_room() {
    let mut worker = worker(Vec::new());
    turn(&mut worker, Input::Up(PARENT));
    let long: Vec<_> = (1..=12).map(|request| exec(request, "bytes 40000")).collect();
    let mut out = turn(&mut worker, Input::Frame(PARENT, &frame(&long)));
    out.extend(turn(&mut worker, Input::Frame(PARENT, &frame(&[exec(13, "bytes 0")]))));
    assert!(!worker.has_room_for_outcomes());
    let mut turns = 0;
    while !worker.has_room_for_outcomes() {
        let acknowledged = u32::try_from(out.len() + 1).unwrap();
        let acknowledgement = acknowledged.to_le_bytes();
        out.extend(turn(&mut worker, Input::Frame(PARENT, &acknowledgement)));
        turns += 1;
        assert!(turns < 100);
    }
    assert!(worker.inbox.is_empty());
}

/// Or it would go on for ever, for nobody.
#[test]
fn a_module_is_told_that_a_call_has_emitted_too_much() {
    let mut worker = worker(Vec::new());
    turn(&mut worker, Input::Up(PARENT));
    let line = format!("flood {}", credit::OUTPUT_BYTES_INITIAL + OUTPUT_WAITING_BYTES_MAX + 1);
    let out = turn(&mut worker, Input::Frame(PARENT, &frame(&[exec(1, &line)])));
    assert_eq!(sent(&out).last(), Some(&(Kind::Answer, 1)));
    assert_eq!(STOPPED.take(), [RequestId(1)]);
}

#[test]
fn a_module_is_told_once_that_a_call_is_cancelled_and_not_when_it_has_answered() {
    let mut worker = worker(Vec::new());
    turn(&mut worker, Input::Up(PARENT));
    let bytes = credit::OUTPUT_BYTES_INITIAL + 1;
    for (request, line, told) in [(1, "flood", vec![RequestId(1)]), (2, "shower", vec![])] {
        let line = format!("{line} {bytes}");
        let cancel = Message::new(Kind::Cancel, life(1), RequestId(request), b"");
        turn(&mut worker, Input::Frame(PARENT, &frame(&[exec(request, &line)])));
        turn(&mut worker, Input::Frame(PARENT, &frame(&[cancel, cancel])));
        assert_eq!(STOPPED.take(), told);
    }
}

/// Its beginning is worth nothing when the route of the rest has broken.
#[test]
fn a_line_whose_rest_does_not_come_is_not_run() {
    let mut worker = worker(Vec::new());
    turn(&mut worker, Input::Up(PARENT));
    let flags = |first, last| Flags::new(Status::Ok).piece(first, last);
    let blanks = " ".repeat(wire::PIECE_BYTES_MAX);
    let begun = Message { flags: flags(true, false), ..exec(1, &blanks) };
    let other = exec(2, "bytes 1");
    let rest = Message { flags: flags(false, true), ..exec(1, "bytes 3") };
    let out = turn(&mut worker, Input::Frame(PARENT, &frame(&[begun, other, rest])));
    assert_eq!(sent(&out), [(Kind::Answer, 2)]);
}

/// The address of an ancestor that is gone may have another owner by now.
#[test]
fn only_the_one_who_was_asked_is_taken_for_a_parent() {
    let address = Address("further up".to_owned());
    let grandparent = NodeId::compute(0).unwrap();
    let ancestors = vec![Ancestor { node: grandparent, address, machine: Machine::default() }];
    let mut worker = worker_below(NodeId::compute(9).unwrap(), ancestors);
    turn(&mut worker, Input::Down(PARENT));
    let link = LinkId(7);
    turn(&mut worker, Input::Connecting(1, link));
    turn(&mut worker, Input::Up(link));
    let welcome = |parent| {
        let welcome = Welcome {
            parent,
            process: ProcessId::of(1),
            address: None,
            depth: 1,
            ancestors: Vec::new(),
        };
        frame(&[Message::neighbour(Kind::Welcome, &wire::body(&welcome))])
    };
    let out = turn(&mut worker, Input::Frame(link, &welcome(NodeId::compute(5).unwrap())));
    assert!(out.contains(&Output::Close(link)) && !worker.parent.is_up(), "{out:?}");
}

/// Nobody would take it in.
#[test]
fn who_has_moved_as_often_as_it_can_ends() {
    let mut worker = worker(Vec::new());
    let welcome = Welcome {
        parent: NodeId::CONTROL,
        process: ProcessId::of(1),
        address: None,
        depth: 1,
        ancestors: Vec::new(),
    };
    let welcome = frame(&[Message::neighbour(Kind::Welcome, &wire::body(&welcome))]);
    let mut parent = PARENT;
    for number in 1..=u64::from(MOVES_MAX) {
        turn(&mut worker, Input::Down(parent));
        parent = LinkId(100 + number);
        turn(&mut worker, Input::Connecting(number, parent));
        turn(&mut worker, Input::Up(parent));
        turn(&mut worker, Input::Frame(parent, &welcome));
        assert!(worker.parent.is_at(parent) && worker.parent.is_up());
    }
    assert_eq!(turn(&mut worker, Input::Down(parent)), [Output::Exit]);
}

/// The control node may have been told that it is there.
#[test]
fn who_loses_its_parent_before_it_is_welcome_knows_where_to_turn() {
    let address = Address("further up".to_owned());
    let ancestor =
        Ancestor { node: NodeId::CONTROL, address: address.clone(), machine: Machine::default() };
    let mut worker = worker(vec![ancestor]);
    let mut out = Vec::new();
    worker.handle(Time::ZERO, Input::Down(PARENT), &mut out);
    worker.handle(Time::ZERO + Duration::from_millis(50), Input::Timeout, &mut out);
    let asked: Vec<_> = out
        .into_iter()
        .filter_map(|output| match output {
            Output::Connect(_, address) => Some(address),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [Address("above".to_owned()), address]);
}

#[test]
fn a_parent_that_is_kept_from_running_is_not_left() {
    const MS: Duration = Duration::from_millis(1);
    let node = NodeId::compute(7).unwrap();
    let above = Ancestor {
        node: NodeId::CONTROL,
        address: Address("above".to_owned()),
        machine: Machine::default(),
    };
    let mut worker = worker_below(node, Vec::new());
    let watch = Watch { beat_every: 1_000 * MS, silent_after: 40 * MS };
    worker.parent.watch(Time::ZERO, Some(watch));
    let welcome = Welcome {
        parent: node,
        process: ProcessId::of(77),
        address: None,
        depth: 2,
        ancestors: vec![above],
    };
    let welcome = frame(&[Message::neighbour(Kind::Welcome, &wire::body(&welcome))]);
    worker.handle(Time::ZERO, Input::Frame(PARENT, &welcome), &mut Vec::new());

    let mut turn = |ms: u32, input: Input<'_>| {
        let mut out = Vec::new();
        worker.handle(Time::ZERO + ms * MS, input, &mut out);
        out.retain(|output| !matches!(output, Output::Send(..)));
        out
    };
    assert_eq!(turn(39, Input::Timeout), []);
    assert_eq!(turn(40, Input::Timeout), [Output::Inspect(PARENT, ProcessId::of(77))]);
    let neighbour = Activity { is_busy: true, ran: Duration::ZERO };
    let waits = Inspection { neighbour, ..Inspection::default() };
    assert_eq!(turn(40, Input::Inspected(PARENT, waits)), []);
    assert_eq!(turn(45, Input::Timeout), [Output::Inspect(PARENT, ProcessId::of(77))]);
    let asked = turn(45, Input::Inspected(PARENT, Inspection::default()));
    assert!(matches!(&asked[..], [Output::Connect(_, _)]), "{asked:?}");
}

/// Otherwise it might be relied on at a moment when it does not know where to turn.
#[test]
fn a_child_is_welcomed_before_anybody_is_told_of_it() {
    let mut worker = worker(Vec::new());
    let mut turn = |input: Input<'_>| turn(&mut worker, input);
    turn(Input::Up(PARENT));
    let seed = seed(life(2));
    let create = wire::body(&Create { life: life(2), seed, start: Start::default() });
    let create = Message::new(Kind::Create, life(1), RequestId(1), &create);
    turn(Input::Frame(PARENT, &frame(&[create])));
    turn(Input::Up(CHILD));
    let (version, newborn) = (wire::VERSION, seed.proof(0));
    let hello = Hello { version, token: TOKEN, life: life(2), process: ProcessId::of(2), newborn };
    let hello = wire::body(&hello);
    let out = turn(Input::Frame(CHILD, &frame(&[Message::neighbour(Kind::Hello, &hello)])));
    let links: Vec<_> = out
        .iter()
        .map(|output| match output {
            Output::Send(link, _) => *link,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(links, [CHILD, PARENT]);
    let place = Place { life: life(2), parent: life(1), moves: 0 };
    assert_eq!(worker.children.places()[0].place, place);
}
