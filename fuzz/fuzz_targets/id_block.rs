//! The stored form of an allocator.

#![no_main]

use tallybook_domain::idblock::IdBlock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tallybook_fuzz::stored::<IdBlock>(bytes));
