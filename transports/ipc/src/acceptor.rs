//! Peers on their way in.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, mem};

use hoptree_core::{Address, LinkId};
use hoptree_system::{Interest, Watch, explain};

use crate::directory::Directory;
use crate::hello::Hello;
use crate::listener::Listener;

/// How many may be accepted without having said what they want. That is said with the system call
/// after the one that connects, so these are few; when there are more, the first is sent away.
const CALLERS_MAX: usize = 64;

/// How long nobody is accepted when the system has no descriptor for a caller, who waits meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// What a watch calls the listener.
pub(crate) const LISTENER: u64 = 0;

/// Accepts those who connect to a process, and keeps them until they have said hello.
#[derive(Default)]
pub(crate) struct Acceptor {
    /// Is there once somebody may come.
    listener: Option<Listener>,
    /// When somebody is accepted again.
    paused_until: Option<Instant>,
    /// Whether a failure to accept somebody was logged, since the last who joined.
    is_logged: bool,
    /// By the links that they may become, so in the order of their coming.
    callers: BTreeMap<LinkId, OwnedFd>,
}

impl Acceptor {
    /// Where peers may connect from now on.
    pub(crate) fn listen(
        &mut self,
        directory: &Arc<Directory>,
        watch: &Watch,
    ) -> io::Result<Address> {
        if let Some(listener) = &self.listener {
            return Ok(listener.address());
        }
        let listener = Listener::open(directory)?;
        watch.add(&listener, LISTENER, Interest::Read)?;
        Ok(self.listener.insert(listener).address())
    }

    /// Accepts a caller, if there is one.
    pub(crate) fn accept(&mut self, watch: &Watch) -> Option<OwnedFd> {
        let listener = self.listener.as_ref()?;
        match listener.accept() {
            Ok(caller) => caller,
            Err(error) => {
                watch.remove(listener);
                self.paused_until = Some(Instant::now() + PAUSE);
                self.log("who wants to join has to wait", &error);
                None
            }
        }
    }

    /// The hello of a caller. One who has not said anything is kept, and is read from again when the
    /// watch tells of this link.
    pub(crate) fn read_hello(
        &mut self,
        link: LinkId,
        caller: OwnedFd,
        watch: &Watch,
    ) -> Option<Hello> {
        let read = self.listener.as_ref()?.read_hello(&caller);
        let error = match read {
            Ok(hello) => {
                self.is_logged = false;
                return Some(hello);
            }
            Err(error) => error,
        };
        if error.kind() == io::ErrorKind::WouldBlock
            && watch.add(&caller, link.0, Interest::Read).is_ok()
        {
            self.callers.insert(link, caller);
            self.send_away_too_many(watch);
        } else {
            self.log("somebody came and did not join", &error);
        }
        None
    }

    /// Who does not get in tries again, so there may be many errors in a row.
    fn log(&mut self, what: &str, error: &io::Error) {
        if !mem::replace(&mut self.is_logged, true) {
            log::warn!("{what}: {}", explain(error));
        }
    }

    /// Somebody who has not said anything, by the link that it may become.
    pub(crate) fn take(&mut self, link: LinkId, watch: &Watch) -> Option<OwnedFd> {
        let caller = self.callers.remove(&link)?;
        watch.remove(&caller);
        Some(caller)
    }

    fn send_away_too_many(&mut self, watch: &Watch) {
        if self.callers.len() > CALLERS_MAX
            && let Some((&first, _)) = self.callers.first_key_value()
        {
            drop(self.take(first, watch));
        }
    }

    /// Goes on accepting after a pause, and says until when there is one.
    pub(crate) fn paused_until(&mut self, watch: &Watch) -> Option<Instant> {
        if let (Some(until), Some(listener)) = (self.paused_until, &self.listener) {
            let now = Instant::now();
            if until <= now {
                self.paused_until =
                    watch.add(listener, LISTENER, Interest::Read).err().map(|_| now + PAUSE);
            }
        }
        self.paused_until
    }
}
