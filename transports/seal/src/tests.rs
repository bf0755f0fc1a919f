//! The seal above a transport that does what a test says, so that anything may come of anybody.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use hoptree_core::{LinkIds, SEAL_BYTES};

use super::handshake::MESSAGE_BYTES;
use super::*;

const SECRET: Secret = Secret::new(&[7; 32]);

/// What was told above or below, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Up(LinkId),
    Frame(LinkId, Vec<u8>),
    Down(LinkId),
}

use Told::{Down, Frame, Up};

/// What a transport is told to do, and what it will tell.
#[derive(Default)]
struct Script {
    /// Told by the next wait.
    tells: VecDeque<Told>,
    sent: Vec<(LinkId, Vec<u8>)>,
    closed: Vec<LinkId>,
    connected: Vec<Address>,
    /// What each send is answered.
    refuses: Option<SendError>,
    /// Why the last connect failed.
    refusal: Option<String>,
    /// Until when it was last asked to wait.
    until: Option<Instant>,
    link_ids: LinkIds,
}

struct Below(Rc<RefCell<Script>>);

impl Transport for Below {
    fn listen(&mut self) -> Result<Address, TransportError> {
        Ok(Address("below:1".to_owned()))
    }

    fn connect(&mut self, to: &Address) -> LinkId {
        let mut script = self.0.borrow_mut();
        script.connected.push(to.clone());
        script.link_ids.next_id()
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        let mut script = self.0.borrow_mut();
        match script.refuses {
            Some(error) => Err(error),
            None => {
                script.sent.push((link, frame.to_vec()));
                Ok(())
            }
        }
    }

    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        self.0.borrow_mut().until = until;
        let tells = std::mem::take(&mut self.0.borrow_mut().tells);
        for told in &tells {
            deliver(match told {
                Up(link) => Event::Up(*link),
                Frame(link, bytes) => Event::Frame(*link, bytes),
                Down(link) => Event::Down(*link),
            });
        }
        Ok(())
    }

    fn refusal(&self) -> Option<String> {
        self.0.borrow().refusal.clone()
    }

    fn waker(&self) -> Waker {
        Waker::new(|| {})
    }

    fn close(&mut self, link: LinkId) {
        self.0.borrow_mut().closed.push(link);
    }

    fn finish(self: Box<Self>, _: Duration) {}
}

/// One process: the seal and what is below it.
struct End {
    seal: Sealed,
    script: Rc<RefCell<Script>>,
}

impl End {
    fn new(secret: Secret, listens: Listens) -> End {
        let script = Rc::<RefCell<Script>>::default();
        End { seal: Sealed::new(Box::new(Below(Rc::clone(&script))), secret, listens), script }
    }

    /// Has the transport below tell this, and says what is told above.
    fn hear(&mut self, tells: impl IntoIterator<Item = Told>) -> Vec<Told> {
        self.script.borrow_mut().tells.extend(tells);
        let mut told = Vec::new();
        self.seal
            .wait(None, &mut |event| {
                told.push(match event {
                    Event::Up(link) => Up(link),
                    Event::Frame(link, bytes) => Frame(link, bytes.to_vec()),
                    Event::Down(link) => Down(link),
                });
            })
            .unwrap();
        told
    }

    /// What was sent on a link since the last time.
    fn sent(&self, link: LinkId) -> Vec<Vec<u8>> {
        let mut script = self.script.borrow_mut();
        script.sent.extract_if(.., |(on, _)| *on == link).map(|(_, frame)| frame).collect()
    }

    /// Somebody has connected.
    fn accept(&self) -> LinkId {
        self.script.borrow_mut().link_ids.next_id()
    }

