//! The transport of a node in a tree that spans machines.
//!
//! Links within the machine are those that the tree would have without others. For links to other machines
//! there is a second transport beside it, opened by the first one that is begun here, or by the first
//! child that is started elsewhere: this node is a gateway then. Which one a link takes follows from the
//! address.

mod address;
mod bell;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hoptree_core::{Address, Event, LinkId, SendError, Transport, TransportError, Waker};

pub(crate) use address::Home;
use address::Places;
use bell::Bell;

/// What the name of a link to another machine has, and none of those within.
const FAR_BIT: u64 = 1 << 63;

/// A transport for links to other machines, and what is readable when a wait for it would return at once,
/// unless there is something to send.
pub struct Opened {
    /// Its links must be sealed.
    pub transport: Box<dyn Transport>,
    /// Stays the same for as long as the transport is used.
    pub readable: OwnedFd,
}

/// Opens a transport for links to other machines.
pub type Open = Box<dyn Fn() -> Result<Opened, TransportError>>;

/// The two transports of one process.
pub struct Gateway {
    near: Box<dyn Transport>,
    far: Option<Far>,
    open: Open,
    /// Where the addresses of `near` mean anything.
    home: Home,
    /// Links that could not be begun since there is no transport for them; the next wait tells.
    refused: Vec<LinkId>,
    refusal: Option<String>,
}

/// The one for links to other machines.
struct Far {
    transport: Box<dyn Transport>,
    bell: Bell,
    /// Where it listens, once it does.
    address: Option<Address>,
}

impl Gateway {
    /// A node with this transport for links within the machine, which opens another one when there are
    /// others.
    #[must_use]
    pub fn new(near: Box<dyn Transport>, home: Home, open: Open) -> Gateway {
        Gateway { near, far: None, open, home, refused: Vec::new(), refusal: None }
    }

    fn far(&mut self) -> Result<&mut Far, TransportError> {
        if self.far.is_none() {
            let Opened { transport, readable } = (self.open)()?;
            let bell = Bell::new(readable, self.near.waker()).map_err(|error| {
                TransportError(format!("can't wait for links to other machines: {error}"))
            })?;
            self.far = Some(Far { transport, bell, address: None });
        }
        Ok(self.far.as_mut().expect("it was opened just now"))
    }

    fn connect_far(&mut self, to: &Address) -> LinkId {
        match self.far() {
            Ok(far) => outward(far.transport.connect(to)),
            Err(error) => {
                log::warn!("can't connect to {:?}: {error}", to.0);
                self.refusal = Some(error.to_string());
                let link = LinkId(u64::MAX - self.refused.len() as u64);
                self.refused.push(link);
                link
            }
        }
    }
}

impl Far {
    /// Delivers what is there without waiting, and has leave what was sent.
    fn deliver(&mut self, deliver: &mut dyn FnMut(Event<'_>)) -> Result<(), TransportError> {
        let past = Some(Instant::now());
        self.transport.wait(past, &mut |event| {
            deliver(match event {
                Event::Up(link) => Event::Up(outward(link)),
                Event::Frame(link, frame) => Event::Frame(outward(link), frame),
                Event::Down(link) => Event::Down(outward(link)),
            });
        })?;
        self.transport.flush();
        Ok(())
    }
}

impl Transport for Gateway {
    fn listen(&mut self) -> Result<Address, TransportError> {
        let near = self.near.listen()?;
        let far = self.far.as_ref().and_then(|far| far.address.clone());
        let home = self.home;
        Ok(far.map_or(near.clone(), |far| Places { near, far, home }.address()))
    }

    fn listen_beyond(&mut self) -> Result<Address, TransportError> {
        let far = self.far()?;
        if far.address.is_none() {
            far.address = Some(far.transport.listen()?);
        }
        self.listen()
    }

    fn connect(&mut self, to: &Address) -> LinkId {
        match Places::read(to) {
            Some(places) if places.home == self.home => self.near.connect(&places.near),
            Some(places) => self.connect_far(&places.far),
            None => self.near.connect(to),
        }
    }

    fn send(&mut self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        match (inward(link), &mut self.far) {
            (None, _) => self.near.send(link, frame),
            (Some(link), Some(far)) => far.transport.send(link, frame),
            (Some(_), None) => Err(SendError::Gone),
        }
    }

