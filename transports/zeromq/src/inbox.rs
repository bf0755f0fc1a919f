//! What has happened and was not told yet.

use std::collections::VecDeque;

use bytes::Bytes;
use hoptree_core::{Event, FRAMES_PER_WAIT_MAX, LinkId, SEALED_BYTES_MAX};
use zeromq::ZmqMessage;

/// The events of all links, in the order in which they happened. Whoever fills it stops at a number
/// of frames; besides them it holds at most two events for each link.
#[derive(Default)]
pub(crate) struct Inbox {
    told: VecDeque<Told>,
    frames: usize,
}

enum Told {
    Up(LinkId),
    Frame(LinkId, Bytes),
    Down(LinkId),
}

impl Told {
    fn link(&self) -> LinkId {
        match self {
            Told::Up(link) | Told::Frame(link, _) | Told::Down(link) => *link,
        }
    }
}

impl Inbox {
    pub(crate) fn up(&mut self, link: LinkId) {
        self.told.push_back(Told::Up(link));
    }

    pub(crate) fn frame(&mut self, link: LinkId, frame: Bytes) {
        self.told.push_back(Told::Frame(link, frame));
        self.frames += 1;
    }

    pub(crate) fn down(&mut self, link: LinkId) {
        self.told.push_back(Told::Down(link));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// Tells nothing of `link` any more.
    pub(crate) fn forget(&mut self, link: LinkId) {
        self.told.retain(|told| told.link() != link);
        self.frames = self.told.iter().filter(|told| matches!(told, Told::Frame(..))).count();
    }

    /// Delivers the oldest events, at most [`FRAMES_PER_WAIT_MAX`] frames among them.
    pub(crate) fn deliver(&mut self, deliver: &mut dyn FnMut(Event<'_>)) {
        let mut frames_left = FRAMES_PER_WAIT_MAX;
        while let Some(told) = self.told.pop_front() {
            match told {
                Told::Up(link) => deliver(Event::Up(link)),
                Told::Down(link) => deliver(Event::Down(link)),
                Told::Frame(link, frame) => {
                    deliver(Event::Frame(link, &frame));
                    self.frames -= 1;
                    frames_left -= 1;
                    if frames_left == 0 {
                        return;
                    }
                }
            }
        }
    }
}

/// What a message of one part is to us.
pub(crate) enum Received {
    Frame(Bytes),
    /// Something that no hoptree sends and that harms nobody: no bytes, or several parts.
    Foreign,
    /// Longer than any frame; its sender has to go.
    TooLong,
}

impl Received {
    /// The message behind the `names` parts that say whom it is from.
    pub(crate) fn from_message(message: ZmqMessage, names: usize) -> Received {
        let length = message.iter().skip(names).map(Bytes::len).sum::<usize>();
        if length > SEALED_BYTES_MAX {
            return Received::TooLong;
        }
        match message.into_vecdeque().pop_back() {
            Some(frame) if length > 0 && frame.len() == length => Received::Frame(frame),
            _ => Received::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_delivers_a_bounded_number_of_frames() {
        let mut inbox = Inbox::default();
        inbox.up(LinkId(1));
        for _ in 0..=FRAMES_PER_WAIT_MAX {
            inbox.frame(LinkId(1), Bytes::from_static(b"x"));
        }
        inbox.down(LinkId(1));
        let mut told = 0;
        inbox.deliver(&mut |_| told += 1);
        assert_eq!((told, inbox.frames()), (1 + FRAMES_PER_WAIT_MAX, 1));
        inbox.deliver(&mut |_| told += 1);
        assert_eq!((told, inbox.frames()), (3 + FRAMES_PER_WAIT_MAX, 0));
        assert!(inbox.is_empty());
    }

    #[test]
    fn what_is_forgotten_is_not_told() {
        let mut inbox = Inbox::default();
        inbox.up(LinkId(1));
        inbox.frame(LinkId(1), Bytes::from_static(b"x"));
        inbox.down(LinkId(2));
        inbox.forget(LinkId(1));
        assert_eq!(inbox.frames(), 0);
        inbox.deliver(&mut |event| assert_eq!(event, Event::Down(LinkId(2))));
    }

    #[test]
    fn only_one_part_of_a_good_length_is_a_frame() {
        let received = |parts: &[&'static [u8]]| {
            let parts: Vec<_> = parts.iter().map(|part| Bytes::from_static(part)).collect();
            Received::from_message(ZmqMessage::try_from(parts).unwrap(), 1)
        };
        assert!(matches!(received(&[b"id", b"x"]), Received::Frame(frame) if frame == "x"));
        assert!(matches!(received(&[b"id", b""]), Received::Foreign));
        assert!(matches!(received(&[b"id", b"a", b"b"]), Received::Foreign));
        assert!(matches!(received(&[b"id"]), Received::Foreign));
        let long = &[0; SEALED_BYTES_MAX + 1];
        assert!(matches!(received(&[b"id", long]), Received::TooLong));
    }
}