    fn has_closed(&self, link: LinkId) -> bool {
        self.script.borrow().closed.contains(&link)
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Vec<u8> {
        self.seal.send(link, frame).unwrap();
        self.sent(link).pop().unwrap()
    }
}

/// A parent, a child that has connected to it, and the link as each of them names it.
struct Pair {
    parent: End,
    child: End,
    down: LinkId,
    up: LinkId,
}

impl Pair {
    /// What somebody else of the tree says first.
    fn greeting_for(parent: &mut End) -> Vec<u8> {
        let mut child = End::new(SECRET, Listens::Open);
        let up = child.seal.connect(&parent.seal.listen().unwrap());
        child.hear([Up(up)]);
        child.sent(up).pop().unwrap()
    }

    /// The child's greeting is out.
    fn greeting() -> (Pair, Vec<u8>) {
        let mut parent = End::new(SECRET, Listens::Sealed);
        let mut child = End::new(SECRET, Listens::Open);
        let up = child.seal.connect(&parent.seal.listen().unwrap());
        assert_eq!(child.hear([Up(up)]), [], "it is not up before there is a reply");
        let greeting = child.sent(up).pop().unwrap();
        let down = parent.accept();
        (Pair { parent, child, down, up }, greeting)
    }

    /// The parent's reply is out.
    fn answered() -> (Pair, Vec<u8>) {
        let (mut pair, greeting) = Pair::greeting();
        assert_eq!(pair.parent.hear([Up(pair.down), Frame(pair.down, greeting)]), []);
        let reply = pair.parent.sent(pair.down).pop().unwrap();
        (pair, reply)
    }

    /// The child has said hello.
    fn new() -> Pair {
        let (mut pair, reply) = Pair::answered();
        assert_eq!(pair.child.hear([Frame(pair.up, reply)]), [Up(pair.up)]);
        let hello = pair.child.send(pair.up, b"hello");
        let told = pair.parent.hear([Frame(pair.down, hello)]);
        assert_eq!(told, [Up(pair.down), Frame(pair.down, b"hello".to_vec())]);
        pair
    }

