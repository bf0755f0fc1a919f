//! The transport of hoptree over ipc-channel: a link is a pair of one-way channels, each of them a
//! pair of Unix sockets.
//!
//! Who wants to join leaves both channels' far ends at the listener, a socket in the tree's
//! directory. The thread of the node waits at the listener and at all channels itself. The library's
//! own servers and sets are not used: a server is good for one peer and blocks a thread until that
//! comes, and a set can wait for channels only. Two descriptors a link; no reconnection. Start
//! reading at [`Ipc`], then `acceptor.rs`.

mod acceptor;
mod allocator;
mod descriptor;
mod directory;
#[cfg(feature = "floor")]
pub mod floor;
mod hello;
mod letter;
mod link;
mod listener;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, FRAMES_PER_WAIT_MAX, LinkId, LinkIds, Reach, SEALED_BYTES_MAX, SendError,
    Transport, TransportError, TransportSpec, Waker,
};
use hoptree_system::{Interest, READY_MAX, Watch, explain, require_descriptors};
use rustc_hash::FxHashMap;

use acceptor::{Acceptor, LISTENER};
use directory::Directory;
use hello::Hello;
use link::{Link, Received};

inventory::submit! {
    TransportSpec {
        name: "ipc",
        package: env!("CARGO_PKG_NAME"),
        library: || LIBRARY.to_owned(),
        runs_over: "Unix sockets in a private directory",
        speaks: LIBRARY,
        has_socket_files: true,
        reach: Reach::ThisUser,
        flaw: None,
        open: |opening| Ok(Box::new(Ipc::open(opening.directory)?)),
    }
}

/// The library does not say its version; what it sends is only its own.
const LIBRARY: &str = "ipc-channel 0.23";

/// How many descriptors a process needs that has a listener and one link, with a few more.
const DESCRIPTORS_TO_START: usize = 12;

// Every link that is ready has a share of the frames of a wait.
const _: () = assert!(READY_MAX <= FRAMES_PER_WAIT_MAX);

/// The channels of one process.
pub struct Ipc {
    directory: Arc<Directory>,
    acceptor: Acceptor,
    /// The links that stand, also of those who have joined and not said anything.
    links: FxHashMap<LinkId, Link>,
    /// What became of each call of connect since the last wait, which tells it.
    connected: Vec<Connected>,
    /// Why the last call of connect that has failed did.
    refusal: Option<String>,
    watch: Watch,
    /// What the watch has found; kept for its memory.
    ready: Vec<u64>,
    link_ids: LinkIds,
}

struct Connected {
    link: LinkId,
    is_up: bool,
}

impl Ipc {
    /// A transport without any link yet, which makes its socket in `directory`, and finds those of
    /// others there.
    ///
    /// # Errors
    ///
    /// When the process may open no more descriptors, or can't use the directory.
    pub fn open(directory: &Path) -> Result<Ipc, TransportError> {
        allocator::keep_pages();
        // The library panics when it finds none at its start.
        require_descriptors(DESCRIPTORS_TO_START).map_err(TransportError)?;
        let opened = Directory::open(directory).map_err(|error| {
            let (directory, why) = (directory.display(), explain(&error));
            TransportError(format!("can't use the directory {directory}: {why}"))
        })?;
        Ok(Ipc {
            directory: Arc::new(opened),
            acceptor: Acceptor::default(),
            links: FxHashMap::default(),
            connected: Vec::new(),
            refusal: None,
            watch: Watch::new().map_err(|error| cannot("start", &error))?,
            ready: Vec::with_capacity(READY_MAX),
            link_ids: LinkIds::default(),
        })
    }

    fn join(&mut self, link: LinkId, to: &Address) -> io::Result<()> {
        let (hello, sender, receiver) = Hello::new()?;
        listener::send_hello(&self.directory, to, hello)?;
        self.enter(link, Link::new(sender, receiver, true)?)
    }

    fn enter(&mut self, id: LinkId, link: Link) -> io::Result<()> {
        self.watch.add(link.inbox()?, id.0, Interest::Read)?;
        self.links.insert(id, link);
        Ok(())
    }

    fn leave(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(&id)?;
        self.watch.remove(link.inbox().expect("it was found when the link was entered"));
        Some(link)
    }

    /// Accepts some of those who connect; the others come first at the next wait.
    fn accept(&mut self) {
        for _ in 0..READY_MAX {
            let Some(caller) = self.acceptor.accept(&self.watch) else { break };
            let id = self.link_ids.next_id();
            self.greet(id, caller);
        }
    }

    fn greet(&mut self, id: LinkId, caller: OwnedFd) {
        let Some(hello) = self.acceptor.read_hello(id, caller, &self.watch) else { return };
        let entered =
            Link::new(hello.sender, hello.receiver, false).and_then(|link| self.enter(id, link));
        if let Err(error) = entered {
            // Both channels are closed, which the peer notices.
            log::warn!("can't take in one who joins: {}", explain(&error));
        }
    }

