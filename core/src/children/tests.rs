use super::child::OBJECTIONS_BYTES_MAX;
use super::*;
use crate::link::Link;
use crate::wire::{self, Hello, Joined, Moved, NO_REQUEST, Reduced, Settled, Terms, Value};
use crate::{
    Exit, FRAME_BYTES_MAX, Incarnation, KEY_BYTES, LEFT_BEHIND, Machine, NodeId, Place, ProcessId,
    Secret, Seed, Start,
};

const NOW: Time = Time::ZERO;
const LINK: LinkId = LinkId(5);
const TOKEN: Token = Token([1; 16]);

fn life() -> Life {
    Life { node: NodeId::compute(1).unwrap(), incarnation: Incarnation(1) }
}

/// Where an orphan was before.
fn elsewhere() -> Life {
    Life { node: NodeId::compute(0).unwrap(), incarnation: Incarnation(0) }
}

fn leaf() -> Life {
    Life { node: NodeId::compute(2).unwrap(), incarnation: Incarnation(2) }
}

/// The kinds of what goes up, and the status of answers.
type Told = Vec<(Kind, Status)>;

fn ask(children: &mut Children, kind: Kind, request: u64) -> (Vec<Output>, Told) {
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let body = match kind {
        Kind::Create => wire::body(&creation(life())),
        Kind::Remove => wire::body(&(life(), END_GRACE)),
        _ => wire::body(&life()),
    };
    let message = Message::new(kind, Life::CONTROL, RequestId(request), &body);
    let up = &mut |message: Message<'_>| told.push((message.kind, message.flags.status()));
    children.handle_request(NOW, &message, &mut out, up);
    (out, told)
}

fn happen(children: &mut Children, input: Input<'_>) -> (Vec<Output>, Told) {
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let up = &mut |message: Message<'_>| told.push((message.kind, message.flags.status()));
    children.handle(NOW, input, &mut out, up);
    (out, told)
}

fn seed(life: Life) -> Seed {
    Seed::of(Secret::new(&[7; KEY_BYTES]), life)
}

fn proved(place: Place) -> Proved {
    Proved { place, proof: seed(place.life).proof(place.moves).unwrap() }
}

fn creation(life: Life) -> Create {
    Create { life, seed: seed(life), start: Start::default() }
}

fn expect(children: &mut Children, life: Life, parent: Life) {
    children.links.relay_mut().expect(life, parent, seed(life).mark());
}

fn hello_of(life: Life, orphan: bool) -> Vec<u8> {
    let newborn = seed(life).proof(0).filter(|_| !orphan);
    let hello =
        Hello { version: wire::VERSION, token: TOKEN, life, process: ProcessId::of(9), newborn };
    frame(&Message::neighbour(Kind::Hello, &wire::body(&hello)))
}

fn hello() -> Vec<u8> {
    hello_of(life(), false)
}

fn settled(life: Life) -> Vec<u8> {
    let settled = wire::body(&Settled { moves: 1, proof: seed(life).proof(1).unwrap() });
    frame(&Message::neighbour(Kind::Settled, &settled))
}

fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut frame = vec![0; wire::FRAME_HEADER_BYTES];
    message.encode(&mut frame);
    frame
}

/// A node whose child has joined.
fn parent() -> Children {
    let mut children = Children::new(Life::CONTROL, ProcessId::of(1), TOKEN);
    ask(&mut children, Kind::Create, 1);
    happen(&mut children, Input::Up(LINK));
    happen(&mut children, Input::Frame(LINK, &hello()));
    children
}

/// How much data waits for its child.
fn queued_bytes(children: &mut Children) -> usize {
    children.links.relay_mut().child_mut(LINK).unwrap().link().queued_bytes()
}

/// A node that has taken in an orphan.
fn adopter() -> Children {
    let mut children = Children::new(Life::CONTROL, ProcessId::of(1), TOKEN);
    expect(&mut children, life(), elsewhere());
    happen(&mut children, Input::Up(LINK));
    happen(&mut children, Input::Frame(LINK, &hello_of(life(), true)));
    let (out, _) = happen(&mut children, Input::Frame(LINK, &settled(life())));
    assert_eq!(out, [Output::Adopt(life(), 9)]);
    children
}

