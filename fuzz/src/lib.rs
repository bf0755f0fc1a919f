//! What is fed with hostile input: one function for each target, in a module of the same name.
//!
//! A fuzzer calls them with what it makes up (`fuzz_targets/`), and `cargo test` with what is kept in
//! `seeds/`: beginnings for the fuzzer, and whatever it has found. See docs/testing.md.

pub mod arguments;
pub mod boot;
pub mod frame;
pub mod line;
pub mod link;
mod script;
pub mod seal;
mod tree;

// What is linked registers itself.
use hoptree as _;

/// What is fed with inputs.
pub struct Target {
    /// Its name, which is that of its folder of seeds too.
    pub name: &'static str,
    /// What it does with an input. It panics at whatever must not be.
    pub run: fn(&[u8]),
}

/// Every target, by name.
pub const TARGETS: [Target; 6] = [
    Target { name: "arguments", run: arguments::run },
    Target { name: "boot", run: boot::run },
    Target { name: "frame", run: frame::run },
    Target { name: "line", run: line::run },
    Target { name: "link", run: link::run },
    Target { name: "seal", run: seal::run },
];
