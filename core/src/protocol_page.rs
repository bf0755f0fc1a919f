//! `docs/protocol.md`, held against the code.

use crate::children::{
    GUESTS_MAX, HASHES_PER_FRAME_MAX, HELLO_WITHIN, LIVES_PER_MESSAGE, STRANGERS_MAX,
};
use crate::link::{
    ACK_BYTES, ACK_FRAMES, CREDIT_BYTES, CREDIT_BYTES_CONTROL, CREDIT_FRAMES, CREDIT_FRAMES_CONTROL,
};
use crate::router::REMEMBERED_MAX;
use crate::seed::MOVES_MAX;
use crate::wire::{
    FAN_BODY_BYTES_MAX, FRAME_HEADER_BYTES, HEADER_BYTES, Kind, Message, PIECE_BYTES_MAX, VERSION,
};
use crate::worker::ANSWERS_WAITING_BYTES;
use crate::{FRAME_BYTES_MAX, Incarnation, Life, NodeId, RequestId};

const PAGE: &str = include_str!("../../docs/protocol.md");

/// The page as one line, so that it makes no difference where its lines end.
fn page() -> String {
    PAGE.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The number that a text begins with; `4 KiB` is 4096.
fn number(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..end].parse().ok()?;
    Some(if text[end..].starts_with(" KiB") { number * 1024 } else { number })
}

/// Checks that this number, and no other, stands behind these words wherever they are.
#[track_caller]
fn assert_says(words: &str, value: usize) {
    let page = page();
    let words = format!("{words} ");
    let said: Vec<_> = page.split(&words).skip(1).map(number).collect();
    assert!(!said.is_empty(), "docs/protocol.md does not say '{words}' any more");
    assert!(
        said.iter().all(|said| *said == Some(value)),
        "behind '{words}' docs/protocol.md has {said:?}, the code has {value}"
    );
}

#[test]
fn the_version() {
    assert_says("the version is", VERSION.into());
    assert_says("The version in the Hello is", VERSION.into());
}

#[test]
fn the_sizes_of_frames_and_messages() {
    assert_says("it carries frames of 1 to", FRAME_BYTES_MAX);
    assert_says("A frame of", FRAME_HEADER_BYTES);
    assert_says("length of what follows, body included:", HEADER_BYTES - 4);
    assert_says("The header has", HEADER_BYTES);
    assert_says("A body of more than", PIECE_BYTES_MAX);
    assert_says("the body of its parts has at most", FAN_BODY_BYTES_MAX);
    assert_says("to the others there is another route. At most", LIVES_PER_MESSAGE);
}

#[test]
fn credit_and_acknowledgements() {
    assert_says("Data leave as long as fewer than", CREDIT_FRAMES);
    assert_says("bytes of unacknowledged frames above", CREDIT_BYTES);
    assert_says("frames of their own while fewer than", CREDIT_FRAMES_CONTROL);
    assert_says("frames, and no more than", CREDIT_BYTES_CONTROL);
    assert_says("at the end of a turn of the loop,", ACK_FRAMES as usize);
    assert_says("or more frames or", ACK_BYTES);
    assert_says("congested (more than", ANSWERS_WAITING_BYTES);
}

#[test]
fn the_time_for_a_hello() {
    let seconds = HELLO_WITHIN.as_secs() as usize;
    assert_says("The parent gives it", seconds);
    assert_says("nobody is told of it. After", seconds);
}

#[test]
fn what_is_proved_and_remembered() {
    let moves = MOVES_MAX as usize;
    assert_says("the mark is the seed hashed", moves + 1);
    assert_says("0 for its birth, is the seed hashed", moves);
    assert_says("A life can move", moves);
    assert_says("What comes in one frame is hashed", HASHES_PER_FRAME_MAX as usize);
    assert_says("when there is no route to it any more, for", REMEMBERED_MAX);
    assert_says("without a hello, and", GUESTS_MAX);
    assert_says("refuses to start. At most", STRANGERS_MAX);
}

#[test]
fn the_kinds_with_their_numbers() {
    let rows = PAGE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (number, name, way) = (cells.next()?, cells.next()?, cells.next()?);
        let is_kind = way.starts_with("up") || way.starts_with("down") || way.starts_with("either");
        Some((number.parse().ok()?, name.to_owned())).filter(|_| is_kind)
    });
    let kinds = Kind::ALL.map(|kind| (kind as u8, format!("{kind:?}")));
    assert_eq!(rows.collect::<Vec<_>>(), kinds);
    assert_says("kind, 1 to", kinds.len());
    assert_says("kind: one byte,", Kind::Exec as usize);
    assert_says(&format!("one byte, {} or", Kind::Exec as u8), Kind::Ask as usize);
}

#[test]
fn the_example() {
    let block = PAGE.split("## An example").nth(1).unwrap().split("\n## ").next().unwrap();
    let bytes = block.lines().filter_map(|line| line.strip_prefix("    ")).flat_map(|line| {
        let (hex, _) = line.split_once("  ").unwrap_or((line, ""));
        hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap())
    });
    let life = Life { node: NodeId::compute(7).unwrap(), incarnation: Incarnation(9) };
    let mut frame = 2_u32.to_le_bytes().to_vec();
    Message::new(Kind::Exec, life, RequestId(65_536), b"time").encode(&mut frame);
    assert_eq!(bytes.collect::<Vec<_>>(), frame);
}
