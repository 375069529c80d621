//! The journal of the fence.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tallybook_fuzz::journal(bytes));
