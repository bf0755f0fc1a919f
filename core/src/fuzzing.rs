//! What fuzzers reach of this package beside its interface.

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::{
    self, Allowance, Create, Detailed, FRAME_HEADER_BYTES, Fan, Flags, Hello, Joined, Kind,
    Message, Moved, Published, Reduced, Settled, Status, Value, Welcome,
};
use crate::{
    Address, Ancestor, Exit, Host, Incarnation, KEY_BYTES, Life, Machine, NodeId, Place, ProcessId,
    Proved, RequestId, Secret, Seed, Start, Token,
};

/// Reads a frame with the bodies of all its messages, as far as they can be read, and says how many
/// there are.
///
/// # Panics
///
/// When a message or a body that was read becomes another one once it has been written again.
pub fn read_frame(frame: &[u8]) -> usize {
    let Ok((_, messages)) = wire::open(frame) else { return 0 };
    let (mut at, mut bodies) = (FRAME_HEADER_BYTES, 0);
    for message in messages.map_while(Result::ok) {
        let mut again = Vec::new();
        message.encode(&mut again);
        let end = at + message.wire_bytes();
        assert_eq!(again, frame[at..end], "{message:?}");
        at = end;
        bodies += usize::from(read_body(&message));
    }
    bodies
}

fn read_body(message: &Message<'_>) -> bool {
    match message.kind {
        Kind::Hello => survives::<Hello>(message),
        Kind::Welcome => survives::<Welcome>(message),
        Kind::Shutdown | Kind::Delay => survives::<Duration>(message),
        Kind::Publish | Kind::Ask => survives::<Published>(message),
        Kind::Create => survives::<Create>(message),
        Kind::Remove => survives::<(Life, Duration)>(message),
        Kind::Discard => survives::<Life>(message),
        Kind::Joined => survives::<Joined>(message),
        Kind::Lost | Kind::Silent | Kind::Heard => survives::<Place>(message),
        Kind::Settled => survives::<Settled>(message),
        Kind::Moved => survives::<Moved>(message),
        Kind::Below => survives::<Vec<Proved>>(message),
        Kind::Ended => survives::<(Life, Exit)>(message),
        Kind::Forget => survives::<Vec<Life>>(message),
        Kind::Fan => fan_survives(message),
        Kind::Offer | Kind::Grant => survives::<u64>(message),
        Kind::Take => survives::<bool>(message),
        Kind::Reduced => reduced_survives(message),
        Kind::Answer if message.flags.is_detailed() => detailed_survives(message.body),
        Kind::Beat | Kind::Exec | Kind::Ping | Kind::Answer | Kind::Output | Kind::Cancel => true,
    }
}

fn survives<T: DeserializeOwned + Serialize + PartialEq + Debug>(message: &Message<'_>) -> bool {
    let Some(value) = message.decode::<T>() else { return false };
    let bytes = wire::body(&value);
    let again = Message { body: &bytes, ..*message }.decode();
    assert_eq!(again, Some(value));
    true
}

fn reduced_survives(message: &Message<'_>) -> bool {
    let Some(reduced) = Reduced::decode(message.body) else { return false };
    if let Value::New(_, value) = reduced.value
        && let Some((_, detailed)) = Detailed::from_value(value)
    {
        assert_eq!(Detailed::from_value(&detailed.value(Status::Ok)), Some((false, detailed)));
    }
    assert_eq!(Reduced::decode(&reduced.encode()), Some(reduced));
    true
}

fn detailed_survives(body: &[u8]) -> bool {
    let Some(detailed) = Detailed::decode(body) else { return false };
    assert_eq!(Detailed::decode(&detailed.encode()), Some(detailed));
    true
}

fn fan_survives(message: &Message<'_>) -> bool {
    let Some(fan) = Fan::decode(message) else { return false };
    let bytes = fan.encode();
    assert_eq!(Fan::decode(&Message { body: &bytes, ..*message }), Some(fan.clone()));
    for (life, request) in &fan.parts {
        let mut one = Vec::new();
        fan.part(*life, *request).encode(&mut one);
    }
    true
}

