//! The control node by itself, told what it hears.

use std::time::Duration;

use super::{Controller, ControllerConfig, Order};
use crate::wire::{self, Allowance, Flags, Hello, Kind, Message, Status};
use crate::{
    FRAME_BYTES_MAX, Incarnation, Input, KEY_BYTES, Life, LinkId, Node, Output, ProcessId,
    Registry, Secret, Seed, Start, Time, Token, VALUE_BYTES_MAX,
};

const LINK: LinkId = LinkId(1);
const TOKEN: Token = Token([1; 16]);
const OWN_SECRET: [u8; KEY_BYTES] = [2; KEY_BYTES];

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

fn hello(version: u16, token: Token, life: Life) -> Vec<u8> {
    let newborn = Seed::of(Secret::new(&OWN_SECRET), life).proof(0);
    let hello = Hello { version, token, life, process: ProcessId::of(2), newborn };
    frame(&Message::neighbour(Kind::Hello, &wire::body(&hello)))
}

fn config() -> ControllerConfig {
    ControllerConfig {
        token: TOKEN,
        own_secret: Secret::new(&OWN_SECRET),
        process: ProcessId::of(1),
        transport: "test",
        timeout: Duration::from_secs(5),
        order: Order::Input,
        nodes_max: 1,
        records: false,
        commands: Registry::new([]).unwrap(),
    }
}

/// A control node whose node 1 has joined, and its life.
fn parent() -> (Controller, Life) {
    let mut controller = Controller::new(Time::ZERO, config());
    let out = turn(&mut controller, [Input::Line(b"create 1")]);
    let [Output::Spawn(birth, _)] = &*out else { panic!("{out:?}") };
    let life = birth.life;
    let hello = hello(wire::VERSION, TOKEN, life);
    turn(&mut controller, [Input::Up(LINK), Input::Frame(LINK, &hello)]);
    (controller, life)
}

#[test]
fn a_launcher_is_told_as_what_its_name_stands_for() {
    let config = ControllerConfig { nodes_max: 2, ..config() };
    let names = [("srun".to_owned(), "exec:srun -w {host} {argv}".to_owned())];
    let mut controller = Controller::new(Time::ZERO, config).with_launchers(names.into());
    for (line, launcher) in [
        ("create 1 -1 --on a --with srun", "exec:srun -w {host} {argv}"),
        ("create 2 -1 --on a", "ssh"),
    ] {
        let out = turn(&mut controller, [Input::Line(line.as_bytes())]);
        let [Output::Spawn(_, Start { host: Some(host), .. })] = &*out else { panic!("{out:?}") };
        assert_eq!((host.name.as_str(), host.launcher.as_str()), ("a", launcher));
    }
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

/// Or a node could keep all answers behind its own from being printed.
#[test]
fn an_answer_that_never_comes_to_its_end_is_late() {
    let (whole, piece) = (Flags::new(Status::Ok), vec![b'x'; wire::PIECE_BYTES_MAX]);
    for (is_first, why) in
        [(false, "No answer within 5000 ms"), (true, "its node has begun the answer a second time")]
    {
        let (mut controller, life) = parent();
        let out = turn(&mut controller, [Input::Line(b"exec 1 anything")]);
        let [Output::Send(LINK, asked)] = &*out else { panic!("{out:?}") };
        let request = wire::open(asked).unwrap().1.next().unwrap().unwrap().request;
        let answer = Message::answer(life, request, Status::Ok, &piece);
        let answer = frame(&Message { flags: whole.piece(is_first, false), ..answer });
        let mut out = Vec::new();
        // In steps so small that the control node is never late itself.
        for step in 0..1_000 {
            let now = Time::ZERO + step * Duration::from_millis(10);
            controller.handle(now, Input::Frame(LINK, &answer), &mut out);
            controller.handle(now, Input::Timeout, &mut out);
            controller.flush(now, &mut out);
        }
        out.retain(|output| matches!(output, Output::Print(_)));
        assert_eq!(out, [Output::Print(format!("Error:1: {why}\n").into())]);
    }
}

/// Or a compromised node could hold up for hours what is printed behind a long one.
#[test]
fn an_answer_that_comes_too_slowly_is_late() {
    let (whole, piece) = (Flags::new(Status::Ok), vec![b'x'; wire::PIECE_BYTES_MAX]);
    let (mut controller, life) = parent();
    let out = turn(&mut controller, [Input::Line(b"exec 1 anything")]);
    let [Output::Send(LINK, asked)] = &*out else { panic!("{out:?}") };
    let request = wire::open(asked).unwrap().1.next().unwrap().unwrap().request;
    let mut out = Vec::new();
    let offer = wire::body(&(VALUE_BYTES_MAX as u64));
    let offer = frame(&Message::new(Kind::Offer, life, request, &offer));
    controller.handle(Time::ZERO, Input::Frame(LINK, &offer), &mut out);
    let answer = Message::answer(life, request, Status::Ok, &piece);
    for step in 0..1_000 {
        let now = Time::ZERO + step * Duration::from_millis(10);
        if step % 100 == 0 {
            let answer = frame(&Message { flags: whole.piece(step == 0, false), ..answer });
            controller.handle(now, Input::Frame(LINK, &answer), &mut out);
        }
        controller.handle(now, Input::Timeout, &mut out);
        controller.flush(now, &mut out);
    }
    out.retain(|output| matches!(output, Output::Print(_)));
    assert_eq!(out, [Output::Print("Error:1: No answer within 5000 ms\n".into())]);
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

#[test]
fn whoever_has_no_valid_hello_is_cut_off() {
    const INTRUDER: LinkId = LinkId(2);
    let (mut controller, joined) = parent();
    let starting = Life { incarnation: Incarnation(u32::MAX), ..joined };
    for frame in [
        hello(wire::VERSION, Token([8; 16]), starting),
        hello(wire::VERSION + 1, TOKEN, starting),
        hello(wire::VERSION, TOKEN, starting),
        hello(wire::VERSION, TOKEN, joined),
        vec![0; 3],
        vec![0; 4],
        vec![0xff; FRAME_BYTES_MAX],
    ] {
        let out = turn(&mut controller, [Input::Up(INTRUDER), Input::Frame(INTRUDER, &frame)]);
        assert!(out.contains(&Output::Close(INTRUDER)), "{frame:?}: {out:?}");
    }
    let out = turn(&mut controller, [Input::Line(b"ping 9")]);
    assert_eq!(out, [Output::Print(b"Error: Not found\n".to_vec())]);
    let out = turn(&mut controller, [Input::Line(b"exec 1 anything")]);
    assert!(matches!(&*out, [Output::Send(LINK, _)]), "{out:?}");
}