    /// Delivers some of what a link has, and says whether the link stands.
    fn receive(
        &mut self,
        id: LinkId,
        frames_max: usize,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> bool {
        let Some(link) = self.links.get_mut(&id) else { return true };
        for _ in 0..frames_max {
            match link.receive() {
                Received::Frame(frame) if frame.is_empty() => {}
                Received::Frame(frame) => {
                    if !link.is_up {
                        link.is_up = true;
                        deliver(Event::Up(id));
                    }
                    deliver(Event::Frame(id, &frame));
                }
                Received::Nothing => break,
                Received::End => return false,
            }
        }
        true
    }

    fn deliver(&mut self, deliver: &mut dyn FnMut(Event<'_>)) {
        for Connected { link, is_up } in self.connected.drain(..) {
            deliver(if is_up { Event::Up(link) } else { Event::Down(link) });
        }
        let ready = std::mem::take(&mut self.ready);
        // What is left of a link's frames the watch tells of again.
        let frames_each = FRAMES_PER_WAIT_MAX / ready.len().max(1);
        for &number in &ready {
            let id = LinkId(number);
            if number == LISTENER {
                self.accept();
            } else if let Some(caller) = self.acceptor.take(id, &self.watch) {
                self.greet(id, caller);
            } else if !self.receive(id, frames_each, deliver)
                && self.leave(id).is_some_and(|link| link.is_up)
            {
                deliver(Event::Down(id));
            }
        }
        self.ready = ready;
    }
}

impl Transport for Ipc {
    fn listen(&mut self) -> Result<Address, TransportError> {
        let opened = self.acceptor.listen(&self.directory, &self.watch);
        opened.map_err(|error| cannot("listen", &error))
    }

    fn connect(&mut self, to: &Address) -> LinkId {
        let link = self.link_ids.next_id();
        let joined = self.join(link, to);
        if let Err(error) = &joined {
            let why = format!("can't connect to {:?}: {}", to.0, explain(error));
            log::info!("{why}");
            self.refusal = Some(why);
        }
        self.connected.push(Connected { link, is_up: joined.is_ok() });
        link
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        debug_assert!((1..=SEALED_BYTES_MAX).contains(&frame.len()), "{} bytes", frame.len());
        self.links.get(&link).map_or(Err(SendError::Gone), |link| link.send(frame))
    }

    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        let now = (!self.connected.is_empty()).then(Instant::now);
        let paused_until = self.acceptor.paused_until(&self.watch);
        let until = [now, paused_until, until].into_iter().flatten().min();
        self.watch.wait(until, &mut self.ready).map_err(|error| cannot("wait", &error))?;
        self.deliver(deliver);
        Ok(())
    }

    fn refusal(&self) -> Option<String> {
        self.refusal.clone()
    }

    fn waker(&self) -> Waker {
        self.watch.waker()
    }

    fn close(&mut self, link: LinkId) {
        self.connected.retain(|connected| connected.link != link);
        self.leave(link);
    }

    fn finish(self: Box<Self>, _within: Duration) {
        // What was sent is in the buffers of those who will read it, and stays there.
        drop(self);
    }
}

fn cannot(what: &str, error: &io::Error) -> TransportError {
    TransportError(format!("ipc-channel can't {what}: {}", explain(error)))
}

#[cfg(test)]
mod tests {
    use serde_bytes::ByteBuf;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_library_is_the_one_that_is_linked() {
        let lock = include_str!("../../../Cargo.lock");
        let (_, version) = lock.split_once("name = \"ipc-channel\"\nversion = \"").unwrap();
        let version = version.split_once(".").unwrap().1;
        assert!(LIBRARY.ends_with(&format!("0.{}", version.split_once('.').unwrap().0)));
    }

    #[test]
    fn what_is_no_frame_ends_its_link() {
        let place = TempDir::new_in("/tmp").unwrap();
        let mut parent = Ipc::open(place.path()).unwrap();
        let address = parent.listen().unwrap();
        let too_long = vec![0; SEALED_BYTES_MAX + 1];
        for (is_known, is_long) in [(false, false), (true, false), (false, true), (true, true)] {
            let (hello, sender, receiver) = Hello::new().unwrap();
            listener::send_hello(&parent.directory, &address, hello).unwrap();
            // An empty one is not a frame either, and harms nobody.
            sender.send(ByteBuf::new()).unwrap();
            if is_known {
                sender.send(ByteBuf::from(b"hello")).unwrap();
            }
            if is_long {
                sender.send(ByteBuf::from(&too_long[..])).unwrap();
                drop(sender);
            } else {
                sender.to_opaque().to::<u64>().send(1_000).unwrap();
            }
            let deadline = Instant::now() + Duration::from_secs(20);
            let mut told = Vec::new();
            while parent.links.is_empty() {
                assert!(Instant::now() < deadline);
                parent.wait(Some(deadline), &mut |_| {}).unwrap();
            }
            while !parent.links.is_empty() {
                assert!(Instant::now() < deadline);
                parent.wait(Some(deadline), &mut |event| told.push(format!("{event:?}"))).unwrap();
            }
            assert_eq!(told.len(), if is_known { 3 } else { 0 }, "{told:?}");
            assert!(receiver.recv().is_err(), "the peer is told");
        }
    }
}
