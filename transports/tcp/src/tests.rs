//! What the contract does not say: what goes over the wire, and for how long.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

use hoptree_core::SEAL_BYTES;
use hoptree_test_support::{Down, Frame, Node, PATIENCE, Seen, Up};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketType, bind, socket as new_socket};

use super::*;

fn open(listen: &str) -> Node<Tcp> {
    Node::new(Tcp::open(Listen::from_text(listen, None, None).unwrap()).unwrap())
}

fn node() -> Node<Tcp> {
    open("127.0.0.1")
}

fn place(node: &mut Node<Tcp>) -> SocketAddr {
    address::read(&node.transport.listen().unwrap()).unwrap()
}

/// Somebody who has connected to a node.
fn stranger(node: &mut Node<Tcp>) -> TcpStream {
    let stream = TcpStream::connect(place(node)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// As it goes over the wire.
fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_le_bytes(), frame].concat()
}

/// Two nodes, of which the second has said hello to the first, and how each names the link.
fn pair(listen: &str) -> (Node<Tcp>, LinkId, Node<Tcp>, LinkId) {
    let (mut parent, mut child) = (open(listen), open(listen));
    let up = child.transport.connect(&parent.transport.listen().unwrap());
    child.until_seen(&Up(up));
    child.transport.send(up, b"hello").unwrap();
    child.transport.flush();
    parent.until_events(2);
    let down = parent.ups()[0];
    assert_eq!(parent.seen, [Up(down), Frame(down, b"hello".to_vec())]);
    (parent, down, child, up)
}

/// Whether its peer has hung up, in whatever way.
#[track_caller]
fn is_hung_up_on(stream: &mut TcpStream) {
    match stream.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}

/// As if this much time had gone by.
fn let_pass(tcp: &mut Tcp, time: Duration) {
    let limited = tcp.links.iter_mut().filter_map(|(id, link)| {
        let until = link.until?;
        link.until = Some(until - time);
        Some((*id, until))
    });
    for (id, until) in limited {
        tcp.deadlines.remove(until, id.0);
        tcp.deadlines.insert(until - time, id.0);
    }
}

#[track_caller]
fn has_something_to_do(node: &Node<Tcp>, within: Duration) -> bool {
    let descriptor = node.transport.descriptor();
    let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
    poll(&mut watched, Some(&within.try_into().unwrap())).unwrap() == 1
}

