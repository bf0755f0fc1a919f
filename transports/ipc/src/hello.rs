//! How a peer joins.

use std::io;

use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use rustix::event::{EventfdFlags, eventfd};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;

/// The only message to a door: a whole link, as the side that it is sent to uses it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Hello {
    mark: Mark,
    pub(crate) sender: IpcSender<ByteBuf>,
    pub(crate) receiver: IpcReceiver<ByteBuf>,
}

impl Hello {
    /// Makes a link, sends the far ends of both channels through the door and returns the near ones.
    pub(crate) fn say(
        door: &IpcSender<Hello>,
    ) -> io::Result<(IpcSender<ByteBuf>, IpcReceiver<ByteBuf>)> {
        let (near_sender, receiver) = ipc::channel()?;
        let (sender, near_receiver) = ipc::channel()?;
        door.send(Hello { mark: Mark, sender, receiver }).map_err(io::Error::other)?;
        Ok((near_sender, near_receiver))
    }
}

/// Comes before the channels, since the library panics when it looks for channels in a message that
/// has brought none: what is no hello, or one whose channels found no descriptor left.
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
        if u64::deserialize(deserializer)? != Mark::NUMBER {
            return Err(D::Error::custom("it is no hello"));
        }
        eventfd(0, EventfdFlags::CLOEXEC).map_err(D::Error::custom)?;
        Ok(Mark)
    }
}
