//! Sockets without any library: what the system itself takes for a round trip, and how soon it
//! tells that a process has ended.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use hoptree_core::Address;
use hoptree_host::process::{ChildProcesses, Heritage, make_directory};
use hoptree_host::{Failure, Helper};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::PATIENCE;
use super::crew;
use super::victim::{Victim, let_arrive};

/// What a peer says first.
const HELLO: u8 = b'+';

/// The most that a peer reads at once.
const READ_BYTES_MAX: usize = 64 * 1024;

/// What a peer of a Unix socket connects to begins with this, as every full path does.
const PATH_START: char = '/';

/// A place where peers connect to.
pub struct Socket {
    listener: Listener,
    address: Address,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection, by one means or the other.
trait Stream: Read + Write {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}

/// A peer that sends back what comes.
pub struct Peer {
    stream: Box<dyn Stream>,
    /// What has come back, for as long as a frame is.
    back: Vec<u8>,
    process: Victim,
}

impl Socket {
    /// Listens, on this machine only.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn tcp() -> Result<Socket, Failure> {
        let cannot = Failure::doing("listen");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(&cannot)?;
        let address = Address(listener.local_addr().map_err(&cannot)?.to_string());
        Ok(Socket { listener: Listener::Tcp(listener), address })
    }

    /// Listens, in the directory of a crew.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn unix(directory: &Path) -> Result<Socket, Failure> {
        make_directory(directory)?;
        let path = directory.join("bench-socket");
        let listener = UnixListener::bind(&path).map_err(Failure::doing("listen"))?;
        let address = Address(path.to_string_lossy().into_owned());
        Ok(Socket { listener: Listener::Unix(listener), address })
    }

    /// Starts a peer, and returns when it has connected.
    ///
    /// # Errors
    ///
    /// When the system refuses, or nobody comes.
    pub fn peer(&self, children: &ChildProcesses) -> Result<Peer, Failure> {
        let pid = children.spawn_helper(HELPER.name, 0, &self.address).map_err(Failure::Runtime)?;
        let mut stream = self.accept().map_err(Failure::doing("accept a peer"))?;
        stream.read_exact(&mut [0]).map_err(Failure::doing("accept a peer"))?;
        Ok(Peer { stream, back: Vec::new(), process: Victim::new(pid) })
    }

    /// Starts a peer, kills it, and says how long it takes from the kill to end-of-file.
    ///
    /// # Errors
    ///
    /// When anything else happens.
    pub fn lose_a_peer(&self, children: &ChildProcesses) -> Result<Duration, Failure> {
        let mut peer = self.peer(children)?;
        peer.process.stop()?;
        let_arrive()?;
        let start = Instant::now();
        peer.process.kill()?;
        let end = read_some(&mut *peer.stream, &mut [0]);
        let took = start.elapsed();
        match end {
            Ok(0) => Ok(took),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(took),
            Ok(_) => Err(Failure::Runtime("a peer says too much".to_owned())),
            Err(error) => Err(Failure::doing("read to the end")(error)),
        }
    }

    fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match &self.listener {
            Listener::Tcp(listener) => {
                await_peer(PollFd::new(listener, PollFlags::IN))?;
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
            Listener::Unix(listener) => {
                await_peer(PollFd::new(listener, PollFlags::IN))?;
                let (stream, _) = listener.accept()?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl Peer {
    /// Sends a frame, and says how long it takes to come back.
    ///
    /// # Errors
    ///
    /// When it does not come back.
    pub fn trip(&mut self, frame: &[u8]) -> Result<Duration, Failure> {
        self.back.resize(frame.len(), 0);
        let start = Instant::now();
        self.stream
            .write_all(frame)
            .and_then(|()| self.stream.read_exact(&mut self.back))
            .map_err(Failure::doing("go on"))?;
        Ok(start.elapsed())
    }
}

/// Waits until a listener has a peer to accept. The end of a child may interrupt it.
fn await_peer(listener: PollFd<'_>) -> io::Result<()> {
    let time = Timespec::try_from(PATIENCE).expect("it is a matter of seconds");
    let mut fds = [listener];
    match rustix::io::retry_on_intr(|| poll(&mut fds, Some(&time)))? {
        0 => Err(ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

/// One read. The signal that tells of the end of a child may interrupt it.
fn read_some(stream: &mut (impl Read + ?Sized), bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// The far end of a plain socket.
pub const HELPER: Helper =
    Helper { name: "bench-socket", run: |_, near, heritage| serve(near, &heritage) };

/// Is the far end, until the benchmark is over.
///
/// # Errors
///
/// When the near end is not there.
fn serve(near: &Address, heritage: &Heritage) -> Result<(), Failure> {
    crew::join(heritage)?;
    let mut stream = connect(&near.0).map_err(Failure::doing("connect"))?;
    stream.write_all(&[HELLO]).map_err(Failure::doing("say hello"))?;
    let mut bytes = vec![0; READ_BYTES_MAX];
    // When the near end is gone, so is the benchmark.
    while let Ok(length @ 1..) = read_some(&mut *stream, &mut bytes) {
        if stream.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    Ok(())
}

fn connect(near: &str) -> io::Result<Box<dyn Stream>> {
    if near.starts_with(PATH_START) {
        return Ok(Box::new(UnixStream::connect(near)?));
    }
    let stream = TcpStream::connect(near)?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
