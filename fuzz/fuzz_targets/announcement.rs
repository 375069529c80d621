//! The electable set as a primary announces it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tallybook_fuzz::announcement(bytes));
