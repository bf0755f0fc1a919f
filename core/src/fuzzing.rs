//! What fuzzers reach of this package beside its interface.

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::{
    self, Create, FRAME_HEADER_BYTES, Fan, Hello, Joined, Kind, Message, Moved, Published, Settled,
    Welcome,
};
use crate::{Exit, Life, Place, Proved};

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
        Kind::Shutdown => survives::<Duration>(message),
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
        Kind::Offer => survives::<u64>(message),
        Kind::Take => survives::<bool>(message),
        Kind::Beat | Kind::Exec | Kind::Ping | Kind::Answer => true,
    }
}

fn survives<T: DeserializeOwned + Serialize + PartialEq + Debug>(message: &Message<'_>) -> bool {
    let Some(value) = message.decode::<T>() else { return false };
    let bytes = wire::body(&value);
    let again = Message { body: &bytes, ..*message }.decode();
    assert_eq!(again, Some(value));
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
