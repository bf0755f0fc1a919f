//! Peers that read too little, and peers that send too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hoptree_core::{FRAME_BYTES_MAX, LinkId, SendError};

use crate::deadline::PROMPT;
use crate::node::{Candidate, Down, Frame, Node, Pair, join, wait};

/// What a link of hoptree may have under way in all: 128 frames of 128 KiB together. Each is a number of
/// frames, their length in bytes, and a number of short ones, which only acknowledge.
pub const WINDOWS: [Window; 4] = [
    Window { frames: 128, length: 1, short: 0 },
    Window { frames: 128, length: 1_024, short: 0 },
    Window { frames: 64, length: 1_024, short: 64 },
    Window { frames: 4, length: FRAME_BYTES_MAX, short: 0 },
];

#[derive(Clone, Copy)]
pub struct Window {
    frames: usize,
    length: usize,
    short: usize,
}

/// More than that nobody may hold for one link, the system and the other side's library included:
/// 64 MiB.
const FRAMES_HELD_MAX: usize = 64 * 1024 * 1024 / FRAME_BYTES_MAX;

/// Sends the largest frames until the link is full, and says how many were taken.
#[track_caller]
pub fn fill(node: &Node, link: LinkId) -> usize {
    node.call(move |transport| {
        let frame = vec![7; FRAME_BYTES_MAX];
        for taken in 0..FRAMES_HELD_MAX {
            let before = Instant::now();
            let sent = transport.send(link, &frame);
            assert!(before.elapsed() < PROMPT, "a send took {:?}", before.elapsed());
            match sent {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error, SendError::Full);
                    return taken;
                }
            }
        }
        panic!("nothing bounds what waits for a peer that does not read");
    })
}

/// Sends a whole window, and says how many frames it has.
#[track_caller]
pub fn send_window(node: &Node, link: LinkId, window: Window) -> usize {
    let Window { frames, length, short } = window;
    for _ in 0..frames {
        node.send(link, &vec![7; length]).unwrap();
    }
    for _ in 0..short {
        node.send(link, b"ack!").unwrap();
    }
    frames + short
}

pub fn what_a_link_may_have_under_way_never_fills_it(candidate: &Candidate) {
    let pair = Pair::new(candidate);
    let (mut down, mut up) = (2, 1);
    for window in WINDOWS.iter().cycle().take(40) {
        for node in [&pair.parent, &pair.child] {
            node.pause();
        }
        down += send_window(&pair.child, pair.up, *window);
        up += send_window(&pair.parent, pair.down, *window);
        for node in [&pair.parent, &pair.child] {
            node.read();
        }
        pair.parent.until_events(down);
        pair.child.until_events(up);
    }
}

pub fn a_peer_that_never_reads_fills_up_and_costs_nobody_else(candidate: &Candidate) {
    let pair = Pair::new(candidate);
    let (other, other_up, other_down) = join(candidate, &pair.parent);
    pair.child.pause();
    let taken = fill(&pair.parent, pair.down);
    let bystanders = Pair { parent: pair.parent, child: other, down: other_down, up: other_up };
    bystanders.works();
    pair.child.read();
    pair.child.until_events(1 + taken);
    pair.child.stays_silent();
    let frame = Frame(pair.up, vec![7; FRAME_BYTES_MAX]);
    assert!(pair.child.seen()[1..].iter().all(|seen| *seen == frame), "whole, or not at all");
    assert_eq!(pair.child.seen().len(), 1 + taken);
    // Full is not the end of a link.
    bystanders.parent.push(pair.down, b"again");
    pair.child.until_seen(&Frame(pair.up, b"again".to_vec()));
}

pub fn a_flood_on_one_link_starves_no_other(candidate: &Candidate) {
    const ROUND_TRIPS: usize = 50;
    let Pair { parent, child: flooder, up, .. } = Pair::new(candidate);
    let (other, other_up, other_down) = join(candidate, &parent);
    let stop = Arc::<AtomicBool>::default();
    let flood = Flood(Arc::clone(&stop));
    let flooding = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            flooder.call(move |transport| {
                for _ in 0..1_000 {
                    if transport.send(up, b"flood") == Err(SendError::Full) {
                        let soon = Instant::now() + Duration::from_millis(1);
                        wait(transport, Some(soon));
                    }
                }
            });
        }
        flooder
    });
    for number in 0..ROUND_TRIPS {
        let text = number.to_be_bytes();
        other.push(other_up, &text);
        parent.until_seen(&Frame(other_down, text.to_vec()));
        parent.push(other_down, &text);
        other.until_seen(&Frame(other_up, text.to_vec()));
    }
    drop(flood);
    let flooder = flooding.join().unwrap();
    assert!(!flooder.seen().contains(&Down(up)));
}

/// Ends a flood when it is dropped, also because a test fails.
struct Flood(Arc<AtomicBool>);

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
