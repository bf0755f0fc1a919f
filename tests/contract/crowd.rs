//! Many peers, and peers that take their time.

use std::io::{self, Write};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::deadline::PATIENCE;
use crate::node::{Candidate, Down, Frame, Node, Pair, Up, join};

pub fn an_address_is_good_long_after_it_was_handed_out(candidate: &Candidate) {
    let parent = Node::open(candidate);
    let address = parent.listen();
    parent.stays_silent();
    // Others come and go meanwhile.
    for _ in 0..3 {
        let (child, _, down) = join(candidate, &parent);
        child.finish(PATIENCE);
        parent.until_seen(&Down(down));
    }
    parent.stays_silent();
    let before = parent.seen().len();
    let child = Node::open(candidate);
    let up = child.connect(&address);
    child.until_seen(&Up(up));
    child.send(up, b"late").unwrap();
    parent.until_events(before + 2);
    let down = parent.ups()[3];
    assert_eq!(parent.seen()[before..], [Up(down), Frame(down, b"late".to_vec())]);
    Pair { parent, child, down, up }.works();
}

pub fn an_address_that_nobody_uses_costs_nothing(candidate: &Candidate) {
    let parent = Node::open(candidate);
    for _ in 0..10 {
        parent.listen();
    }
    parent.stays_silent();
    let (_child, ..) = join(candidate, &parent);
    let taken = parent.finish(PATIENCE);
    assert!(taken < PATIENCE, "it took {taken:?} to end");
}

/// They share a few transports, of which each has a part of them.
pub fn a_thousand_join_one_listener(candidate: &Candidate) {
    const CROWDS: usize = 5;
    let each = peers_affordable(1_000) / CROWDS;
    let peers = each * CROWDS;
    let parent = Node::open(candidate);
    let mut crowds = Vec::new();
    for _ in 0..CROWDS {
        let addresses: Vec<_> = (0..each).map(|_| parent.listen()).collect();
        let crowd = Node::open(candidate);
        let links = crowd.call(move |transport| {
            addresses.iter().map(|address| transport.connect(address)).collect::<Vec<_>>()
        });
        crowds.push((crowd, links));
    }
    for (number, (crowd, links)) in crowds.iter().enumerate() {
        crowd.until_events(each);
        for link in links {
            assert_eq!(crowd.seen_of(*link), [Up(*link)]);
            crowd.push(*link, &[&[number as u8], &link.0.to_be_bytes()[..]].concat());
        }
    }
    parent.until_events(2 * peers);
    let mut told = parent.seen();
    assert_eq!(parent.ups().len(), peers);
    // Each gets back what it has sent.
    let said = told.split_off(0).into_iter().filter_map(|seen| match seen {
        Frame(link, bytes) => Some((link, bytes)),
        _ => None,
    });
    for (link, bytes) in said {
        parent.push(link, &bytes);
    }
    for (number, (crowd, links)) in crowds.iter().enumerate() {
        crowd.until_events(2 * each);
        for link in links {
            let bytes = [&[number as u8], &link.0.to_be_bytes()[..]].concat();
            assert_eq!(crowd.seen_of(*link), [Up(*link), Frame(*link, bytes)]);
        }
    }
    for (crowd, _) in crowds {
        crowd.finish(PATIENCE);
    }
    parent.until_events(3 * peers);
    assert_eq!(parent.seen().iter().filter(|seen| matches!(seen, Down(_))).count(), peers);
}

/// How many peers there can be when each costs eight descriptors in all, of which half are left to
/// other tests.
fn peers_affordable(wanted: usize) -> usize {
    const DESCRIPTORS_EACH: u64 = 16;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // It can be what it was, and then there are fewer peers.
    let _ = setrlimit(Resource::Nofile, limit);
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let peers = usize::try_from(descriptors / DESCRIPTORS_EACH).unwrap_or(usize::MAX).min(wanted);
    if peers < wanted {
        let _ = writeln!(
            io::stderr(),
            "only {peers} of {wanted} peers: the limit of open files is {descriptors}"
        );
    }
    peers
}
