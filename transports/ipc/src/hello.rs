//! How a peer joins.

use std::io::{self, ErrorKind};

use hoptree_system::require_descriptors;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use rustix::event::{EventfdFlags, eventfd};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;

use crate::descriptor;
use crate::letter::Letter;

/// How many descriptors must be left to take in a hello, besides the two that it has: one that
/// [`Mark`] opens, and some for others.
const DESCRIPTORS_LEFT: usize = 4;

/// The only message to a listener: a whole link, as the side that it is sent to uses it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    mark: Mark,
    pub(crate) sender: IpcSender<ByteBuf>,
    pub(crate) receiver: IpcReceiver<ByteBuf>,
}

impl Hello {
    /// Makes a link: the far ends of both channels, and the near ones.
    pub(crate) fn new() -> io::Result<(Hello, IpcSender<ByteBuf>, IpcReceiver<ByteBuf>)> {
        let (near_sender, receiver) = ipc::channel()?;
        let (sender, near_receiver) = ipc::channel()?;
        Ok((Hello { mark: Mark, sender, receiver }, near_sender, near_receiver))
    }

    /// The library listens only with servers that are good for one peer and block until it comes.
    /// So it sends to itself, and what it has sent goes on from here.
    pub(crate) fn into_letter(self) -> io::Result<Letter> {
        let (sender, receiver) = ipc::channel()?;
        sender.send(self).map_err(io::Error::other)?;
        Letter::read(descriptor::of(&receiver)?)
    }

    /// The other way round. The text is that of another hello: they are all the same, and the
    /// library panics, or waits, or loses descriptors when it is given something else.
    pub(crate) fn from_letter(letter: Letter, text: &[u8]) -> io::Result<Hello> {
        if letter.text != text {
            return Err(io::Error::new(ErrorKind::InvalidData, "its text is not that of a hello"));
        }
        if !letter.encloses_channels() {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "it encloses something that is no channel",
            ));
        }
        let (sender, receiver) = ipc::channel()?;
        // There must be descriptors for what the library now receives, or it loses what it got, or
        // panics. Other threads may open something meanwhile.
        require_descriptors(DESCRIPTORS_LEFT).map_err(io::Error::other)?;
        letter.post(descriptor::of(&sender)?)?;
        drop(letter);
        receiver.recv().map_err(io::Error::other)
    }
}

/// Comes before the channels, since the library panics when it looks for channels in a message
/// whose channels found no descriptor left.
#[derive(Debug)]
struct Mark;

impl Mark {
    const NUMBER: u64 = u64::from_le_bytes(*b"hoptree1");
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Mark::NUMBER.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mark, D::Error> {
        u64::deserialize(deserializer)?;
        eventfd(0, EventfdFlags::CLOEXEC).map_err(D::Error::custom)?;
        Ok(Mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_made_of_a_letter_carries_frames_both_ways() {
        let text = Hello::new().unwrap().0.into_letter().unwrap().text;
        let (hello, sender, receiver) = Hello::new().unwrap();
        let far = Hello::from_letter(hello.into_letter().unwrap(), &text).unwrap();
        sender.send(ByteBuf::from(b"down")).unwrap();
        assert_eq!(far.receiver.recv().unwrap(), b"down");
        far.sender.send(ByteBuf::from(b"up")).unwrap();
        assert_eq!(receiver.recv().unwrap(), b"up");
        drop(far);
        assert!(receiver.recv().is_err(), "nobody else holds the far ends");
        assert!(sender.send(ByteBuf::from(b"down")).is_err());
    }
}
