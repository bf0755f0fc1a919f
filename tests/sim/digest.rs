//! What a run did, as one number: a change that only moves code leaves it as it is. Off unless it is asked
//! for.

use std::cell::Cell;
use std::fmt::{self, Write};

thread_local! {
    static DIGEST: Cell<Option<Digest>> = const { Cell::new(None) };
}

/// A hash of all that was written to it: FNV-1a (RFC 9923) with 64 bits.
#[derive(Clone, Copy)]
struct Digest(u64);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

/// Begins a digest.
pub fn begin() {
    DIGEST.set(Some(Digest(0xcbf2_9ce4_8422_2325)));
}

/// Adds what happened, when there is a digest.
pub fn add(what: fmt::Arguments<'_>) {
    if let Some(mut digest) = DIGEST.get() {
        digest.write_fmt(what).expect("it takes whatever is written");
        DIGEST.set(Some(digest));
    }
}

/// Ends the digest.
pub fn take() -> Option<u64> {
    DIGEST.take().map(|digest| digest.0)
}

#[test]
fn it_is_that_of_the_specification_and_off_by_default() {
    add(format_args!("nobody wants it"));
    assert_eq!(take(), None);
    begin();
    add(format_args!("{}", "foo"));
    add(format_args!("{}", "bar"));
    assert_eq!(take(), Some(0x8594_4171_f739_67e8));
}
