//! What the fuzzer calls for [`hoptree_fuzz::line`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hoptree_fuzz::line::run(input));
