//! A node that does nothing but use its transport, in a thread of its own, as every real one does.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::{
    Address, FRAME_BYTES_MAX, KEY_BYTES, LinkId, Opening, SEALED_BYTES_MAX, Secret, SendError,
    Transport, TransportError, TransportSpec, Waker, linked_transports,
};
use hoptree_seal::{Listens, Sealed};
use hoptree_tcp::{Listen, Tcp};

use crate::deadline::{PATIENCE, PROMPT, SILENCE};
use crate::directory::Directory;

/// How a transport is opened.
type Open = fn(Opening<'_>) -> Result<Box<dyn Transport>, TransportError>;

/// What the transport of links between machines is called here.
const BETWEEN_MACHINES: &str = "tcp";

/// What all nodes of the tests know.
pub const SECRET: Secret = Secret::new(&[7; KEY_BYTES]);

/// A transport that is held to the contract, and the directory of one tree of it.
#[derive(Clone)]
pub struct Candidate {
    pub name: &'static str,
    open: Open,
    is_sealed: bool,
    directory: Arc<Directory>,
}

impl Candidate {
    pub fn new(name: &'static str, open: Open) -> Candidate {
        Candidate { name, open, is_sealed: false, directory: Arc::new(Directory::new()) }
    }

    /// The same under the seal.
    pub fn sealed(self) -> Candidate {
        Candidate { is_sealed: true, ..self }
    }

    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// The longest frame that it takes.
    pub fn frame_bytes_max(&self) -> usize {
        if self.is_sealed { FRAME_BYTES_MAX } else { SEALED_BYTES_MAX }
    }

    /// The linked transport of this name.
    #[track_caller]
    pub fn linked(name: &str) -> Candidate {
        let spec = linked(name);
        Candidate::new(spec.name, spec.open)
    }

    /// The transport of links between machines, which registers itself nowhere.
    pub fn between_machines() -> Candidate {
        Candidate::new(BETWEEN_MACHINES, |_| {
            let listen = Listen::from_text("127.0.0.1", None, None).map_err(TransportError)?;
            Ok(Box::new(Tcp::open(listen)?))
        })
    }

    /// The one that another process has under this name.
    #[track_caller]
    pub fn named(name: &str) -> Candidate {
        if name == BETWEEN_MACHINES {
            Candidate::between_machines()
        } else {
            Candidate::linked(name)
        }
    }

    /// The same, in the directory of another process.
    pub fn in_directory(self, path: &str) -> Candidate {
        Candidate { directory: Arc::new(Directory::of_another(path)), ..self }
    }

    pub fn open(&self) -> Result<Box<dyn Transport>, TransportError> {
        let directory = self.directory();
        let transport = (self.open)(Opening { directory, secret: SECRET })?;
        if !self.is_sealed {
            return Ok(transport);
        }
        Ok(Box::new(Sealed::new(transport, SECRET, Listens::Sealed)))
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// The linked transport of this name.
#[track_caller]
pub fn linked(name: &str) -> &'static TransportSpec {
    let linked = linked_transports().unwrap();
    let spec = linked.into_iter().find(|spec| spec.name == name);
    spec.unwrap_or_else(|| panic!("no linked transport is called '{name}'"))
}

pub use hoptree_test_support::{Down, Frame, Seen, Up, wait};

/// Something to be done with a node's transport, in the node's thread.
type Work = Box<dyn FnOnce(&mut dyn Transport) + Send>;

/// It always waits, for ever, unless it has something to do or was told not to read. Dropped, it
/// drops its transport, and waits until that is done.
pub struct Node {
    orders: Option<Sender<Order>>,
    waker: Waker,
    diary: Arc<Diary>,
}

enum Order {
    Call(Work),
    Read(bool),
    Finish(Duration),
}

/// What a node has seen so far.
#[derive(Default)]
struct Diary {
    pages: Mutex<Pages>,
    changed: Condvar,
}

#[derive(Default)]
struct Pages {
    seen: Vec<Seen>,
    is_over: bool,
}

impl Node {
    #[track_caller]
    pub fn open(candidate: &Candidate) -> Node {
        let (orders, taken) = mpsc::channel();
        let (waker, opened) = mpsc::channel();
        let diary = Arc::<Diary>::default();
        thread::spawn({
            let (candidate, diary) = (candidate.clone(), Arc::clone(&diary));
            move || {
                let _over = Over(&diary);
                // It is dropped first, with its directory: when this node is over, the process may end.
                let candidate = candidate;
                let transport = candidate.open().unwrap();
                waker.send(transport.waker()).unwrap();
                serve(transport, &taken, &diary);
            }
        });
        let waker = opened.recv_timeout(PATIENCE).expect("a transport opens");
        Node { orders: Some(orders), waker, diary }
    }

    /// Does something with the transport between two waits.
    #[track_caller]
    pub fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut dyn Transport) -> T + Send + 'static,
    ) -> T {
        let (result, done) = mpsc::channel();
        self.order(Order::Call(Box::new(move |transport| {
            // Nobody waits for it any more when the test has failed.
            let _ = result.send(call(transport));
        })));
        match done.recv_timeout(PATIENCE) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => panic!("a call or a wait blocks"),
            Err(RecvTimeoutError::Disconnected) => panic!("the node has failed, see above"),
        }
    }

    #[track_caller]
    pub fn listen(&self) -> Address {
        self.call(|transport| transport.listen()).unwrap()
    }

    #[track_caller]
    pub fn connect(&self, to: &Address) -> LinkId {
        let to = to.clone();
        self.call(move |transport| transport.connect(&to))
    }

    #[track_caller]
    pub fn send(&self, link: LinkId, frame: &[u8]) -> Result<(), SendError> {
        let frame = frame.to_vec();
        self.call(move |transport| {
            let before = Instant::now();
            let sent = transport.send(link, &frame);
            assert!(before.elapsed() < PROMPT, "a send took {:?}", before.elapsed());
            sent
        })
    }

    /// Sends, and when the link is full, again.
    #[track_caller]
    pub fn push(&self, link: LinkId, frame: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.send(link, frame) {
            assert_eq!(error, SendError::Full);
            assert!(Instant::now() < deadline, "it stays full though the other side reads");
            thread::yield_now();
        }
    }

    /// Stops waiting, and so reading, until [`Node::read`].
    #[track_caller]
    pub fn pause(&self) {
        self.order(Order::Read(false));
        // Once this is answered, it has paused.
        self.call(|_| ());
    }

    pub fn read(&self) {
        self.order(Order::Read(true));
    }

    /// Ends the transport in order, and says how long that took.
    #[track_caller]
    pub fn finish(self, within: Duration) -> Duration {
        let before = Instant::now();
        self.order(Order::Finish(within));
        self.diary.until_over(within + PATIENCE);
        before.elapsed()
    }

    /// Waits until what was seen so far fits.
    #[track_caller]
    pub fn until(&self, is_done: impl Fn(&[Seen]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut pages = self.diary.open();
        while !is_done(&pages.seen) {
            let last: Vec<_> = pages.seen.iter().rev().take(3).collect();
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} events, the last are {last:?}", pages.seen.len());
            assert!(!pages.is_over, "the node has failed, see above");
            pages = self.diary.changed.wait_timeout(pages, left).unwrap().0;
        }
    }

    #[track_caller]
    pub fn until_seen(&self, event: &Seen) {
        self.until(|seen| seen.contains(event));
    }

    #[track_caller]
    pub fn until_events(&self, count: usize) {
        self.until(|seen| seen.len() >= count);
    }

    /// Waits until nothing has happened for a while.
    #[track_caller]
    pub fn comes_to_rest(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_silent() {
            assert!(Instant::now() < deadline, "it never comes to rest");
        }
    }

    /// Watches for a while that nothing happens.
    #[track_caller]
    pub fn stays_silent(&self) {
        let before = self.seen().len();
        assert!(self.is_silent(), "out of silence came {:?}", &self.seen()[before..]);
    }

    /// Whether nothing happens for a while; if something does, it is known at once.
    #[track_caller]
    fn is_silent(&self) -> bool {
        let end = Instant::now() + SILENCE;
        let mut pages = self.diary.open();
        let before = pages.seen.len();
        while pages.seen.len() == before {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            assert!(!pages.is_over, "the node has failed, see above");
            pages = self.diary.changed.wait_timeout(pages, left).unwrap().0;
        }
        false
    }

    /// All that it has seen.
    pub fn seen(&self) -> Vec<Seen> {
        self.diary.open().seen.clone()
    }

    /// All that it has seen of one link.
    pub fn seen_of(&self, link: LinkId) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.link() == link).collect()
    }

    /// The links that came up, in that order.
    pub fn ups(&self) -> Vec<LinkId> {
        let seen = self.seen().into_iter();
        seen.filter_map(|seen| if let Up(link) = seen { Some(link) } else { None }).collect()
    }

    fn order(&self, order: Order) {
        let orders = self.orders.as_ref().expect("it goes only when dropped");
        // A node that has failed says so to whoever waits for it.
        let _ = orders.send(order);
        self.waker.wake();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.orders = None;
        self.waker.wake();
        // A second panic would hide the first.
        if !thread::panicking() {
            self.diary.until_over(PATIENCE);
        }
    }
}

