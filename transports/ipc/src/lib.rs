//! The transport of hoptree over ipc-channel: a link is a pair of one-way channels, each of them a
//! pair of Unix sockets.
//!
//! Who wants to join sends both channels' far ends to a one-shot socket in the tree's directory,
//! which a thread of its own waits at for that moment only. Everything after that is read by the
//! thread that waits. Two descriptors a link; no reconnection. Start reading at [`Ipc`].

mod allocator;
mod descriptor;
mod directory;
mod doorbell;
mod doors;
mod floor;
mod hello;
mod outbox;

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, FRAME_BYTES_MAX, FRAMES_PER_WAIT_MAX, LinkId, SendError, Transport,
    TransportError, TransportSpec, Waker,
};
use ipc_channel::TrySelectError;
use ipc_channel::ipc::{IpcMessage, IpcReceiverSet, IpcSelectionResult};
use rustc_hash::FxHashMap;
use serde_bytes::ByteBuf;

use directory::Directory;
use doorbell::Doorbell;
use doors::Doors;
use hello::Hello;
use outbox::Outbox;

inventory::submit! {
    TransportSpec {
        name: "ipc",
        package: env!("CARGO_PKG_NAME"),
        library: || LIBRARY.to_owned(),
        runs_over: "Unix sockets in a private directory",
        speaks: LIBRARY,
        has_socket_files: true,
        open: |directory| Ok(Box::new(Ipc::open(directory)?)),
        floor: Some(floor::FLOOR),
    }
}

/// The library does not say its version; what it sends is only its own.
const LIBRARY: &str = "ipc-channel 0.23";

/// The channels of one process.
pub struct Ipc {
    doorbell: Doorbell,
    doors: Doors,
    set: IpcReceiverSet,
    inboxes: FxHashMap<InboxId, Inbox>,
    /// The ends that links which stand are sent to, of those that were told and those that are due.
    outboxes: FxHashMap<LinkId, Outbox>,
    /// What became of each call of connect since the last wait, which tells it.
    connected: Vec<Connected>,
    /// What the set has read and no wait has delivered. The set reads until nothing is there, from
    /// ten channels at most; a channel's buffer holds some 550 frames.
    unread: VecDeque<IpcSelectionResult>,
    link_ids: LinkIds,
}

/// What the set calls a channel.
type InboxId = u64;

/// Whose frames come from a channel. The set can't give one up: it stays until the peer closes it.
enum Inbox {
    /// Of one who has joined and not said anything.
    Silent(Outbox),
    Of(LinkId),
    /// The link was closed here, so the peer finds its own inbox closed and goes.
    Unwanted,
}

struct Connected {
    link: LinkId,
    is_up: bool,
}

impl Ipc {
    /// A transport without any link yet, whose sockets will be made in `directory`. That is made as
    /// well, for this user alone, if it is not there.
    ///
    /// # Errors
    ///
    /// When the process may open no more descriptors, or can't use the directory.
    pub fn open(directory: &Path) -> Result<Ipc, TransportError> {
        allocator::keep_pages();
        let directory = Directory::open(directory).map_err(|error| {
            TransportError(format!("can't use the directory {}: {error}", directory.display()))
        })?;
        let mut set = IpcReceiverSet::new().map_err(|error| cannot("start", &error))?;
        let doorbell = Doorbell::new(&mut set).map_err(|error| cannot("start", &error))?;
        Ok(Ipc {
            doorbell,
            doors: Doors::new(directory),
            set,
            inboxes: FxHashMap::default(),
            outboxes: FxHashMap::default(),
            connected: Vec::new(),
            unread: VecDeque::new(),
            link_ids: LinkIds::default(),
        })
    }

    fn join(&mut self, link: LinkId, to: &Address) -> io::Result<()> {
        let (sender, receiver) = Hello::say(&self.doors.directory().connect(&to.0)?)?;
        let outbox = Outbox::new(sender)?;
        let inbox = self.set.add(receiver)?;
        self.inboxes.insert(inbox, Inbox::Of(link));
        self.outboxes.insert(link, outbox);
        Ok(())
    }

    /// Takes in those who have joined.
    fn welcome(&mut self) {
        while let Some(hello) = self.doors.joined() {
            let welcomed = Outbox::new(hello.sender)
                .and_then(|outbox| Ok((self.set.add(hello.receiver)?, outbox)));
            match welcomed {
                Ok((inbox, outbox)) => {
                    self.inboxes.insert(inbox, Inbox::Silent(outbox));
                }
                // Both channels are dropped, which the peer notices.
                Err(error) => log::warn!("can't take in one who joins: {error}"),
            }
        }
    }

