//! A long wire: what is put in at one end comes out at the other, later.

use std::collections::VecDeque;
use std::ffi::c_short;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What makes network devices of which a program is the other side.
pub const TUN: &str = "/dev/net/tun";

/// More than any frame has.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Two network devices, each of which puts out what the other has taken in.
pub struct Wire {
    /// The thread ends when this does.
    end: Option<UnixStream>,
    carrier: Option<JoinHandle<()>>,
}

impl Wire {
    /// Makes the devices, of these names, on the network of this thread.
    pub fn lay(near: &str, far: &str, delay: Duration) -> io::Result<Wire> {
        let (near, far) = (device(near)?, device(far)?);
        let (end, ended) = UnixStream::pair()?;
        let carrier = thread::spawn(move || carry(&near, &far, &ended, delay));
        Ok(Wire { end: Some(end), carrier: Some(carrier) })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.end = None;
        // Why it has failed stands on standard error, and a second panic would hide the first.
        let _ = self.carrier.take().map(JoinHandle::join);
    }
}

/// Carries frames until the other end of `ended` is closed.
fn carry(near: &File, far: &File, ended: &UnixStream, delay: Duration) {
    let mut ways = [Way::new(near, far), Way::new(far, near)];
    loop {
        let next = ways.iter().filter_map(Way::due).min();
        let wait = next.map(|due| due.saturating_duration_since(Instant::now()));
        let wait = wait.map(|wait| Timespec::try_from(wait).unwrap());
        let mut fds = [
            PollFd::new(near, PollFlags::IN),
            PollFd::new(far, PollFlags::IN),
            PollFd::new(ended, PollFlags::IN),
        ];
        match poll(&mut fds, wait.as_ref()) {
            Err(Errno::INTR) => continue,
            polled => assert!(polled.is_ok(), "{polled:?}"),
        }
        if !fds[2].revents().is_empty() {
            return;
        }
        for way in &mut ways {
            way.take_in(delay);
            way.put_out();
        }
    }
}

/// One direction.
struct Way<'a> {
    from: &'a File,
    to: &'a File,
    /// What is under way, and when it arrives.
    frames: VecDeque<(Instant, Vec<u8>)>,
}

impl<'a> Way<'a> {
    fn new(from: &'a File, to: &'a File) -> Way<'a> {
        Way { from, to, frames: VecDeque::new() }
    }

    fn due(&self) -> Option<Instant> {
        self.frames.front().map(|(due, _)| *due)
    }

    fn take_in(&mut self, delay: Duration) {
        let mut frame = [0; FRAME_BYTES_MAX];
        loop {
            match self.from.read(&mut frame) {
                Ok(size) => self.frames.push_back((Instant::now() + delay, frame[..size].to_vec())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a wire can't be read: {error}"),
            }
        }
    }

    fn put_out(&mut self) {
        while self.due().is_some_and(|due| due <= Instant::now()) {
            let (_, frame) = self.frames.pop_front().unwrap();
            // Where it can't be put out, it is lost, as on any wire.
            let _ = self.to.write(&frame);
        }
    }
}

/// A network device that gives to the file what is sent to it, and receives what is written.
fn device(name: &str) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(TUN)?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: (libc::IFF_TAP | libc::IFF_NO_PI) as c_short,
        },
    };
    for (to, byte) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = byte.cast_signed();
    }
    // SAFETY: the request is a whole one, and lives as long as the call.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(file),
    }
}
