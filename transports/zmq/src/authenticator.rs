//! Who is let in by a listener that strangers can connect to.
//!
//! A peer that has finished the greeting of ZMTP has a place in the ROUTER, under a name that it may
//! choose, and can end the process with a name that libzmq is about to give to another. So nobody gets
//! that far without a password. The mechanism is PLAIN of ZMTP, and libzmq asks this process (ZAP,
//! RFC 27) before it takes a name or a frame from the peer. It refuses ZMTP 1 and 2, which know no
//! mechanism. The password does not leave this machine, on which only root sees what others send.
//!
//! The questions come from libzmq's thread, and the wait of the transport answers them. It looks for
//! them only while somebody is connected who has not been heard, so that other waits cost no more.

use std::time::Instant;

use hoptree_core::Recurrence;
use subtle::ConstantTimeEq;

use crate::monitored::retry;
use crate::socket::Socket;

/// Where libzmq asks.
const ENDPOINT: &str = "inproc://zeromq.zap.01";

/// Peers show their password under this name.
pub(crate) const USERNAME: &str = "hoptree";

/// How many questions are answered at a time, so that a crowd of strangers can't keep a wait from
/// ending.
const ANSWERS_PER_WAIT_MAX: usize = 64;

const VERSION: &[u8] = b"1.0";
const WELCOME: &str = "200";

/// No verdict that there is. After a refusal by the book (400) libzmq would leave it to the peer to go,
/// within its second; on a verdict that it can't read it hangs up at once.
const HANG_UP: &str = "";

/// Answers libzmq whether a peer may come in. It should outlive the listener that it guards.
pub(crate) struct Authenticator {
    questions: Socket,
    password: String,
    refused: Recurrence<Instant>,
}

impl Authenticator {
    /// An authenticator of those who know this password. There can be one in a context.
    pub(crate) fn new(
        context: &zmq::Context,
        password: String,
    ) -> Result<Authenticator, zmq::Error> {
        let questions = Socket::new(context, zmq::REP)?;
        questions.raw().set_linger(0)?;
        questions.raw().bind(ENDPOINT)?;
        Ok(Authenticator { questions, password, refused: Recurrence::default() })
    }

    /// What becomes readable with questions.
    pub(crate) fn questions(&self) -> &Socket {
        &self.questions
    }

    /// Answers what has been asked.
    pub(crate) fn answer(&mut self) -> Result<(), zmq::Error> {
        for _ in 0..ANSWERS_PER_WAIT_MAX {
            let Some(question) = self.question()? else { break };
            let is_welcome = self.is_welcome(&question);
            self.reply(&question, if is_welcome { WELCOME } else { HANG_UP })?;
            if !is_welcome && let Some(times) = self.refused.happened(Instant::now()) {
                log::warn!("a stranger wanted to join this tree and was refused (times: {times})");
            }
        }
        Ok(())
    }

    /// The parts of the next question, which come all at once.
    fn question(&self) -> Result<Option<Vec<zmq::Message>>, zmq::Error> {
        let mut parts = Vec::with_capacity(8);
        loop {
            let mut part = zmq::Message::new();
            if !self.questions.receive(&mut part)? {
                return Ok(None);
            }
            let is_last = !part.get_more();
            parts.push(part);
            if is_last {
                return Ok(Some(parts));
            }
        }
    }

    fn is_welcome(&self, question: &[zmq::Message]) -> bool {
        let [version, _id, _domain, _from, _identity, mechanism, username, password] = question
        else {
            return false;
        };
        **version == *VERSION
            && **mechanism == *b"PLAIN"
            && **username == *USERNAME.as_bytes()
            && bool::from(password.ct_eq(self.password.as_bytes()))
    }

    fn reply(&self, question: &[zmq::Message], verdict: &str) -> Result<(), zmq::Error> {
        let id = question.get(1).map_or(&[][..], |id| id);
        // Why, who the peer is, and what else is known of it follow.
        let parts = [VERSION, id, verdict.as_bytes(), b"", b"", b""];
        for (at, part) in parts.iter().enumerate() {
            let more = if at + 1 < parts.len() { zmq::SNDMORE } else { 0 };
            retry(|| self.questions.raw().send(*part, more | zmq::DONTWAIT))?;
        }
        Ok(())
    }
}

impl Drop for Authenticator {
    /// A socket is closed in libzmq's own time. Another one may be wanted at once in its place.
    fn drop(&mut self) {
        // Without it that one is refused, and says so.
        let _ = self.questions.raw().unbind(ENDPOINT);
    }
}