/// There the number means another process.
#[test]
fn an_orphan_from_another_machine_is_not_adopted() {
    let here = ProcessId { machine: Machine(7), pid: 1 };
    let mut children = Children::new(Life::CONTROL, here, TOKEN);
    expect(&mut children, life(), elsewhere());
    happen(&mut children, Input::Up(LINK));
    happen(&mut children, Input::Frame(LINK, &hello_of(life(), true)));
    let (out, _) = happen(&mut children, Input::Frame(LINK, &settled(life())));
    assert_eq!(out, []);
    assert_eq!(children.count(), 1);
}

#[test]
fn a_start_that_is_called_off_is_answered() {
    let mut children = Children::new(Life::CONTROL, ProcessId::of(1), TOKEN);
    let (life, seed) = (life(), seed(life()));
    let birth = Birth {
        life,
        seed,
        parent: NodeId::CONTROL,
        machine: Machine::default(),
        ancestors: Vec::new(),
    };
    assert_eq!(ask(&mut children, Kind::Create, 1).0, [Output::Spawn(birth, Start::default())]);
    let (out, told) = ask(&mut children, Kind::Discard, 0);
    assert_eq!(out, [Output::Kill(life)]);
    assert_eq!(told, [(Kind::Answer, Status::Unavailable)]);
    happen(&mut children, Input::ChildExited(life, Exit::Signal(9), None));
    assert!(children.is_empty());
}

/// Or they would be answered a second time when the link breaks.
#[test]
fn what_was_answered_with_others_is_not_pending_any_more() {
    let mut children = parent();
    let terms = Terms { timeout: None, fold: Some(RequestId(70)) };
    let exec = Message::new(Kind::Exec, life(), RequestId(71), &[]);
    let flags = exec.flags.with_terms(true);
    let exec = Message { flags, body: &wire::body(&terms), ..exec };
    children.forward(&exec, &mut |message| panic!("{message:?}"));
    let value = Value::New(0, b"value");
    let body = Reduced { members: vec![RequestId(71)], value }.encode();
    let reduced = Reduced::message(RequestId(70), &body);
    assert_eq!(happen(&mut children, Input::Frame(LINK, &frame(&reduced))).1, []);
    let (_, told) = happen(&mut children, Input::Down(LINK));
    assert!(told.iter().all(|(kind, _)| *kind != Kind::Answer), "{told:?}");
}

/// Or it could have the values forgotten that others refer to.
#[test]
fn an_answer_in_the_name_of_others_leaves_their_command_as_it_is() {
    let (command, request) = (RequestId(70), RequestId(71));
    let mut children = parent();
    children.links.relay_mut().reducer_mut().expect(command, request);
    let answer = Message::answer(life(), request, Status::Ok, b"");
    assert_eq!(happen(&mut children, Input::Frame(LINK, &frame(&answer))).1, []);
    let reducer = children.links.relay_mut().reducer_mut();
    assert!(!reducer.is_idle());
    reducer.answered(request);
    assert!(reducer.is_idle());
}

/// Otherwise a node would run a line with a hole in it.
#[test]
fn the_rest_of_a_request_goes_nowhere_but_where_its_beginning_went() {
    let mut children = parent();
    let mut out = Vec::new();
    children.flush(NOW, true, &mut out);
    let flags = wire::Flags::new(Status::Ok);
    let mut pieces = |first: bool, last: bool| {
        let message = Message::new(Kind::Exec, life(), RequestId(7), b"piece");
        let flags = flags.piece(first, last);
        children.forward(&Message { flags, ..message }, &mut |message| panic!("{message:?}"));
        let mut out = Vec::new();
        children.flush(NOW, true, &mut out);
        out.len()
    };
    assert_eq!([pieces(false, false), pieces(false, true)], [0, 0], "its beginning went elsewhere");
    assert_eq!([pieces(true, false), pieces(false, true)], [1, 1]);
}

