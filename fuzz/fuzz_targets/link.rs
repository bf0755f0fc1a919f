//! What the fuzzer calls for [`hoptree_fuzz::link`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hoptree_fuzz::link::run(input));
