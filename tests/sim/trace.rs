//! What happened last, in words. Off unless a run is repeated because it has failed: the seed alone
//! brings the same events again.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::network::{MICROSECOND, Moment};

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

struct Trace {
    lines: VecDeque<String>,
    max: usize,
}

/// Writes a line when the trace is on: the time, then as `format!`.
macro_rules! note {
    ($now:expr, $($text:tt)*) => {
        if crate::trace::is_on() {
            crate::trace::add($now, &format!($($text)*));
        }
    };
}
pub(crate) use note;

/// Begins a trace that keeps the last `max` lines.
pub fn begin(max: usize) {
    TRACE.set(Some(Trace { lines: VecDeque::new(), max }));
}

pub fn is_on() -> bool {
    TRACE.with_borrow(Option::is_some)
}

pub fn add(now: Moment, line: &str) {
    TRACE.with_borrow_mut(|trace| {
        let Some(trace) = trace else { return };
        if trace.lines.len() >= trace.max {
            trace.lines.pop_front();
        }
        let micros = now / MICROSECOND;
        trace.lines.push_back(format!("{:>6}.{:03} ms  {line}", micros / 1_000, micros % 1_000));
    });
}

/// Ends the trace.
pub fn take() -> String {
    let lines = TRACE.take().map(|trace| trace.lines).unwrap_or_default();
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The beginning of a text that may be long.
pub fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(80)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
