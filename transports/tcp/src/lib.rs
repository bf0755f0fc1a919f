//! The links of hoptree between machines: frames over TCP.
//!
//! A link is one connection. On it, each way, go frames: a length, a `u32` whose lowest byte comes
//! first, and so many bytes, 1 to [`SEALED_BYTES_MAX`]; any other length ends the link. There is no
//! handshake, and anybody may connect: put the seal above. One who connects costs a descriptor and the
//! memory for what he has sent, no more than one frame, until that is whole; of those there are only
//! so many, and only for a while.
//!
//! An address is `net://ADDRESS:PORT`, with digits. No name is looked up, and no other machine is
//! asked for anything. It is not a transport that users choose, and does not register itself: the
//! program opens it beside another one, for those children of a node that are on other machines.
//! Start reading at [`Tcp`], then `link.rs`.

mod address;
mod deadlines;
mod inbox;
mod interfaces;
mod link;
mod listen;
mod listener;
mod outbox;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, FRAMES_PER_WAIT_MAX, LinkId, LinkIds, Recurrence, SEALED_BYTES_MAX, SendError,
    Transport, TransportError, Waker,
};
use hoptree_system::{Interest, READY_MAX, Watch, explain, require_descriptors};
use rustc_hash::FxHashMap;

use deadlines::Deadlines;
use inbox::WrongLength;
use link::{Link, Next, Stage};
use listener::Listener;

pub use address::{SCHEME, host_of};
pub use listen::Listen;

/// How long it may take to connect. A packet that is lost costs 1 s, two 3 s, three 7 s.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long one who has connected may take over a first frame. A peer that was stopped, or waits for a
/// processor, must not fail.
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(30);

/// How long what was sent on a link before it was closed may take to arrive.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// How many links may be closed and have something to leave; beyond that the oldest is cut off.
const LEAVING_MAX: usize = 1_024;

/// How long nobody is accepted when the system can't, for want of memory or the like.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a transport that ends looks whether what was sent has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How many bytes are read at once: more than the longest frame.
const READ_BYTES: usize = 64 * 1024;

/// How many descriptors are needed by one that listens and has a link, with a few more.
const DESCRIPTORS_TO_START: usize = 8;

/// What the watch calls the listener, for which links have no name, and the timer.
const LISTENER: u64 = 0;
const TIMER: u64 = u64::MAX - 1;

// Every link that is ready has a share of the frames of a wait.
const _: () = assert!(READY_MAX <= FRAMES_PER_WAIT_MAX);

/// The TCP connections of one process.
pub struct Tcp {
    listen: Listen,
    /// Is there once somebody may come.
    listener: Option<Listener>,
    links: FxHashMap<LinkId, Link>,
    /// Links that have something to write since the last wait.
    unsent: Vec<LinkId>,
    /// Links that have something to deliver, those first that had their turn longest ago.
    due: VecDeque<LinkId>,
    /// Links whose connecting has failed at once.
    failed: Vec<LinkId>,
    /// Links that were closed and have something to leave, the oldest first; also some that are gone.
    leaving: VecDeque<LinkId>,
    /// Why the last connect that has failed did.
    refusal: Option<String>,
    turned_away: Recurrence<Instant>,
    deadlines: Deadlines,
    watch: Watch,
    /// What the watch has found; kept for its memory.
    ready: Vec<u64>,
    link_ids: LinkIds,
    /// For one read.
    buffer: Box<[u8]>,
}