    /// Whether frames travel both ways.
    fn works(&mut self) {
        let sealed = self.child.send(self.up, b"up");
        assert_eq!(self.parent.hear([Frame(self.down, sealed)]), [Frame(self.down, b"up".into())]);
        let sealed = self.parent.send(self.down, b"down");
        assert_eq!(self.child.hear([Frame(self.up, sealed)]), [Frame(self.up, b"down".into())]);
    }
}

#[test]
fn what_is_sealed_is_not_read_on_its_way() {
    let mut pair = Pair::new();
    let secret = b"nobody else reads this";
    let sealed = pair.child.send(pair.up, secret);
    assert_eq!(sealed.len(), secret.len() + SEAL_BYTES);
    assert!(!sealed.windows(4).any(|bytes| secret.windows(4).any(|word| word == bytes)));
    assert_ne!(pair.child.send(pair.up, secret), sealed);
}

#[test]
fn the_longest_frame_passes() {
    let mut pair = Pair::new();
    let frame = vec![7; FRAME_BYTES_MAX];
    let sealed = pair.parent.send(pair.down, &frame);
    assert_eq!(sealed.len(), FRAME_BYTES_MAX + SEAL_BYTES);
    assert_eq!(pair.child.hear([Frame(pair.up, sealed)]), [Frame(pair.up, frame)]);
}

#[test]
fn a_listener_says_the_same_address_each_time_and_its_own() {
    let mut one = End::new(SECRET, Listens::Sealed);
    let mut other = End::new(SECRET, Listens::Sealed);
    let address = one.seal.listen().unwrap();
    assert_eq!(one.seal.listen().unwrap(), address);
    assert_ne!(other.seal.listen().unwrap(), address);
}

#[test]
fn an_open_listener_is_that_of_the_transport_below() {
    let mut parent = End::new(SECRET, Listens::Open);
    let address = parent.seal.listen().unwrap();
    assert_eq!(address, Address("below:1".to_owned()));
    // Who listens sealed itself connects to it all the same.
    let mut child = End::new(SECRET, Listens::Sealed);
    let up = child.seal.connect(&address);
    assert_eq!(child.hear([Up(up)]), [Up(up)]);
    assert_eq!(child.send(up, b"hello"), b"hello");
    let down = parent.accept();
    let told = [Up(down), Frame(down, b"hello".to_vec()), Down(down)];
    assert_eq!(parent.hear(told.clone()), told);
}

#[test]
fn the_transport_below_is_told_its_own_address() {
    let (pair, _) = Pair::greeting();
    assert_eq!(pair.child.script.borrow().connected, [Address("below:1".to_owned())]);
}

#[test]
fn nothing_is_sent_on_a_link_that_is_not_up() {
    let (mut pair, _) = Pair::answered();
    assert_eq!(pair.child.seal.send(pair.up, b"early"), Err(SendError::Full));
    assert_eq!(pair.parent.seal.send(pair.down, b"early"), Err(SendError::Full));
    assert_eq!(pair.parent.seal.send(LinkId(99), b"lost"), Err(SendError::Gone));
}

#[test]
fn who_knows_another_secret_is_turned_away() {
    let mut parent = End::new(SECRET, Listens::Sealed);
    let mut child = End::new(Secret::new(&[8; 32]), Listens::Open);
    let up = child.seal.connect(&parent.seal.listen().unwrap());
    child.hear([Up(up)]);
    let greeting = child.sent(up).pop().unwrap();
    let down = parent.accept();
    assert_eq!(parent.hear([Up(down), Frame(down, greeting)]), []);
    assert!(parent.has_closed(down) && parent.sent(down).is_empty());
    // What follows is nothing to it any more.
    assert_eq!(parent.hear([Frame(down, vec![1; 20]), Down(down)]), []);
    assert_eq!(child.hear([Down(up)]), [Down(up)]);
    let refusal = child.seal.refusal().unwrap();
    assert_eq!(refusal, "the listener at below:1 has hung up during the handshake");
}

#[test]
fn garbage_is_no_greeting() {
    let mut parent = End::new(SECRET, Listens::Sealed);
    parent.seal.listen().unwrap();
    for length in [1, 16, MESSAGE_BYTES - 1, MESSAGE_BYTES, MESSAGE_BYTES + 1, 32_784, 70_000] {
        let link = parent.accept();
        assert_eq!(parent.hear([Up(link), Frame(link, vec![7; length])]), []);
        assert!(parent.has_closed(link) && parent.sent(link).is_empty(), "{length} bytes");
    }
}

#[test]
fn garbage_is_no_reply() {
    for length in [1, 16, MESSAGE_BYTES - 1, MESSAGE_BYTES, MESSAGE_BYTES + 1, 32_784] {
        let (mut pair, _) = Pair::greeting();
        let told = pair.child.hear([Frame(pair.up, vec![7; length]), Frame(pair.up, vec![7])]);
        assert_eq!(told, [Down(pair.up)], "{length} bytes");
        assert!(pair.child.has_closed(pair.up));
        let refusal = pair.child.seal.refusal().unwrap();
        assert_eq!(refusal, "the listener at below:1 does not know the secret of this tree");
        assert_eq!(pair.child.seal.send(pair.up, b"x"), Err(SendError::Gone));
    }
}

#[test]
fn why_a_connection_failed_is_for_the_transport_below_to_say() {
    let (mut pair, _) = Pair::greeting();
    pair.child.hear([Down(pair.up)]);
    assert!(pair.child.seal.refusal().unwrap().contains("handshake"));
    pair.child.script.borrow_mut().refusal = Some("nobody listens".to_owned());
    let link = pair.child.seal.connect(&pair.parent.seal.listen().unwrap());
    assert_eq!(pair.child.hear([Down(link)]), [Down(link)]);
    assert_eq!(pair.child.seal.refusal().unwrap(), "nobody listens");
}

#[test]
fn a_frame_that_was_changed_ends_its_link_and_no_other() {
    let mut pair = Pair::new();
    let other = pair.parent.accept();
    let greeting = Pair::greeting_for(&mut pair.parent);
    assert_eq!(pair.parent.hear([Up(other), Frame(other, greeting)]), []);
    let before = pair.child.send(pair.up, b"before");
    let mut changed = pair.child.send(pair.up, b"changed");
    let after = pair.child.send(pair.up, b"after");
    changed[0] ^= 1;
    let frames = [before, changed, after].map(|frame| Frame(pair.down, frame));
    let told = pair.parent.hear(frames.into_iter().chain([Down(pair.down)]));
    assert_eq!(told, [Frame(pair.down, b"before".to_vec()), Down(pair.down)], "and told once");
    assert!(pair.parent.has_closed(pair.down) && !pair.parent.has_closed(other));
    assert_eq!(pair.parent.seal.send(pair.down, b"x"), Err(SendError::Gone));
    assert_eq!(pair.parent.sent(other).len(), 1, "its handshake goes on");
}

#[test]
fn a_repeated_frame_ends_its_link() {
    let mut pair = Pair::new();
    let frame = pair.child.send(pair.up, b"once");
    let told = pair.parent.hear([Frame(pair.down, frame.clone()), Frame(pair.down, frame)]);
    assert_eq!(told, [Frame(pair.down, b"once".to_vec()), Down(pair.down)]);
}

#[test]
fn frames_out_of_order_end_their_link() {
    let mut pair = Pair::new();
    let [first, second] = [b"first", b"other"].map(|frame| pair.child.send(pair.up, frame));
    let told = pair.parent.hear([Frame(pair.down, second), Frame(pair.down, first)]);
    assert_eq!(told, [Down(pair.down)]);
}

#[test]
fn a_frame_of_another_link_ends_the_one_that_it_came_by() {
    let mut pair = Pair::new();
    let mut other = Pair::new();
    let frame = other.child.send(other.up, b"stolen");
    assert_eq!(pair.parent.hear([Frame(pair.down, frame)]), [Down(pair.down)]);
}

#[test]
fn a_frame_that_is_sent_back_ends_the_link() {
    let mut pair = Pair::new();
    let frame = pair.child.send(pair.up, b"mirror");
    assert_eq!(pair.child.hear([Frame(pair.up, frame)]), [Down(pair.up)]);
}

#[test]
fn a_repeated_greeting_gets_no_reply() {
    let (mut pair, greeting) = Pair::greeting();
    let told = [Up(pair.down), Frame(pair.down, greeting.clone())];
    assert_eq!(pair.parent.hear(told), []);
    for _ in 0..100 {
        let link = pair.parent.accept();
        assert_eq!(pair.parent.hear([Up(link), Frame(link, greeting.clone())]), []);
        assert!(pair.parent.has_closed(link) && pair.parent.sent(link).is_empty());
    }
    let reply = pair.parent.sent(pair.down).pop().unwrap();
    assert_eq!(pair.child.hear([Frame(pair.up, reply)]), [Up(pair.up)]);
    let hello = pair.child.send(pair.up, b"hello");
    assert_eq!(pair.parent.hear([Frame(pair.down, hello)]).len(), 2);
    pair.works();
}

#[test]
fn what_was_said_to_one_listener_is_nothing_to_another() {
    let (mut pair, greeting) = Pair::greeting();
    let mut other = End::new(SECRET, Listens::Sealed);
    other.seal.listen().unwrap();
    let link = other.accept();
    assert_eq!(other.hear([Up(link), Frame(link, greeting.clone())]), []);
    assert!(other.has_closed(link));
    assert_eq!(pair.parent.hear([Up(pair.down), Frame(pair.down, greeting)]), []);
    assert_eq!(pair.parent.sent(pair.down).len(), 1);
}

#[test]
fn who_was_answered_is_up_only_with_a_frame_that_opens() {
    let (mut pair, _) = Pair::answered();
    assert_eq!(pair.parent.hear([Frame(pair.down, vec![7; 32]), Down(pair.down)]), []);
    assert!(pair.parent.has_closed(pair.down));
}

/// Each is gone with its first frame, so none holds anything, however many there are.
#[test]
fn strangers_hold_no_place() {
    let mut pair = Pair::new();
    for _ in 0..1_000 {
        let link = pair.parent.accept();
        assert_eq!(pair.parent.hear([Up(link), Frame(link, vec![7; MESSAGE_BYTES])]), []);
        assert!(pair.parent.has_closed(link));
    }
    assert_eq!(pair.parent.seal.links.len(), 1);
    pair.works();
}

#[test]
fn no_more_handshakes_are_under_way_than_there_is_room_for() {
    let mut parent = End::new(SECRET, Listens::Sealed);
    parent.seal.listen().unwrap();
    let links: Vec<_> = (0..5_000).map(|_| parent.accept()).collect();
    parent.hear(links.iter().map(|link| Up(*link)));
    assert_eq!(parent.seal.links.len(), 4_096);
    for (number, link) in links.iter().enumerate() {
        assert_eq!(parent.has_closed(*link), number < 5_000 - 4_096, "the oldest goes first");
    }
}

/// Nobody below tells of them, so whoever waits must be woken.
#[test]
fn who_does_not_go_on_with_a_handshake_is_given_up() {
    let (mut pair, _) = Pair::answered();
    let silent = pair.parent.accept();
    assert_eq!(pair.parent.hear([Up(silent)]), []);
    for end in [&mut pair.parent, &mut pair.child] {
        end.hear([]);
        let wakes_in = end.script.borrow().until.unwrap().duration_since(Instant::now());
        assert!(wakes_in > Duration::from_secs(20) && wakes_in <= Duration::from_secs(30));
        end.seal.links.let_pass(Duration::from_secs(29));
        assert_eq!(end.hear([]), []);
        end.seal.links.let_pass(Duration::from_secs(1));
    }
    assert_eq!(pair.parent.hear([]), []);
    assert!(pair.parent.has_closed(pair.down) && pair.parent.has_closed(silent));
    assert_eq!(pair.child.hear([]), [Down(pair.up)]);
    assert!(pair.child.has_closed(pair.up));
    let refusal = pair.child.seal.refusal().unwrap();
    assert_eq!(refusal, "the listener at below:1 does not answer");
    pair.child.hear([]);
    assert_eq!(pair.child.script.borrow().until, None, "nothing is left to wait for");
}

#[test]
fn a_handshake_that_has_ended_wakes_nobody() {
    let mut pair = Pair::new();
    for end in [&mut pair.parent, &mut pair.child] {
        end.hear([]);
        assert_eq!(end.script.borrow().until, None);
        end.seal.links.let_pass(Duration::from_secs(60));
    }
    pair.works();
}

#[test]
fn a_frame_that_was_refused_may_be_sent_again() {
    let mut pair = Pair::new();
    for error in [SendError::Full, SendError::Gone, SendError::Full] {
        pair.child.script.borrow_mut().refuses = Some(error);
        assert_eq!(pair.child.seal.send(pair.up, b"not now"), Err(error));
    }
    pair.child.script.borrow_mut().refuses = None;
    pair.works();
}

#[test]
fn a_link_that_was_closed_is_silent_at_any_time() {
    let (mut greeted, _) = Pair::greeting();
    greeted.child.seal.close(greeted.up);
    assert_eq!(greeted.child.hear([]), []);
    assert!(greeted.child.has_closed(greeted.up));
    assert_eq!(greeted.child.seal.send(greeted.up, b"x"), Err(SendError::Gone));

    let mut pair = Pair::new();
    pair.parent.seal.close(pair.down);
    assert!(pair.parent.has_closed(pair.down));
    assert_eq!(pair.parent.seal.send(pair.down, b"x"), Err(SendError::Gone));
}
