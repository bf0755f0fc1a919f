//! Signals and the lifeline: what reaches a process from outside its links.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hoptree_core::Waker;
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::low_level;

use crate::ending::die_by;
use crate::process::{is_ignored, remove_directory, unblock_all};
use crate::threads::named;

/// A second request to end that comes sooner is taken for an echo of the first: some programs
/// signal a process, and then its group.
const ECHO_TIME: Duration = Duration::from_millis(100);

/// Where a SIGINT cancels, a second one within this time ends the program.
const INSISTENCE_TIME: Duration = Duration::from_secs(1);

/// Virtual memory; pages that the thread does not touch cost nothing.
const STACK_BYTES: usize = 64 * 1024;

/// The signals that have come. The thread that waits for them sets a flag and wakes the loop; the
/// flags bound what can pile up.
#[derive(Clone, Default)]
pub struct Signals(Arc<Flags>);

#[derive(Default)]
struct Flags {
    child: AtomicBool,
    interrupt: AtomicI32,
    /// Whether a SIGINT cancels before one ends the program.
    interrupt_cancels: AtomicBool,
    cancel: AtomicBool,
    last_deed: Mutex<Option<LastDeed>>,
}

type LastDeed = Box<dyn FnOnce() + Send>;

impl Signals {
    /// Watches, at the control node, for the end of children and for the user's wish to end. A signal
    /// that was ignored when the program was started, as nohup has it, stays ignored.
    ///
    /// The second SIGINT, SIGTERM or SIGHUP that asks for an end ends the process at once, whatever its
    /// loop is doing; the lifeline then ends the tree. `restore` is done before that.
    ///
    /// # Errors
    ///
    /// When the system refuses a handler or a thread.
    pub fn of_control_node(waker: Waker, restore: fn()) -> io::Result<Signals> {
        let mut wanted = vec![SIGCHLD];
        wanted.extend([SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)));
        Signals::watch(&wanted, None, waker, restore)
    }

    /// Watches, at a compute node, for the end of children, and for that of the control node, which
    /// ends this process at once, after what [`Signals::do_last`] wants: nothing else in it could be worth
    /// waiting for, and a destructor might hang. Whoever goes last leaves nothing in the tree's directory.
    ///
    /// # Errors
    ///
    /// When the system refuses a handler or a thread.
    pub fn of_compute_node(
        lifeline: OwnedFd,
        directory: PathBuf,
        waker: Waker,
    ) -> io::Result<Signals> {
        Signals::watch(&[SIGCHLD], Some((lifeline, directory)), waker, || ())
    }

    /// Has `deed` done before the process ends since the control node is gone. It may take a moment.
    pub fn do_last(&self, deed: impl FnOnce() + Send + 'static) {
        *self.0.last_deed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(deed));
    }

    fn take_last_deed(&self) -> Option<LastDeed> {
        self.0.last_deed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether a child may have ended since this was last asked.
    pub fn take_child(&self) -> bool {
        self.0.child.swap(false, Ordering::Acquire)
    }

    /// The first signal that asked the program to end.
    pub fn interrupt(&self) -> Option<i32> {
        Some(self.0.interrupt.load(Ordering::Acquire)).filter(|signal| *signal != 0)
    }

    /// Says whether a SIGINT only cancels, unless it comes within a second of another.
    pub fn set_interrupt_cancels(&self, cancels: bool) {
        self.0.interrupt_cancels.store(cancels, Ordering::Release);
    }

    /// Whether a SIGINT that cancels has come since this was last asked.
    pub fn take_cancel(&self) -> bool {
        self.0.cancel.swap(false, Ordering::Acquire)
    }

    fn watch(
        wanted: &[i32],
        lifeline: Option<(OwnedFd, PathBuf)>,
        waker: Waker,
        restore: fn(),
    ) -> io::Result<Signals> {
        let (read, write) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, wanted)?;
        // A child may have ended before the handler stood.
        let signals = Signals(Arc::new(Flags { child: AtomicBool::new(true), ..Flags::default() }));
        let watcher = Watcher {
            signals: signals.clone(),
            delivery,
            lifeline,
            waker,
            restore,
            cancelled: None,
            interrupted: None,
        };
        named("signals").stack_size(STACK_BYTES).spawn(move || watcher.run())?;
        Ok(signals)
    }
}