/// Or a line would be run with a hole in it: the route to a node breaks further down, and heals.
#[test]
fn what_is_pending_for_one_whose_way_was_lost_is_answered_though_it_is_found_again() {
    let leaf = leaf();
    let mut children = parent();
    expect(&mut children, leaf, life());
    let place = Place { life: leaf, parent: life(), moves: 0 };
    let below = |place| {
        let places = wire::body(&vec![proved(place)]);
        frame(&Message::neighbour(Kind::Below, &places))
    };
    happen(&mut children, Input::Frame(LINK, &below(place)));
    let flags = wire::Flags::new(Status::Ok).piece(true, false);
    let begun = Message { flags, ..Message::new(Kind::Exec, leaf, RequestId(7), b"piece") };
    children.forward(&begun, &mut |message| panic!("{message:?}"));

    let forget = frame(&Message::neighbour(Kind::Forget, &wire::body(&vec![leaf])));
    let (_, told) = happen(&mut children, Input::Frame(LINK, &forget));
    assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Unavailable)]);
    happen(&mut children, Input::Frame(LINK, &below(place)));
    let rest = Message { flags: flags.piece(false, true), ..begun };
    children.forward(&rest, &mut |message| panic!("{message:?}"));
    assert_eq!(queued_bytes(&mut children), {
        let mut link = Link::new(LINK, NOW);
        children.links.briefing().send_welcome(&mut link);
        link.send(&begun);
        link.queued_bytes()
    });
}

/// A long answer that began on a link which has broken would end in the middle of another.
#[test]
fn an_answer_that_nobody_awaits_on_its_link_is_dropped() {
    let mut children = parent();
    let answer = frame(&Message::answer(life(), RequestId(7), Status::Ok, b"answer"));
    assert_eq!(happen(&mut children, Input::Frame(LINK, &answer)), (vec![], vec![]));
    let exec = Message::new(Kind::Exec, life(), RequestId(7), b"time");
    children.forward(&exec, &mut |message| panic!("{message:?}"));
    let (_, told) = happen(&mut children, Input::Frame(LINK, &answer));
    assert_eq!(told, [(Kind::Answer, Status::Ok)]);
    assert_eq!(happen(&mut children, Input::Frame(LINK, &answer)), (vec![], vec![]));
}

/// Its connection may break before its first word; it then asks once more, as an orphan.
#[test]
fn who_comes_as_an_orphan_but_is_awaited_has_joined() {
    let mut children = Children::new(Life::CONTROL, ProcessId::of(1), TOKEN);
    ask(&mut children, Kind::Create, 1);
    happen(&mut children, Input::Up(LINK));
    happen(&mut children, Input::Frame(LINK, &hello_of(life(), true)));
    let (out, told) = happen(&mut children, Input::Frame(LINK, &settled(life())));
    assert_eq!((out, told), (vec![], vec![(Kind::Joined, Status::Ok)]));
}

/// Whoever is above a node is older than it, so nobody can come to hang below itself, whatever
/// address has got another owner.
#[test]
fn nobody_is_taken_in_by_a_younger_one() {
    let own = Life { node: NodeId::compute(4).unwrap(), incarnation: Incarnation(4) };
    let guest = |incarnation| Life { incarnation: Incarnation(incarnation), ..life() };
    for (incarnation, is_taken) in [(3, false), (4, false), (5, true)] {
        let mut children = Children::new(own, ProcessId::of(1), TOKEN);
        expect(&mut children, guest(incarnation), elsewhere());
        happen(&mut children, Input::Up(LINK));
        let hello = hello_of(guest(incarnation), true);
        let (out, _) = happen(&mut children, Input::Frame(LINK, &hello));
        assert_eq!(out == [Output::Close(LINK)], !is_taken, "{incarnation}");
    }
}

