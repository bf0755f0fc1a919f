//! What a compromised node says in place of an answer that its node gives: an answer that does not end, or
//! is longer than it may be, or was offered shorter than it is; output that does not end, or is more than it
//! may be, or goes on after the answer. Whoever passes it on awaits one.

use hoptree_core::Life;

use crate::frame::{self, FIRST, FRAME_HEADER_BYTES, Header, LAST, WHOLE, add, kind};
use crate::random::Random;

/// How long a piece is.
const PIECE_BYTES: usize = 16 * 1024;

/// How many frames the pieces of a forged answer travel with, unless it is to go on for ever.
const PIECES: u32 = 24;

/// What it does with the requests that its node has answered.
#[derive(Default)]
pub struct Forger {
    begun: Option<Forgery>,
    /// Offers that were taken.
    taken: Vec<u64>,
}

/// An answer that has begun.
struct Forgery {
    request: u64,
    kind: u8,
    piece_bytes: usize,
    pieces_left: u32,
}

impl Forger {
    /// Takes notice of a message that has come to its node.
    pub fn see(&mut self, header: &Header<'_>) {
        if header.name() == "Take" && header.body == [1] {
            self.taken.push(header.request);
            // An answer of 16 MiB may take its time.
            if let Some(forgery) = &mut self.begun {
                forgery.pieces_left = forgery.pieces_left.min(PIECES);
            }
        }
    }

    /// Whether an answer has begun, and has not been given up.
    pub fn is_busy(&self) -> bool {
        self.begun.is_some()
    }

    /// Changes a frame that goes up.
    pub fn forge(&mut self, own: Life, frame: &mut Vec<u8>, random: &mut Random) {
        let mut flags = 0;
        if self.begun.is_none() {
            let (taken, mut pieces_left) = (self.taken.pop(), PIECES);
            let request = match taken {
                None if random.chance(20) => take_answer(own, frame),
                taken => taken,
            };
            let Some(request) = request else { return };
            if taken.is_none() && random.chance(30) {
                pieces_left = u32::MAX;
            }
            if random.chance(20) {
                return add(&[offer(own, request, random)], frame);
            }
            let piece_bytes = if random.chance(30) { 1 } else { PIECE_BYTES };
            let is_output = taken.is_none() && random.chance(40);
            let kind = kind(if is_output { "Output" } else { "Answer" });
            self.begun = Some(Forgery { request, kind, piece_bytes, pieces_left });
            flags = FIRST;
        }
        let Some(forgery) = &mut self.begun else { return };
        forgery.pieces_left -= 1;
        if forgery.pieces_left == 0 && random.chance(50) {
            flags = LAST;
        }
        if forgery.kind == kind("Output") {
            flags = WHOLE;
        }
        let piece = vec![b'z'; forgery.piece_bytes];
        let request = forgery.request;
        add(&[frame::message(forgery.kind, flags, own, request, &piece)], frame);
        if forgery.pieces_left.is_multiple_of(8) && flags == WHOLE && random.chance(10) {
            add(&[answer(own, request, random)], frame);
        }
        if forgery.pieces_left == 0 {
            self.begun = None;
        }
    }
}

/// An answer, whole or a piece of one.
pub fn answer(life: Life, request: u64, random: &mut Random) -> Vec<u8> {
    let status = random.below(3) as u8;
    let flags = [WHOLE, WHOLE, WHOLE, FIRST, LAST, 0][random.below(6) as usize];
    let bytes = if flags == WHOLE || random.chance(50) { 15 } else { PIECE_BYTES };
    frame::message(kind("Answer"), status << 2 | flags, life, request, &vec![b'z'; bytes])
}

/// Output of a request, on either stream, with any number of lines.
pub fn output(life: Life, request: u64, random: &mut Random) -> Vec<u8> {
    let bytes = random.below(PIECE_BYTES as u64) as usize;
    let text = [b"z\n", b"\xff\x07", b"Ok"][random.below(3) as usize];
    let body = text.iter().copied().cycle().take(bytes).collect::<Vec<_>>();
    let stream = random.below(2) as u8;
    frame::message(kind("Output"), stream << 2 | WHOLE, life, request, &body)
}

/// These requests of a command, each as the difference to the one before, are answered by a value.
pub fn reduced(command: u64, members: &[u64], random: &mut Random) -> Vec<u8> {
    let number = if random.chance(90) { random.below(4) } else { random.below(5_000) };
    let mut body = postcard::to_stdvec(&(members, number, random.chance(70))).unwrap();
    let bytes = if random.chance(90) { random.below(40) } else { PIECE_BYTES as u64 };
    body.extend((0..bytes).map(|_| random.below(20) as u8));
    let flags = [WHOLE, WHOLE, WHOLE, FIRST, LAST, 0][random.below(6) as usize];
    if flags != WHOLE && random.chance(80) {
        body.resize(PIECE_BYTES, b'z');
    }
    frame::message(kind("Reduced"), flags, Life::CONTROL, command, &body)
}

/// An offer of an answer of any length.
pub fn offer(life: Life, request: u64, random: &mut Random) -> Vec<u8> {
    let bytes = postcard::to_stdvec(&random.below(1 << 24)).unwrap();
    frame::message(kind("Offer"), WHOLE, life, request, &bytes)
}

/// Takes the first answer of a node itself out of a frame, and says to which request it is.
fn take_answer(own: Life, frame: &mut Vec<u8>) -> Option<u64> {
    let mut at = FRAME_HEADER_BYTES;
    let own_answer = frame::messages(frame).find_map(|message| {
        let begin = at;
        at += message.len();
        let header = frame::header(message).filter(|header| {
            header.begins_answer() && header.is_whole() && header.incarnation == own.incarnation.0
        })?;
        Some((begin..at, header.request))
    });
    let (place, request) = own_answer?;
    frame.drain(place);
    Some(request)
}
