//! The sending end of a link.

use std::io::{self, ErrorKind};

use hoptree_core::SendError;
use ipc_channel::IpcError;
use ipc_channel::ipc::IpcSender;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::sockopt;
use serde_bytes::ByteBuf;

use crate::descriptor;

/// What a channel may hold, in the system's own counting: 768 bytes for a small frame, and up to 3.3
/// times its length for a longer one. The system doubles what it is told; twice its default is what
/// the default of `net.core.wmem_max` allows. A link's window counts for 240 KiB at most when its
/// control frames are small, 340 KiB when they are of 1 KiB each.
const BUFFER_BYTES: usize = 208 * 1024;

/// A channel whose send never blocks.
pub(crate) struct Outbox(IpcSender<ByteBuf>);

impl Outbox {
    pub(crate) fn new(sender: IpcSender<ByteBuf>) -> io::Result<Outbox> {
        let socket = descriptor::of(&sender)?;
        fcntl_setfl(socket, fcntl_getfl(socket)? | OFlags::NONBLOCK)?;
        sockopt::set_socket_send_buffer_size(socket, BUFFER_BYTES)?;
        Ok(Outbox(sender))
    }

    pub(crate) fn send(&self, frame: &[u8]) -> Result<(), SendError> {
        self.0.send(ByteBuf::from(frame)).map_err(|error| match error {
            IpcError::Io(error)
                if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                SendError::Full
            }
            _ => SendError::Gone,
        })
    }
}
