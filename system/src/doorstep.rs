//! Who has connected to a listener and has not shown yet that he belongs there.
//!
//! Anybody on the machine can hold connections to a TCP port, and each costs the process that listens
//! a descriptor and some memory. The libraries have no bound for that. But they accept through
//! [`accept`](crate::accept), where those that wait to be let in are known.
//!
//! A connection is named by its descriptor, and its cookie tells it from a later one with the same
//! descriptor.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::net::sockopt::socket_cookie;
use rustix::net::{Shutdown, shutdown};
use rustix::process::{Resource, getrlimit};

/// How many stand on a doorstep when the limit of open files allows it. As many as a listener has in
/// its backlog: those who belong there may come as many at once, such as orphans that have lost the
/// same parent, and each of them must find the time to show it.
const GUESTS_MAX: u64 = 1_024;

/// The part of all descriptors that guests may have; the others are the tree's.
const SHARE: u64 = 8;

static DOORSTEPS: Mutex<Vec<Guests>> = Mutex::new(Vec::new());

/// The doorstep of one listener, as long as this is kept.
///
/// At most 1,024 connections stand on it, and at most one for each eight descriptors that the process
/// may have. When there are more, the oldest is ended. How long one may stand there is for the library
/// to say.
#[derive(Debug)]
pub struct Doorstep {
    listener: RawFd,
}

struct Guests {
    listener: RawFd,
    guests_max: usize,
    /// The oldest first.
    guests: VecDeque<Guest>,
}

struct Guest {
    connection: RawFd,
    cookie: u64,
}

impl Doorstep {
    /// Watches over a listener. Its connections must be accepted and closed by one thread, which must
    /// be in no call with one of them while it accepts another.
    pub fn of(listener: RawFd) -> Doorstep {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let guests_max = (limit / SHARE).clamp(1, GUESTS_MAX);
        let guests_max = usize::try_from(guests_max).expect("it is at most GUESTS_MAX");
        with_all(|all| all.push(Guests { listener, guests_max, guests: VecDeque::new() }));
        Doorstep { listener }
    }

    /// A connection has shown that it belongs here, and is not ended any more.
    pub fn let_in(&self, connection: RawFd) {
        with_all(|all| {
            if let Some(found) = all.iter_mut().find(|one| one.listener == self.listener) {
                found.guests.retain(|guest| guest.connection != connection);
            }
        });
    }
}

impl Drop for Doorstep {
    fn drop(&mut self) {
        with_all(|all| all.retain(|one| one.listener != self.listener));
    }
}

/// A listener has accepted a connection. Only the thread that did so may call this.
pub(crate) fn arrive(listener: RawFd, connection: RawFd) {
    with_all(|all| {
        if let Some(found) = all.iter_mut().find(|one| one.listener == listener) {
            found.arrive(connection);
        }
    });
}

impl Guests {
    fn arrive(&mut self, connection: RawFd) {
        // Whoever had this descriptor before is gone.
        self.guests.retain(|guest| guest.connection != connection);
        let Some(cookie) = cookie(connection) else { return };
        self.guests.push_back(Guest { connection, cookie });
        if self.guests.len() > self.guests_max
            && let Some(oldest) = self.guests.pop_front()
        {
            oldest.end();
        }
    }
}

impl Guest {
    /// The library finds the connection at its end, and closes it.
    fn end(&self) {
        if cookie(self.connection) == Some(self.cookie) {
            // SAFETY: the socket is open, since it has its cookie. Only the thread that accepts closes
            // it, and this is that thread.
            let connection = unsafe { BorrowedFd::borrow_raw(self.connection) };
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

fn with_all<T>(act: impl FnOnce(&mut Vec<Guests>) -> T) -> T {
    act(&mut DOORSTEPS.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    /// A listener, and what has been accepted from it together with its other end.
    struct Door {
        listener: TcpListener,
        doorstep: Doorstep,
        connections: Vec<(TcpStream, TcpStream)>,
    }

    impl Door {
        fn new() -> Door {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let doorstep = Doorstep::of(listener.as_raw_fd());
            Door { listener, doorstep, connections: Vec::new() }
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

        fn guests(&self) -> usize {
            with_all(|all| {
                let own = all.iter().find(|one| one.listener == self.listener.as_raw_fd());
                own.map_or(0, |own| own.guests.len())
            })
        }

        fn guests_max(&self, guests_max: usize) {
            with_all(|all| {
                let own = all.iter_mut().find(|one| one.listener == self.listener.as_raw_fd());
                own.unwrap().guests_max = guests_max;
            });
        }
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_unless_it_was_let_in() {
        let mut door = Door::new();
        door.guests_max(3);
        door.come(3);
        assert_eq!(door.ended(), [0; 0]);
        door.doorstep.let_in(door.connections[1].0.as_raw_fd());
        door.come(3);
        assert_eq!(door.ended(), [0, 2]);
    }

    #[test]
    fn who_comes_with_the_descriptor_of_another_has_its_place() {
        let mut door = Door::new();
        door.come(1);
        arrive(door.listener.as_raw_fd(), door.connections[0].0.as_raw_fd());
        assert_eq!(door.guests(), 1);
    }

    #[test]
    fn a_descriptor_that_has_become_another_connection_is_left_alone() {
        let mut door = Door::new();
        door.come(1);
        let connection = door.connections[0].0.as_raw_fd();
        let cookie = cookie(connection).unwrap();
        Guest { connection, cookie: cookie + 1 }.end();
        assert_eq!(door.ended(), [0; 0]);
        Guest { connection, cookie }.end();
        assert_eq!(door.ended(), [0]);
    }

    #[test]
    fn a_listener_that_has_none_is_not_watched() {
        let mut door = Door::new();
        door.come(1);
        assert_eq!(door.guests(), 1);
        drop(std::mem::replace(&mut door.doorstep, Doorstep::of(-1)));
        door.come(1);
        assert_eq!(door.guests(), 0);
    }
}
