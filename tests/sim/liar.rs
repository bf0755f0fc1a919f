//! A compromised node: what it says beside what it should, and in place of it. It knows the token, what it
//! has seen, which lives there are, and what requests are under way; what it has not seen is the proofs of
//! other lives.

use std::collections::{BTreeMap, VecDeque};

use hoptree_core::{Exit, FRAME_BYTES_MAX, Incarnation, Life, LinkId, NodeId, Place, Proved, Seed};
use serde::Serialize;

use crate::forger::{self, Forger};
use crate::frame::{self, FRAME_HEADER_BYTES, WHOLE, add, kind};
use crate::network::TOKEN;
use crate::random::Random;

/// How many messages it remembers.
const SEEN_MAX: usize = 300;

/// How many requests.
const ASKED_MAX: usize = 30;

/// How many values of commands that are folded.
const REDUCED_MAX: usize = 30;

/// The version in the Hello.
const VERSION: u16 = 7;

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

/// What a link is for that a liar has begun by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To say anything.
    Lies,
    /// To be taken for a life that is just being started.
    Birth(Life),
    /// To be there, without a word.
    Silence,
    /// To be a guest, and never to say that it stays.
    Visit,
}

/// A link that it has begun by itself.
struct Whisper {
    purpose: Purpose,
    /// How many frames with messages have come.
    received: u32,
}

/// The compromised part of a node.
pub struct Liar {
    own: Life,
    /// The seeds that it has: its own, and those that it was to pass on.
    seeds: BTreeMap<Life, Seed>,
    seen: VecDeque<Vec<u8>>,
    /// Requests that have passed through its hands.
    asked: VecDeque<u64>,
    /// Commands that are folded, and requests of them that were answered.
    reduced: VecDeque<(u64, u64)>,
    forger: Forger,
    /// How often it says that a life has moved of which it has the seed.
    moves: u32,
    links: BTreeMap<LinkId, Whisper>,
    /// On which of them it has said last that it stays.
    home: Option<LinkId>,
}

impl Liar {
    pub fn new(own: Life, seed: Seed) -> Liar {
        Liar {
            own,
            seeds: BTreeMap::from([(own, seed)]),
            seen: VecDeque::new(),
            asked: VecDeque::new(),
            reduced: VecDeque::new(),
            forger: Forger::default(),
            moves: 0,
            links: BTreeMap::new(),
            home: None,
        }
    }

    /// Whether it has begun a link that its node knows nothing of.
    pub fn has(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// The links on which it says anything.
    pub fn links(&self) -> Vec<LinkId> {
        let lies = self.links.iter().filter(|(_, whisper)| whisper.purpose == Purpose::Lies);
        lies.map(|(link, _)| *link).collect()
    }

    /// All links that it has begun, which are forgotten.
    pub fn take_links(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.links).into_keys().collect()
    }

    /// The link on which it is a child, for all that the other end knows.
    pub fn home(&self) -> Option<LinkId> {
        self.home.filter(|link| self.has(*link))
    }

    pub fn begins(&mut self, link: LinkId, purpose: Purpose) {
        self.links.insert(link, Whisper { purpose, received: 0 });
    }

