//! A message of the library outside its channels.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use hoptree_system::require_descriptors;
use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketType, recvmsg, sendmsg, sockopt,
};

/// How long a text may be. A hello has a tenth of it.
const TEXT_BYTES_MAX: usize = 512;

/// How many descriptors come with it: a link's.
const ENCLOSED: usize = 2;

/// What the library sends for a message that holds two channels, and can be made to receive again.
/// So a message can travel over a socket that the library did not make.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) text: Vec<u8>,
    enclosed: Vec<OwnedFd>,
}

impl Letter {
    /// Reads one, if there is one yet.
    pub(crate) fn read(from: impl AsFd) -> io::Result<Letter> {
        let mut text = [0; TEXT_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(ENCLOSED))];
        // Descriptors that stay in it are closed with it.
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let read = recvmsg(from, &mut [IoSliceMut::new(&mut text)], &mut control, flags)?;
        let enclosed: Vec<OwnedFd> = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        let is_cut = |flags| read.flags.intersects(flags);
        if read.bytes == 0 {
            Err(ErrorKind::UnexpectedEof.into())
        } else if is_cut(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
            && let Err(why) = require_descriptors(ENCLOSED)
        {
            Err(io::Error::other(why))
        } else if is_cut(ReturnFlags::TRUNC) {
            let what = format!("its text has more than {TEXT_BYTES_MAX} bytes");
            Err(io::Error::new(ErrorKind::InvalidData, what))
        } else if is_cut(ReturnFlags::CTRUNC) || enclosed.len() != ENCLOSED {
            let what = format!("it does not enclose {ENCLOSED} descriptors");
            Err(io::Error::new(ErrorKind::InvalidData, what))
        } else {
            Ok(Letter { text: text[..read.bytes].to_vec(), enclosed })
        }
    }

    /// Whether what it encloses are channels of the library: it takes other descriptors for memory.
    pub(crate) fn encloses_channels(&self) -> bool {
        let is_channel = |enclosed| sockopt::socket_type(enclosed) == Ok(SocketType::SEQPACKET);
        self.enclosed.iter().all(is_channel)
    }

    /// Sends it, at once or not at all.
    pub(crate) fn post(&self, to: impl AsFd) -> io::Result<()> {
        let enclosed: Vec<_> = self.enclosed.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(ENCLOSED))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fits = control.push(SendAncillaryMessage::ScmRights(&enclosed));
        assert!(fits, "there is space for all that a letter encloses");
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(to, &[IoSlice::new(&self.text)], &mut control, flags)?;
        Ok(())
    }
    #[cfg(test)]
    pub(crate) fn enclose(&mut self, enclosed: Vec<OwnedFd>) {
        self.enclosed = enclosed;
    }
}
