//! Strangers at a port that everyone on the machine can reach.

use std::io::Write;
use std::net::TcpStream;

use hoptree_core::Address;

use crate::node::{Candidate, Pair, join};

pub fn garbage_harms_nobody(candidate: &Candidate) {
    let pair = Pair::new(candidate);
    let address = pair.parent.listen();
    let numbers: Vec<u8> =
        (0..100_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let scraps: [&[u8]; 6] =
        [b"\n", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 300], &[0; 300], &[0x7f; 70_000], &numbers];
    let mut kept = Vec::new();
    for scrap in scraps {
        for is_kept in [false, true] {
            let mut stream = stranger(&address);
            // The other side may already have hung up.
            let _ = stream.write_all(scrap);
            if is_kept {
                kept.push(stream);
            }
        }
    }
    pair.works();
    join(candidate, &pair.parent);
    drop(kept);
    pair.works();
    // Nothing of it was taken for a peer.
    pair.parent.comes_to_rest();
    assert_eq!(pair.parent.ups().len(), 2);
}

pub fn strangers_who_say_nothing_harm_nobody(candidate: &Candidate) {
    let pair = Pair::new(candidate);
    let address = pair.parent.listen();
    let strangers: Vec<_> = (0..100).map(|_| stranger(&address)).collect();
    pair.works();
    join(candidate, &pair.parent);
    drop(strangers);
    let _joined = join(candidate, &pair.parent);
    assert_eq!(pair.parent.ups().len(), 3);
}

fn stranger(address: &Address) -> TcpStream {
    let (_, behind) = address.0.split_once("://").expect("an address of TCP is a URL");
    let host_and_port = behind.split(['/', '#']).next().unwrap();
    let stream = TcpStream::connect(host_and_port).unwrap();
    // One that waits for an answer must not wait for ever.
    stream.set_write_timeout(Some(crate::deadline::PROMPT)).unwrap();
    stream
}