impl Tcp {
    /// A transport without any link yet, which will listen there when it must.
    ///
    /// # Errors
    ///
    /// When the process may open no more descriptors.
    pub fn open(listen: Listen) -> Result<Tcp, TransportError> {
        require_descriptors(DESCRIPTORS_TO_START).map_err(TransportError)?;
        let watched = || -> io::Result<(Watch, Deadlines)> {
            let (watch, deadlines) = (Watch::new()?, Deadlines::new()?);
            watch.add(&deadlines, TIMER, Interest::Read)?;
            Ok((watch, deadlines))
        };
        let (watch, deadlines) = watched().map_err(|error| cannot("start", &error))?;
        Ok(Tcp {
            listen,
            listener: None,
            links: FxHashMap::default(),
            unsent: Vec::new(),
            due: VecDeque::new(),
            failed: Vec::new(),
            leaving: VecDeque::new(),
            refusal: None,
            turned_away: Recurrence::new(),
            deadlines,
            watch,
            ready: Vec::with_capacity(READY_MAX),
            link_ids: LinkIds::default(),
            buffer: vec![0; READ_BYTES].into(),
        })
    }

    /// Is readable when a wait would return at once, for whoever waits for something else besides. What
    /// was sent since the last wait does not count: call [`Transport::flush`].
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    fn begin(&mut self, id: LinkId, to: SocketAddr) -> io::Result<()> {
        let socket = socket::connect(to)?;
        self.watch.add(&socket, id.0, Interest::Write)?;
        self.enter(Link::new(id, socket, to, Stage::Connecting), id, CONNECT_WITHIN);
        Ok(())
    }

    fn enter(&mut self, link: Link, id: LinkId, within: Duration) {
        self.links.insert(id, link);
        self.limit(id, Some(within));
    }

    /// Gives a link so long for the stage that it is in.
    fn limit(&mut self, id: LinkId, within: Option<Duration>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let until = within.map(|within| Instant::now() + within);
        if let Some(before) = mem::replace(&mut link.until, until) {
            self.deadlines.remove(before, id.0);
        }
        if let Some(until) = until {
            self.deadlines.insert(until, id.0);
        }
    }

    fn leave(&mut self, id: LinkId) {
        self.limit(id, None);
        if let Some(link) = self.links.remove(&id) {
            self.watch.remove(link.socket());
        }
    }

    fn refuse(&mut self, why: String) {
        log::info!("{why}");
        self.refusal = Some(why);
    }

