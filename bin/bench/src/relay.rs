//! One process of a chain that passes frames on, with nothing between it and its transport, not even
//! the seal.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use hoptree_core::{Address, Event, LinkId, SendError, Transport};
use hoptree_host::process::{ChildProcesses, Heritage};
use hoptree_host::{Failure, Helper, transports};

use super::crew;

/// How soon a frame that the transport had no room for is tried again: nothing tells when it has.
const RETRY_TIME: Duration = Duration::from_millis(1);

/// A relay, with as many more below it as its argument says.
pub const HELPER: Helper = Helper { name: "bench-relay", run: serve };

/// Passes frames on, to and from a chain of `below` more relays, until the benchmark is over.
///
/// # Errors
///
/// When the transport or the system refuses.
fn serve(below: u32, parent: &Address, heritage: Heritage) -> Result<(), Failure> {
    crew::join(&heritage)?;
    let spec = transports::find(&heritage.transport)?;
    let (mut transport, _lock) = transports::open_without_seal(spec, heritage.opening())?;
    let parent = transport.connect(parent);
    let relay = Relay {
        below,
        parent,
        child: None,
        transport,
        children: ChildProcesses::new(heritage),
        unsent: VecDeque::new(),
    };
    relay.run()
}

struct Relay {
    below: u32,
    parent: LinkId,
    child: Option<LinkId>,
    transport: Box<dyn Transport>,
    children: ChildProcesses,
    /// What there was no room for. The windows of whoever sends bound it.
    unsent: VecDeque<(LinkId, Vec<u8>)>,
}

/// What a wait has brought, for as long as the transport is lent to it.
#[derive(Default)]
struct News {
    up: Vec<LinkId>,
    lost: bool,
    /// At most as many as one wait delivers.
    frames: Vec<(LinkId, Vec<u8>)>,
}

impl Relay {
    fn run(mut self) -> Result<(), Failure> {
        let mut news = News::default();
        while !news.lost {
            let until = (!self.unsent.is_empty()).then(|| Instant::now() + RETRY_TIME);
            self.transport
                .wait(until, &mut |event| match event {
                    Event::Up(link) => news.up.push(link),
                    Event::Frame(link, frame) => news.frames.push((link, frame.to_vec())),
                    Event::Down(_) => news.lost = true,
                })
                .map_err(Failure::doing("go on"))?;
            for link in mem::take(&mut news.up) {
                self.rise(link)?;
            }
            for (link, frame) in mem::take(&mut self.unsent) {
                self.pass_on(link, frame);
            }
            for (link, frame) in news.frames.drain(..) {
                self.pass_on(link, frame);
            }
        }
        Ok(())
    }

    /// Once the link to the parent is up, the chain goes on; where it ends, it is ready.
    fn rise(&mut self, link: LinkId) -> Result<(), Failure> {
        if link != self.parent {
            self.child = Some(link);
        } else if let Some(below) = self.below.checked_sub(1) {
            let address = self.transport.listen().map_err(Failure::doing("listen"))?;
            self.children.spawn_helper(HELPER.name, below, &address).map_err(Failure::Runtime)?;
        } else {
            self.pass_on(self.parent, b"ready".to_vec());
        }
        Ok(())
    }

    fn pass_on(&mut self, from: LinkId, frame: Vec<u8>) {
        let to = if from == self.parent { self.child.unwrap_or(self.parent) } else { self.parent };
        // One that waits is not overtaken; whether the end of a link is told is not asked here.
        if !self.unsent.is_empty() || self.transport.send(to, &frame) == Err(SendError::Full) {
            self.unsent.push_back((from, frame));
        }
    }
}
