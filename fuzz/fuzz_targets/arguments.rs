//! What the fuzzer calls for [`hoptree_fuzz::arguments`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hoptree_fuzz::arguments::run(input));