/// The thread behind [`Signals`].
struct Watcher {
    signals: Signals,
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    /// The tree's, with the directory that does not outlive it.
    lifeline: Option<(OwnedFd, PathBuf)>,
    waker: Waker,
    /// What must be done before the process ends at once.
    restore: fn(),
    cancelled: Option<Instant>,
    interrupted: Option<Instant>,
}

/// What a SIGINT does.
#[derive(Debug, PartialEq, Eq)]
enum Interrupt {
    Cancels,
    /// Nothing: it is an echo.
    Echoes,
    Ends,
}

impl Interrupt {
    /// What one does that comes this long after the last that cancelled, where a first one cancels.
    fn after(cancelled: Option<Duration>) -> Interrupt {
        match cancelled {
            Some(ago) if ago < ECHO_TIME => Interrupt::Echoes,
            Some(ago) if ago < INSISTENCE_TIME => Interrupt::Ends,
            _ => Interrupt::Cancels,
        }
    }
}

impl Watcher {
    fn run(mut self) {
        // It takes the signals also while other threads hold them back.
        unblock_all();
        loop {
            self.wait();
            for signal in self.delivery.pending() {
                self.note(signal);
            }
        }
    }

    /// Returns when a signal has come, and never when the lifeline has broken.
    fn wait(&self) {
        let mut fds = vec![PollFd::new(self.delivery.get_read(), PollFlags::IN)];
        // Nothing is ever written to the lifeline: only its hang-up is of interest, which is
        // reported unasked.
        fds.extend(self.lifeline.iter().map(|(read, _)| PollFd::new(read, PollFlags::empty())));
        if poll(&mut fds, None).is_ok()
            && fds.get(1).is_some_and(|lifeline| !lifeline.revents().is_empty())
            && let Some((_, directory)) = &self.lifeline
        {
            if let Some(deed) = self.signals.take_last_deed() {
                deed();
            }
            remove_directory(directory);
            low_level::exit(0);
        }
    }

    fn note(&mut self, signal: i32) {
        let flags = &self.signals.0;
        if signal == SIGCHLD {
            flags.child.store(true, Ordering::Release);
        } else if let Some(first) = self.interrupted {
            if first.elapsed() >= ECHO_TIME {
                (self.restore)();
                die_by(signal);
            }
        } else {
            match self.effect(signal) {
                Interrupt::Cancels => {
                    self.cancelled = Some(Instant::now());
                    flags.cancel.store(true, Ordering::Release);
                }
                Interrupt::Echoes => {}
                Interrupt::Ends => {
                    self.interrupted = Some(Instant::now());
                    flags.interrupt.store(signal, Ordering::Release);
                }
            }
        }
        self.waker.wake();
    }

    /// What a signal does that asks for an end.
    fn effect(&self, signal: i32) -> Interrupt {
        if signal == SIGINT && self.signals.0.interrupt_cancels.load(Ordering::Acquire) {
            Interrupt::after(self.cancelled.map(|cancelled| cancelled.elapsed()))
        } else {
            Interrupt::Ends
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_signal_sets_its_flag_and_wakes_the_loop() {
        let (woken, wakes) = mpsc::channel();
        let waker = Waker::new(move || woken.send(()).unwrap());
        let signals = Signals::watch(&[SIGHUP], None, waker, || ()).unwrap();
        assert!(signals.take_child(), "a child may have ended before");
        assert_eq!(signals.interrupt(), None);

        low_level::raise(SIGHUP).unwrap();
        wakes.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(signals.interrupt(), Some(SIGHUP));
        assert!(!signals.take_child());
    }

    #[test]
    fn an_interrupt_cancels_and_a_second_one_soon_after_ends() {
        let after = |ms| Interrupt::after(Some(Duration::from_millis(ms)));
        assert_eq!(Interrupt::after(None), Interrupt::Cancels);
        assert_eq!((after(0), after(99)), (Interrupt::Echoes, Interrupt::Echoes));
        assert_eq!((after(100), after(999)), (Interrupt::Ends, Interrupt::Ends));
        assert_eq!((after(1_000), after(60_000)), (Interrupt::Cancels, Interrupt::Cancels));
    }
}
