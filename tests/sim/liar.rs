//! A compromised node: what it says beside what it should, and in place of it. It knows the token, what it
//! has seen, which lives there are, and what requests are under way; what it has not seen is the proofs of
//! other lives.

use std::collections::{BTreeMap, VecDeque};

use hoptree_core::{Exit, FRAME_BYTES_MAX, Incarnation, Life, LinkId, NodeId, Place, Proved, Seed};
use serde::Serialize;

use crate::frame::{self, FRAME_HEADER_BYTES, kind};
use crate::network::TOKEN;
use crate::random::Random;

/// How many messages it remembers.
const SEEN_MAX: usize = 300;

/// The version in the Hello.
const VERSION: u16 = 6;

/// The flags of a message that is whole.
const WHOLE: u8 = 3;

/// What there is to lie about.
pub struct World {
    /// All lives that there are, and some that are yet to come, each with the one above it.
    pub lives: Vec<(Life, Life)>,
    /// Requests that were made lately.
    pub requests: Vec<u64>,
}

/// Which way a message goes on a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

impl Way {
    /// From the end of a link that is its own.
    pub fn from(link: LinkId) -> Way {
        if link.0.is_multiple_of(2) { Way::Up } else { Way::Down }
    }
}

/// The compromised part of a node.
pub struct Liar {
    own: Life,
    /// The seeds that it has: its own, and those that it was to pass on.
    seeds: BTreeMap<Life, Seed>,
    seen: VecDeque<Vec<u8>>,
    /// How often it says that a life has moved of which it has the seed.
    moves: u32,
    /// The links that it has begun by itself, with the number of frames that came on each.
    links: BTreeMap<LinkId, u32>,
}

impl Liar {
    pub fn new(own: Life, seed: Seed) -> Liar {
        let seeds = BTreeMap::from([(own, seed)]);
        Liar { own, seeds, seen: VecDeque::new(), moves: 0, links: BTreeMap::new() }
    }

