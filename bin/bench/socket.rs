//! A socket without any library: how soon the system itself tells that a process has ended.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use hoptree_core::{Address, Waker};

use super::PATIENCE;
use super::victim::{Victim, let_arrive};
use crate::failure::Failure;
use crate::process::{self, Children, Heritage, Role};
use crate::signals::Signals;

/// What a peer says first.
const HELLO: u8 = b'+';

/// The near end.
pub struct Socket {
    listener: TcpListener,
    address: Address,
}

impl Socket {
    /// Listens, on this machine only.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn listen() -> Result<Socket, Failure> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::doing("listen"))?;
        let address = listener.local_addr().map_err(Failure::doing("listen"))?.to_string();
        Ok(Socket { listener, address: Address(address) })
    }

    /// Starts a peer, kills it, and says how long it takes from the kill to end-of-file.
    ///
    /// # Errors
    ///
    /// When anything else happens.
    pub fn lose_a_peer(&self, children: &Children) -> Result<Duration, Failure> {
        let pid = children.spawn_helper(Role::Socket, &self.address).map_err(Failure::Runtime)?;
        let mut stream = self.accept()?;
        let victim = Victim::new(pid);
        victim.stop()?;
        let_arrive()?;
        let start = Instant::now();
        victim.kill()?;
        let end = read_some(&mut stream);
        let took = start.elapsed();
        match end {
            Ok(0) => Ok(took),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(took),
            Ok(_) => Err(Failure::Runtime("a peer says too much".to_owned())),
            Err(error) => Err(Failure::doing("read to the end")(error)),
        }
    }

    /// Waits for a peer that says hello.
    fn accept(&self) -> Result<TcpStream, Failure> {
        let cannot = Failure::doing("accept a peer");
        self.listener.set_nonblocking(true).map_err(&cannot)?;
        let start = Instant::now();
        let mut stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(cannot(error)),
                Err(error) if start.elapsed() > PATIENCE => return Err(cannot(error)),
                Err(_) => std::thread::yield_now(),
            }
        };
        stream.set_nonblocking(false).map_err(&cannot)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(&cannot)?;
        let mut hello = [0];
        stream.read_exact(&mut hello).map_err(&cannot)?;
        Ok(stream)
    }
}

/// One read. The signal that tells of the end of a child may interrupt it.
fn read_some(stream: &mut TcpStream) -> io::Result<usize> {
    loop {
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Is the far end, until the benchmark is over.
///
/// # Errors
///
/// When the near end is not there.
pub fn serve(near: &Address, heritage: &Heritage) -> Result<(), Failure> {
    let lifeline = process::detach(heritage.lifeline).map_err(Failure::doing("detach"))?;
    // Its thread ends the process, whatever call blocks here.
    let _signals =
        Signals::of_compute_node(lifeline, heritage.directory.clone(), Waker::new(|| {}))
            .map_err(Failure::doing("handle signals"))?;
    let mut stream = TcpStream::connect(&near.0).map_err(Failure::doing("connect"))?;
    stream.write_all(&[HELLO]).map_err(Failure::doing("say hello"))?;
    // Nothing comes, until the end.
    let _ = stream.read(&mut [0]);
    Ok(())
}
