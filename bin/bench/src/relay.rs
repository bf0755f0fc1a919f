//! One process of a chain that passes frames on, with nothing between it and its transport, not even
//! the seal. The last one sends them back, or sends what a program writes.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use hoptree_core::{Address, Event, FRAME_BYTES_MAX, LinkId, SendError, Transport};
use hoptree_host::process::{ChildProcesses, Heritage};
use hoptree_host::{Failure, Helper, transports};

use super::crew;
use super::program::Program;

/// How soon a frame that the transport had no room for is tried again: nothing tells when it has.
const RETRY_TIME: Duration = Duration::from_millis(1);

/// What the last relay of a chain does with a frame that comes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It sends the frame back.
    Echo,
    /// It sends as many frames of a program's output as the frame [wants](wanted).
    Source,
}

/// A relay of a chain that ends with an echo, with as many more below it as its argument says.
pub const HELPER: Helper = Helper {
    name: "bench-relay",
    run: |below, near, heritage| serve(End::Echo, below, near, heritage),
};

/// The same of a chain that ends with a source.
pub const SOURCE_HELPER: Helper = Helper {
    name: "bench-source",
    run: |below, near, heritage| serve(End::Source, below, near, heritage),
};

impl End {
    /// What starts a chain with this end.
    pub fn helper(self) -> Helper {
        match self {
            End::Echo => HELPER,
            End::Source => SOURCE_HELPER,
        }
    }
}

/// The frame that wants this many of a source.
pub fn wanted(frames: u32) -> [u8; 4] {
    frames.to_le_bytes()
}

/// Passes frames on, to and from a chain of `below` more relays, until the benchmark is over.
///
/// # Errors
///
/// When the transport or the system refuses.
fn serve(end: End, below: u32, parent: &Address, heritage: Heritage) -> Result<(), Failure> {
    crew::join(&heritage)?;
    let spec = transports::find(&heritage.transport)?;
    let (mut transport, _lock) = transports::open_without_seal(spec, heritage.opening())?;
    let parent = transport.connect(parent);
    let relay = Relay {
        end,
        below,
        parent,
        child: None,
        program: None,
        transport,
        children: ChildProcesses::new(heritage),
        unsent: VecDeque::new(),
    };
    relay.run()
}

struct Relay {
    end: End,
    below: u32,
    parent: LinkId,
    child: Option<LinkId>,
    program: Option<Program>,
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
                self.send(link, frame);
            }
            for (link, frame) in news.frames.drain(..) {
                self.pass_on(link, frame)?;
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
            let name = self.end.helper().name;
            self.children.spawn_helper(name, below, &address).map_err(Failure::Runtime)?;
        } else {
            self.send(self.parent, b"ready".to_vec());
        }
        Ok(())
    }

    fn pass_on(&mut self, from: LinkId, frame: Vec<u8>) -> Result<(), Failure> {
        match (self.child, self.end) {
            (Some(child), _) if from == self.parent => self.send(child, frame),
            (None, End::Source) => return self.send_wanted(&frame),
            _ => self.send(self.parent, frame),
        }
        Ok(())
    }

    /// Sends as many frames of the program's output as this one wants. It runs anew when all of its
    /// output is sent.
    fn send_wanted(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let frames = frame.try_into().map_or(0, u32::from_le_bytes);
        for _ in 0..frames {
            let mut program = match self.program.take() {
                Some(program) => program,
                None => Program::start()?,
            };
            let mut frame = vec![0; FRAME_BYTES_MAX];
            program.read(&mut frame)?;
            self.program = program.go_on()?;
            self.send(self.parent, frame);
        }
        Ok(())
    }

    /// One that waits is not overtaken; whether the end of a link is told is not asked here.
    fn send(&mut self, to: LinkId, frame: Vec<u8>) {
        if !self.unsent.is_empty() || self.transport.send(to, &frame) == Err(SendError::Full) {
            self.unsent.push_back((to, frame));
        }
    }
}
