//! Compromised processes, and who is under suspicion because of them: whoever hangs, or has ever hung,
//! below one. What a compromised node can do to those is no concern of the checkers; to all others it
//! can do nothing.

use hoptree_core::{Address, Exit, Life, LinkId, Node};

use crate::liar::{Liar, Purpose, Way, World};
use crate::link::Ends;
use crate::network::{Event, MICROSECOND, MS, Moment, Network, name};
use crate::probe;
use crate::process::{CONTROL, Pid, Process};
use crate::trace::note;

/// How many links of its own a compromised process has at most.
const LINKS_MAX: usize = 30;

/// How often one lies before it stops, on average.
const LIES_ABOUT: u64 = 1_500;

/// How many frames it sends when it sends many.
const FLOOD_FRAMES: usize = 60;

/// How long news of a process may be under way at most when it has ended.
const NEWS_LASTS: Moment = 2_000 * MS;

/// One lie in this many begins more links than a node has room for: on some it says nothing, and on more
/// it says hello.
const CROWD_ONCE_IN: u64 = 1_500;
const CROWD: usize = 4_700;

/// What an honest node may keep for others while they lie and nobody asks much: bytes that wait to leave,
/// and peers, who have said nothing or only hello. It has as many more peers as there are nodes.
const WAITING_BYTES_MAX: usize = 512 * 1024;
/// The same for bytes of answers that may be one with others, or may be asked for again.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
const PEERS_MAX: usize = 256 + 4_096;

impl Network {
    /// A process is compromised from now on.
    pub fn compromise(&mut self, pid: Pid) {
        let Some(seed) = self.processes[pid].seed.filter(|_| self.processes[pid].liar.is_none())
        else {
            return;
        };
        note!(self.now, "{} is compromised", name(&self.processes[pid]));
        self.processes[pid].liar = Some(Box::new(Liar::new(self.processes[pid].life, seed)));
        self.suspect(pid);
        self.plan_in(0, pid, Event::Lie);
    }

    pub fn is_suspect(&self, pid: Pid) -> bool {
        self.processes[pid].is_suspect
    }

    /// Whether there is, or was, any compromised process.
    pub fn has_traitors(&self) -> bool {
        self.processes.iter().any(|process| process.is_suspect)
    }

    /// Those who run and are not under suspicion.
    pub fn trusted(&self) -> Vec<Pid> {
        self.living.iter().copied().filter(|pid| !self.is_suspect(*pid)).collect()
    }

    /// Those who would come under suspicion because of a process.
    pub fn below(&self, pid: Pid) -> Vec<Pid> {
        let mut below = Vec::new();
        let mut next = vec![pid];
        while let Some(above) = next.pop() {
            let hangs = |other: &Pid| self.processes[*other].parents.contains(&above);
            let new: Vec<_> = self.living.iter().copied().filter(hangs).collect();
            let new = new.into_iter().filter(|other| !below.contains(other)).collect::<Vec<_>>();
            next.extend(&new);
            below.extend(new);
        }
        below
    }

    /// Ends all processes under suspicion.
    pub fn end_suspects(&mut self) {
        for pid in self.living.clone() {
            if self.is_suspect(pid) {
                self.end(pid, Exit::Signal(9));
            }
        }
    }

    /// A process is under suspicion, with all that have ever hung below it.
    pub fn suspect(&mut self, pid: Pid) {
        if std::mem::replace(&mut self.processes[pid].is_suspect, true) {
            return;
        }
        note!(self.now, "{} is under suspicion", name(&self.processes[pid]));
        probe::suspect(crate::process::public(pid));
        if !self.processes[pid].is_impostor {
            let node = self.processes[pid].life.node;
            self.checks.suspect(node);
        }
        for other in 0..self.processes.len() {
            let Process { parents, ended, .. } = &self.processes[other];
            let may_be_told_of = ended.is_none_or(|ended| ended + NEWS_LASTS > self.now);
            if may_be_told_of && parents.contains(&pid) {
                self.suspect(other);
            }
        }
    }

    /// A process says to whoever is at the other end of a link that it stays there.
    pub fn settles(&mut self, pid: Pid, link: LinkId) {
        let parent = self.ends.peer_of(link).owner;
        self.processes[pid].parents.push(parent);
        if self.is_suspect(parent) {
            return self.suspect(pid);
        }
        if self.checks.is_at_peace && !self.is_suspect(pid) {
            let name = name(&self.processes[pid]);
            self.checks.fail(format!("{name} moves, without a reason"));
        }
    }

