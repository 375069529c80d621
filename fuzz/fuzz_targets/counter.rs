//! The stored form of a counter.

#![no_main]

use tallybook_domain::counter::Counter;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tallybook_fuzz::stored::<Counter>(bytes));