/// It would be late by as long as the other end takes for silence.
#[test]
fn a_beat_for_which_there_was_no_credit_is_planned_when_there_is() {
    let mut children = Children::new(elsewhere(), ProcessId::of(1), TOKEN);
    ask(&mut children, Kind::Create, 1);
    happen(&mut children, Input::Up(LINK));
    happen(&mut children, Input::Frame(LINK, &hello()));
    let every = Duration::from_millis(10);
    children.watch(NOW, Some(Watch { beat_every: every, silent_after: 100 * every }));
    let mut out = Vec::new();
    for name in 0..200 {
        children.publish(&name.to_string(), &[0; 1024]);
        children.flush(NOW, true, &mut out);
    }
    let sent = u32::try_from(out.len()).unwrap();
    let later = NOW + every;
    children.timeout(later, &mut Vec::new(), &mut |_| ());
    assert_eq!(children.deadline(), Some(NOW + 100 * every), "no beat could leave");
    let up = &mut |_: Message<'_>| ();
    let ack = sent.to_le_bytes();
    children.handle(later, Input::Frame(LINK, &ack), &mut Vec::new(), up);
    children.flush(later, true, &mut Vec::new());
    assert_eq!(children.deadline(), Some(later + every));
}

#[test]
fn an_end_before_the_hello_is_answered_with_the_last_words_or_the_exit() {
    for (words, text) in [
        (Some("there is no room"), "node 1 could not start: there is no room"),
        (None, "node 1 ended before it joined: killed by signal 9"),
    ] {
        let mut children = Children::new(Life::CONTROL, ProcessId::of(1), TOKEN);
        ask(&mut children, Kind::Create, 1);
        assert_eq!(children.starting(), 1);
        let mut answer = String::new();
        let up = &mut |message: Message<'_>| {
            answer.push_str(std::str::from_utf8(message.body).unwrap());
        };
        let exit = Input::ChildExited(life(), Exit::Signal(9), words);
        children.handle(NOW, exit, &mut Vec::new(), up);
        assert_eq!(answer, text);
        assert_eq!(children.starting(), 0);
    }
}

/// The control node would believe that it has ended.
#[test]
fn who_has_found_another_parent_is_not_said_to_be_removed() {
    let mut children = Children::new(Life::CONTROL, ProcessId::of(1), TOKEN);
    let (out, told) = ask(&mut children, Kind::Remove, 1);
    assert_eq!((out, told), (vec![], vec![(Kind::Answer, Status::Unavailable)]));
}

#[test]
fn a_child_that_sends_nonsense_is_lost() {
    let mut children = Children::new(Life::CONTROL, ProcessId::of(1), TOKEN);
    ask(&mut children, Kind::Create, 1);
    happen(&mut children, Input::Up(LINK));
    let (_, told) = happen(&mut children, Input::Frame(LINK, &hello()));
    assert_eq!(told, [(Kind::Joined, Status::Ok)]);
    let (out, told) = happen(&mut children, Input::Frame(LINK, &[0, 0, 0, 0, 9]));
    assert_eq!(out, [Output::Close(LINK)]);
    assert!(told.contains(&(Kind::Lost, Status::Ok)), "{told:?}");
    assert!(!children.is_empty(), "its process may come back");
}

/// It may have moved on before it was asked to end.
#[test]
fn an_adopted_child_that_is_removed_is_ended_when_its_link_is_gone() {
    let mut children = adopter();
    assert_eq!(ask(&mut children, Kind::Remove, 1), (vec![], vec![]));
    let (out, told) = happen(&mut children, Input::Down(LINK));
    assert_eq!(out, [Output::Kill(life())]);
    assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Ok)]);
}

/// The first removal may have taken too long for whoever asked for it.
#[test]
fn an_adopted_child_may_be_removed_twice() {
    let mut children = adopter();
    ask(&mut children, Kind::Remove, 1);
    ask(&mut children, Kind::Remove, 2);
    let (out, told) = happen(&mut children, Input::Down(LINK));
    assert_eq!(out, [Output::Kill(life())]);
    assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Ok)]);
    assert!(children.is_empty());
}

/// A node whose child must end: all must, or the child is removed.
fn ending_parent(is_end: bool) -> Children {
    let mut children = parent();
    if is_end {
        children.end(NOW, END_GRACE, &mut Vec::new());
    } else {
        ask(&mut children, Kind::Remove, 2);
    }
    children
}

/// What follows until no deadline is left.
fn wait_out(children: &mut Children) -> (Vec<Output>, Told) {
    let (mut out, mut told) = (Vec::new(), Told::new());
    let mut up = |message: Message<'_>| told.push((message.kind, message.flags.status()));
    let mut times = 0;
    while let Some(time) = children.deadline() {
        children.timeout(time, &mut out, &mut up);
        times += 1;
        assert!(times < 10, "{children:?}");
    }
    (out, told)
}