    /// Whether it has begun a link that its node knows nothing of.
    pub fn has(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    pub fn links(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    pub fn begins(&mut self, link: LinkId) {
        self.links.insert(link, 0);
    }

    pub fn ends(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Remembers what has passed through its hands.
    pub fn see(&mut self, frame: &[u8]) {
        for message in frame::messages(frame) {
            if let Some(header) = frame::header(message)
                && header.name() == "Create"
                && let Ok((life, seed)) = postcard::from_bytes(header.body)
            {
                self.seeds.insert(life, seed);
            }
            if self.seen.len() >= SEEN_MAX {
                self.seen.pop_front();
            }
            self.seen.push_back(message.to_vec());
        }
    }

    /// Takes in a frame on one of its own links, and says what it begins with.
    pub fn hear(&mut self, link: LinkId, frame: &[u8]) -> Option<&'static str> {
        if frame.len() > FRAME_HEADER_BYTES
            && let Some(received) = self.links.get_mut(&link)
        {
            *received += 1;
        }
        self.see(frame);
        frame::headers(frame).next().map(|header| header.name())
    }

    /// A frame on one of its own links, on every other of which it acknowledges nothing.
    pub fn frame(&self, link: LinkId, messages: &[Vec<u8>]) -> Vec<u8> {
        let received = self.links.get(&link).filter(|_| link.0.is_multiple_of(4));
        let received = received.copied().unwrap_or_default();
        let mut frame = received.to_le_bytes().to_vec();
        add(messages, &mut frame);
        frame
    }

    /// What becomes of a frame that its node sends. What has messages still has some, or its node would
    /// soon be found out by the acknowledgements.
    pub fn tamper(&self, frame: Vec<u8>, way: Way, world: &World, random: &mut Random) -> Vec<u8> {
        let mut frame = frame;
        if frame.len() == FRAME_HEADER_BYTES {
            return frame;
        }
        match random.below(100) {
            0..20 => add(&self.burst(way, world, random), &mut frame),
            20..26 => {
                let at = FRAME_HEADER_BYTES as u64;
                let at = random.between(at, frame.len() as u64 - 1);
                frame[at as usize] ^= 1 << random.below(8);
            }
            26..30 => {
                frame.truncate(FRAME_HEADER_BYTES);
                add(&self.burst(way, world, random), &mut frame);
            }
            _ => {}
        }
        frame
    }

    /// Some messages, one of which at least.
    pub fn burst(&self, way: Way, world: &World, random: &mut Random) -> Vec<Vec<u8>> {
        let count = if random.chance(5) { random.between(20, 200) } else { random.between(1, 4) };
        (0..count).map(|_| self.lie(way, world, random)).collect()
    }

    /// As many messages as fit in a frame, each of which asks for an answer of some kind.
    pub fn flood(&self, world: &World, random: &mut Random) -> Vec<Vec<u8>> {
        let place = Place { life: world.lives[0].0, parent: self.own, moves: 0 };
        let stranger = Life { incarnation: Incarnation(u32::MAX), ..place.life };
        let place = Place { life: stranger, ..place };
        let about = Proved { place, proof: self.seeds[&self.own].mark() };
        let message = match random.below(3) {
            0 => frame::message(kind("Offer"), WHOLE, self.own, 1, &encode(&1_000_u64)),
            1 => frame::message(kind("Below"), WHOLE, Life::CONTROL, 0, &encode(&vec![about])),
            _ => frame::message(kind("Heard"), WHOLE, self.own, 0, &encode(&about.place)),
        };
        vec![message.clone(); FRAME_BYTES_MAX / message.len()]
    }

    /// What a link of its own begins with.
    pub fn hello(&self, world: &World, random: &mut Random) -> Vec<u8> {
        let life = self.anybody(world, random);
        let pid = random.between(1_000, 1_200) as u32;
        let mut body = encode(&(VERSION, TOKEN, life, pid));
        match random.below(3) {
            0 => body.push(0),
            1 => body.extend(encode(&Some(self.proof(life, 0, random)))),
            _ => body.extend(encode(&Some(self.proof(life, 1, random)))),
        }
        frame::message(kind("Hello"), WHOLE, Life::CONTROL, 0, &body)
    }

    /// That it stays, wherever it is a guest.
    pub fn settled(&mut self, random: &mut Random) -> Vec<u8> {
        self.moves += 1;
        let moves = if random.chance(90) { self.moves } else { random.number() as u32 };
        let body = encode(&(moves, self.proof(self.own, moves, random)));
        frame::message(kind("Settled"), WHOLE, Life::CONTROL, 0, &body)
    }

    /// A hello of its own life, as an orphan.
    pub fn own_hello(&self, random: &mut Random) -> Vec<u8> {
        let pid = random.between(1_000, 1_200) as u32;
        let mut body = encode(&(VERSION, TOKEN, self.own, pid));
        body.push(0);
        frame::message(kind("Hello"), WHOLE, Life::CONTROL, 0, &body)
    }

    /// One message that it makes up, has seen, or has changed.
    fn lie(&self, way: Way, world: &World, random: &mut Random) -> Vec<u8> {
        let seen = random.below(self.seen.len().max(1) as u64) as usize;
        match (random.below(100), self.seen.get(seen)) {
            (0..15, Some(seen)) => seen.clone(),
            (15..25, Some(seen)) => {
                let mut message = seen.clone();
                let at = random.below(message.len() as u64) as usize;
                message[at] = random.number() as u8;
                message
            }
            (25..27, _) => {
                let bytes = random.below(60);
                (0..bytes).map(|_| random.number() as u8).collect()
            }
            _ if way == Way::Up || random.chance(10) => self.lie_upwards(world, random),
            _ => self.lie_downwards(world, random),
        }
    }

    fn lie_upwards(&self, world: &World, random: &mut Random) -> Vec<u8> {
        let life = self.anybody(world, random);
        let request = random.pick(&world.requests).copied().unwrap_or_default();
        let place = |random: &mut Random| self.place(life, world, random);
        let pid = random.between(1_000, 1_200) as u32;
        let (name, body) = match random.below(13) {
            0 => {
                let flags = [3, 7, 11, 1, 2, 0][random.below(6) as usize];
                return frame::message(kind("Answer"), flags, life, request, b"a forged answer");
            }
            1 => ("Joined", encode(&(self.proved(life, world, random), pid))),
            2 => ("Lost", encode(&place(random))),
            3 => ("Silent", encode(&place(random))),
            4 => ("Heard", encode(&place(random))),
            5 => ("Settled", encode(&(random.number() as u32, self.proof(life, 1, random)))),
            6 | 7 => ("Moved", encode(&(self.proved(life, world, random), pid))),
            8 | 9 => {
                let lives = random.between(1, 4);
                let lives = (0..lives).map(|_| self.anybody(world, random)).collect::<Vec<_>>();
                let places = lives.into_iter().map(|life| self.proved(life, world, random));
                ("Below", encode(&places.collect::<Vec<_>>()))
            }
            10 => ("Ended", encode(&(life, Exit::Signal(9)))),
            11 => ("Forget", encode(&vec![life, self.anybody(world, random)])),
            _ => ("Offer", encode(&random.below(1 << 24))),
        };
        let is_of_one = matches!(name, "Settled" | "Below");
        let about = if is_of_one { Life::CONTROL } else { life };
        frame::message(kind(name), WHOLE, about, request, &body)
    }

    fn lie_downwards(&self, world: &World, random: &mut Random) -> Vec<u8> {
        let (life, other) = (self.anybody(world, random), self.anybody(world, random));
        let request = random.pick(&world.requests).copied().unwrap_or_default();
        let seed = self.seeds[&self.own];
        let (name, body) = match random.below(10) {
            0 => ("Exec", b"do 1 0".to_vec()),
            1 => ("Ping", Vec::new()),
            2 => ("Create", encode(&(other, seed, None::<String>))),
            3 => ("Remove", encode(&(other, std::time::Duration::from_millis(random.below(900))))),
            4 => ("Discard", encode(&other)),
            5 => ("Take", encode(&random.chance(50))),
            6 => ("Publish", encode(&("heartbeat", vec![random.number() as u8; 9]))),
            7 => {
                let ancestors = [(other.node, "0".to_owned())];
                ("Welcome", encode(&(self.own.node, 7_u32, random.below(9) as u32, ancestors)))
            }
            8 => ("Fan", encode(&(6_u8, vec![(life, 1_u64), (other, 2_u64)]))),
            _ => ("Shutdown", encode(&std::time::Duration::from_millis(random.below(900)))),
        };
        frame::message(kind(name), WHOLE, life, request, &body)
    }

    fn anybody(&self, world: &World, random: &mut Random) -> Life {
        match random.below(10) {
            0 => self.own,
            1 => {
                let seeds: Vec<_> = self.seeds.keys().copied().collect();
                random.pick(&seeds).copied().unwrap_or(self.own)
            }
            2 => Life {
                node: NodeId::compute(random.below(40) as u32).unwrap(),
                incarnation: Incarnation(random.below(80) as u32),
            },
            _ => random.pick(&world.lives).map_or(self.own, |(life, _)| *life),
        }
    }

    fn place(&self, life: Life, world: &World, random: &mut Random) -> Place {
        let above = world.lives.iter().find(|(other, _)| *other == life);
        let parent = match (random.below(4), above) {
            (0 | 1, Some((_, above))) => *above,
            (0..3, _) => self.own,
            _ => self.anybody(world, random),
        };
        let moves = match random.below(8) {
            0..4 => 0,
            4 | 5 => 1,
            6 => random.below(256) as u32,
            _ => u32::MAX - random.below(2) as u32,
        };
        Place { life, parent, moves }
    }

    fn proved(&self, life: Life, world: &World, random: &mut Random) -> Proved {
        let place = self.place(life, world, random);
        Proved { place, proof: self.proof(life, place.moves, random) }
    }

    /// The proof of a place, if it has the seed of the life; or another that it has seen, or could make.
    fn proof(&self, life: Life, moves: u32, random: &mut Random) -> hoptree_core::Proof {
        let own = self.seeds[&self.own];
        if let Some(proof) = self.seeds.get(&life).and_then(|seed| seed.proof(moves)) {
            return proof;
        }
        let seen = self.seen.iter().filter_map(|message| frame::header(message));
        let seen = seen.filter_map(|header| match header.name() {
            "Joined" | "Moved" => postcard::from_bytes::<Proved>(header.body).ok(),
            "Below" => {
                postcard::from_bytes::<Vec<Proved>>(header.body).ok()?.into_iter().next_back()
            }
            _ => None,
        });
        let seen: Vec<_> = seen.collect();
        let of_life: Vec<_> = seen.iter().filter(|at| at.place.life == life).collect();
        let shown = random.pick(&of_life).copied().or_else(|| random.pick(&seen));
        shown.map_or_else(|| own.mark(), |at| at.proof)
    }
}

/// Adds messages to a frame, as far as it may be long.
fn add(messages: &[Vec<u8>], frame: &mut Vec<u8>) {
    for message in messages {
        if frame.len() + message.len() <= FRAME_BYTES_MAX {
            frame.extend(message);
        }
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap()
}
