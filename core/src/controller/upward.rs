//! Hands each message that came up the tree to those whom it concerns.

use super::desk::Desk;
use super::{adrift, answers, create, news, output, reduced};
use crate::wire::{Joined, Kind, Message, Moved, Reduced};
use crate::{Exit, Life, Place, Proved, Time};

/// Takes in a message that came up the tree.
pub(crate) fn message(desk: &mut Desk, now: Time, message: Message<'_>) {
    match message.kind {
        Kind::Answer => answers::arrived(desk, now, &message),
        Kind::Reduced => match Reduced::decode(message.body) {
            Some(reduced) => reduced::arrived(desk, now, message.request, reduced),
            None => log::error!("something reduced that is none"),
        },
        Kind::Output => output::arrived(desk, now, &message),
        Kind::Offer => match message.decode::<u64>() {
            Some(bytes) => answers::offered(desk, &message, bytes),
            None => log::error!("a malformed message about an answer"),
        },
        Kind::Joined => match message.decode::<Joined>() {
            Some(joined) => create::joined(desk, now, message.request, joined),
            None => log::error!("a malformed message about a node that joined"),
        },
        Kind::Lost | Kind::Silent | Kind::Heard => match message.decode::<Place>() {
            Some(place) => news::changed(desk, now, message.kind, place),
            None => log::error!("a malformed message about a change of the tree"),
        },
        Kind::Moved => match message.decode::<Moved>() {
            Some(Moved { to, .. }) => news::moved(desk, now, [to.place]),
            None => log::error!("a malformed message about a node that has moved"),
        },
        Kind::Below => match message.decode::<Vec<Proved>>() {
            Some(places) => news::moved(desk, now, places.iter().map(|at| at.place)),
            None => log::error!("a malformed message about nodes that have moved"),
        },
        Kind::Ended => match message.decode::<(Life, Exit)>() {
            Some((life, exit)) => {
                desk.tree.exited(life, exit);
                adrift::ended(desk, life.node);
            }
            None => log::error!("a malformed message about a process that has ended"),
        },
        // Only relays keep routes by node; losses come by life. And nobody waits for this node to end.
        Kind::Forget | Kind::Delay => {}
        kind => log::error!("{kind:?} can't come up the tree"),
    }
}
