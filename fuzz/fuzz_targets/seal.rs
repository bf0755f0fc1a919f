//! What the fuzzer calls for [`hoptree_fuzz::seal`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hoptree_fuzz::seal::run(input));
