//! What a node sends to another one of its cluster.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tallybook_fuzz::bus_message(bytes));
