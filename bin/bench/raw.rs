//! A transport without hoptree's core: this process and chains of relays.

use std::time::{Duration, Instant};

use hoptree_core::{Event, LinkId, Transport, TransportSpec};

use super::PATIENCE;
use crate::failure::Failure;
use crate::process::{Children, Role};

/// The near end of the chains.
pub struct Raw {
    transport: Box<dyn Transport>,
    chains: Vec<LinkId>,
}

impl Raw {
    /// Starts a chain of each of these lengths, and returns when all are ready.
    ///
    /// # Errors
    ///
    /// When the transport or the system refuses.
    pub fn open(
        spec: &TransportSpec,
        children: &Children,
        lengths: &[usize],
    ) -> Result<Raw, Failure> {
        let transport =
            (spec.open)(children.directory()).map_err(Failure::doing("open the transport"))?;
        let mut raw = Raw { transport, chains: Vec::new() };
        for length in lengths {
            let address = raw.transport.listen().map_err(Failure::doing("listen"))?;
            let role = Role::Relay { below: length - 1 };
            children.spawn_helper(role, &address).map_err(Failure::Runtime)?;
            // The relay at the end says that it is there.
            let chain = raw.receive()?;
            raw.chains.push(chain);
        }
        Ok(raw)
    }

    /// Sends a frame to the end of a chain, and says how long it takes to come back.
    ///
    /// # Errors
    ///
    /// When it does not come back.
    pub fn trip(&mut self, chain: usize, frame: &[u8]) -> Result<Duration, Failure> {
        let link = self.chains[chain];
        let start = Instant::now();
        self.transport
            .send(link, frame)
            .map_err(|error| Failure::Runtime(format!("a relay takes no frame: {error:?}")))?;
        self.receive()?;
        Ok(start.elapsed())
    }

    /// Waits for a frame, and says on which link it came.
    fn receive(&mut self) -> Result<LinkId, Failure> {
        let until = Instant::now() + PATIENCE;
        let (mut came, mut lost) = (None, false);
        while came.is_none() && !lost && Instant::now() < until {
            self.transport
                .wait(Some(until), &mut |event| match event {
                    Event::Up(_) => {}
                    Event::Frame(link, _) => came = Some(link),
                    Event::Down(_) => lost = true,
                })
                .map_err(Failure::doing("go on"))?;
        }
        came.ok_or_else(|| Failure::Runtime("a relay is gone or does not answer".to_owned()))
    }
}
