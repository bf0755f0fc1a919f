//! What the fuzzer calls for [`hoptree_fuzz::frame`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hoptree_fuzz::frame::run(input));