impl Diary {
    fn open(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn until_over(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut pages = self.open();
        while !pages.is_over {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the transport does not end within {within:?}");
            pages = self.changed.wait_timeout(pages, left).unwrap().0;
        }
    }
}

/// Says in the diary that its node is over, also when it failed.
struct Over<'a>(&'a Diary);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.open().is_over = true;
        self.0.changed.notify_all();
    }
}

/// Gives a transport all that it needs until the node is dropped or finishes.
fn serve(mut transport: Box<dyn Transport>, orders: &Receiver<Order>, diary: &Diary) {
    let mut reads = true;
    loop {
        let order = if reads {
            orders.try_recv()
        } else {
            orders.recv().map_err(|_| TryRecvError::Disconnected)
        };
        match order {
            Ok(Order::Call(call)) => call(&mut *transport),
            Ok(Order::Read(on)) => reads = on,
            Ok(Order::Finish(within)) => return transport.finish(within),
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                let seen = wait(&mut *transport, None);
                if !seen.is_empty() {
                    diary.open().seen.extend(seen);
                    diary.changed.notify_all();
                }
            }
        }
    }
}

/// A parent, a child that has said hello to it, and the link as each of them names it.
pub struct Pair {
    pub parent: Node,
    pub child: Node,
    pub down: LinkId,
    pub up: LinkId,
}

