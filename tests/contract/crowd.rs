//! Many peers, and peers that take their time.

use std::io::{self, Write};
use std::sync::{Arc, Barrier};
use std::thread;

use hoptree_core::Transport;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::deadline::PATIENCE;
use crate::node::{Candidate, Down, Frame, Node, Pair, Up, join_at};

pub fn listen_says_the_same_address_each_time(candidate: &Candidate) {
    let parent = Node::open(candidate);
    let address = parent.listen();
    assert_eq!(parent.listen(), address);
    let (child, _, down) = join_at(&address, candidate, &parent);
    assert_eq!(parent.listen(), address);
    child.finish(PATIENCE);
    parent.until_seen(&Down(down));
    assert_eq!(parent.listen(), address);
}

pub fn an_address_is_good_for_one_peer_after_another(candidate: &Candidate) {
    let parent = Node::open(candidate);
    let address = parent.listen();
    parent.stays_silent();
    let (first, _, first_down) = join_at(&address, candidate, &parent);
    parent.stays_silent();
    let (second, second_up, second_down) = join_at(&address, candidate, &parent);
    first.finish(PATIENCE);
    parent.until_seen(&Down(first_down));
    parent.stays_silent();
    let (third, third_up, third_down) = join_at(&address, candidate, &parent);
    let pair = Pair { parent, child: second, down: second_down, up: second_up };
    pair.works();
    Pair { parent: pair.parent, child: third, down: third_down, up: third_up }.works();
}

/// The same process under two transports, as in a benchmark.
pub fn two_nodes_of_one_process_listen_side_by_side(candidate: &Candidate) {
    let parents = [(); 2].map(|()| Node::open(candidate));
    let addresses = parents.each_ref().map(Node::listen);
    assert_ne!(addresses[0], addresses[1]);
    for (parent, address) in parents.into_iter().zip(addresses) {
        let (child, up, down) = join_at(&address, candidate, &parent);
        Pair { parent, child, down, up }.works();
    }
}

pub fn an_address_that_nobody_uses_costs_nothing(candidate: &Candidate) {
    let parent = Node::open(candidate);
    parent.listen();
    parent.stays_silent();
    let taken = parent.finish(PATIENCE);
    assert!(taken < PATIENCE, "it took {taken:?} to end");
}

/// As orphans do that have lost the same parent.
pub fn sixteen_join_one_address_at_the_same_moment(candidate: &Candidate) {
    const PEERS: usize = 16;
    let parent = Node::open(candidate);
    let address = parent.listen();
    let children = [(); PEERS].map(|()| Node::open(candidate));
    let moment = Arc::new(Barrier::new(PEERS));
    let links = thread::scope(|scope| {
        let joining = children.each_ref().map(|child| {
            let (address, moment) = (address.clone(), Arc::clone(&moment));
            let connect = move |transport: &mut dyn Transport| {
                moment.wait();
                transport.connect(&address)
            };
            scope.spawn(move || child.call(connect))
        });
        joining.map(|link| link.join().unwrap())
    });
    for ((child, link), number) in children.iter().zip(links).zip(0u8..) {
        child.until_seen(&Up(link));
        child.send(link, &[number]).unwrap();
    }
    parent.until_events(2 * PEERS);
    assert_eq!(parent.ups().len(), PEERS);
    for link in parent.ups() {
        let [_, Frame(_, number)] = &parent.seen_of(link)[..] else { panic!("not one frame") };
        parent.send(link, number).unwrap();
    }
    for ((child, link), number) in children.iter().zip(links).zip(0u8..) {
        child.until_seen(&Frame(link, vec![number]));
        assert_eq!(child.seen().len(), 2);
    }
}

/// They share a few transports, of which each has a part of them.
pub fn a_thousand_join_one_listener(candidate: &Candidate) {
    const CROWDS: usize = 5;
    let each = peers_affordable(1_000) / CROWDS;
    let peers = each * CROWDS;
    let parent = Node::open(candidate);
    let mut crowds = Vec::new();
    let address = parent.listen();
    for _ in 0..CROWDS {
        let address = address.clone();
        let crowd = Node::open(candidate);
        let links = crowd.call(move |transport| {
            (0..each).map(|_| transport.connect(&address)).collect::<Vec<_>>()
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
