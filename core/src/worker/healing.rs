//! How a node that has lost its parent finds another: the nearest ancestor that takes it in.
//!
//! It only ever joins one of those above it, which it was told of in advance, so no cycle can come
//! about, whoever else moves at the same time.

use std::time::Duration;

use crate::link::{Link, Merge};
use crate::wire::{Kind, Message};
use crate::{Ancestor, LinkId, NodeId, Output, Time};

/// How long an ancestor is waited for before the next one is asked as well.
const HEAD_START: Duration = Duration::from_millis(50);

/// How long an orphan looks for a parent before it ends, with all below it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The search of a node for a parent.
#[derive(Debug)]
pub(crate) struct Healing {
    /// Who may take it in, the nearest first.
    candidates: Vec<Ancestor>,
    /// Which of them is asked next.
    next: usize,
    /// When that is to be, if nobody answers before.
    next_at: Time,
    /// When it gives up.
    until: Time,
    attempts: Vec<Attempt>,
}

/// One candidate that is being asked.
#[derive(Debug)]
struct Attempt {
    number: u64,
    candidate: usize,
    /// Once it is known.
    link: Option<Link>,
    is_up: bool,
}

/// Numbers attempts, each once in the life of a node.
#[derive(Debug, Default)]
pub(crate) struct Attempts(u64);

impl Healing {
    /// A search that has not begun.
    pub fn new(now: Time, candidates: Vec<Ancestor>) -> Healing {
        Healing { candidates, next: 0, next_at: now, until: now + PATIENCE, attempts: Vec::new() }
    }

    /// Asks the next one, when it is time to.
    pub fn step(&mut self, now: Time, numbers: &mut Attempts, out: &mut Vec<Output>) {
        while now >= self.next_at {
            let candidate = self.next;
            let Some(ancestor) = self.candidates.get(candidate) else {
                // Whoever could not be reached just now may be on its way itself.
                (self.next, self.next_at) = (0, now + HEAD_START);
                return;
            };
            self.next += 1;
            if self.attempts.iter().any(|attempt| attempt.candidate == candidate) {
                continue;
            }
            numbers.0 += 1;
            let number = numbers.0;
            out.push(Output::Connect(number, ancestor.address.clone()));
            self.attempts.push(Attempt { number, candidate, link: None, is_up: false });
            self.next_at = now + HEAD_START;
        }
    }

    /// Whether nobody has taken the node in for so long that it is to end. While the control node is
    /// there and does not answer, the user has stopped it, and everybody waits.
    pub fn is_hopeless(&mut self, now: Time) -> bool {
        if now < self.until {
            return false;
        }
        let waits_for_user = self.attempts.iter().any(|attempt| {
            attempt.is_up && self.candidates[attempt.candidate].node == NodeId::CONTROL
        });
        if waits_for_user {
            self.until = now + HEAD_START;
        }
        !waits_for_user
    }

    /// When there is something to do.
    pub fn deadline(&self) -> Time {
        self.next_at.min(self.until)
    }

    /// An attempt has this link. False when it is not one of this search.
    pub fn connecting(&mut self, number: u64, link: LinkId, now: Time) -> bool {
        let attempt = self.attempts.iter_mut().find(|attempt| attempt.number == number);
        attempt.map(|attempt| attempt.link = Some(Link::new(link, now))).is_some()
    }

    /// Whether a link is that of an attempt.
    pub fn has(&self, link: LinkId) -> bool {
        self.position(link).is_some()
    }

    /// An attempt has come through: the candidate is told who asks.
    pub fn up(&mut self, link: LinkId, hello: &[u8]) {
        if let Some(at) = self.position(link)
            && let Attempt { link: Some(link), is_up, .. } = &mut self.attempts[at]
        {
            *is_up = true;
            link.send_control(Merge::Never, &Message::neighbour(Kind::Hello, hello));
        }
    }

    /// An attempt has failed, and the next one need not wait.
    pub fn down(&mut self, now: Time, link: LinkId) {
        if let Some(at) = self.position(link) {
            self.attempts.remove(at);
            if !self.attempts.iter().any(|attempt| attempt.is_up) && self.next > 0 {
                self.next_at = now;
            }
        }
    }

    /// Who is asked on a link, and the link itself.
    pub fn asked(&mut self, link: LinkId) -> Option<(NodeId, &mut Link)> {
        let at = self.position(link)?;
        let attempt = &mut self.attempts[at];
        Some((self.candidates[attempt.candidate].node, attempt.link.as_mut()?))
    }

    /// Ends the search with one who was asked; the others are hung up on.
    pub fn choose(mut self, link: LinkId, out: &mut Vec<Output>) -> Option<(Ancestor, Link)> {
        let chosen = self.attempts.swap_remove(self.position(link)?);
        let ancestor = self.candidates.swap_remove(chosen.candidate);
        self.end(out);
        Some((ancestor, chosen.link?))
    }

    /// Ends the search with nobody.
    pub fn end(self, out: &mut Vec<Output>) {
        let links = self.attempts.iter().filter_map(|attempt| attempt.link.as_ref());
        out.extend(links.map(|link| Output::Close(link.id())));
    }

    /// Sends what is to be said to those who are asked.
    pub fn flush(&mut self, now: Time, out: &mut Vec<Output>) {
        for attempt in &mut self.attempts {
            if let Some(link) = attempt.link.as_mut().filter(|_| attempt.is_up) {
                link.flush(now, true, out);
            }
        }
    }

    fn position(&self, link: LinkId) -> Option<usize> {
        self.attempts
            .iter()
            .position(|attempt| attempt.link.as_ref().is_some_and(|own| own.id() == link))
    }
}