/// Only once, or a compromised one would never end.
#[test]
fn who_must_end_has_more_time_to_stop_what_it_runs_if_it_says_so() {
    for is_end in [false, true] {
        let mut children = ending_parent(is_end);
        let delay = wire::body(&Duration::MAX);
        let delay = frame(&Message::neighbour(Kind::Delay, &delay));
        let told = happen(&mut children, Input::Frame(LINK, &delay)).1;
        assert_eq!(told, [(Kind::Delay, Status::Ok)][..usize::from(is_end)]);
        let just_before = NOW + STOP_TIME_MAX - Duration::from_millis(1);
        let mut out = Vec::new();
        children.timeout(just_before, &mut out, &mut |_| ());
        children.handle(just_before, Input::Frame(LINK, &delay), &mut out, &mut |_| ());
        assert_eq!(out, []);
        children.timeout(NOW + STOP_TIME_MAX, &mut out, &mut |_| ());
        assert_eq!(out, [Output::Kill(life())]);
    }
}

/// A debugger that does not wait for it may keep it for ever.
#[test]
fn who_was_killed_and_does_not_end_is_not_waited_for_for_ever() {
    for is_end in [false, true] {
        let mut children = ending_parent(is_end);
        let (out, told) = wait_out(&mut children);
        assert_eq!(out, [Output::Kill(life()), Output::Close(LINK)]);
        let answer = [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Failed)];
        assert_eq!(told, answer[..if is_end { 1 } else { 2 }]);
        assert!(children.is_empty());
    }
}

/// A process that it was just starting, and that is stopped, may hold its link open for ever.
#[test]
fn who_has_ended_is_not_waited_for_though_its_link_stays_open() {
    for (is_end, is_removed_again) in [(false, false), (false, true), (true, false)] {
        let mut children = ending_parent(is_end);
        let exit = Input::ChildExited(life(), Exit::Status(0), None);
        assert_eq!(happen(&mut children, exit), (vec![], vec![]), "its last frames may be to come");
        if is_removed_again {
            ask(&mut children, Kind::Remove, 3);
        }
        let (out, told) = wait_out(&mut children);
        assert_eq!(out, [Output::Close(LINK)]);
        let answer = [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Ok)];
        assert_eq!(told, answer[..if is_end { 1 } else { 2 }]);
        assert!(children.is_empty() && children.left().is_none());
    }
}

#[test]
fn what_a_removed_child_has_left_behind_is_told() {
    let words = "has ended and left node 2, which was killed and has not ended";
    for linked_when_it_exits in [true, false] {
        let mut children = parent();
        ask(&mut children, Kind::Remove, 2);
        let exit = Input::ChildExited(life(), LEFT_BEHIND, Some(words));
        let down = Input::Down(LINK);
        let inputs = if linked_when_it_exits { [exit, down] } else { [down, exit] };
        let mut told = Vec::new();
        for input in inputs {
            let up = &mut |message: Message<'_>| {
                told.push((message.kind, message.flags.status(), message.body.to_vec()));
            };
            children.handle(NOW, input, &mut Vec::new(), up);
        }
        told.retain(|(kind, ..)| *kind != Kind::Forget);
        assert_eq!(told[0].0, Kind::Ended);
        assert_eq!(told[1], (Kind::Answer, Status::Failed, words.as_bytes().to_vec()));
        assert_eq!((told.len(), children.left()), (2, None));
    }
}

#[test]
fn who_ends_and_leaves_a_process_behind_says_so_and_hands_on_what_its_child_says() {
    let mut children = parent();
    children.end(NOW, END_GRACE, &mut Vec::new());
    while let Some(time) = children.deadline() {
        children.timeout(time, &mut Vec::new(), &mut |_| ());
    }
    let own =
        format!("has ended and left node {}, which was killed and has not ended", life().node);
    assert_eq!(children.left(), Some(own.as_str()));

    let mut children = parent();
    children.end(NOW, END_GRACE, &mut Vec::new());
    happen(&mut children, Input::Down(LINK));
    happen(&mut children, Input::ChildExited(life(), LEFT_BEHIND, Some("has left node 9")));
    assert_eq!(children.left(), Some("has left node 9"));
}