    fn world(&mut self) -> World {
        let mut lives: Vec<_> = self.living.iter().map(|pid| self.life_and_parent(*pid)).collect();
        let newest = lives.iter().map(|(life, _)| life.incarnation.0).max().unwrap_or_default();
        for step in 1..3 {
            let mut life = lives[self.random.below(lives.len() as u64) as usize].0;
            life.incarnation.0 = newest + step;
            lives.push((life, Life::CONTROL));
        }
        World { lives, requests: self.requests.iter().copied().collect() }
    }

    fn life_and_parent(&self, pid: Pid) -> (Life, Life) {
        let process = &self.processes[pid];
        let parent = process.parents.last().copied().unwrap_or(CONTROL);
        (process.life, self.processes[parent].life)
    }

    /// What a process sends in place of a frame.
    pub fn tamper(&mut self, pid: Pid, link: LinkId, frame: Vec<u8>) -> Vec<u8> {
        if self.processes[pid].liar.is_none() {
            return frame;
        }
        let world = self.world();
        let Some(liar) = &mut self.processes[pid].liar else { return frame };
        liar.see(&frame);
        liar.tamper(frame, Way::from(link), &world, &mut self.random)
    }

    /// Whether something happens on a link that a process has begun behind the back of its node.
    pub fn is_hidden(&self, pid: Pid, event: &Event) -> bool {
        match event {
            Event::Up(link) | Event::Frame(link, _) | Event::Down(link) => {
                self.processes[pid].liar.as_ref().is_some_and(|liar| liar.has(*link))
            }
            Event::Lie => true,
            _ => false,
        }
    }

    /// What a compromised process does behind the back of its node.
    pub fn conspire(&mut self, pid: Pid, event: Event) {
        let world = self.world();
        let Some(mut liar) = self.processes[pid].liar.take() else { return };
        match event {
            Event::Up(link) if self.ends.end(link).is_open => {
                if let Some(hello) = liar.hello(link, &world, &mut self.random) {
                    self.whisper(&liar, link, &[hello]);
                }
            }
            Event::Frame(link, frame) => {
                self.ends.end_mut(link).receives(&frame);
                if liar.hear(link, &frame) {
                    let mut messages = vec![liar.settled(link, &mut self.random)];
                    messages.extend(liar.burst(Way::Up, &world, &mut self.random));
                    self.whisper(&liar, link, &messages);
                }
            }
            Event::Down(link) => {
                self.ends.end_mut(link).is_open = false;
                self.processes[pid].links.retain(|other| *other != link);
                liar.ends(link);
            }
            Event::Lie => self.lie(pid, &mut liar, &world),
            _ => {}
        }
        self.processes[pid].liar = Some(liar);
    }

    /// Says, or begins, something, and plans to do so again; not for ever.
    fn lie(&mut self, pid: Pid, liar: &mut Liar, world: &World) {
        let links = liar.links();
        let link = self.random.pick(&links).copied();
        if self.random.below(CROWD_ONCE_IN) == 0 {
            self.crowd(pid, liar);
        }
        match (self.random.below(100), link) {
            (0..25, _) if links.len() < LINKS_MAX => {
                let told = self.told(pid);
                let to = self.random.pick(&told).copied().unwrap_or(CONTROL);
                let purpose = if self.random.chance(5) { Purpose::Visit } else { Purpose::Lies };
                self.begin(pid, liar, to, purpose);
            }
            (25..27, Some(link)) => self.flood(liar, liar.home().unwrap_or(link), world),
            (0..75, Some(link)) => {
                let messages = liar.burst(Way::Up, world, &mut self.random);
                self.whisper(liar, link, &messages);
            }
            (75..80, Some(link)) => {
                liar.ends(link);
                self.processes[pid].links.retain(|other| *other != link);
                self.close(link);
            }
            (80..90, _) if !liar.is_answering() => {
                // Beside what its node says on a link of its own, which will notice.
                let own = &self.processes[pid].links;
                let own: Vec<_> = own.iter().filter(|own| !liar.has(**own)).copied().collect();
                if let Some(link) = self.random.pick(&own).copied() {
                    let messages = liar.burst(Way::from(link), world, &mut self.random);
                    self.whisper(liar, link, &messages);
                }
            }
            (_, Some(link)) => {
                let bytes = self.random.below(200);
                let frame = (0..bytes).map(|_| self.random.number() as u8).collect();
                self.say(link, frame);
            }
            _ => {}
        }
        if self.random.below(LIES_ABOUT) == 0 {
            // It has lied enough, and is what it was, for all that others know.
            note!(self.now, "{} lies no more", name(&self.processes[pid]));
            return liar.take_links().into_iter().for_each(|link| self.close(link));
        }
        let pause = self.random.pick(&[50 * MICROSECOND, MS, 10 * MS, 30 * MS]).copied();
        let pause = self.random.below(pause.unwrap_or(MS));
        self.plan_in(pause, pid, Event::Lie);
    }

