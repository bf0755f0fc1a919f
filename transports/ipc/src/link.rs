//! Both channels of a link.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use hoptree_core::{SEALED_BYTES_MAX, SendError};
use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcReceiver, IpcSender};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::sockopt;
use serde_bytes::ByteBuf;

use crate::descriptor;

/// What a channel may hold, in the system's own counting: 768 bytes for a small frame, and up to
/// 3.4 times its length for a longer one. The system doubles what it is told; twice its default,
/// 416 KiB, is what the default of `net.core.wmem_max` allows. The 128 frames and 128 KiB that a
/// link may have under way, control frames included, count for 372 KiB at most: when 86 of them are
/// of 687 bytes and 42 of 1,711.
const BUFFER_BYTES: usize = 208 * 1024;

/// One whose sends and receives never block.
pub(crate) struct Link {
    sender: IpcSender<ByteBuf>,
    receiver: IpcReceiver<ByteBuf>,
    /// Whether an event has named it, or is about to.
    pub(crate) is_up: bool,
}

/// What a link has to read.
pub(crate) enum Received {
    /// A message, which is no frame when it is empty.
    Frame(ByteBuf),
    Nothing,
    /// Nothing more will come, or it is no frame.
    End,
}

impl Link {
    pub(crate) fn new(
        sender: IpcSender<ByteBuf>,
        receiver: IpcReceiver<ByteBuf>,
        is_up: bool,
    ) -> io::Result<Link> {
        let socket = descriptor::of(&sender)?;
        fcntl_setfl(socket, fcntl_getfl(socket)? | OFlags::NONBLOCK)?;
        sockopt::set_socket_send_buffer_size(socket, BUFFER_BYTES)?;
        let socket = descriptor::of(&receiver)?;
        fcntl_setfl(socket, fcntl_getfl(socket)? | OFlags::NONBLOCK)?;
        Ok(Link { sender, receiver, is_up })
    }

    /// What there is to read when something has come.
    pub(crate) fn inbox(&self) -> io::Result<BorrowedFd<'_>> {
        descriptor::of(&self.receiver)
    }

    pub(crate) fn send(&self, frame: &[u8]) -> Result<(), SendError> {
        self.sender.send(ByteBuf::from(frame)).map_err(|error| match error {
            IpcError::Io(error)
                if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                SendError::Full
            }
            _ => SendError::Gone,
        })
    }

    /// Reads one message. It asks the library to block, which the socket does not do: otherwise the
    /// library changes the socket before each receive and changes it back, two more system calls.
    pub(crate) fn receive(&self) -> Received {
        match self.receiver.recv() {
            Ok(frame) if frame.len() <= SEALED_BYTES_MAX => Received::Frame(frame),
            Err(IpcError::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Received::Nothing
            }
            Err(IpcError::Disconnected) => Received::End,
            no_frame => {
                let what = no_frame.map(|frame| format!("a frame of {} bytes", frame.len()));
                log::warn!("a peer sent what is no frame, its link is closed: {what:?}");
                Received::End
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::Hello;

    const WINDOW_FRAMES: usize = 128;
    const WINDOW_BYTES: usize = 128 * 1024;

    /// Sends all of it to a peer that does not read.
    #[track_caller]
    fn takes(lengths: &[usize]) {
        assert!(lengths.len() <= WINDOW_FRAMES && lengths.iter().sum::<usize>() <= WINDOW_BYTES);
        let (hello, sender, receiver) = Hello::new().unwrap();
        let link = Link::new(sender, receiver, true).unwrap();
        for (number, &length) in lengths.iter().enumerate() {
            let sent = link.send(&vec![7; length]);
            assert_eq!(sent, Ok(()), "frame {number} of {lengths:?}");
        }
        for &length in lengths {
            assert_eq!(hello.receiver.recv().unwrap().len(), length);
        }
    }

    #[test]
    fn a_window_of_equal_frames_is_taken() {
        for frames in 1..=WINDOW_FRAMES {
            takes(&vec![(WINDOW_BYTES / frames).min(SEALED_BYTES_MAX); frames]);
        }
    }

    #[test]
    fn a_window_of_data_and_small_control_frames_is_taken() {
        takes(&[[1_024; 64], [4; 64]].concat());
        takes(&[[4; 64], [1_024; 64]].concat());
    }

    /// The system holds each frame in a piece of memory whose length is a power of two, with some
    /// 600 bytes of its own, so frames that just need the next longer one count most.
    #[test]
    fn the_window_that_the_system_counts_most_for_is_taken() {
        for most in [[(690, 86), (1_714, 41)], [(690, 114), (3_762, 13)]] {
            takes(&most.map(|(length, frames)| vec![length; frames]).concat());
        }
    }

    /// So it is there also where nobody has raised the limit.
    #[test]
    fn no_more_is_asked_for_than_the_system_allows_by_default() {
        const WMEM_MAX_DEFAULT: usize = 212_992;
        const { assert!(BUFFER_BYTES <= WMEM_MAX_DEFAULT) }
    }
}