/// Nobody will tell of its end, and a node that is to end itself would wait for it for ever.
#[test]
fn an_adopted_child_that_is_ending_and_discarded_is_waited_for_no_more() {
    let mut children = adopter();
    ask(&mut children, Kind::Remove, 1);
    let (out, told) = ask(&mut children, Kind::Discard, 0);
    assert_eq!(out, [Output::Close(LINK), Output::Kill(life())]);
    assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Answer, Status::Ok)]);
    assert!(children.is_empty());
}

/// It might take the place of what is heard on its new link, while both wait for the parent.
#[test]
fn what_is_told_of_a_place_that_a_node_has_left_is_not_passed_on() {
    let leaf = leaf();
    let mut children = parent();
    expect(&mut children, leaf, life());
    let place = Place { life: leaf, parent: life(), moves: 0 };
    let joined = wire::body(&Joined { at: proved(place), process: ProcessId::of(7) });
    let place = wire::body(&place);
    let joined = frame(&Message::new(Kind::Joined, leaf, RequestId(2), &joined));
    happen(&mut children, Input::Frame(LINK, &joined));
    let silent = frame(&Message::new(Kind::Silent, leaf, NO_REQUEST, &place));
    let (_, told) = happen(&mut children, Input::Frame(LINK, &silent));
    assert_eq!(told, [(Kind::Silent, Status::Ok)]);

    let new_link = LinkId(6);
    happen(&mut children, Input::Up(new_link));
    happen(&mut children, Input::Frame(new_link, &hello_of(leaf, true)));
    happen(&mut children, Input::Frame(new_link, &settled(leaf)));
    let (_, told) = happen(&mut children, Input::Frame(LINK, &silent));
    assert_eq!(told, []);
}

/// What follows when a child says something.
fn hear(children: &mut Children, link: LinkId, message: &Message<'_>) -> (Vec<Output>, Told) {
    happen(children, Input::Frame(link, &frame(message)))
}

/// A node with two children, the second of which has a child of its own.
fn family() -> Children {
    let mut children = parent();
    let second = LinkId(6);
    expect(&mut children, leaf(), elsewhere());
    happen(&mut children, Input::Up(second));
    happen(&mut children, Input::Frame(second, &hello_of(leaf(), true)));
    happen(&mut children, Input::Frame(second, &settled(leaf())));
    let place = Place { life: grandchild(), parent: leaf(), moves: 0 };
    expect(&mut children, grandchild(), leaf());
    let below = wire::body(&vec![proved(place)]);
    hear(&mut children, second, &Message::neighbour(Kind::Below, &below));
    assert_eq!(children.link_to(grandchild()), Some(second));
    children
}

fn grandchild() -> Life {
    Life { node: NodeId::compute(3).unwrap(), incarnation: Incarnation(3) }
}

#[test]
fn what_a_child_says_of_those_who_are_not_below_it_goes_no_further() {
    let mut children = family();
    let place = Place { life: grandchild(), parent: leaf(), moves: 0 };
    let at = wire::body(&place);
    let ended = wire::body(&(grandchild(), Exit::Signal(9)));
    let forgotten = wire::body(&vec![grandchild(), leaf()]);
    let seen = proved(place);
    let taken_over = Proved { place: Place { parent: life(), moves: 1, ..place }, ..seen };
    let moved = wire::body(&Moved { to: taken_over, process: ProcessId::of(9) });
    let below = wire::body(&vec![taken_over, seen]);
    for (kind, body) in [
        (Kind::Silent, &at),
        (Kind::Heard, &at),
        (Kind::Lost, &at),
        (Kind::Ended, &ended),
        (Kind::Forget, &forgotten),
        (Kind::Moved, &moved),
        (Kind::Below, &below),
        (Kind::Joined, &moved),
    ] {
        let message = Message::new(kind, grandchild(), NO_REQUEST, body);
        assert_eq!(hear(&mut children, LINK, &message), (vec![], vec![]), "{kind:?}");
    }
    assert_eq!(children.link_to(grandchild()), Some(LinkId(6)));
    assert_eq!(children.below(), 3);
}

