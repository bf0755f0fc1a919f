//! Connections to a listener whose peers have not shown yet that they belong there.
//!
//! Anybody on the machine can hold connections to a TCP port, and each costs the process that listens
//! a descriptor and some memory. The libraries have no bound for that. But they accept through
//! [`accept`](crate::accept), where those that are not admitted yet are known.
//!
//! A connection is named by its descriptor, and its cookie tells it from a later one with the same
//! descriptor.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::net::sockopt::socket_cookie;
use rustix::net::{Shutdown, shutdown};
use rustix::process::{Resource, getrlimit};

/// How many there may be when the limit of open files allows it. As many as a listener has in its
/// backlog: those who belong there may come as many at once, such as orphans that have lost the same
/// parent, and each of them must find the time to show it.
const UNAUTHENTICATED_MAX: u64 = 1_024;

/// The part of all descriptors that they may have; the others are the tree's.
const SHARE: u64 = 8;

static LISTENERS: Mutex<Vec<Listener>> = Mutex::new(Vec::new());

/// Bounds the unauthenticated connections of one listener, as long as this is kept.
///
/// There are at most 1,024, and at most one for each eight descriptors that the process may have. When
/// there are more, the oldest is ended. How long one may stay so is for the library to say.
#[derive(Debug)]
pub struct Unauthenticated {
    listener: RawFd,
}

struct Listener {
    descriptor: RawFd,
    unauthenticated_max: usize,
    /// The oldest first.
    unauthenticated: VecDeque<Connection>,
}

struct Connection {
    descriptor: RawFd,
    cookie: u64,
}

impl Unauthenticated {
    /// Watches over a listener. Its connections must be accepted and closed by one thread, which must
    /// be in no call with one of them while it accepts another.
    pub fn of(listener: RawFd) -> Unauthenticated {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = (limit / SHARE).clamp(1, UNAUTHENTICATED_MAX);
        let most = usize::try_from(most).expect("it is at most UNAUTHENTICATED_MAX");
        with_all(|all| {
            all.push(Listener {
                descriptor: listener,
                unauthenticated_max: most,
                unauthenticated: VecDeque::new(),
            });
        });
        Unauthenticated { listener }
    }

    /// A connection has shown that it belongs here, and is not ended any more.
    pub fn admit(&self, connection: RawFd) {
        with_all(|all| {
            if let Some(found) = all.iter_mut().find(|one| one.descriptor == self.listener) {
                found.unauthenticated.retain(|one| one.descriptor != connection);
            }
        });
    }
}

impl Drop for Unauthenticated {
    fn drop(&mut self) {
        with_all(|all| all.retain(|one| one.descriptor != self.listener));
    }
}

/// A listener has accepted a connection. Only the thread that did so may call this.
pub(crate) fn arrive(listener: RawFd, connection: RawFd) {
    with_all(|all| {
        if let Some(found) = all.iter_mut().find(|one| one.descriptor == listener) {
            found.arrive(connection);
        }
    });
}

impl Listener {
    fn arrive(&mut self, connection: RawFd) {
        // Whoever had this descriptor before is gone.
        self.unauthenticated.retain(|one| one.descriptor != connection);
        let Some(cookie) = cookie(connection) else { return };
        self.unauthenticated.push_back(Connection { descriptor: connection, cookie });
        if self.unauthenticated.len() > self.unauthenticated_max
            && let Some(oldest) = self.unauthenticated.pop_front()
        {
            oldest.end();
        }
    }
}

impl Connection {
    /// The library finds the connection at its end, and closes it.
    fn end(&self) {
        if cookie(self.descriptor) == Some(self.cookie) {
            // SAFETY: the socket is open, since it has its cookie. Only the thread that accepts closes
            // it, and this is that thread.
            let connection = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
            // It may have been ended by its peer.
            let _ = shutdown(connection, Shutdown::Both);
        }
    }
}

/// None when there is no socket.
fn cookie(descriptor: RawFd) -> Option<u64> {
    // SAFETY: what is open there is only asked for its cookie.
    socket_cookie(unsafe { BorrowedFd::borrow_raw(descriptor) }).ok()
}

fn with_all<T>(act: impl FnOnce(&mut Vec<Listener>) -> T) -> T {
    act(&mut LISTENERS.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    /// A listener, and what has been accepted from it together with its other end.
    struct Accepting {
        listener: TcpListener,
        unauthenticated: Unauthenticated,
        connections: Vec<(TcpStream, TcpStream)>,
    }

    impl Accepting {
        fn new() -> Accepting {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let unauthenticated = Unauthenticated::of(listener.as_raw_fd());
            Accepting { listener, unauthenticated, connections: Vec::new() }
        }

        fn come(&mut self, count: usize) {
            for _ in 0..count {
                let far = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
                far.set_nonblocking(true).unwrap();
                // The standard library calls the function of this package.
                self.connections.push((self.listener.accept().unwrap().0, far));
            }
        }

        /// Which connections have been ended.
        fn ended(&mut self) -> Vec<usize> {
            let ended = |far: &mut TcpStream| match far.read(&mut [0]) {
                Ok(0) => true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                other => panic!("{other:?}"),
            };
            let all = self.connections.iter_mut().enumerate();
            all.filter_map(|(at, (_, far))| ended(far).then_some(at)).collect()
        }

        fn count(&self) -> usize {
            with_all(|all| {
                let own = all.iter().find(|one| one.descriptor == self.listener.as_raw_fd());
                own.map_or(0, |own| own.unauthenticated.len())
            })
        }

        fn set_max(&self, most: usize) {
            with_all(|all| {
                let own = all.iter_mut().find(|one| one.descriptor == self.listener.as_raw_fd());
                own.unwrap().unauthenticated_max = most;
            });
        }
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_unless_it_was_admitted() {
        let mut accepting = Accepting::new();
        accepting.set_max(3);
        accepting.come(3);
        assert_eq!(accepting.ended(), [0; 0]);
        accepting.unauthenticated.admit(accepting.connections[1].0.as_raw_fd());
        accepting.come(3);
        assert_eq!(accepting.ended(), [0, 2]);
    }

    #[test]
    fn who_comes_with_the_descriptor_of_another_has_its_place() {
        let mut accepting = Accepting::new();
        accepting.come(1);
        arrive(accepting.listener.as_raw_fd(), accepting.connections[0].0.as_raw_fd());
        assert_eq!(accepting.count(), 1);
    }

    #[test]
    fn a_descriptor_that_has_become_another_connection_is_left_alone() {
        let mut accepting = Accepting::new();
        accepting.come(1);
        let connection = accepting.connections[0].0.as_raw_fd();
        let cookie = cookie(connection).unwrap();
        Connection { descriptor: connection, cookie: cookie + 1 }.end();
        assert_eq!(accepting.ended(), [0; 0]);
        Connection { descriptor: connection, cookie }.end();
        assert_eq!(accepting.ended(), [0]);
    }

    #[test]
    fn a_listener_that_has_none_is_not_watched() {
        let mut accepting = Accepting::new();
        accepting.come(1);
        assert_eq!(accepting.count(), 1);
        drop(std::mem::replace(&mut accepting.unauthenticated, Unauthenticated::of(-1)));
        accepting.come(1);
        assert_eq!(accepting.count(), 0);
    }
}