/// A frame with a message of each kind, for a fuzzer to begin with.
#[must_use]
pub fn example_frame() -> Vec<u8> {
    let mut frame = 7_u32.to_le_bytes().to_vec();
    for kind in Kind::ALL {
        let body = example_body(kind);
        let mut message = Message::new(kind, LIFE, RequestId(65_536), &body);
        if kind == Kind::Answer {
            message.flags = Flags::new(Status::Failed).detailed();
        }
        message.encode(&mut frame);
    }
    frame
}

const LIFE: Life =
    Life { node: NodeId::compute(7).expect("it is small"), incarnation: Incarnation(9) };

fn example_body(kind: Kind) -> Vec<u8> {
    let ancestors = vec![Ancestor {
        node: NodeId::CONTROL,
        address: Address("tcp://".to_owned()),
        machine: Machine::default(),
    }];
    let seed = Seed::of(Secret::new(&[7; KEY_BYTES]), LIFE);
    let process = ProcessId { machine: Machine(u64::MAX), pid: 1_234 };
    let (token, life, grace) = (Token([7; 16]), LIFE, Duration::from_millis(500));
    let place = Place { life, parent: Life::CONTROL, moves: 0 };
    let proof = seed.mark();
    let proved = Proved { place, proof };
    let exit = Some(Exit::Status(3));
    let detailed = Detailed { text: b"run: exit 3", exit, out: b"one\n", err: b"two\n" };
    let published = || Published { module: "heartbeat".to_owned(), value: vec![100, 0, 0, 0] };
    match kind {
        Kind::Hello => {
            let (version, newborn) = (wire::VERSION, Some(proof));
            wire::body(&Hello { version, token, life, process, newborn })
        }
        Kind::Welcome => wire::body(&Welcome {
            parent: NodeId::CONTROL,
            process,
            address: Some(Address("net://".to_owned())),
            depth: 1,
            ancestors,
        }),
        Kind::Shutdown | Kind::Delay => wire::body(&grace),
        Kind::Publish | Kind::Ask => wire::body(&published()),
        Kind::Create => {
            let host = Host { name: "web1".to_owned(), launcher: "ssh".to_owned() };
            let start = Start { transport: Some("zmq".to_owned()), host: Some(host) };
            wire::body(&Create { life, seed, start })
        }
        Kind::Remove => wire::body(&(life, grace)),
        Kind::Discard => wire::body(&life),
        Kind::Joined => wire::body(&Joined { at: proved, process }),
        Kind::Lost | Kind::Silent | Kind::Heard => wire::body(&place),
        Kind::Settled => wire::body(&Settled { moves: 1, proof }),
        Kind::Moved => wire::body(&Moved { to: proved, process }),
        Kind::Below => wire::body(&vec![proved; 2]),
        Kind::Ended => wire::body(&(life, Exit::Signal(9))),
        Kind::Forget => wire::body(&vec![life; 2]),
        Kind::Fan => {
            let (allowance, parts) = (Allowance::Large, vec![(life, RequestId(65_536)); 2]);
            Fan { kind: Kind::Exec, allowance, has_terms: false, parts, body: b"time" }.encode()
        }
        Kind::Offer | Kind::Grant => wire::body(&100_000_u64),
        Kind::Take => wire::body(&true),
        Kind::Reduced => {
            let members = vec![RequestId(65_536), RequestId(65_537)];
            let value = detailed.value(Status::Failed);
            Reduced { members, value: Value::New(0, &value) }.encode()
        }
        Kind::Answer => detailed.encode(),
        Kind::Exec | Kind::Output => b"echo one".to_vec(),
        Kind::Beat | Kind::Ping | Kind::Cancel => Vec::new(),
    }
}