/// Relays merge what waits by the header.
#[test]
fn a_header_that_names_another_life_than_the_body_is_malformed() {
    for kind in [Kind::Silent, Kind::Lost, Kind::Ended, Kind::Moved, Kind::Joined] {
        let mut children = family();
        let place = Place { life: life(), parent: Life::CONTROL, moves: 0 };
        let body = match kind {
            Kind::Ended => wire::body(&(life(), Exit::Signal(9))),
            Kind::Moved | Kind::Joined => {
                wire::body(&Moved { to: proved(place), process: ProcessId::of(9) })
            }
            _ => wire::body(&place),
        };
        let message = Message::new(kind, grandchild(), NO_REQUEST, &body);
        let (out, _) = hear(&mut children, LINK, &message);
        assert_eq!(out, [Output::Close(LINK)], "{kind:?}");
    }
}

/// It may belong to a create elsewhere.
#[test]
fn a_life_that_joins_answers_only_a_request_that_is_pending_there() {
    let mut children = parent();
    for (asked, answered, expected) in [(5, 5, 5), (6, 7, 0)] {
        let newborn = Life { incarnation: Incarnation(10 + asked), ..leaf() };
        let create = wire::body(&creation(newborn));
        let create = Message::new(Kind::Create, life(), RequestId(asked.into()), &create);
        children.forward(&create, &mut |message| panic!("{message:?}"));
        let place = Place { life: newborn, parent: life(), moves: 0 };
        let joined = wire::body(&Joined { at: proved(place), process: ProcessId::of(4) });
        let joined = Message::new(Kind::Joined, newborn, RequestId(answered), &joined);
        let mut requests = Vec::new();
        let up = &mut |message: Message<'_>| requests.push(message.request.0);
        let joined = frame(&joined);
        children.handle(NOW, Input::Frame(LINK, &joined), &mut Vec::new(), up);
        assert_eq!(requests, [expected]);
    }
}

/// The control node would be asked for an answer that it does not have, and complain.
#[test]
fn a_long_answer_is_offered_only_by_the_one_who_was_asked() {
    let mut children = parent();
    let asked = Message::new(Kind::Exec, life(), RequestId(7), b"a line");
    children.forward(&asked, &mut |message| panic!("{message:?}"));
    let bytes = wire::body(&1_000_000_u64);
    for (from, told) in [(Life::CONTROL, 0), (leaf(), 0), (life(), 1)] {
        let offer = Message::new(Kind::Offer, from, RequestId(7), &bytes);
        assert_eq!(hear(&mut children, LINK, &offer).1.len(), told, "{from}");
    }
}

/// Whoever is in the tree can connect to a parent and say that it is the child which is awaited, or
/// an orphan, and knows all lives.
#[test]
fn nobody_is_taken_in_without_a_proof() {
    let mut children = Children::new(Life::CONTROL, ProcessId::of(1), TOKEN);
    ask(&mut children, Kind::Create, 1);
    happen(&mut children, Input::Up(LINK));
    let forged = Some(seed(life()).mark());
    let (version, token, process) = (wire::VERSION, TOKEN, ProcessId::of(9));
    let hello = Hello { version, token, life: life(), process, newborn: forged };
    let hello = frame(&Message::neighbour(Kind::Hello, &wire::body(&hello)));
    let (out, told) = happen(&mut children, Input::Frame(LINK, &hello));
    assert_eq!((out.last(), told), (Some(&Output::Close(LINK)), vec![]));
    assert_eq!(children.starting(), 1, "the right one may still come");

    let mut children = family();
    let link = LinkId(8);
    happen(&mut children, Input::Up(link));
    happen(&mut children, Input::Frame(link, &hello_of(grandchild(), true)));
    let forged = Settled { moves: 1, proof: seed(grandchild()).proof(0).unwrap() };
    let forged = frame(&Message::neighbour(Kind::Settled, &wire::body(&forged)));
    let told = happen(&mut children, Input::Frame(link, &forged));
    assert_eq!(told, (vec![Output::Close(link)], vec![]));
    assert_eq!(children.link_to(grandchild()), Some(LinkId(6)));
}

