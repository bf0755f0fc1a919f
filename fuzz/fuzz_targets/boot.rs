//! What the fuzzer calls for [`hoptree_fuzz::boot`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hoptree_fuzz::boot::run(input));