    /// Accepts some of those who connect; the others come first at the next wait.
    fn accept(&mut self) {
        for _ in 0..READY_MAX {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok(None) => return,
                Ok(Some((socket, from))) => {
                    let id = self.link_ids.next_id();
                    // Without, the connection ends, and its peer learns of it.
                    if let Err(error) = self.watch.add(&socket, id.0, Interest::Read) {
                        return self.turn_away(from, &explain(&error));
                    }
                    let link = Link::new(id, socket, from, Stage::Accepted);
                    self.enter(link, id, FIRST_FRAME_WITHIN);
                }
                Err(error) => {
                    self.watch.remove(listener);
                    self.deadlines.insert(Instant::now() + PAUSE, LISTENER);
                    return log::warn!("who wants to connect has to wait: {}", explain(&error));
                }
            }
        }
    }

    fn turn_away(&mut self, peer: SocketAddr, why: &str) {
        if let Some(times) = self.turned_away.happened(Instant::now()) {
            log::warn!("hung up on {peer}, which has connected: {why} (times: {times})");
        }
    }

    /// Reads and writes what a link is ready for.
    fn stir(&mut self, id: LinkId, deliver: &mut dyn FnMut(Event<'_>)) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.stage == Stage::Connecting {
            if let Some(connected) = link.connected(&self.watch) {
                self.connected(id, connected, deliver);
            }
            return;
        }
        link.write_again(&self.watch);
        if link.is_due() {
            return;
        }
        link.read(&mut self.buffer);
        if link.stage == Stage::Closed && link.is_over() {
            return self.leave(id);
        }
        if link.is_due() {
            self.due.push_back(id);
        }
        if link.stage == Stage::Accepted && link.has_frame() {
            link.stage = Stage::Up;
            if let Some(listener) = &self.listener {
                listener.admit(link.socket());
            }
            self.limit(id, None);
            deliver(Event::Up(id));
        }
    }

    fn connected(
        &mut self,
        id: LinkId,
        connected: io::Result<()>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) {
        let Err(error) = connected else {
            self.limit(id, None);
            return deliver(Event::Up(id));
        };
        let peer = self.links[&id].peer();
        self.refuse(cannot_connect(peer, &error));
        self.leave(id);
        deliver(Event::Down(id));
    }

    /// Ends what has taken too long.
    fn expire(&mut self, deliver: &mut dyn FnMut(Event<'_>)) {
        let now = Instant::now();
        while let Some(number) = self.deadlines.take_due(now) {
            if number == LISTENER {
                self.go_on_listening(now);
                continue;
            }
            let id = LinkId(number);
            let Some(link) = self.links.get(&id) else { continue };
            let (stage, peer, is_over) = (link.stage, link.peer(), link.is_over());
            self.leave(id);
            match stage {
                Stage::Connecting => {
                    let seconds = CONNECT_WITHIN.as_secs();
                    self.refuse(format!(
                        "can't connect to {peer}: no answer within {seconds} s; see whether the \
                         address is right and no firewall is in the way"
                    ));
                    deliver(Event::Down(id));
                }
                Stage::Accepted => self.turn_away(peer, "it has sent no frame"),
                Stage::Closed if !is_over => {
                    log::info!("what was sent last has not reached {peer}");
                }
                Stage::Closed | Stage::Up => {}
            }
        }
    }

    fn go_on_listening(&mut self, now: Instant) {
        let Some(listener) = &self.listener else { return };
        if self.watch.add(listener, LISTENER, Interest::Read).is_err() {
            self.deadlines.insert(now + PAUSE, LISTENER);
        }
    }

    /// Delivers frames, and gives each link the same share of them.
    fn deliver_due(&mut self, deliver: &mut dyn FnMut(Event<'_>)) {
        let links = self.due.len();
        let share = (FRAMES_PER_WAIT_MAX / links.max(1)).max(1);
        let mut left = FRAMES_PER_WAIT_MAX;
        for _ in 0..links {
            if left == 0 {
                break;
            }
            let Some(id) = self.due.pop_front() else { break };
            left -= self.deliver_share(id, share.min(left), deliver);
            if self.links.get(&id).is_some_and(Link::is_due) {
                self.due.push_back(id);
            }
        }
    }

    /// Delivers some frames of one link, and says how many.
    fn deliver_share(
        &mut self,
        id: LinkId,
        share: usize,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> usize {
        // It may have been closed since it became due.
        let Some(link) = self.links.get_mut(&id) else { return 0 };
        for delivered in 0..share {
            let wrong = match link.next() {
                Next::Frame(frame) => {
                    deliver(Event::Frame(id, frame));
                    continue;
                }
                Next::Nothing => return delivered,
                Next::End => None,
                Next::Garbage(wrong) => Some(wrong),
            };
            self.end(id, wrong, deliver);
            return delivered;
        }
        share
    }

    /// A link has ended, perhaps because of a frame that is none.
    fn end(&mut self, id: LinkId, wrong: Option<WrongLength>, deliver: &mut dyn FnMut(Event<'_>)) {
        let Some(link) = self.links.get(&id) else { return };
        let (stage, peer) = (link.stage, link.peer());
        self.leave(id);
        match wrong {
            Some(wrong) if stage == Stage::Accepted => self.turn_away(peer, &wrong.to_string()),
            Some(wrong) => log::warn!("link {} to {peer} has ended: {wrong}", id.0),
            None => {}
        }
        if stage == Stage::Up {
            deliver(Event::Down(id));
        }
    }

    /// Gives a link up. It is kept as long as something has to leave.
    fn give_up(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.close(&self.watch) {
            self.limit(id, Some(LEAVE_WITHIN));
            self.leaving.push_back(id);
        } else {
            self.leave(id);
        }
    }

    /// Cuts off those links that were closed first, when there are too many.
    fn cut_off(&mut self) {
        while let Some(oldest) = self.leaving.front().copied()
            && (self.leaving.len() > LEAVING_MAX || !self.links.contains_key(&oldest))
        {
            self.leaving.pop_front();
            self.leave(oldest);
        }
    }
}

impl Transport for Tcp {
    fn listen(&mut self) -> Result<Address, TransportError> {
        if let Some(listener) = &self.listener {
            return Ok(listener.address());
        }
        let listener = Listener::open(&self.listen).map_err(TransportError)?;
        let watched = self.watch.add(&listener, LISTENER, Interest::Read);
        watched.map_err(|error| cannot("listen", &error))?;
        Ok(self.listener.insert(listener).address())
    }

    fn connect(&mut self, to: &Address) -> LinkId {
        let id = self.link_ids.next_id();
        let why = match address::read(to) {
            None => format!("can't connect to {:?}: it is not the address of a listener", to.0),
            Some(at) => match self.begin(id, at) {
                Ok(()) => return id,
                Err(error) => cannot_connect(at, &error),
            },
        };
        self.refuse(why);
        self.failed.push(id);
        self.watch.ring();
        id
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        let is_good = (1..=SEALED_BYTES_MAX).contains(&frame.len());
        debug_assert!(is_good, "{} bytes", frame.len());
        let id = link;
        let link = self.links.get_mut(&id).ok_or(SendError::Gone)?;
        if is_good && link.send(frame, &self.watch)? {
            self.unsent.push(id);
        }
        Ok(())
    }

    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        self.flush();
        let mut ready = mem::take(&mut self.ready);
        self.watch.wait(until, &mut ready).map_err(|error| cannot("wait", &error))?;
        for id in self.failed.drain(..) {
            deliver(Event::Down(id));
        }
        for &number in &ready {
            match number {
                LISTENER => self.accept(),
                TIMER => self.expire(deliver),
                link => self.stir(LinkId(link), deliver),
            }
        }
        self.ready = ready;
        self.deliver_due(deliver);
        self.deadlines.set_timer();
        if !self.due.is_empty() {
            self.watch.ring();
        }
        Ok(())
    }

    fn flush(&mut self) {
        for id in self.unsent.drain(..) {
            if let Some(link) = self.links.get_mut(&id) {
                link.write(&self.watch);
            }
        }
    }

    fn refusal(&self) -> Option<String> {
        self.refusal.clone()
    }

    fn round_trip(&self, link: LinkId) -> Option<Duration> {
        socket::round_trip(self.links.get(&link)?.socket())
    }

    fn waker(&self) -> Waker {
        self.watch.waker()
    }

    fn close(&mut self, link: LinkId) {
        self.failed.retain(|failed| *failed != link);
        self.give_up(link);
        self.cut_off();
    }

    fn finish(mut self: Box<Self>, within: Duration) {
        let until = Instant::now() + within;
        if let Some(listener) = self.listener.take() {
            self.watch.remove(&listener);
        }
        let ids: Vec<_> = self.links.keys().copied().collect();
        for id in ids {
            self.give_up(id);
        }
        // What is acknowledged wakes nobody.
        while !self.links.is_empty() && Instant::now() < until {
            let soon = until.min(Instant::now() + LOOK_EVERY);
            if self.wait(Some(soon), &mut |_| {}).is_err() {
                break;
            }
            self.links.retain(|_, link| !link.is_over());
        }
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        self.flush();
    }
}

fn cannot(what: &str, error: &io::Error) -> TransportError {
    TransportError(format!("can't {what}: {}", explain(error)))
}

fn cannot_connect(to: SocketAddr, error: &io::Error) -> String {
    let is_routed = || interfaces::toward(Some(to.ip())).is_ok();
    if error.kind() == io::ErrorKind::AddrNotAvailable && is_routed() {
        return format!(
            "can't connect to {to}: no port is left to do so from (net.ipv4.ip_local_port_range, and \
             connections that have just ended)"
        );
    }
    format!("can't connect to {to}: {}", explain(error))
}
