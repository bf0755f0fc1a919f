//! Sockets of TCP as links need them.

use std::io;
use std::mem::zeroed;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use libc::{IPPROTO_TCP, TCP_INFO, TIOCOUTQ, c_int, getsockopt, socklen_t, tcp_info};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

/// What the system holds of a link for each direction, in its own counting, which doubles this. It
/// takes all that a link may have under way, 128 KiB, so that a process that was stopped keeps its
/// links, see [`SILENCE_MAX`]. It is what the default of `net.core.rmem_max` and `wmem_max` allows.
const BUFFER_BYTES: usize = 208 * 1024;

/// How long a machine may acknowledge nothing of what was sent to it before its links end; the system also ends
/// one whose peer takes nothing in for so long. The control node may be stopped by its user, so nobody
/// judges it by its beats: that its machine is gone, or the cable to it, is known from this alone, since nodes
/// send it theirs. It takes four packets in a row that are lost, each sent again.
const SILENCE_MAX: Duration = Duration::from_millis(4_500);

/// After how long a link on which nothing is sent is asked whether its other end is there, and how
/// long after that again. What was sent and is not acknowledged keeps the system from asking, and then
/// [`SILENCE_MAX`] holds alone.
const PROBE_AFTER: Duration = Duration::from_secs(2);
const PROBE_AGAIN_AFTER: Duration = Duration::from_secs(1);
const PROBES: u32 = 2;

/// How many may wait to be accepted. The system may allow fewer (`net.core.somaxconn`, 4096 by
/// default); who comes when that many wait tries again a second later.
const WAITING_MAX: c_int = 4096;

/// Listens there.
pub(crate) fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(at)?;
    // The port may have connections that have just ended.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &at)?;
    rustix::net::listen(&socket, WAITING_MAX)?;
    Ok(socket.into())
}

/// Begins to connect; the socket is writable when that has ended in some way.
pub(crate) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = open(to)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// With all that a link needs. Connections that a listener accepts have it from there.
fn open(at: SocketAddr) -> io::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES)?;
    sockopt::set_socket_send_buffer_size(&socket, BUFFER_BYTES)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(&socket, PROBE_AGAIN_AFTER)?;
    sockopt::set_tcp_keepcnt(&socket, PROBES)?;
    let silence_ms = u32::try_from(SILENCE_MAX.as_millis()).expect("it is some seconds");
    sockopt::set_tcp_user_timeout(&socket, silence_ms)?;
    Ok(socket)
}

/// How long a segment and its acknowledgement take at present, smoothed as RFC 6298 has it.
pub(crate) fn round_trip(socket: &TcpStream) -> Option<Duration> {
    let mut bytes = socklen_t::try_from(size_of::<tcp_info>()).ok()?;
    // SAFETY: all zeros is a valid value of this plain structure, the system writes no more of it than
    // its length, and the descriptor is open.
    let (done, info) = unsafe {
        let mut info: tcp_info = zeroed();
        let to = (&raw mut info).cast();
        (getsockopt(socket.as_raw_fd(), IPPROTO_TCP, TCP_INFO, to, &raw mut bytes), info)
    };
    (done == 0).then(|| Duration::from_micros(info.tcpi_rtt.into()))
}

/// Whether the other machine has acknowledged all that was written, or never will.
pub(crate) fn has_delivered(socket: &TcpStream) -> bool {
    const BYTES_OUT: Opcode = TIOCOUTQ as Opcode;
    // SAFETY: the system writes an int, how many bytes are not acknowledged, and nothing else.
    let unacknowledged = unsafe { ioctl(socket, Getter::<BYTES_OUT, c_int>::new()) };
    unacknowledged.map_or(true, |bytes| bytes == 0)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::fd::AsFd;

    use super::*;

    fn is_made_for_a_link(socket: impl AsFd) {
        let socket = socket.as_fd();
        assert!(sockopt::tcp_nodelay(socket).unwrap());
        assert!(sockopt::socket_keepalive(socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(socket), Ok(PROBE_AFTER));
        assert_eq!(sockopt::tcp_keepintvl(socket), Ok(PROBE_AGAIN_AFTER));
        assert_eq!(sockopt::tcp_keepcnt(socket), Ok(PROBES));
        assert_eq!(sockopt::tcp_user_timeout(socket), Ok(4_500));
        assert_eq!(sockopt::socket_recv_buffer_size(socket), Ok(2 * BUFFER_BYTES));
        assert_eq!(sockopt::socket_send_buffer_size(socket), Ok(2 * BUFFER_BYTES));
    }

    #[test]
    fn both_ends_of_a_link_have_what_it_needs() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let near = connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (far, _) = listener.accept().unwrap();
        is_made_for_a_link(&near);
        is_made_for_a_link(&far);
        assert!(has_delivered(&near));
    }

    #[test]
    fn the_probes_of_an_idle_link_end_no_later_than_its_silence() {
        assert!(PROBE_AFTER + PROBE_AGAIN_AFTER * PROBES <= SILENCE_MAX);
    }
}
