//! Frames arrive whole, once, and in order.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::node::{Candidate, Down, Frame, Node, Pair, Seen, join};

pub fn frames_of_every_length_arrive_in_order_both_ways(candidate: &Candidate) {
    let pair = Pair::new(candidate);
    let max = candidate.frame_bytes_max();
    let lengths = [1, 2, 33, 34, 255, 256, 8_191, 8_192, 8_193, max - 1, max];
    let frames = lengths.map(|length| patterned(length, length));
    for frame in &frames {
        pair.child.push(pair.up, frame);
        pair.parent.push(pair.down, frame);
    }
    let told = |link| frames.clone().map(|frame| Frame(link, frame));
    pair.parent.until_events(2 + frames.len());
    assert_eq!(pair.parent.seen()[2..], told(pair.down));
    pair.child.until_events(1 + frames.len());
    assert_eq!(pair.child.seen()[1..], told(pair.up));
}

/// Debug builds tell the caller. In others it may cost the link, but is never delivered.
pub fn a_frame_of_a_wrong_length_is_an_error_of_the_caller(candidate: &Candidate) {
    for length in [0, candidate.frame_bytes_max() + 1] {
        let pair = Pair::new(candidate);
        let (offender, up, down) = join(candidate, &pair.parent);
        for (node, link) in [(&offender, up), (&pair.parent, down)] {
            let panics = node.call(move |transport| {
                let send = || transport.send(link, &vec![7; length]);
                catch_unwind(AssertUnwindSafe(send)).is_err()
            });
            assert_eq!(panics, cfg!(debug_assertions), "{length} bytes");
        }
        pair.works();
        pair.parent.stays_silent();
        let of_a_wrong_length =
            |seen: &Seen| matches!(seen, Frame(_, bytes) if bytes.len() == length);
        for node in [&pair.parent, &offender] {
            assert!(!node.seen().iter().any(of_a_wrong_length), "{length} bytes were delivered");
        }
        assert!(!pair.parent.seen().contains(&Down(pair.down)));
        assert!(!pair.child.seen().contains(&Down(pair.up)));
    }
}

pub fn order_holds_while_both_sides_talk_at_once(candidate: &Candidate) {
    const FRAMES: usize = 2_000;
    const TURN: usize = 16;
    let pair = Pair::new(candidate);
    let frame = |number: usize| patterned(4 + number * 37 % 2_000, number);
    for turn in 0..FRAMES / TURN {
        let numbers = turn * TURN..(turn + 1) * TURN;
        for number in numbers.clone() {
            pair.child.push(pair.up, &frame(number));
        }
        for number in numbers {
            pair.parent.push(pair.down, &frame(number));
        }
    }
    let came_in_order = |node: &Node, link, before: usize| {
        node.until_events(before + FRAMES);
        for (number, seen) in node.seen()[before..].iter().enumerate() {
            assert_eq!(*seen, Frame(link, frame(number)), "frame {number}");
        }
    };
    came_in_order(&pair.parent, pair.down, 2);
    came_in_order(&pair.child, pair.up, 1);
}

/// Bytes that show when some of them are lost or doubled.
fn patterned(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + seed * 7) as u8).collect()
}
