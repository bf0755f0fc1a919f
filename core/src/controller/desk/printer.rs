//! What is printed, and in which order.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::reply::Reply;
use crate::{Order, RequestId};

/// The replies that wait for those of earlier commands, and what was printed since it was taken.
pub(crate) struct Printer {
    order: Order,
    /// With [`Order::Input`], the commands in the order of input.
    sequence: VecDeque<RequestId>,
    /// Those replies that wait for earlier ones.
    held: FxHashMap<RequestId, Vec<u8>>,
    held_bytes: usize,
    printed: Vec<u8>,
    any_failed: bool,
}

impl Printer {
    pub fn new(order: Order) -> Printer {
        Printer {
            order,
            sequence: VecDeque::new(),
            held: FxHashMap::default(),
            held_bytes: 0,
            printed: Vec::new(),
            any_failed: false,
        }
    }

    /// How many bytes of replies wait for earlier ones.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether any reply was an error.
    pub fn any_failed(&self) -> bool {
        self.any_failed
    }

    /// Notes that a reply was an error.
    pub fn note_failure(&mut self) {
        self.any_failed = true;
    }

    /// Expects the reply to one more command.
    pub fn expect(&mut self, request: RequestId) {
        if self.order == Order::Input {
            self.sequence.push_back(request);
        }
    }

    /// The command whose reply must come next; `None` when any may.
    pub fn next(&self) -> Option<RequestId> {
        self.sequence.front().copied()
    }

    /// In which order replies are printed.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Prints the reply to a command, and those that waited for it, or keeps it until earlier ones
    /// are there. Hands each command that has been printed to `printed`.
    pub fn reply(&mut self, request: RequestId, reply: Reply<'_>, printed: impl FnMut(RequestId)) {
        self.any_failed |= reply.is_error();
        if self.is_next(request) {
            reply.write(&mut self.printed);
            self.advance(request, printed);
        } else {
            let mut text = Vec::new();
            reply.write(&mut text);
            self.hold(request, text);
        }
    }

    /// As [`Printer::reply`], with the whole lines of a command for many nodes. They are not copied
    /// when nothing else was printed.
    pub fn lines(&mut self, request: RequestId, lines: Vec<u8>, printed: impl FnMut(RequestId)) {
        if self.is_next(request) {
            self.print(lines);
            self.advance(request, printed);
        } else {
            self.hold(request, lines);
        }
    }

    /// Prints whole lines at once, which are not copied when nothing else was printed.
    pub fn print(&mut self, lines: Vec<u8>) {
        if self.printed.is_empty() {
            self.printed = lines;
        } else {
            self.printed.extend_from_slice(&lines);
        }
    }

    /// Prints a line that is no reply, at once.
    pub fn notice(&mut self, line: &str) {
        self.printed.extend_from_slice(line.as_bytes());
        self.printed.push(b'\n');
    }

    /// What was printed since the last call.
    pub fn take_printed(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.printed)
    }

    /// Whether the reply to a command need not wait for others.
    fn is_next(&self, request: RequestId) -> bool {
        self.order == Order::Completion || self.next() == Some(request)
    }

    fn hold(&mut self, request: RequestId, text: Vec<u8>) {
        self.held_bytes += text.len();
        self.held.insert(request, text);
    }

    /// A command has been printed: prints the replies that waited for it.
    fn advance(&mut self, request: RequestId, mut printed: impl FnMut(RequestId)) {
        self.sequence.pop_front();
        printed(request);
        while let Some(request) = self.next()
            && let Some(text) = self.held.remove(&request)
        {
            self.held_bytes -= text.len();
            self.print(text);
            self.sequence.pop_front();
            printed(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<const N: usize>(printer: &mut Printer) -> [RequestId; N] {
        std::array::from_fn(|index| {
            let request = RequestId(index as u64);
            printer.expect(request);
            request
        })
    }

    fn reply(printer: &mut Printer, request: RequestId, text: &str) -> Vec<RequestId> {
        let mut printed = Vec::new();
        printer.reply(request, Reply::Ok(text), |request| printed.push(request));
        printed
    }

    fn printed(printer: &mut Printer) -> String {
        String::from_utf8(printer.take_printed()).unwrap()
    }

    #[test]
    fn replies_come_in_the_order_of_input() {
        let mut printer = Printer::new(Order::Input);
        let [a, b, c] = ids(&mut printer);
        assert_eq!(reply(&mut printer, c, "c"), []);
        printer.lines(b, b"Ok:1\nOk:2\n".to_vec(), |_| panic!("it must wait"));
        assert_eq!((printed(&mut printer), printer.held_bytes()), (String::new(), 16));
        printer.notice("notice");
        assert_eq!(reply(&mut printer, a, ""), [a, b, c]);
        assert_eq!(printed(&mut printer), "notice\nOk\nOk:1\nOk:2\nOk: c\n");
        assert_eq!((printer.next(), printer.held_bytes()), (None, 0));
    }

    #[test]
    fn or_as_they_complete() {
        let mut printer = Printer::new(Order::Completion);
        let [a, b] = ids(&mut printer);
        assert_eq!(reply(&mut printer, b, "b"), [b]);
        assert!(!printer.any_failed());
        printer.reply(a, Reply::Error("no"), |request| assert_eq!(request, a));
        assert_eq!(printed(&mut printer), "Ok: b\nError: no\n");
        assert!(printer.any_failed());
    }
}
