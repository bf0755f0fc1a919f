//! A transport without hoptree's core and without the seal: this process and chains of relays.

use std::time::{Duration, Instant};

use hoptree_core::{Event, FRAME_BYTES_MAX, LinkId, SendError, Transport, TransportSpec};
use hoptree_host::process::{ChildProcesses, DirectoryLock};
use hoptree_host::{Failure, transports};

use super::relay::{End, wanted};
use super::stream::Flow;
use super::victim::{Victim, let_arrive};
use super::{PATIENCE, program};

/// How many frames may be on their way from a source.
const SOURCE_WINDOW: usize = 16;

/// The near end of the chains.
pub struct Raw {
    transport: Box<dyn Transport>,
    _lock: Option<DirectoryLock>,
    chains: Vec<LinkId>,
    /// What all of them end with.
    end: End,
    /// The first process of each chain.
    processes: Vec<Victim>,
}

impl Raw {
    /// Starts a chain of each of these lengths, which sends back what comes, and returns when all are
    /// ready.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(
        spec: &TransportSpec,
        children: &ChildProcesses,
        lengths: &[usize],
    ) -> Result<Raw, Failure> {
        Raw::open_chains(spec, children, lengths, End::Echo)
    }

    /// The same with a program at the end of each chain, whose output comes when it is asked for.
    ///
    /// # Errors
    ///
    /// As [`Raw::open`].
    pub fn open_sources(
        spec: &TransportSpec,
        children: &ChildProcesses,
        lengths: &[usize],
    ) -> Result<Raw, Failure> {
        Raw::open_chains(spec, children, lengths, End::Source)
    }

    fn open_chains(
        spec: &TransportSpec,
        children: &ChildProcesses,
        lengths: &[usize],
        end: End,
    ) -> Result<Raw, Failure> {
        let (transport, lock) = transports::open_without_seal(spec, children.opening())?;
        let (chains, processes) = (Vec::new(), Vec::new());
        let mut raw = Raw { transport, _lock: lock, chains, end, processes };
        for length in lengths {
            let (chain, process) = raw.start(children, *length)?;
            raw.chains.push(chain);
            raw.processes.push(process);
        }
        Ok(raw)
    }

    /// The first process of each chain.
    pub fn processes(&self) -> &[Victim] {
        &self.processes
    }

    /// Sends frames to the end of a chain, and says how long it takes until all are back.
    ///
    /// # Errors
    ///
    /// When they do not come back.
    pub fn trip(&mut self, chain: usize, frames: &[Vec<u8>]) -> Result<Duration, Failure> {
        let link = self.chains[chain];
        let start = Instant::now();
        for frame in frames {
            self.transport.send(link, frame).map_err(refused)?;
        }
        self.receive_all(frames.len())?;
        Ok(start.elapsed())
    }

    /// Sends a frame to the end of each of the first N chains, and says how long it takes
    /// until all are back.
    ///
    /// # Errors
    ///
    /// When they do not come back.
    pub fn fan_out(&mut self, chains: usize, frame: &[u8]) -> Result<Duration, Failure> {
        let start = Instant::now();
        for link in &self.chains[..chains] {
            self.transport.send(*link, frame).map_err(refused)?;
        }
        self.receive_all(chains)?;
        Ok(start.elapsed())
    }

    /// Sends a frame to the ends of the first N chains in turn, for as long as this and with
    /// at most `window` not back yet, and waits for the rest.
    ///
    /// # Errors
    ///
    /// When they do not come back.
    pub fn flow(
        &mut self,
        chains: usize,
        frame: &[u8],
        window: usize,
        time: Duration,
    ) -> Result<Flow, Failure> {
        let (mut sent, mut answered) = (0, 0);
        let start = Instant::now();
        let mut sending = true;
        while sending || answered < sent {
            while sending && sent - answered < window {
                match self.transport.send(self.chains[sent % chains], frame) {
                    Ok(()) => sent += 1,
                    // What comes back makes room.
                    Err(SendError::Full) if answered < sent => break,
                    Err(error) => return Err(refused(error)),
                }
            }
            answered += self.receive_some()?;
            sending = sending && start.elapsed() < time;
        }
        Ok(Flow { answered, took: start.elapsed() })
    }

    /// Has the end of a chain run its program, and says how long it takes until all of its output is
    /// here, in the longest frames.
    ///
    /// # Errors
    ///
    /// When they do not come.
    pub fn drain(&mut self, chain: usize) -> Result<Duration, Failure> {
        let (link, frames) = (self.chains[chain], program::BYTES / FRAME_BYTES_MAX);
        let (mut asked_for, mut received) = (0, 0);
        let start = Instant::now();
        while received < frames {
            // Asked for as the console grants output: when half of the window is used up.
            if asked_for - received <= SOURCE_WINDOW / 2 && asked_for < frames {
                let more = (received + SOURCE_WINDOW).min(frames) - asked_for;
                let frame = wanted(u32::try_from(more).expect("a window is small"));
                self.transport.send(link, &frame).map_err(refused)?;
                asked_for += more;
            }
            received += self.receive_some()?;
        }
        Ok(start.elapsed())
    }

    /// Starts one more chain of one relay, kills it while a frame is under way to it, and says how
    /// long it takes from the kill to the transport telling that it is gone.
    ///
    /// # Errors
    ///
    /// When anything else happens.
    pub fn lose_a_relay(
        &mut self,
        children: &ChildProcesses,
        frame: &[u8],
    ) -> Result<Duration, Failure> {
        let (link, victim) = self.start(children, 1)?;
        victim.stop()?;
        self.transport.send(link, frame).map_err(refused)?;
        let_arrive()?;
        let start = Instant::now();
        victim.kill()?;
        let mut lost = false;
        while !lost && start.elapsed() < PATIENCE {
            let mut deliver = |event: Event<'_>| lost |= event == Event::Down(link);
            self.transport
                .wait(Some(start + PATIENCE), &mut deliver)
                .map_err(Failure::doing("go on"))?;
        }
        let took = start.elapsed();
        if lost { Ok(took) } else { Err(Failure::Runtime("a lost relay is not told".to_owned())) }
    }

    /// Starts a chain, and returns when it is ready.
    fn start(
        &mut self,
        children: &ChildProcesses,
        length: usize,
    ) -> Result<(LinkId, Victim), Failure> {
        let address = self.transport.listen().map_err(Failure::doing("listen"))?;
        let below = u32::try_from(length - 1).expect("chains are short");
        let name = self.end.helper().name;
        let pid = children.spawn_helper(name, below, &address).map_err(Failure::Runtime)?;
        // The relay at the end says that it is there.
        Ok((self.receive()?, Victim::new(pid)))
    }

    /// Waits for a frame, and says on which link it came.
    fn receive(&mut self) -> Result<LinkId, Failure> {
        let mut came = None;
        self.wait_for_frames(&mut |link| came = Some(link))?;
        Ok(came.expect("it waits until one has come"))
    }

    fn receive_all(&mut self, frames: usize) -> Result<(), Failure> {
        let mut received = 0;
        while received < frames {
            received += self.receive_some()?;
        }
        Ok(())
    }

    /// Waits for frames, and says how many have come.
    fn receive_some(&mut self) -> Result<usize, Failure> {
        let mut frames = 0;
        self.wait_for_frames(&mut |_| frames += 1)?;
        Ok(frames)
    }

    /// Waits until at least one frame has come.
    fn wait_for_frames(&mut self, came: &mut dyn FnMut(LinkId)) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        let (mut any, mut lost) = (false, false);
        while !any && !lost && Instant::now() < until {
            self.transport
                .wait(Some(until), &mut |event| match event {
                    Event::Up(_) => {}
                    Event::Frame(link, _) => {
                        any = true;
                        came(link);
                    }
                    Event::Down(_) => lost = true,
                })
                .map_err(Failure::doing("go on"))?;
        }
        if any {
            return Ok(());
        }
        Err(Failure::Runtime("a relay is gone or does not answer".to_owned()))
    }
}

fn refused(error: SendError) -> Failure {
    Failure::Runtime(format!("a relay takes no frame: {error:?}"))
}