    pub fn ends(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Remembers what has passed through its hands.
    pub fn see(&mut self, frame: &[u8]) {
        for message in frame::messages(frame) {
            if let Some(header) = frame::header(message) {
                if header.name() == "Create"
                    && let Ok((life, seed)) = postcard::from_bytes(header.body)
                {
                    self.seeds.insert(life, seed);
                }
                if header.begins_request() {
                    remember(&mut self.asked, ASKED_MAX, header.request);
                }
                if header.name() == "Reduced"
                    && let Ok((members, _)) = postcard::take_from_bytes::<Vec<u64>>(header.body)
                {
                    let member = members.first().copied().unwrap_or_default();
                    remember(&mut self.reduced, REDUCED_MAX, (header.request, member));
                }
                self.forger.see(&header);
            }
            remember(&mut self.seen, SEEN_MAX, message.to_vec());
        }
    }

    /// Takes in a frame on one of its own links, and says whether it is welcome there and will say that it
    /// stays.
    pub fn hear(&mut self, link: LinkId, frame: &[u8]) -> bool {
        self.see(frame);
        let Some(whisper) = self.links.get_mut(&link) else { return false };
        if frame.len() > FRAME_HEADER_BYTES {
            whisper.received += 1;
        }
        let first = frame::headers(frame).next().map(|header| header.name());
        first == Some("Welcome") && whisper.purpose != Purpose::Visit
    }

    /// A frame on one of its own links, on every other of which it acknowledges nothing, and now and then
    /// more than has come.
    pub fn frame(&self, link: LinkId, messages: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
        let received = self.links.get(&link).map_or(0, |whisper| whisper.received);
        let acknowledged = match link.0.is_multiple_of(4) {
            true if received > 0 && random.chance(3) => received + 100,
            true => received,
            false => 0,
        };
        let mut frame = acknowledged.to_le_bytes().to_vec();
        add(messages, &mut frame);
        frame
    }

    /// What becomes of a frame that its node sends. What has messages still has some, or its node would
    /// soon be found out by the acknowledgements.
    pub fn tamper(
        &mut self,
        frame: Vec<u8>,
        way: Way,
        world: &World,
        random: &mut Random,
    ) -> Vec<u8> {
        let mut frame = frame;
        if frame.len() == FRAME_HEADER_BYTES {
            return frame;
        }
        if way == Way::Up {
            self.forger.forge(self.own, &mut frame, random);
        }
        if self.is_answering() {
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

    /// Whether it does nothing on the links of its node for which they would be cut, having begun an answer.
    pub fn is_answering(&self) -> bool {
        self.forger.is_busy()
    }

    /// Some messages, one of which at least.
    pub fn burst(&self, way: Way, world: &World, random: &mut Random) -> Vec<Vec<u8>> {
        let count = if random.chance(5) { random.between(20, 200) } else { random.between(1, 4) };
        (0..count).map(|_| self.lie(way, world, random)).collect()
    }

    /// As many messages as fit in a frame, each of which asks for an answer of some kind, or is news for
    /// those above the life at the other end of its own link.
    pub fn flood(&self, above: Life, world: &World, random: &mut Random) -> Vec<Vec<u8>> {
        let own = Place { life: self.own, parent: above, moves: self.moves };
        let stranger = Life { incarnation: Incarnation(u32::MAX), ..world.lives[0].0 };
        let place = Place { life: stranger, parent: self.own, moves: 0 };
        let proved = Proved { place, proof: self.seeds[&self.own].mark() };
        let (name, about, request, body) = match random.below(5) {
            0 => ("Offer", self.own, 1, encode(&1_000_u64)),
            1 => ("Below", Life::CONTROL, 0, encode(&vec![proved])),
            2 => ("Heard", self.own, 0, encode(&own)),
            3 => ("Lost", self.own, 0, encode(&own)),
            _ => ("Ended", self.own, 0, encode(&(self.own, Exit::Signal(9)))),
        };
        let message = frame::message(kind(name), WHOLE, about, request, &body);
        vec![message.clone(); FRAME_BYTES_MAX / message.len()]
    }

    /// What a link of its own begins with, if with anything.
    pub fn hello(&self, link: LinkId, world: &World, random: &mut Random) -> Option<Vec<u8>> {
        let (life, newborn) = match self.links.get(&link)?.purpose {
            Purpose::Silence => return None,
            Purpose::Visit => (self.own, None),
            Purpose::Birth(life) => (life, Some(self.proof(life, 0, random))),
            Purpose::Lies if random.chance(40) => (self.own, None),
            Purpose::Lies => {
                let life = self.anybody(world, random);
                let moves = random.below(3).checked_sub(1);
                (life, moves.map(|moves| self.proof(life, moves as u32, random)))
            }
        };
        let pid = random.between(1_000, 1_200) as u32;
        let body = encode(&(VERSION, TOKEN, life, pid, newborn));
        Some(frame::message(kind("Hello"), WHOLE, Life::CONTROL, 0, &body))
    }

    /// That it stays, wherever it is a guest.
    pub fn settled(&mut self, link: LinkId, random: &mut Random) -> Vec<u8> {
        self.moves += 1;
        self.home = Some(link);
        let moves = if random.chance(90) { self.moves } else { random.number() as u32 };
        let body = encode(&(moves, self.proof(self.own, moves, random)));
        frame::message(kind("Settled"), WHOLE, Life::CONTROL, 0, &body)
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
        let request = self.request(world, random);
        let place = |random: &mut Random| self.place(life, world, random);
        let pid = random.between(1_000, 1_200) as u32;
        let (name, body) = match random.below(18) {
            16 | 17 => return self.reduced(request, random),
            0 => return forger::answer(life, request, random),
            13 | 14 => return forger::output(life, request, random),
            15 if random.chance(50) => ("Grant", encode(&random.number())),
            15 => ("Cancel", Vec::new()),
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
            _ => return forger::offer(life, request, random),
        };
        let is_of_one = matches!(name, "Settled" | "Below");
        let about = if is_of_one { Life::CONTROL } else { life };
        frame::message(kind(name), WHOLE, about, request, &body)
    }

    /// That requests of a command are answered so: others than its own, of another command, or none, by a
    /// value that is new, known, or has no number.
    fn reduced(&self, request: u64, random: &mut Random) -> Vec<u8> {
        let seen = self.reduced.iter().copied().collect::<Vec<_>>();
        let (command, member) = random.pick(&seen).copied().unwrap_or((request, request));
        let command = if random.chance(80) { command } else { request };
        let members = (0..random.below(4)).map(|at| match at {
            0 => member + random.below(60),
            1 => random.below(3),
            _ => random.number(),
        });
        forger::reduced(command, &members.collect::<Vec<_>>(), random)
    }

    fn lie_downwards(&self, world: &World, random: &mut Random) -> Vec<u8> {
        let (life, other) = (self.anybody(world, random), self.anybody(world, random));
        let request = self.request(world, random);
        let seed = self.seeds[&self.own];
        let (name, body) = match random.below(12) {
            10 => ("Grant", encode(&random.number())),
            11 => ("Cancel", Vec::new()),
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

    /// A request of which it has heard, or that was made elsewhere.
    fn request(&self, world: &World, random: &mut Random) -> u64 {
        let asked = self.any_asked(random).filter(|_| random.chance(50));
        asked.or_else(|| random.pick(&world.requests).copied()).unwrap_or_default()
    }

    fn any_asked(&self, random: &mut Random) -> Option<u64> {
        let count = self.asked.len() as u64;
        (count > 0).then(|| self.asked[random.below(count) as usize])
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

/// Remembers the latest.
fn remember<T>(all: &mut VecDeque<T>, max: usize, one: T) {
    if all.len() >= max {
        all.pop_front();
    }
    all.push_back(one);
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap()
}
