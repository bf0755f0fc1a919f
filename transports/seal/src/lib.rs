//! The seal of hoptree: links that nobody else can begin, read or change, over any transport.
//!
//! [`Sealed`] is a transport above another one. Both ends of a sealed link show in a handshake that
//! they know the secret of the tree, before the link is told to anybody, and then every frame is
//! encrypted and authenticated. It is the Noise protocol, `Noise_NNpsk0_25519_AESGCM_BLAKE2s`.
//!
//! Whether a link is sealed follows from the address that it was begun with: that of a sealed
//! listener ends with a nonce. The key of the handshake belongs to this one listener, and the
//! handshake covers its address and the version of the program. Who connects, and as what, stands
//! in the first frame, the hello of the core: it is inside of the seal, so it can't be taken out of
//! its link.
//!
//! It does not hide how long frames are and when they are sent, and it takes no descriptor, thread
//! or byte from a stranger who never gets as far as a frame: that is for the transport below.
//! Start reading at [`Sealed`], then `links.rs`.

mod channel;
mod greetings;
mod handshake;
mod links;
mod listener;
mod strangers;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use hoptree_core::{
    Address, Event, FRAME_BYTES_MAX, LinkId, Secret, SendError, Transport, TransportError, Waker,
};

use links::{Links, Order};
use listener::Listener;

/// How a process takes in those who connect to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    /// Its links are sealed.
    Sealed,
    /// They are not: nobody else can connect, or read what is sent.
    Open,
}

/// A transport whose links are sealed, above one whose links are not.
pub struct Sealed {
    below: Box<dyn Transport>,
    links: Links,
}

impl Sealed {
    /// Puts the seal above a transport that nobody has used yet. `secret` is that of the tree.
    ///
    /// A link that is begun here is sealed when its listener wants it, whatever this one `listens`.
    #[must_use]
    pub fn new(below: Box<dyn Transport>, secret: Secret, listens: Listens) -> Sealed {
        Sealed { below, links: Links::new(secret, listens) }
    }
}

impl Transport for Sealed {
    fn listen(&mut self) -> Result<Address, TransportError> {
        let below = self.below.listen()?;
        let cannot = |error| TransportError(format!("can't name the listener: {error}"));
        self.links.listen(below).map_err(cannot)
    }

    fn connect(&mut self, to: &Address) -> LinkId {
        let listener = Listener::named(to);
        let below = listener.as_ref().map(Listener::below);
        let link = self.below.connect(below.as_ref().unwrap_or(to));
        self.links.connect(link, listener);
        link
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        let is_good = (1..=FRAME_BYTES_MAX).contains(&frame.len());
        debug_assert!(is_good, "{} bytes", frame.len());
        if is_good { self.links.send(link, frame, &mut *self.below) } else { Ok(()) }
    }

    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        let deadline = self.links.deadline();
        let links = &mut self.links;
        self.below.wait(earliest(until, deadline), &mut |event| links.hear(&event, deliver))?;
        if deadline.is_some() {
            self.links.expire(Instant::now(), deliver);
        }
        for order in self.links.orders() {
            match order {
                // If it can't be sent the link ends, or its handshake does in time.
                Order::Send(link, message) => drop(self.below.send(link, &message)),
                Order::Close(link) => self.below.close(link),
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.below.flush();
    }

    fn refusal(&self) -> Option<String> {
        self.links.refusal().cloned().or_else(|| self.below.refusal())
    }

    fn round_trip(&self, link: LinkId) -> Option<Duration> {
        self.below.round_trip(link)
    }

    fn waker(&self) -> Waker {
        self.below.waker()
    }

    fn close(&mut self, link: LinkId) {
        self.links.close(link);
        self.below.close(link);
    }

    fn finish(self: Box<Self>, within: Duration) {
        self.below.finish(within);
    }
}

/// The earlier of two moments, of which each may never come.
fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