    /// The addresses that a process has been told: of those who were above it when it was started.
    fn told(&self, pid: Pid) -> Vec<Pid> {
        let above = |pid: &Pid| Some(self.processes[*pid].spawner).filter(|_| *pid != CONTROL);
        std::iter::successors(above(&pid), above).collect()
    }

    /// Begins a link by itself.
    fn begin(&mut self, pid: Pid, liar: &mut Liar, to: Pid, purpose: Purpose) -> LinkId {
        let link = self.connect(pid, &Address(to.to_string()));
        liar.begins(link, purpose);
        link
    }

    /// Begins more links than anybody has room for.
    fn crowd(&mut self, pid: Pid, liar: &mut Liar) {
        let told = self.told(pid);
        let to = self.random.pick(&told).copied().unwrap_or(CONTROL);
        let purpose = if self.random.chance(50) { Purpose::Silence } else { Purpose::Visit };
        note!(self.now, "{} begins {CROWD} links", name(&self.processes[pid]));
        for _ in 0..CROWD {
            let link = self.begin(pid, liar, to, purpose);
            if purpose == Purpose::Silence {
                // What else is told with the first frame.
                self.send_to(Ends::peer(link), Event::Up);
            }
        }
    }

    fn flood(&mut self, liar: &Liar, link: LinkId, world: &World) {
        let above = self.processes[self.ends.peer_of(link).owner].life;
        let messages = liar.flood(above, world, &mut self.random);
        for _ in 0..FLOOD_FRAMES {
            self.whisper(liar, link, &messages);
        }
    }

    /// A process is being started, and compromised ones that know its parent may say that they are it,
    /// before it does.
    pub fn usurp(&mut self, parent: Pid, life: Life) {
        for pid in self.living.clone() {
            if self.told(pid).contains(&parent)
                && let Some(mut liar) = self.processes[pid].liar.take()
            {
                if self.random.chance(30) {
                    self.begin(pid, &mut liar, parent, Purpose::Birth(life));
                }
                self.processes[pid].liar = Some(liar);
            }
        }
    }

    fn whisper(&mut self, liar: &Liar, link: LinkId, messages: &[Vec<u8>]) {
        let frame = liar.frame(link, messages, &mut self.random);
        self.say(link, frame);
    }

    fn say(&mut self, link: LinkId, frame: Vec<u8>) {
        let end = self.ends.end_mut(link);
        if end.is_open && !frame.is_empty() {
            end.sends(&frame);
            self.send_to(Ends::peer(link), |link| Event::Frame(link, frame));
        }
    }

    /// A process complains in its log that another one sends nonsense. Compromised ones do, which honest
    /// ones say once a second at most.
    pub fn complains(&mut self, pid: Pid, complaint: String) {
        if !self.has_traitors() {
            return self.checks.fail(complaint);
        }
        let now = self.now;
        let process = &mut self.processes[pid];
        note!(now, "{} complains: {complaint}", name(process));
        let last = process.complained.replace(now);
        if !process.is_suspect && last.is_some_and(|last| now < last + 1_000 * MS) {
            let name = name(process);
            self.checks.fail(format!("{name} fills its log: {complaint}"));
        }
    }

    /// An honest node keeps no more for others than it may.
    pub fn check_holdings(&mut self, pid: Pid) {
        if self.is_suspect(pid) {
            return;
        }
        let (lives, peers) = (self.processes.len() + 1_000, self.living.len() + PEERS_MAX);
        let Some(node) = self.processes[pid].node() else { return };
        let held = Node::holdings(node);
        let is_bounded = held.lives <= lives
            && held.peers <= peers
            && held.waiting_bytes <= WAITING_BYTES_MAX
            && held.answer_bytes <= ANSWER_BYTES_MAX;
        if !is_bounded {
            let name = name(&self.processes[pid]);
            self.checks.fail(format!("{name} keeps too much: {held:?}"));
        }
    }
}