    fn wait(
        &mut self,
        until: Option<Instant>,
        deliver: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TransportError> {
        let mut events = self.refused.len();
        self.refused.drain(..).for_each(|link| deliver(Event::Down(link)));
        let Some(far) = &mut self.far else {
            let until = if events > 0 { Some(Instant::now()) } else { until };
            return self.near.wait(until, deliver);
        };
        far.deliver(&mut |event| {
            events += 1;
            deliver(event);
        })?;
        let until = if events > 0 { Some(Instant::now()) } else { until };
        far.bell.arm();
        self.near.wait(until, deliver)?;
        far.deliver(deliver)
    }

    fn flush(&mut self) {
        self.near.flush();
        if let Some(far) = &mut self.far {
            far.transport.flush();
        }
    }

    fn refusal(&self) -> Option<String> {
        let far = || self.far.as_ref().and_then(|far| far.transport.refusal());
        self.refusal.clone().or_else(far).or_else(|| self.near.refusal())
    }

    fn round_trip(&self, link: LinkId) -> Option<Duration> {
        match inward(link) {
            None => self.near.round_trip(link),
            Some(link) => self.far.as_ref()?.transport.round_trip(link),
        }
    }

    fn waker(&self) -> Waker {
        self.near.waker()
    }

    fn close(&mut self, link: LinkId) {
        self.refused.retain(|refused| *refused != link);
        match (inward(link), &mut self.far) {
            (None, _) => self.near.close(link),
            (Some(link), Some(far)) => far.transport.close(link),
            (Some(_), None) => {}
        }
    }

    fn finish(self: Box<Self>, within: Duration) {
        let until = Instant::now() + within;
        if let Some(far) = self.far {
            far.transport.finish(within);
        }
        self.near.finish(until.saturating_duration_since(Instant::now()));
    }
}

/// What a link of the transport for other machines is called outside of it.
fn outward(LinkId(link): LinkId) -> LinkId {
    LinkId(link | FAR_BIT)
}

/// What a link is called by the transport for other machines, if it is one of its own.
fn inward(LinkId(link): LinkId) -> Option<LinkId> {
    (link & FAR_BIT != 0).then_some(LinkId(link & !FAR_BIT))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;
    use std::rc::Rc;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    /// A transport that notes what is asked of it, and delivers one frame in each wait that it has one for.
    #[derive(Clone, Default)]
    struct Fake(Rc<RefCell<State>>);

    #[derive(Default)]
    struct State {
        connected: Vec<String>,
        sent: Vec<LinkId>,
        closed: Vec<LinkId>,
        frames: Vec<LinkId>,
        waits_that_block: usize,
    }

    impl Transport for Fake {
        fn listen(&mut self) -> Result<Address, TransportError> {
            Ok(Address("net://10.0.0.1:7".to_owned()))
        }

        fn connect(&mut self, to: &Address) -> LinkId {
            self.0.borrow_mut().connected.push(to.0.clone());
            LinkId(5)
        }

        fn send(&mut self, link: LinkId, _: &[u8]) -> Result<(), SendError> {
            self.0.borrow_mut().sent.push(link);
            Ok(())
        }

        fn wait(
            &mut self,
            until: Option<Instant>,
            deliver: &mut dyn FnMut(Event<'_>),
        ) -> Result<(), TransportError> {
            if until.is_none_or(|until| until > Instant::now()) {
                self.0.borrow_mut().waits_that_block += 1;
            }
            let frame = self.0.borrow_mut().frames.pop();
            frame.into_iter().for_each(|link| deliver(Event::Frame(link, b"frame")));
            Ok(())
        }

        fn waker(&self) -> Waker {
            Waker::new(|| ())
        }

        fn close(&mut self, link: LinkId) {
            self.0.borrow_mut().closed.push(link);
        }

        fn finish(self: Box<Self>, _: Duration) {}
    }

    fn home() -> Home {
        Home::of(Path::new("/tmp/hoptree"))
    }

    fn gateway() -> (Gateway, Fake, Fake) {
        let (near, far) = (Fake::default(), Fake::default());
        let opened = far.clone();
        let open: Open = Box::new(move || {
            let readable = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
            Ok(Opened { transport: Box::new(opened.clone()), readable })
        });
        (Gateway::new(Box::new(near.clone()), home(), open), near, far)
    }

    fn turn(gateway: &mut Gateway) -> Vec<LinkId> {
        let mut links = Vec::new();
        gateway
            .wait(None, &mut |event| match event {
                Event::Up(link) | Event::Frame(link, _) | Event::Down(link) => links.push(link),
            })
            .unwrap();
        links
    }

    #[test]
    fn a_link_takes_the_transport_that_its_address_names() {
        let (mut gateway, near, far) = gateway();
        let local = gateway.connect(&Address("ipc:///tmp/x".to_owned()));
        let elsewhere = "net://10.0.0.2:9#12 0000000000000001 ipc:///tmp/y";
        let remote = gateway.connect(&Address(elsewhere.to_owned()));
        let here = gateway.listen_beyond().unwrap();
        gateway.connect(&here);
        assert_eq!(near.0.borrow().connected, ["ipc:///tmp/x", "net://10.0.0.1:7"]);
        assert_eq!(far.0.borrow().connected, ["net://10.0.0.2:9#12"]);
        assert_ne!(local, remote);
        gateway.send(local, b"x").unwrap();
        gateway.send(remote, b"x").unwrap();
        gateway.close(remote);
        assert_eq!(
            (&*near.0.borrow().sent, &*far.0.borrow().sent),
            (&[local][..], &[LinkId(5)][..])
        );
        assert_eq!(far.0.borrow().closed, [LinkId(5)]);
        far.0.borrow_mut().frames.push(LinkId(5));
        assert_eq!(turn(&mut gateway), [remote]);
    }

    #[test]
    fn a_wait_blocks_only_when_nothing_has_come_from_another_machine() {
        let (mut gateway, near, far) = gateway();
        gateway.listen_beyond().unwrap();
        turn(&mut gateway);
        assert_eq!((near.0.borrow().waits_that_block, far.0.borrow().waits_that_block), (1, 0));
        far.0.borrow_mut().frames.push(LinkId(5));
        turn(&mut gateway);
        assert_eq!((near.0.borrow().waits_that_block, far.0.borrow().waits_that_block), (1, 0));
    }

    #[test]
    fn nothing_is_opened_before_it_is_needed_and_its_failure_is_told() {
        let open: Open = Box::new(|| Err(TransportError("no such address".to_owned())));
        let mut gateway = Gateway::new(Box::new(Fake::default()), home(), open);
        assert!(turn(&mut gateway).is_empty());
        assert_eq!(gateway.listen_beyond().unwrap_err().to_string(), "no such address");
        let address = "net://10.0.0.2:9#12 0000000000000001 ipc:///tmp/y";
        let link = gateway.connect(&Address(address.to_owned()));
        assert_eq!(turn(&mut gateway), [link]);
        assert_eq!(gateway.refusal().as_deref(), Some("no such address"));
    }
}
