//! The records of commands, if somebody wants them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::reply::Reply;
use crate::record::beginning;
use crate::{ExecEnding, NodeId, Record, RequestId, Time};

/// The records of the commands that are under way, and of those that have ended in this turn. Empty
/// unless they are wanted.
#[derive(Debug)]
pub(crate) struct Records {
    are_wanted: bool,
    now: Time,
    /// The number of the command that was read last.
    number: u64,
    /// Its line, if it has one for nodes, and how long that is in bytes.
    line: (Arc<str>, usize),
    /// Bounded as the requests are.
    open: FxHashMap<RequestId, Record>,
    ended: Vec<Record>,
}

impl Records {
    pub fn new(are_wanted: bool) -> Records {
        Records {
            are_wanted,
            now: Time::ZERO,
            number: 0,
            line: Default::default(),
            open: FxHashMap::default(),
            ended: Vec::new(),
        }
    }

    /// Sets the time of what follows.
    pub fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    /// A command was read.
    pub fn count(&mut self) {
        self.number += 1;
    }

    /// It has a line for nodes.
    pub fn set_line(&mut self, line: &str) {
        if self.are_wanted {
            self.line = (beginning(line).into(), line.len());
        }
    }

    /// It has a request for a node.
    pub fn open(&mut self, request: RequestId, node: NodeId) {
        if !self.are_wanted {
            return;
        }
        let (line, sent_bytes) = self.line.clone();
        let record = Record {
            number: self.number,
            node,
            line,
            started: self.now,
            ended: self.now,
            sent_bytes,
            received_bytes: 0,
            ending: ExecEnding::Unanswered,
        };
        self.open.insert(request, record);
    }

    /// A request goes on as another one.
    pub fn rename(&mut self, request: RequestId, other: RequestId) {
        if let Some(record) = self.open.remove(&request) {
            self.open.insert(other, record);
        }
    }

    /// A request is on its way.
    pub fn sent(&mut self, request: RequestId) {
        if let Some(record) = self.open.get_mut(&request) {
            record.started = self.now;
        }
    }

    /// Output of a request has come.
    pub fn received(&mut self, request: RequestId, bytes: usize) {
        if let Some(record) = self.open.get_mut(&request) {
            record.received_bytes += bytes;
        }
    }

    /// A request has its reply.
    pub fn end(&mut self, request: RequestId, reply: &Reply<'_>) {
        let Some(mut record) = self.open.remove(&request) else { return };
        record.ended = self.now;
        record.received_bytes += reply.text_bytes();
        record.ending = ending(reply);
        self.ended.push(record);
    }

    /// The records of what has ended since the last call.
    pub fn take(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.ended)
    }
}

fn ending(reply: &Reply<'_>) -> ExecEnding {
    match reply {
        Reply::UnavailableOf(_) | Reply::LateOf(..) => ExecEnding::Unanswered,
        Reply::DetailedOf(_, true, detailed) => ExecEnding::Failed(detailed.exit),
        reply if reply.is_error() => ExecEnding::Failed(None),
        _ => ExecEnding::Ok,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::Detailed;
    use crate::{Exit, RECORDED_BYTES_MAX};

    fn node() -> NodeId {
        NodeId::compute(7).unwrap()
    }

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_record_tells_what_a_command_was_and_how_it_ended() {
        let mut records = Records::new(true);
        let request = RequestId(1);
        records.count();
        records.count();
        records.set_line("echo hello");
        records.set_now(at(10));
        records.open(request, node());
        records.set_now(at(20));
        records.sent(request);
        records.received(request, 5);
        records.set_now(at(50));
        records.end(request, &Reply::OkOf(node(), b"hello"));
        let expected = Record {
            number: 2,
            node: node(),
            line: "echo hello".into(),
            started: at(20),
            ended: at(50),
            sent_bytes: 10,
            received_bytes: 10,
            ending: ExecEnding::Ok,
        };
        assert_eq!(records.take(), [expected]);
        records.end(request, &Reply::OkOf(node(), b"again"));
        assert_eq!(records.take(), []);
    }

    #[test]
    fn no_more_than_the_beginning_of_a_long_line_is_kept() {
        let mut records = Records::new(true);
        let line = "ž".repeat(RECORDED_BYTES_MAX);
        records.set_line(&line);
        records.open(RequestId(1), node());
        records.end(RequestId(1), &Reply::OkOf(node(), b""));
        let record = records.take().remove(0);
        assert_eq!((record.line.len(), record.sent_bytes), (RECORDED_BYTES_MAX, line.len()));
    }

    #[test]
    fn how_a_program_has_failed_is_recorded() {
        let detailed = |exit| Detailed { text: b"exit 3", exit, out: b"", err: b"" };
        for (reply, ending) in [
            (Reply::OkOf(node(), b"exit 3"), ExecEnding::Ok),
            (Reply::DetailedOf(node(), false, detailed(None)), ExecEnding::Ok),
            (Reply::ErrorOf(node(), b"exit 3"), ExecEnding::Failed(None)),
            (Reply::DetailedOf(node(), true, detailed(None)), ExecEnding::Failed(None)),
            (
                Reply::DetailedOf(node(), true, detailed(Some(Exit::Status(3)))),
                ExecEnding::Failed(Some(Exit::Status(3))),
            ),
            (Reply::NotFoundOf(node()), ExecEnding::Failed(None)),
            (Reply::RefusedOf(node()), ExecEnding::Failed(None)),
            (Reply::LateOf(node(), Duration::ZERO), ExecEnding::Unanswered),
        ] {
            let mut records = Records::new(true);
            records.open(RequestId(1), node());
            records.end(RequestId(1), &reply);
            assert_eq!(records.take().remove(0).ending, ending, "{reply:?}");
        }
    }

    #[test]
    fn nothing_is_kept_that_nobody_wants() {
        let mut records = Records::new(false);
        records.set_line("echo");
        records.open(RequestId(1), node());
        records.end(RequestId(1), &Reply::UnavailableOf(node()));
        assert!(records.line.0.is_empty() && records.open.is_empty() && records.take().is_empty());
    }
}