#[test]
fn a_length_out_of_bounds_ends_the_link() {
    let mut parent = node();
    for length in [0, SEALED_BYTES_MAX as u32 + 1, 1 << 24, u32::MAX] {
        let mut unknown = stranger(&mut parent);
        unknown.write_all(&length.to_le_bytes()).unwrap();
        let mut known = stranger(&mut parent);
        known.write_all(&[framed(b"hello"), length.to_le_bytes().into()].concat()).unwrap();
        parent.until(|seen| seen.iter().any(|seen| matches!(seen, Down(_))));
        let link = parent.ups()[0];
        assert_eq!(parent.seen, [Up(link), Frame(link, b"hello".to_vec()), Down(link)]);
        parent.stays_silent();
        is_hung_up_on(&mut known);
        is_hung_up_on(&mut unknown);
        assert!(parent.transport.links.is_empty());
        parent.seen.clear();
    }
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_one() {
    let mut parent = node();
    let mut slow = stranger(&mut parent);
    slow.set_nodelay(true).unwrap();
    for byte in framed(b"slow") {
        assert_eq!(parent.seen, [], "it is not up before its first frame is whole");
        slow.write_all(&[byte]).unwrap();
        parent.wait(Some(Instant::now()));
    }
    parent.until_events(2);
    let link = parent.ups()[0];
    assert_eq!(parent.seen, [Up(link), Frame(link, b"slow".to_vec())]);
}

#[test]
fn a_peer_that_hangs_up_in_one_direction_is_gone() {
    let mut parent = node();
    let mut peer = stranger(&mut parent);
    // The second is not whole, and never will be.
    peer.write_all(&[framed(b"hello"), framed(b"bye")[..5].into()].concat()).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    parent.until(|seen| matches!(seen.last(), Some(Down(_))));
    let link = parent.ups()[0];
    assert_eq!(parent.seen, [Up(link), Frame(link, b"hello".to_vec()), Down(link)]);
    is_hung_up_on(&mut peer);

    let mut silent = stranger(&mut parent);
    silent.shutdown(Shutdown::Write).unwrap();
    parent.stays_silent();
    is_hung_up_on(&mut silent);
    assert!(parent.transport.links.is_empty());
}

#[test]
fn who_sends_no_frame_in_time_is_hung_up_on() {
    let mut parent = node();
    let mut silent = stranger(&mut parent);
    let mut slow = stranger(&mut parent);
    slow.write_all(&framed(b"slow")[..5]).unwrap();
    let mut peer = stranger(&mut parent);
    peer.write_all(&framed(b"hello")).unwrap();
    parent.until_events(2);
    parent.until_rest();
    assert_eq!(parent.transport.links.len(), 3);
    let_pass(&mut parent.transport, FIRST_FRAME_WITHIN);
    parent.stays_silent();
    is_hung_up_on(&mut silent);
    is_hung_up_on(&mut slow);
    assert_eq!(parent.transport.links.len(), 1);
    peer.write_all(&framed(b"still here")).unwrap();
    parent.until_events(3);
}

#[test]
fn the_reason_of_a_refusal_is_said() {
    let mut child = node();
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for (address, why) in [
        (format!("net://{nobody}"), format!("{nobody}: Connection refused (os error 111)")),
        ("net://name:1".to_owned(), "\"net://name:1\": it is not the address of a listener".into()),
    ] {
        let link = child.transport.connect(&Address(address));
        child.until_seen(&Down(link));
        assert_eq!(child.transport.refusal(), Some(format!("can't connect to {why}")));
    }
    assert!(child.transport.links.is_empty());
}

#[test]
fn who_does_not_answer_is_given_up() {
    // It has room for one, whom nobody accepts, and drops what others send.
    let full = new_socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&full, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let full = TcpListener::from(full);
    let at = full.local_addr().unwrap();
    let _accepted = TcpStream::connect(at).unwrap();

    let mut child = node();
    let link = child.transport.connect(&address::write(at));
    child.stays_silent();
    let_pass(&mut child.transport, CONNECT_WITHIN);
    child.until_events(1);
    assert_eq!(child.seen, [Down(link)]);
    let why = child.transport.refusal().unwrap();
    assert!(why.starts_with(&format!("can't connect to {at}: no answer within 10 s;")), "{why}");
}

/// The system may choose the port that nobody listens at for the end that connects to it.
#[test]
fn a_connection_to_itself_is_none() {
    let own = new_socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&own, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let own = TcpStream::from(own);
    let at = own.local_addr().unwrap();
    rustix::net::connect(&own, &at).unwrap();
    let mut link = Link::new(LinkId(1), own, at, Stage::Connecting);
    let error = link.connected(&Watch::new().unwrap()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn the_first_port_that_is_not_in_use_is_taken() {
    // Of ten ports in a row, five are in use.
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let taken = loop {
        let first = free(0).unwrap();
        let port = first.local_addr().unwrap().port();
        let others = (1..5).map_while(|next| free(port.checked_add(next)?).ok());
        let taken: Vec<_> = [first].into_iter().chain(others).collect();
        if taken.len() == 5 && port < u16::MAX - 10 {
            break taken;
        }
    };
    let first = taken[0].local_addr().unwrap().port();
    let listen = |last| open(&format!("127.0.0.1:{first}-{last}")).transport.listen();
    let used_up = format!(
        "every port of 127.0.0.1 from {first} to {} is in use: name more of them",
        first + 4
    );
    assert_eq!(listen(first + 4), Err(TransportError(used_up)));
    let one = format!("port {first} of 127.0.0.1 is in use: name another one, or several");
    assert_eq!(listen(first), Err(TransportError(one)));

    let mut parent = open(&format!("127.0.0.1:{first}-{}", first + 10));
    assert!((first + 5..=first + 10).contains(&place(&mut parent).port()));
    // It can be asked again, also when it was refused before.
    let mut late = open(&format!("127.0.0.1:{first}"));
    assert!(late.transport.listen().is_err());
    drop(taken);
    assert_eq!(place(&mut late).port(), first);
}

#[test]
fn an_address_of_another_machine_can_not_be_listened_at() {
    let text = "no network interface of this machine has 192.0.2.1";
    assert_eq!(open("192.0.2.1:6200").transport.listen(), Err(TransportError(text.to_owned())));
}

#[test]
fn links_go_over_ipv6_too() {
    if TcpListener::bind("[::1]:0").is_err() {
        let _ = writeln!(io::stderr(), "skipped: this machine has no loopback address of IPv6");
        return;
    }
    let (mut parent, down, mut child, up) = pair("::1");
    assert!(place(&mut parent).is_ipv6());
    parent.transport.send(down, b"back").unwrap();
    parent.transport.flush();
    child.until_seen(&Frame(up, b"back".to_vec()));
}

#[test]
fn a_peer_that_does_not_read_costs_a_bounded_amount() {
    const HELD_MAX: usize = 1024 * 1024;
    let (mut parent, down, mut child, up) = pair("127.0.0.1");
    for length in [1, 1_000, SEALED_BYTES_MAX] {
        let frame = vec![7; length];
        let mut frames = 0;
        while parent.transport.send(down, &frame).is_ok() {
            frames += 1;
            assert!(frames * length <= HELD_MAX, "{frames} frames of {length} bytes");
        }
        assert!(frames >= 128.min(128 * 1024 / length), "{frames} frames of {length} bytes");
        assert_eq!(parent.transport.send(down, &frame), Err(SendError::Full));
        let before = child.seen.len();
        child.until_with(&mut parent, |seen| seen.len() >= before + frames);
        assert!(child.seen[before..].iter().all(|seen| *seen == Frame(up, frame.clone())));
    }
}

/// So the time for which its machine may acknowledge nothing does not begin.
#[test]
fn the_machine_of_a_stopped_peer_takes_all_that_may_be_under_way() {
    for (frames, length) in [(4, 32 * 1024), (64, 2_048), (128, 1_024), (128, 1)] {
        let (mut parent, down, _child, _) = pair("127.0.0.1");
        for _ in 0..frames {
            parent.transport.send(down, &vec![7; length + SEAL_BYTES]).unwrap();
            // Each as a packet of its own, which the system counts most for.
            parent.transport.flush();
        }
        let deadline = Instant::now() + PATIENCE;
        while !parent.transport.links[&down].is_over() {
            assert!(Instant::now() < deadline, "{frames} frames of {length} bytes");
            parent.wait(Some(Instant::now() + LOOK_EVERY));
        }
        assert_eq!(parent.seen.len(), 2);
    }
}

#[test]
fn what_was_sent_before_a_close_arrives_though_its_peer_goes_on() {
    let (mut parent, down, mut child, up) = pair("127.0.0.1");
    let frame = vec![7; 10_000];
    let mut frames = 0;
    while parent.transport.send(down, &frame).is_ok() {
        frames += 1;
    }
    child.transport.send(up, b"unread").unwrap();
    child.transport.flush();
    parent.transport.close(down);
    assert_eq!(parent.transport.links.len(), 1, "it has something to leave");
    child.until_with(&mut parent, |seen| matches!(seen.last(), Some(Down(_))));
    let told = [Up(up)].into_iter().chain((0..frames).map(|_| Frame(up, frame.clone())));
    assert_eq!(child.seen, told.chain([Down(up)]).collect::<Vec<Seen>>());
    parent.until_rest();
    assert!(parent.transport.links.is_empty());
    assert_eq!(parent.seen.len(), 2, "nothing of a link that was closed is told");
}

#[test]
fn a_closed_link_whose_peer_never_reads_is_cut_off() {
    let (mut parent, down, _child, _) = pair("127.0.0.1");
    while parent.transport.send(down, &[7; 10_000]).is_ok() {}
    parent.transport.close(down);
    parent.until_rest();
    assert_eq!(parent.transport.links.len(), 1);
    let_pass(&mut parent.transport, LEAVE_WITHIN);
    parent.stays_silent();
    assert!(parent.transport.links.is_empty());
}

#[test]
fn of_too_many_that_leave_the_oldest_is_cut_off() {
    let (mut parent, first, _child, _) = pair("127.0.0.1");
    let address = parent.transport.listen().unwrap();
    let second = parent.transport.connect(&address);
    parent.until_seen(&Up(second));
    let tcp = &mut parent.transport;
    for link in [first, second] {
        while tcp.send(link, &[7; 10_000]).is_ok() {}
    }
    tcp.close(first);
    // As many as there may be, with the two.
    tcp.leaving.extend((2..LEAVING_MAX).map(|_| LinkId(u64::MAX)));
    tcp.leaving.push_back(first);
    tcp.close(second);
    assert!(!tcp.links.contains_key(&first) && tcp.links.contains_key(&second));
}

#[test]
fn two_hundred_connect_at_once() {
    const PEERS: usize = 200;
    let (mut parent, mut crowd) = (node(), node());
    let address = parent.transport.listen().unwrap();
    let links: Vec<_> = (0..PEERS).map(|_| crowd.transport.connect(&address)).collect();
    for link in &links {
        // It leaves when the link is up.
        crowd.transport.send(*link, &link.0.to_le_bytes()).unwrap();
    }
    crowd.until_events(PEERS);
    assert!(links.iter().all(|link| crowd.seen.contains(&Up(*link))));
    parent.until_events(2 * PEERS);
    for link in links {
        assert!(
            parent
                .seen
                .iter()
                .any(|seen| { matches!(seen, Frame(_, bytes) if *bytes == link.0.to_le_bytes()) })
        );
    }
}

#[test]
fn the_descriptor_tells_of_all_that_there_is_to_do() {
    let (mut parent, down, mut child, up) = pair("127.0.0.1");
    for node in [&mut parent, &mut child] {
        node.until_rest();
        assert!(!has_something_to_do(node, Duration::ZERO));
    }
    // Frames, also those that a wait has read and left.
    for number in 0..2 * FRAMES_PER_WAIT_MAX {
        child.transport.send(up, &[number as u8]).unwrap();
    }
    child.transport.flush();
    let mut frames = 0;
    while frames < 2 * FRAMES_PER_WAIT_MAX {
        assert!(has_something_to_do(&parent, PATIENCE));
        frames += parent.wait(None);
    }
    parent.until_rest();
    assert!(!has_something_to_do(&parent, Duration::ZERO));

    let link = parent.transport.connect(&Address("nonsense".to_owned()));
    assert!(has_something_to_do(&parent, PATIENCE));
    parent.wait(None);
    assert_eq!(parent.seen.last(), Some(&Down(link)));

    // What has taken too long, though nothing comes.
    let _silent = stranger(&mut parent);
    parent.until_rest();
    let_pass(&mut parent.transport, FIRST_FRAME_WITHIN);
    assert!(has_something_to_do(&parent, PATIENCE));
    parent.until_rest();
    assert_eq!(parent.transport.links.len(), 1);

    drop(child);
    assert!(has_something_to_do(&parent, PATIENCE));
    parent.wait(None);
    assert_eq!(parent.seen.last(), Some(&Down(down)));
    parent.transport.waker().wake();
    assert!(has_something_to_do(&parent, Duration::ZERO));
}
