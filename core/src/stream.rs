//! The two streams of a call's output.

/// Where output of a call goes, as with a program's own streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// What was asked for.
    Out,
    /// What is said about it.
    Err,
}