/// It would keep its node from all else.
#[test]
fn a_child_can_make_a_node_hash_for_so_long_only() {
    let mut children = family();
    let place = Place { life: grandchild(), parent: leaf(), moves: 255 };
    let lie = Proved { place, proof: seed(life()).mark() };
    let truth = proved(place);
    for (lies, is_learnt) in [(15, true), (16, false)] {
        let mut places = vec![lie; lies];
        places.push(truth);
        let below = wire::body(&places);
        let below = Message::neighbour(Kind::Below, &below);
        let mut children = std::mem::replace(&mut children, family());
        let (_, told) = hear(&mut children, LinkId(6), &below);
        assert_eq!(told.contains(&(Kind::Below, Status::Ok)), is_learnt, "{lies} lies");
    }
}

/// Nobody else would end it.
#[test]
fn a_life_that_nobody_has_asked_for_is_to_be_discarded() {
    let mut children = parent();
    let place = Place { life: leaf(), parent: life(), moves: 0 };
    let below = wire::body(&vec![proved(place)]);
    let mut out = Vec::new();
    children.flush(NOW, true, &mut out);
    let told = hear(&mut children, LINK, &Message::neighbour(Kind::Below, &below));
    assert_eq!(told, (vec![], vec![]));
    children.flush(NOW, true, &mut out);
    let Some(Output::Send(LINK, sent)) = out.pop() else { panic!("{out:?}") };
    let discard = wire::open(&sent).unwrap().1.next().unwrap().unwrap();
    assert_eq!((discard.kind, discard.life), (Kind::Discard, life()));
    assert_eq!(discard.decode(), Some(leaf()));

    happen(&mut children, Input::Up(LinkId(8)));
    let (out, _) = happen(&mut children, Input::Frame(LinkId(8), &hello_of(leaf(), true)));
    assert_eq!(out, [Output::Close(LinkId(8))], "nor is it taken in");
}

#[test]
fn a_child_that_takes_no_answers_to_nonsense_gets_no_more_of_them() {
    let mut children = parent();
    let offer = wire::body(&1_000_u64);
    let offer = frame(&Message::new(Kind::Offer, life(), RequestId(7), &offer));
    for _ in 0..100_000 {
        happen(&mut children, Input::Frame(LINK, &offer));
        let child = children.links.relay_mut().child_mut(LINK).unwrap();
        child.link_mut().flush(NOW, true, &mut Vec::new());
    }
    let waiting = queued_bytes(&mut children);
    assert!(waiting <= OBJECTIONS_BYTES_MAX + FRAME_BYTES_MAX, "{waiting}");
}

#[test]
fn peers_that_say_nothing_make_room_for_others() {
    let mut children = Children::new(Life::CONTROL, ProcessId::of(1), TOKEN);
    let links = STRANGERS_MAX as u64 + 3;
    let connected = (0..links).flat_map(|link| happen(&mut children, Input::Up(LinkId(link))).0);
    let closed: Vec<_> = connected.collect();
    assert_eq!(closed, [0, 1, 2].map(|link| Output::Close(LinkId(link))));

    expect(&mut children, life(), elsewhere());
    let mut closed = Vec::new();
    for link in links..links + GUESTS_MAX as u64 + 1 {
        happen(&mut children, Input::Up(LinkId(link)));
        let hello = hello_of(life(), true);
        closed.extend(happen(&mut children, Input::Frame(LinkId(link), &hello)).0);
    }
    closed.retain(|output| *output == Output::Close(LinkId(links)));
    assert_eq!((closed.len(), children.count()), (1, GUESTS_MAX));
}

#[test]
fn a_child_that_has_ended_is_lost_when_its_link_is() {
    let mut children = parent();
    let exit = Input::ChildExited(life(), Exit::Signal(9), None);
    let (_, told) = happen(&mut children, exit);
    assert_eq!(told, [(Kind::Ended, Status::Ok)], "its last frames may be still to come");
    let (_, told) = happen(&mut children, Input::Down(LINK));
    assert_eq!(told, [(Kind::Forget, Status::Ok), (Kind::Lost, Status::Ok)]);
    assert!(children.is_empty());
}