    /// What the set finds until then, perhaps nothing.
    fn select(&mut self, until: Option<Instant>) -> io::Result<Vec<IpcSelectionResult>> {
        let Some(until) = until else { return self.set.select() };
        loop {
            match self.set.try_select_timeout(wait_time(until, Instant::now())) {
                Ok(found) => return Ok(found),
                Err(TrySelectError::IoError(error)) => return Err(error),
                // A signal ends the library's wait as well.
                Err(TrySelectError::Empty) if Instant::now() < until => {}
                Err(TrySelectError::Empty) => return Ok(Vec::new()),
            }
        }
    }

    fn deliver(&mut self, deliver: &mut dyn FnMut(Event<'_>)) {
        for Connected { link, is_up } in self.connected.drain(..) {
            deliver(if is_up { Event::Up(link) } else { Event::Down(link) });
        }
        let mut frames = 0;
        while frames < FRAMES_PER_WAIT_MAX {
            match self.unread.pop_front() {
                Some(IpcSelectionResult::MessageReceived(id, _)) if self.doorbell.is(id) => {
                    self.doorbell.quiet();
                    self.welcome();
                }
                Some(IpcSelectionResult::MessageReceived(id, message)) => {
                    frames += usize::from(self.receive(id, message, deliver));
                }
                Some(IpcSelectionResult::ChannelClosed(id)) => self.end(id, deliver),
                None => break,
            }
        }
    }

    /// Delivers one message, if it is a frame of a link that stands, and says whether it was.
    fn receive(
        &mut self,
        id: InboxId,
        message: IpcMessage,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> bool {
        let Some(inbox) = self.inboxes.get_mut(&id) else { return false };
        if matches!(inbox, Inbox::Unwanted) {
            return false;
        }
        let frame = match message.to::<ByteBuf>() {
            Ok(frame) if frame.len() <= FRAME_BYTES_MAX => frame,
            _ => {
                log::warn!("a peer sent what is no frame, its link is closed");
                if let Inbox::Of(link) = std::mem::replace(inbox, Inbox::Unwanted) {
                    self.outboxes.remove(&link);
                    deliver(Event::Down(link));
                }
                return false;
            }
        };
        if frame.is_empty() {
            return false;
        }
        let link = match std::mem::replace(inbox, Inbox::Unwanted) {
            Inbox::Of(link) => link,
            Inbox::Silent(outbox) => {
                let link = self.link_ids.next();
                self.outboxes.insert(link, outbox);
                deliver(Event::Up(link));
                link
            }
            Inbox::Unwanted => return false,
        };
        *inbox = Inbox::Of(link);
        deliver(Event::Frame(link, &frame));
        true
    }

    /// A channel was closed by its peer.
    fn end(&mut self, id: InboxId, deliver: &mut dyn FnMut(Event<'_>)) {
        if let Some(Inbox::Of(link)) = self.inboxes.remove(&id) {
            self.outboxes.remove(&link);
            deliver(Event::Down(link));
        }
    }
}

impl Transport for Ipc {
    fn listen(&mut self) -> Result<Address, TransportError> {
        self.doors.open(self.doorbell.waker()).map_err(|error| cannot("listen", &error))
    }

    fn connect(&mut self, to: &Address) -> LinkId {
        let link = self.link_ids.next();
        let joined = self.join(link, to);
        if let Err(error) = &joined {
            log::warn!("can't connect to {:?}: {error}", to.0);
        }
        self.connected.push(Connected { link, is_up: joined.is_ok() });
        link
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        self.outboxes.get(&link).map_or(Err(SendError::Gone), |outbox| outbox.send(frame))
    }

    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        if self.unread.is_empty() {
            let until = if self.connected.is_empty() { until } else { Some(Instant::now()) };
            let found = self.select(until).map_err(|error| cannot("wait", &error))?;
            self.unread.extend(found);
        }
        self.deliver(deliver);
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.doorbell.waker()
    }

    fn close(&mut self, link: LinkId) {
        self.connected.retain(|connected| connected.link != link);
        if self.outboxes.remove(&link).is_some() {
            let inbox = self.inboxes.values_mut().find(|inbox| inbox.is_of(link));
            *inbox.expect("a link has an inbox as long as it has an outbox") = Inbox::Unwanted;
        }
    }

    fn finish(self: Box<Self>, _within: Duration) {
        // What was sent is in the buffers of those who will read it, and stays there.
        drop(self);
    }
}

impl Inbox {
    fn is_of(&self, link: LinkId) -> bool {
        matches!(self, Inbox::Of(of) if *of == link)
    }
}

/// Hands out the names of links, each once.
#[derive(Default)]
struct LinkIds(u64);

impl LinkIds {
    fn next(&mut self) -> LinkId {
        self.0 += 1;
        LinkId(self.0)
    }
}

/// How long to wait, in whole milliseconds, rounded up, because a wait that ends just before its
/// deadline would be repeated at once; and no longer than the 24 days that the library can count.
fn wait_time(until: Instant, now: Instant) -> Duration {
    let whole = until.saturating_duration_since(now).as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::from(i32::try_from(whole).unwrap_or(i32::MAX).unsigned_abs()))
}

fn cannot(what: &str, error: &(impl Display + ?Sized)) -> TransportError {
    TransportError(format!(
        "ipc-channel can't {what}: {error}; check the limit of open files (ulimit -n)"
    ))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    struct Told {
        ups: usize,
        frames: usize,
        downs: usize,
    }

    /// Waits once, briefly.
    fn turn(ipc: &mut Ipc, told: &mut Told) {
        let until = Instant::now() + Duration::from_millis(20);
        ipc.wait(Some(until), &mut |event| match event {
            Event::Up(_) => told.ups += 1,
            Event::Frame(..) => told.frames += 1,
            Event::Down(_) => told.downs += 1,
        })
        .unwrap();
    }

    fn nothing() -> Told {
        Told { ups: 0, frames: 0, downs: 0 }
    }

    #[test]
    fn the_library_is_the_one_that_is_linked() {
        let lock = include_str!("../../../Cargo.lock");
        let (_, version) = lock.split_once("name = \"ipc-channel\"\nversion = \"").unwrap();
        let version = version.split_once(".").unwrap().1;
        assert!(LIBRARY.ends_with(&format!("0.{}", version.split_once('.').unwrap().0)));
    }

    #[test]
    fn waits_are_rounded_up_to_whole_milliseconds() {
        let now = Instant::now();
        let wait = |duration| wait_time(now + duration, now);
        assert_eq!(wait(Duration::ZERO), Duration::ZERO);
        assert_eq!(wait_time(now, now + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(wait(Duration::from_nanos(1)), Duration::from_millis(1));
        assert_eq!(wait(Duration::from_millis(7)), Duration::from_millis(7));
        assert_eq!(wait(Duration::from_micros(7_001)), Duration::from_millis(8));
        let weeks = Duration::from_secs(60 * 60 * 24 * 7 * 8);
        assert_eq!(wait(weeks), Duration::from_millis(i32::MAX.unsigned_abs().into()));
    }

    #[test]
    fn what_is_no_frame_ends_its_link() {
        let place = TempDir::new_in("/tmp").unwrap();
        let mut parent = Ipc::open(&place.path().join("tree")).unwrap();
        for is_known in [false, true] {
            let address = parent.listen().unwrap();
            let (sender, receiver) =
                Hello::say(&parent.doors.directory().connect(&address.0).unwrap()).unwrap();
            if is_known {
                sender.send(ByteBuf::from(b"hello")).unwrap();
            }
            let sender = sender.to_opaque();
            sender.clone().to::<u64>().send(1_000).unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            let mut told = nothing();
            while !parent.inboxes.values().any(|inbox| matches!(inbox, Inbox::Unwanted)) {
                assert!(Instant::now() < deadline);
                turn(&mut parent, &mut told);
            }
            let known = usize::from(is_known);
            assert_eq!((told.ups, told.frames, told.downs), (known, known, known));
            assert!(receiver.recv().is_err(), "the peer is told");
            drop(sender);
            while !parent.inboxes.is_empty() {
                assert!(Instant::now() < deadline);
                turn(&mut parent, &mut told);
            }
            assert_eq!(told.downs, known);
        }
    }

    #[test]
    fn five_hundred_comings_and_goings_leave_nothing_behind() {
        const ROUNDS: usize = 500;
        let place = TempDir::new_in("/tmp").unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut parent = Ipc::open(&place.path().join("tree")).unwrap();
        let mut child = Ipc::open(&place.path().join("tree")).unwrap();
        let (mut told, mut own) = (nothing(), nothing());
        for round in 0..ROUNDS {
            let link = child.connect(&parent.listen().unwrap());
            child.send(link, b"hello").unwrap();
            child.close(link);
            if round % 7 == 0 {
                turn(&mut parent, &mut told);
            }
        }
        while (told.ups, told.frames, told.downs) != (ROUNDS, ROUNDS, ROUNDS) {
            assert!(Instant::now() < deadline, "not every end was told");
            turn(&mut parent, &mut told);
        }
        while !child.inboxes.is_empty() {
            assert!(Instant::now() < deadline, "not every channel is closed");
            turn(&mut child, &mut own);
        }
        assert_eq!((own.ups, own.frames, own.downs), (0, 0, 0));
        assert!(parent.inboxes.is_empty() && parent.outboxes.is_empty());
        assert!(child.outboxes.is_empty() && child.connected.is_empty());
    }
}
