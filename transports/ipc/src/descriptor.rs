//! The descriptor under a channel, which the library doesn't give out, and without which a send
//! can't be kept from blocking, and a wait is for nothing but channels.

use std::fmt::Debug;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::{SocketType, sockopt};

/// The socket of an `IpcSender` or an `IpcReceiver`, read from what the library prints of it for
/// debugging. An error when that is not a socket of the library's kind: it has changed, then.
pub(crate) fn of(channel: &impl Debug) -> io::Result<BorrowedFd<'_>> {
    let hidden = || io::Error::other("this version of ipc-channel hides its descriptors");
    let number = number(&format!("{channel:?}")).ok_or_else(hidden)?;
    // SAFETY: it is the number of a descriptor that the channel owns, and the result does not
    // outlive the borrow of the channel. A number that had another meaning would be refused here,
    // unless it were that of another channel, and no memory depends on what a socket is used for.
    let socket = unsafe { BorrowedFd::borrow_raw(number) };
    match sockopt::socket_type(socket) {
        Ok(SocketType::SEQPACKET) => Ok(socket),
        _ => Err(hidden()),
    }
}

fn number(text: &str) -> Option<RawFd> {
    let (_, text) = text.split_once("fd: ")?;
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use serde_bytes::ByteBuf;

    use super::*;

    #[test]
    fn both_ends_of_a_channel_show_their_descriptors() {
        let (sender, receiver) = ipc_channel::ipc::channel::<ByteBuf>().unwrap();
        let ends = [of(&sender).unwrap().as_raw_fd(), of(&receiver).unwrap().as_raw_fd()];
        assert_ne!(ends[0], ends[1]);
    }

    #[test]
    fn what_shows_no_socket_is_refused() {
        for text in ["", "fd: none", "fd: Cell { value: 0 }", "fd: 99999999999"] {
            assert!(of(&format_args!("{text}")).is_err(), "{text:?}");
        }
    }
}