impl Pair {
    #[track_caller]
    pub fn new(candidate: &Candidate) -> Pair {
        let parent = Node::open(candidate);
        let (child, up, down) = join(candidate, &parent);
        Pair { parent, child, down, up }
    }

    /// Whether frames still travel both ways.
    #[track_caller]
    pub fn works(&self) {
        for (from, link, to, name) in [
            (&self.child, self.up, &self.parent, self.down),
            (&self.parent, self.down, &self.child, self.up),
        ] {
            static ASKED: AtomicU32 = AtomicU32::new(0);
            let text = format!("still here? {}", ASKED.fetch_add(1, Ordering::Relaxed));
            from.push(link, text.as_bytes());
            to.until_seen(&Frame(name, text.into_bytes()));
        }
    }
}

/// A child that has said hello to this parent, and how it and the parent name the link.
#[track_caller]
pub fn join(candidate: &Candidate, parent: &Node) -> (Node, LinkId, LinkId) {
    join_at(&parent.listen(), candidate, parent)
}

/// The same with an address that this parent has said before.
#[track_caller]
pub fn join_at(address: &Address, candidate: &Candidate, parent: &Node) -> (Node, LinkId, LinkId) {
    let before = parent.ups().len();
    let child = Node::open(candidate);
    let up = child.connect(address);
    child.until_events(1);
    assert_eq!(child.seen(), [Up(up)]);
    child.send(up, b"hello").unwrap();
    parent.until(|seen| seen.iter().filter(|seen| matches!(seen, Up(_))).count() > before);
    let down = parent.ups()[before];
    parent.until_seen(&Frame(down, b"hello".to_vec()));
    assert_eq!(parent.seen_of(down), [Up(down), Frame(down, b"hello".to_vec())]);
    (child, up, down)
}
